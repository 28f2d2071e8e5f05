"""echo latency p50 / p99 / p99.9, {connections} x {size}

As protocol echo, seen by the client: each connection has one message in flight. With the CPU time beside it,
the whole grid shows what an operation costs as connections grow.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_protocol
from workloads.protocol_echo import Echo

ORDER = 72
GRID = {"connections": [1, 10, 100, 1_000, 10_000], "size": [1_024]}
SHOWN = {"connections": 4}


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size, result="latency")


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_protocol(loop, Echo, limit(connections, size))
