"""call_soon, one argument

As call_soon, with the most common shape of a real callback.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 11
GRID = {"burst": [1_000]}
OPERATIONS = 100_000


def nothing(argument: object) -> None:
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
        for number in range(burst):
            call_soon(nothing, number)
        call_soon(schedule_burst)

    def run() -> int:
        nonlocal left
        left = bursts = max(1, OPERATIONS // burst)
        loop.call_soon(schedule_burst)
        loop.run_forever()
        return bursts * burst

    return Timed(run)
