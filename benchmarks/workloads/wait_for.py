"""wait_for

A timeout around something that finishes in the next turn: a timer made and cancelled, and a task step.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 32
GRID = {"waits": [5_000]}


def prepare(loop: asyncio.AbstractEventLoop, waits: int) -> Timed:
    async def wait() -> None:
        for _ in range(waits):
            await asyncio.wait_for(asyncio.sleep(0), 10)

    def run() -> int:
        loop.run_until_complete(wait())
        return waits

    return Timed(run)
