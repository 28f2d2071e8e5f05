"""spawn /bin/true and wait

One at a time.
"""

from __future__ import annotations

import asyncio

from harness.model import Timed

ORDER = 90
GRID = {"processes": [20]}


def prepare(loop: asyncio.AbstractEventLoop, processes: int) -> Timed:
    async def spawn() -> None:
        for _ in range(processes):
            process = await asyncio.create_subprocess_exec("/bin/true")
            if await process.wait():
                raise RuntimeError(f"exit status {process.returncode}")

    def run() -> int:
        loop.run_until_complete(spawn())
        return processes

    return Timed(run)
