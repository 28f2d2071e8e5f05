"""Unix socket echo, {connections} x {size}

As protocol echo, without TCP.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_unix
from workloads.protocol_echo import Echo

ORDER = 68
GRID = {"connections": [10, 1], "size": [1_024, 64]}


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size, socket="unix")


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_unix(loop, Echo, limit(connections, size))
