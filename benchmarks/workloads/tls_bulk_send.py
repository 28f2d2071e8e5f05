"""TLS bulk send, {size} writes

As bulk send over TLS 1.3; the other side throws the records away, encrypted as they are.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_protocol, server_tls
from workloads.bulk_send import pump

ORDER = 83
GRID = {"connections": [1, 10], "size": [65_536, 4_096]}


def limit(connections: int, size: int) -> Load:
    return Load("sink", connections, size, tls=True, result="bytes")


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_protocol(loop, pump(loop, size), limit(connections, size), server_tls())
