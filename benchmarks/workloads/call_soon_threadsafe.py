"""call_soon_threadsafe

From another thread, as real programs do; how the two share the interpreter lock is part of the result.
Without ``from_thread`` the loop's own thread calls: the bare price of the call and its wake-up.
"""

from __future__ import annotations

import asyncio
import threading

from harness.model import Timed

ORDER = 40
THREADS = True
GRID = {"from_thread": [True, False], "burst": [1_000]}
OPERATIONS = 20_000


def nothing() -> None:
    pass


def prepare(loop: asyncio.AbstractEventLoop, from_thread: bool, burst: int) -> Timed:
    bursts = OPERATIONS // burst

    def call_all() -> None:
        for _ in range(burst):
            loop.call_soon_threadsafe(nothing)

    def run_inside() -> int:
        for _ in range(bursts):
            call_all()
            loop.call_soon_threadsafe(loop.stop)
            loop.run_forever()
        return bursts * burst

    def run_from_thread() -> int:
        def call_bursts() -> None:
            for _ in range(bursts):
                call_all()
            loop.call_soon_threadsafe(loop.stop)

        caller = threading.Thread(target=call_bursts)
        loop.call_soon(caller.start)
        loop.run_forever()
        caller.join()
        return bursts * burst

    return Timed(run_from_thread if from_thread else run_inside)
