"""await sleep(0)

One task that gives way again and again: a task step per turn of the loop.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 30
GRID = {"tasks": [1, 100]}
STEPS = 20_000


def prepare(loop: asyncio.AbstractEventLoop, tasks: int) -> Timed:
    steps = STEPS // tasks

    async def give_way() -> None:
        for _ in range(steps):
            await asyncio.sleep(0)

    async def all_give_way() -> None:
        await asyncio.gather(*(give_way() for _ in range(tasks)))

    def run() -> int:
        loop.run_until_complete(give_way() if tasks == 1 else all_give_way())
        return steps * tasks

    return Timed(run)
