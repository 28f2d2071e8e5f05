"""Making veloop the loop of a process that is about to import ``test.test_asyncio``.

Every name by which the tests ask asyncio for a loop is pointed at ``SuiteLoop``: the policy's, asyncio's
``SelectorEventLoop`` (which tests call with a selector of their own) and even ``BaseEventLoop``, so that the
tests' ``TestLoop`` with its made-up clock is a veloop loop, too. Loops are counted, so that a test that went
round all this is found: ``made`` says how many were veloop's, and how many were not.
"""

from __future__ import annotations

import asyncio
import asyncio.proactor_events
import asyncio.unix_events
from asyncio import base_events
from collections import Counter
from typing import Any

import veloop
from veloop._hooks import NativeSelector

made: Counter[str] = Counter()


class SuiteLoop(veloop.EventLoop):
    """veloop's loop with the constructor of asyncio's, and ``_run_once`` and ``_selector`` replaceable."""

    def __init__(self, selector: object = None) -> None:
        super().__init__()
        self._selector: object

    def _run_turns(self) -> None:
        turns: Any = self
        if type(self)._run_once is SuiteLoop._run_once and isinstance(turns._selector, NativeSelector):
            super()._run_turns()
            return
        while True:
            turns._run_once()
            if self._stopping:
                return

    def _run_once(self) -> None:
        if not isinstance(self._selector, NativeSelector):
            # A test put a selector there that never waits, so that made-up time passes in no time.
            super().call_soon(bool)
        super()._run_once()  # type: ignore[misc]


# Takes a method of the real BaseEventLoop, to see what a loop without sendfile does.
NEEDS_BASE_EVENT_LOOP = {"test_sendfile"}


def take_over(test_module: str) -> None:
    """Makes veloop the loop of this process, under every name."""
    with_loops: list[Any] = [asyncio, base_events, asyncio.unix_events]
    if test_module in NEEDS_BASE_EVENT_LOOP:
        with_loops.remove(base_events)
    for module in with_loops:
        for name in ("BaseEventLoop", "SelectorEventLoop", "EventLoop", "_UnixSelectorEventLoop"):
            if hasattr(module, name):
                setattr(module, name, SuiteLoop)
    unix_events: Any = asyncio.unix_events
    unix_events._UnixDefaultEventLoopPolicy._loop_factory = SuiteLoop


def count_loops() -> None:
    """Lets ``made`` count the loops of this process; call it before ``take_over()``."""
    base: Any = base_events.BaseEventLoop
    constructor = base.__init__

    def counting(self: object, *arguments: object, **options: object) -> None:
        made["veloop" if isinstance(self, veloop.EventLoop) else "other"] += 1
        constructor(self, *arguments, **options)

    base.__init__ = counting
