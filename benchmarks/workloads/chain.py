"""chain: each callback schedules the next

One callback per turn of the loop: the price of a turn.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 12
GRID = {"links": [20_000]}


def prepare(loop: asyncio.AbstractEventLoop, links: int) -> Timed:
    left = 0

    def link() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(link)
        else:
            loop.stop()

    def run() -> int:
        nonlocal left
        left = links
        loop.call_soon(link)
        loop.run_forever()
        return links

    return Timed(run)
