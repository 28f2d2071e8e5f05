"""Real servers for the rows that need one, as the tests start them: on first use, once for the whole run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

from harness import programs

SUPPORT = Path(__file__).parent.parent.parent / "tests"


@contextmanager
def _postgres() -> Iterator[str]:
    from support import postgres

    with postgres.running() as server:
        yield server.dsn


@contextmanager
def _redis() -> Iterator[str]:
    from support import redis_server

    with redis_server.running() as server:
        yield f"redis://{server.host}:{server.port}"


START: dict[str, Callable[[], AbstractContextManager[str]]] = {"postgres": _postgres, "redis": _redis}


class Services:
    """What was started runs, on the load's core, until the block ends."""

    def __init__(self, core: int | None) -> None:
        self._core = core
        self._started = ExitStack()
        self._urls: dict[str, str] = {}
        self._errors: dict[str, str] = {}

    def __enter__(self) -> Services:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.close()

    def urls(self, names: Sequence[str]) -> tuple[dict[str, str], str]:
        """By name, and why one of them is not to be had."""
        for name in names:
            if name not in self._urls and name not in self._errors:
                self._start(name)
        found = {name: self._urls[name] for name in names if name in self._urls}
        return found, "; ".join(self._errors[name] for name in names if name in self._errors)

    def _start(self, name: str) -> None:
        if str(SUPPORT) not in sys.path:
            sys.path.insert(0, str(SUPPORT))
        with _tied_to(self._core):
            try:
                self._urls[name] = self._started.enter_context(START[name]())
            except Exception as error:  # whatever is wrong with it belongs into the row's cells
                self._errors[name] = str(error).partition("\n")[0] or type(error).__name__


@contextmanager
def _tied_to(core: int | None) -> Iterator[None]:
    """Processes started within inherit the core."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    programs.pin(core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
