"""streams client, {connections} x {size}

Ten tasks with a connection each, against the C echo server.
"""

from __future__ import annotations

import asyncio

from harness.model import Address, Timed
from harness.serving import finish_tasks

ORDER = 71
GRID = {"connections": [10, 1], "size": [1_024]}
TRIPS = 2_000


def prepare(loop: asyncio.AbstractEventLoop, echo_server: Address, connections: int, size: int) -> Timed:
    message = b"x" * size
    trips = TRIPS // connections

    async def connect() -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        return [await asyncio.open_connection(*echo_server) for _ in range(connections)]

    pairs = loop.run_until_complete(connect())

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(trips):
            writer.write(message)
            await reader.readexactly(size)

    async def talk_all() -> None:
        await asyncio.gather(*(talk(reader, writer) for reader, writer in pairs))

    def run() -> int:
        loop.run_until_complete(talk_all())
        return trips * connections

    def close() -> None:
        for _, writer in pairs:
            writer.close()
        finish_tasks(loop)

    return Timed(run, close)
