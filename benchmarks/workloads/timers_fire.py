"""{timers} timers fire

Scheduled in random order, due before the last one is scheduled: the work of the heap, not the wait.
"""

from __future__ import annotations

import asyncio
import random

from harness.model import Timed

ORDER = 21
GRID = {"timers": [100_000, 10, 100, 1_000, 10_000, 1_000_000]}
SPREAD = 1e-8  # seconds per timer: less than scheduling one takes


def prepare(loop: asyncio.AbstractEventLoop, timers: int) -> Timed:
    shuffled = random.Random(1)
    delays = [shuffled.random() * SPREAD * timers for _ in range(timers)]
    left = 0

    def fire() -> None:
        nonlocal left
        left -= 1
        if not left:
            loop.stop()

    def run() -> int:
        nonlocal left
        left = timers
        call_later = loop.call_later
        for delay in delays:
            call_later(delay, fire)
        loop.run_forever()
        return timers

    return Timed(run)
