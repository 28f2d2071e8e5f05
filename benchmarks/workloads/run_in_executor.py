"""run_in_executor round trip

One at a time: a hand-over to a thread, and the wake-up back.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 41
THREADS = True
GRID = {"trips": [500]}


def nothing() -> None:
    pass


def prepare(loop: asyncio.AbstractEventLoop, trips: int) -> Timed:
    async def round_trips() -> None:
        for _ in range(trips):
            await loop.run_in_executor(None, nothing)

    def run() -> int:
        loop.run_until_complete(round_trips())
        return trips

    return Timed(run, close=lambda: loop.run_until_complete(loop.shutdown_default_executor()))
