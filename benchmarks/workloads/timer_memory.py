"""memory per pending timer, of {timers}

With a bound method as callback and nothing else: what a timeout costs while it does not expire.
"""

from __future__ import annotations

import asyncio
import random

from harness.model import Weighed

ORDER = 75
GRID = {"timers": [100_000, 1_000_000]}
ROUNDS = 1


class Client:
    def fell_silent(self) -> None:
        pass


def prepare(loop: asyncio.AbstractEventLoop, timers: int) -> Weighed:
    client = Client()
    shuffled = random.Random(1)
    pending: list[asyncio.TimerHandle | None] = [None] * timers

    def run() -> int:
        for number in range(timers):
            pending[number] = loop.call_later(60 + shuffled.random(), client.fell_silent)
        return timers

    def close() -> None:
        for timer in pending:
            if timer is not None:
                timer.cancel()

    return Weighed(run, close)
