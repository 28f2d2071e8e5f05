"""Forks: what a child does with its parent's event loops must not disturb the parent.

A set that the kernel watches for a loop is shared by parent and child, and so is what wakes the loop. In the
child each loop leaves them and gets its own: one that was not running can be used there, one that was running
ends its run with RuntimeError when the callback that forked returns.
"""

from __future__ import annotations

import os
import signal
import weakref

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    from typing import Any

_loops: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def remember(loop: Any) -> None:
    """Have a new loop take part in forks, for as long as it lives."""
    _loops[id(loop)] = loop


def _before_fork() -> None:
    for reference in _loops.valuerefs():  # A list: threads may make loops meanwhile.
        if (loop := reference()) is not None:
            loop._prepare_fork()


def _after_fork_in_child() -> None:
    references = _loops.valuerefs()
    if references:
        # As asyncio from 3.12 on: it may be a socket that the parent's loop reads.
        signal.set_wakeup_fd(-1)
    for reference in references:
        if (loop := reference()) is not None:
            loop._leave_parent()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
