"""aiohttp client, {connections} connections

Tasks that fetch a small page again and again through one session, from a C server.
"""

from __future__ import annotations

import asyncio
from typing import Any

from harness.model import Address, Timed

ORDER = 103
GRID = {"connections": [32, 1]}
REQUESTS = 640


def fetching(loop: asyncio.AbstractEventLoop, url: str, connections: int, **options: Any) -> Timed:
    """``options`` are the connector's."""
    import aiohttp

    requests = REQUESTS // connections

    async def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections, **options))

    session = loop.run_until_complete(open_session())

    async def fetch() -> None:
        for _ in range(requests):
            async with session.get(url) as response:
                await response.read()

    async def fetch_all() -> None:
        await asyncio.gather(*(fetch() for _ in range(connections)))

    def run() -> int:
        loop.run_until_complete(fetch_all())
        return requests * connections

    return Timed(run, close=lambda: loop.run_until_complete(session.close()))


def prepare(loop: asyncio.AbstractEventLoop, http_server: Address, connections: int) -> Timed:
    return fetching(loop, f"http://{http_server[0]}:{http_server[1]}/", connections)
