"""sock_sendall/sock_recv ping-pong

Two tasks of one loop over a socket pair; counted in round trips.
"""

from __future__ import annotations

import asyncio
import socket

from harness.model import Timed

ORDER = 50
GRID = {"size": [64, 4_096]}
TRIPS = 1_000


def prepare(loop: asyncio.AbstractEventLoop, size: int) -> Timed:
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    message = b"x" * size

    async def answer() -> None:
        for _ in range(TRIPS):
            await loop.sock_sendall(right, await loop.sock_recv(right, size))

    async def ask() -> None:
        answers = asyncio.ensure_future(answer())
        for _ in range(TRIPS):
            await loop.sock_sendall(left, message)
            await loop.sock_recv(left, size)
        await answers

    def run() -> int:
        loop.run_until_complete(ask())
        return TRIPS

    def close() -> None:
        left.close()
        right.close()

    return Timed(run, close)
