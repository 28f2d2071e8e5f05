"""call_later + cancel

What every timeout that does not expire costs. The loop turns once per hundred, so that it can clean up.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 20
GRID = {"timers": [20_000], "delay": [60.0]}
PER_TURN = 100


def nothing() -> None:
    pass


def prepare(loop: asyncio.AbstractEventLoop, timers: int, delay: float) -> Timed:
    left = 0

    def schedule() -> None:
        nonlocal left
        if not left:
            loop.stop()
            return
        left -= PER_TURN
        call_later = loop.call_later
        for _ in range(PER_TURN):
            call_later(delay, nothing).cancel()
        loop.call_soon(schedule)

    def run() -> int:
        nonlocal left
        left = timers
        loop.call_soon(schedule)
        loop.run_forever()
        return timers

    return Timed(run)
