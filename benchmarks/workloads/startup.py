"""import and first run of a loop, fresh process

From the interpreter's first statement: import the loop's package, make a loop, run a coroutine, close.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

from harness.loops import LoopSpec
from harness.model import Sampled

ORDER = 94
GRID = {"processes": [3]}

PROGRAM = """
import time
start = time.perf_counter()
import {module}
loop = {module}.{factory}()
async def nothing():
    pass
loop.run_until_complete(nothing())
loop.close()
print(time.perf_counter() - start)
"""


def prepare(loop: asyncio.AbstractEventLoop, loop_spec: LoopSpec, processes: int) -> Sampled:
    command = [sys.executable, "-c", PROGRAM.format(module=loop_spec.module, factory=loop_spec.factory)]

    def start_one() -> float:
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    start_one()  # from here on, files are in the system's cache and compiled
    return Sampled(lambda: [start_one() for _ in range(processes)], counts_cpu=False)
