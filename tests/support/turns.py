"""Drives a loop a few turns at a time from synchronous tests."""

from __future__ import annotations

import asyncio


def run_once(loop: asyncio.AbstractEventLoop) -> None:
    """Run everything that is ready now, with one poll for I/O and timers: asyncio's idiom for one turn."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def run_turns(loop: asyncio.AbstractEventLoop, count: int) -> None:
    """Run ``count`` turns."""
    for _ in range(count):
        run_once(loop)
