"""gather of {tasks} tasks

Counted in tasks: making one, its only step, its callback and its result.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 31
GRID = {"tasks": [1_000, 10]}
OPERATIONS = 10_000


def prepare(loop: asyncio.AbstractEventLoop, tasks: int) -> Timed:
    async def nothing() -> None:
        pass

    async def gather_again_and_again() -> None:
        for _ in range(OPERATIONS // tasks):
            await asyncio.gather(*(nothing() for _ in range(tasks)))

    def run() -> int:
        loop.run_until_complete(gather_again_and_again())
        return OPERATIONS // tasks * tasks

    return Timed(run)
