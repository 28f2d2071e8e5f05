"""bulk send, {size} writes

A protocol that writes until it is told to pause; the other side throws the bytes away without copying them.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness.model import Load, Served
from harness.serving import serve_protocol

ORDER = 65
GRID = {"connections": [1, 10], "size": [65_536, 4_096]}
WRITES_PER_TURN = 64  # so that a receiver that keeps up does not starve the other callbacks


def limit(connections: int, size: int) -> Load:
    return Load("sink", connections, size, result="bytes")


def pump(loop: asyncio.AbstractEventLoop, size: int) -> type[asyncio.Protocol]:
    chunk = b"x" * size

    class Pump(asyncio.Protocol):
        flowing = True

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.pump()

        def pump(self) -> None:
            write = self.transport.write
            for _ in range(WRITES_PER_TURN):
                if not self.flowing:
                    return
                write(chunk)
            loop.call_soon(self.pump)

        def pause_writing(self) -> None:
            self.flowing = False

        def resume_writing(self) -> None:
            self.flowing = True
            self.pump()

        def connection_lost(self, exc: Exception | None) -> None:
            self.flowing = False

    return Pump


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_protocol(loop, pump(loop, size), limit(connections, size))
