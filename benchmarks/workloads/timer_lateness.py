"""timer lateness of an idle loop, p50 / p99

One timer at a time, 1 to 5 ms ahead, at odd fractions of a millisecond. A timer must never fire early.
"""

from __future__ import annotations

import asyncio
import time

from harness.model import Sampled

ORDER = 93
GRID = {"samples": [20]}


def prepare(loop: asyncio.AbstractEventLoop, samples: int) -> Sampled:
    delays = [0.001 + (number * 0.618_034 % 1) * 0.004 for number in range(samples)]
    lateness: list[float] = []

    def fire(due: float) -> None:
        lateness.append(time.monotonic() - due)
        loop.stop()

    def run() -> list[float]:
        lateness.clear()
        for delay in delays:
            loop.call_later(delay, fire, time.monotonic() + delay)
            loop.run_forever()
        return list(lateness)

    return Sampled(run, shown=("p50", "p99"))
