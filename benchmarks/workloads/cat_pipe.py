"""{size} through cat (subprocess pipes)

Spawn, write and read at the same time, end of file, wait; counted in processes.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE

from harness.model import Timed

ORDER = 91
GRID = {"size": [1 << 20]}
PROCESSES = 10


def prepare(loop: asyncio.AbstractEventLoop, size: int) -> Timed:
    data = b"x" * size

    async def through_cat() -> None:
        for _ in range(PROCESSES):
            process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
            output, _ = await process.communicate(data)
            if len(output) != size:
                raise RuntimeError(f"{len(output)} of {size} bytes came back")

    def run() -> int:
        loop.run_until_complete(through_cat())
        return PROCESSES

    return Timed(run)
