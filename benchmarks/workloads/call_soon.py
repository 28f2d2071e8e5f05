"""call_soon, bursts of {burst}

Each burst is scheduled by one callback and run in the loop's next turn.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 10
GRID = {"burst": [1_000, 10, 100_000]}
OPERATIONS = 100_000


def nothing() -> None:
    pass


def prepare(loop: asyncio.AbstractEventLoop, burst: int) -> Timed:
    left = 0

    def schedule_burst() -> None:
        nonlocal left
        if not left:
            loop.stop()
            return
        left -= 1
        call_soon = loop.call_soon
        for _ in range(burst):
            call_soon(nothing)
        call_soon(schedule_burst)

    def run() -> int:
        nonlocal left
        left = bursts = max(1, OPERATIONS // burst)
        loop.call_soon(schedule_burst)
        loop.run_forever()
        return bursts * burst

    return Timed(run)
