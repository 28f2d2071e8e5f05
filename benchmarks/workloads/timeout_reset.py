"""reset of one timeout among {timers}

What a server does for each message of a client that must not fall silent: cancel its timer, start another.
As many resets as timers, for a loop may leave cancelled timers where they are until they are half of all.
"""

from __future__ import annotations

import asyncio
import random

from harness.model import Timed

ORDER = 22
GRID = {"timers": [10_000, 10, 100, 1_000, 100_000, 1_000_000]}
RESETS = 10_000  # at least
PER_TURN = 100


def nothing() -> None:
    pass


def prepare(loop: asyncio.AbstractEventLoop, timers: int) -> Timed:
    shuffled = random.Random(1)
    pending = [loop.call_later(60 + shuffled.random(), nothing) for _ in range(timers)]
    chosen = [shuffled.randrange(timers) for _ in range(max(RESETS, timers))]
    left: list[int] = []

    def reset_some() -> None:
        call_later = loop.call_later
        for number in left[-PER_TURN:]:
            pending[number].cancel()
            pending[number] = call_later(60.5, nothing)
        del left[-PER_TURN:]
        if left:
            loop.call_soon(reset_some)
        else:
            loop.stop()

    def run() -> int:
        left[:] = chosen
        loop.call_soon(reset_some)
        loop.run_forever()
        return len(chosen)

    def close() -> None:
        for timer in pending:
            timer.cancel()

    return Timed(run, close)
