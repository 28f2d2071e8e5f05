"""echo latency beside an endless chain, p50 / p99 / p99.9

A callback schedules itself for ever; a socket must be served all the same.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_protocol
from workloads.protocol_echo import Echo

ORDER = 73
GRID = {"connections": [1], "size": [64]}


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    served = serve_protocol(loop, Echo, Load("echo", connections, size, result="latency"))
    ended = False

    def link() -> None:
        if not ended:
            loop.call_soon(link)

    def close() -> None:
        nonlocal ended
        ended = True
        served.close()

    loop.call_soon(link)
    return Served(served.address, served.load, close)
