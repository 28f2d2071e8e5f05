"""protocol echo over a socket pair, {size}

Both ends are transports of the loop; counted in round trips.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from harness.model import Timed
from harness.serving import finish_tasks
from workloads.protocol_echo import Echo

ORDER = 52
GRID = {"size": [1_024, 64]}
TRIPS = 2_000


def prepare(loop: asyncio.AbstractEventLoop, size: int) -> Timed:
    message = b"x" * size
    left = 0

    class Asker(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.write = transport.write

        def data_received(self, data: bytes) -> None:
            nonlocal left
            left -= 1
            if left:
                self.write(message)
            else:
                loop.stop()

    async def connect() -> list[tuple[Any, Any]]:
        ends = socket.socketpair()
        return [
            await loop.create_unix_connection(factory, sock=end)
            for factory, end in zip((Echo, Asker), ends, strict=True)
        ]

    (echo, _), (asking, asker) = loop.run_until_complete(connect())

    def run() -> int:
        nonlocal left
        left = TRIPS
        asker.write(message)
        loop.run_forever()
        return TRIPS

    def close() -> None:
        asking.close()
        echo.close()
        finish_tasks(loop)

    return Timed(run, close)
