"""memory per idle connection, of {connections}

What the server's process grows by while connections are accepted, each with one small echo.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_protocol
from workloads.protocol_echo import Echo

ORDER = 74
GRID = {"connections": [10_000, 1_000]}
ROUNDS = 1


def limit(connections: int) -> Load:
    return Load("idle", connections, size=64, result="server_memory")


def prepare(loop: asyncio.AbstractEventLoop, connections: int) -> Served:
    return serve_protocol(loop, Echo, limit(connections))
