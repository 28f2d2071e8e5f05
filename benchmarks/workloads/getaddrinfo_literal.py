"""getaddrinfo of a literal

An address that needs no resolver: what every connect to an IP address pays.
"""

from __future__ import annotations

import asyncio
import socket

from harness.model import Timed

ORDER = 42
THREADS = True
GRID = {"host": ["127.0.0.1", "::1"]}
LOOKUPS = 500


def prepare(loop: asyncio.AbstractEventLoop, host: str) -> Timed:
    async def look_up() -> None:
        for _ in range(LOOKUPS):
            await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)

    def run() -> int:
        loop.run_until_complete(look_up())
        return LOOKUPS

    return Timed(run, close=lambda: loop.run_until_complete(loop.shutdown_default_executor()))
