"""asyncpg fetchrow on PostgreSQL, {connections} connections

A prepared query for one row by its key, one at a time on each connection.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 105
GRID = {"connections": [10, 1]}
QUERIES = 300


def prepare(loop: asyncio.AbstractEventLoop, postgres: str, connections: int) -> Timed:
    import asyncpg

    queries = QUERIES // connections

    async def connect() -> list[asyncpg.Connection]:
        return [await asyncpg.connect(postgres) for _ in range(connections)]

    opened = loop.run_until_complete(connect())

    async def query(connection: asyncpg.Connection) -> None:
        for _ in range(queries):
            row = await connection.fetchrow("SELECT id, name, email FROM users WHERE id = $1", 3)
            if row["id"] != 3:
                raise RuntimeError(f"not the row that was asked for: {row}")

    async def query_all() -> None:
        await asyncio.gather(*(query(connection) for connection in opened))

    def run() -> int:
        loop.run_until_complete(query_all())
        return queries * connections

    async def disconnect() -> None:
        for connection in opened:
            await connection.close()

    return Timed(run, close=lambda: loop.run_until_complete(disconnect()))
