"""protocol echo, {connections} x {size}

A Protocol that writes back what it is given.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness.model import Load, Served
from harness.serving import serve_protocol

ORDER = 60
GRID = {"connections": [10, 1, 100], "size": [1_024, 64, 16_384]}


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.write = transport.write

    def data_received(self, data: bytes) -> None:
        self.write(data)


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size)


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_protocol(loop, Echo, limit(connections, size))
