"""BufferedProtocol echo, {connections} x {size}

The protocol lends its buffer to the transport; it writes back a copy, because the buffer is lent again.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness.model import Load, Served
from harness.serving import serve_protocol

ORDER = 63
GRID = {"connections": [10, 1, 100], "size": [65_536, 1_024, 1_048_576]}
BUFFER_SIZE = 65_536


class BufferedEcho(asyncio.BufferedProtocol):
    def connection_made(self, transport: Any) -> None:
        self.write = transport.write
        self.buffer = memoryview(bytearray(BUFFER_SIZE))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.write(bytes(self.buffer[:nbytes]))


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size)


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_protocol(loop, BufferedEcho, limit(connections, size))
