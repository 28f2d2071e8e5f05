"""Drives a loop a few turns at a time from synchronous tests, or until something has happened."""

from __future__ import annotations

import asyncio
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
