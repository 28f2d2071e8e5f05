"""open_connection, echo, close (client)

One at a time, against the C echo server.
"""

from __future__ import annotations

import asyncio

from harness.model import Address, Timed

ORDER = 70
GRID = {"connections": [100]}
MESSAGE = b"x" * 64


def prepare(loop: asyncio.AbstractEventLoop, echo_server: Address, connections: int) -> Timed:
    async def connect() -> None:
        for _ in range(connections):
            reader, writer = await asyncio.open_connection(*echo_server)
            writer.write(MESSAGE)
            await reader.readexactly(len(MESSAGE))
            writer.close()
            await writer.wait_closed()

    def run() -> int:
        loop.run_until_complete(connect())
        return connections

    return Timed(run)
