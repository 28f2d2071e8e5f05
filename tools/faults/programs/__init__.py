"""The programs that ``./dev faults`` runs: each uses one part of a loop, and tells what it sees.

A program is a function that is given a ``World`` and returns a coroutine function. What it does itself
happens before the system calls are counted; the coroutine is what the faults are for.
"""

from __future__ import annotations

import asyncio

from tools.faults.programs import descriptors, processes, servers, sockets, streams
from tools.faults.programs.world import Program, World
from tools.faults.run import LoopFactory

__all__ = ["LOOPS", "PROGRAMS", "World"]

PROGRAMS: dict[str, Program] = {
    program.__name__: program
    for module in (streams, servers, sockets, descriptors, processes)
    for program in module.PROGRAMS
}


def _veloop() -> asyncio.AbstractEventLoop:
    import veloop

    return veloop.new_event_loop()


LOOPS: dict[str, LoopFactory] = {"veloop": _veloop, "asyncio": asyncio.SelectorEventLoop}
