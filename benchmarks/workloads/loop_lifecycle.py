"""new loop, run, close

What asyncio.run costs before and after the program's own work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from harness.model import Timed

ORDER = 92
GRID = {"loops": [50]}


def prepare(
    loop: asyncio.AbstractEventLoop, new_loop: Callable[[], asyncio.AbstractEventLoop], loops: int
) -> Timed:
    async def nothing() -> None:
        pass

    def run() -> int:
        for _ in range(loops):
            short_lived = new_loop()
            short_lived.run_until_complete(nothing())
            short_lived.close()
        return loops

    return Timed(run)
