"""Drives a loop a few turns at a time from synchronous tests, or until something has happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def run_once(loop: asyncio.AbstractEventLoop) -> None:
    """Run everything that is ready now, with one poll for I/O and timers: asyncio's idiom for one turn."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def run_turns(loop: asyncio.AbstractEventLoop, count: int) -> None:
    """Run ``count`` turns."""
    for _ in range(count):
        run_once(loop)


async def until(condition: Callable[[], object]) -> None:
    """Lets the loop run until `condition()` is true."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def idles(seconds: float = 0.1) -> bool:
    """Whether the loop sleeps while nothing happens, however much the machine has to do besides."""
    used, wanted = time.thread_time(), _wanted()
    await asyncio.sleep(seconds)
    return time.thread_time() - used < seconds / 4 and _wanted() - wanted < seconds / 2


def _wanted() -> float:
    """Seconds for which this thread has run, or could have run and had to wait for a processor."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            ran, waited, _ = map(int, file.read().split())
    except FileNotFoundError:
        return time.thread_time()
    return (ran + waited) / 1e9
