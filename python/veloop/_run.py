"""``veloop.run()``: ``asyncio.run()`` on a veloop loop."""

from __future__ import annotations

import asyncio

from ._loop import new_event_loop

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any, TypeVar

    _T = TypeVar("_T")


def run(main: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
    """Run a coroutine on a new veloop loop and return its result (``asyncio.run``).

    ``debug`` turns asyncio's debug mode on or off (None: as the environment says). Raises RuntimeError if
    a loop already runs in this thread, ValueError (TypeError from 3.14 on) if ``main`` is no coroutine.
    """
    if asyncio._get_running_loop() is not None:
        # asyncio.run()'s own check, before a loop is made.
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")
    with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
        return runner.run(main)
