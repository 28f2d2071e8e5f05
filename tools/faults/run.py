"""One run of a program on a loop: what came of it, and how it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import re
import sys
import warnings
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any

Main = Callable[[], Coroutine[Any, Any, None]]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@dataclass
class Outcome:
    """What a run left behind. The events of each actor are in order; between actors there is none."""

    events: dict[str, list[str]] = field(default_factory=dict)
    error: str = ""
    reports: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    closed_twice: list[str] = field(default_factory=list)
    stale_uses: list[str] = field(default_factory=list)
    awaits: dict[str, int] = field(default_factory=dict)
    hung: bool = False

    @property
    def seen(self) -> tuple[object, ...]:
        """What a program can tell."""
        return (sorted(self.events.items()), self.error, sorted(self.reports), self.hung)

    @property
    def is_stuck(self) -> bool:
        """Whether it had to be ended."""
        return self.hung or self.error == "TimeoutError"


class Cancellation:
    """Counts the awaits of every task, and cancels one task at one of them.

    That is as soon as it waits, or in the very moment at which what it waits for is done.
    """

    MOMENTS = ("waits", "done")

    def __init__(self, task: str = "", nth: int = 0, moment: str = "") -> None:
        self.task = task
        self.nth = nth
        self.moment = moment
        self.happened = False
        self.awaits: dict[str, int] = {}
        self._names: dict[str, int] = {}

    def make_task(self, loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        name = getattr(coroutine, "__qualname__", type(coroutine).__name__)
        self._names[name] = self._names.get(name, 0) + 1
        name = f"{name} {self._names[name]}"
        return asyncio.Task(self._drive(coroutine, name), loop=loop, **options)

    async def _drive(self, coroutine: Any, name: str) -> Any:
        return await _Awaitable(self._steps(coroutine, name))

    def _steps(self, coroutine: Any, name: str) -> Generator[Any, Any, Any]:
        send, value = coroutine.send, None
        while True:
            try:
                awaited = send(value)
            except StopIteration as stop:
                return stop.value
            self.awaits[name] = self.awaits.get(name, 0) + 1
            if (name, self.awaits[name]) == (self.task, self.nth):
                self._cancel_at(awaited)
            try:
                value = yield awaited
                send = coroutine.send
            except BaseException as exc:
                send, value = coroutine.throw, exc

    def _cancel_at(self, awaited: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.happened = True
        if self.moment == "done" and awaited is not None:
            awaited.add_done_callback(lambda _future: task.cancel())
        else:
            asyncio.get_running_loop().call_soon(task.cancel)


@dataclass
class _Awaitable:
    steps: Generator[Any, Any, Any]

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.steps


def run(
    main: Main,
    make_loop: LoopFactory,
    cancellation: Cancellation | None,
    limit: float,
    region: contextlib.AbstractContextManager[Any],
) -> Outcome:
    """Runs a program on a new loop, which is closed afterwards."""
    outcome = Outcome()

    async def bounded() -> None:
        async with asyncio.timeout(limit):
            await main()

    def loop_factory() -> asyncio.AbstractEventLoop:
        loop = make_loop()
        loop.set_exception_handler(lambda _loop, context: outcome.reports.append(_report(context)))
        if cancellation is not None:
            loop.set_task_factory(cancellation.make_task)
        return loop

    with _listening(outcome.reports):
        try:
            with region, asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(bounded())
        except BaseException as exc:
            outcome.error = name_of_error(exc)
            # Frames of a traceback hold what would be collected otherwise.
            _forget_frames(exc)
    if cancellation is not None:
        outcome.awaits = cancellation.awaits
    return outcome


def name_of_error(exc: BaseException | None) -> str:
    """An exception as it can be compared: without addresses and port numbers."""
    if isinstance(exc, BaseExceptionGroup):
        return f"{type(exc).__name__}({', '.join(map(name_of_error, exc.exceptions))})"
    if isinstance(exc, OSError) and exc.errno is not None:
        return f"{type(exc).__name__}({errno.errorcode.get(exc.errno, exc.errno)})"
    return "None" if exc is None else type(exc).__name__


def _forget_frames(exc: BaseException | None) -> None:
    while exc is not None:
        earlier = exc.__context__
        exc.__traceback__ = exc.__context__ = exc.__cause__ = None
        exc = earlier


def _report(context: dict[str, Any]) -> str:
    return f"{_words(context['message'])}: {name_of_error(context.get('exception'))}"


def _words(text: str) -> str:
    """The part of a message that is the same on every loop."""
    if text.startswith(("Exception in callback", "Exception in connection_lost()")):
        return "Exception in callback"
    return " ".join(re.sub(r"[<(\[].*|\b0x\w+|\d+", "", text, flags=re.DOTALL).split())


class _listening(contextlib.AbstractContextManager[None]):
    """Puts log records, warnings and exceptions that nobody could raise into a list."""

    def __init__(self, reports: list[str]) -> None:
        self.reports = reports

    def __enter__(self) -> None:
        self.handler = logging.Handler(logging.WARNING)
        self.handler.emit = self._on_record  # type: ignore[method-assign]
        self.logger = logging.getLogger("asyncio")
        self.logger.addHandler(self.handler)
        self.logger.propagate = False
        self.hook = sys.unraisablehook
        sys.unraisablehook = self._on_unraisable
        self.warnings = warnings.catch_warnings()
        self.warnings.__enter__()
        warnings.simplefilter("always")
        warnings.showwarning = self._on_warning

    def __exit__(self, *_error: object) -> None:
        gc.collect()
        self.warnings.__exit__(None, None, None)
        sys.unraisablehook = self.hook
        self.logger.removeHandler(self.handler)

    def _on_record(self, record: logging.LogRecord) -> None:
        exc = name_of_error(record.exc_info[1]) if record.exc_info else "None"
        self.reports.append(f"log: {_words(record.getMessage())}: {exc}")

    def _on_warning(
        self, message: Warning | str, category: type[Warning], *_rest: Any, **_named: Any
    ) -> None:
        # The sockets of connections that were accepted by veloop are no Python objects, which could warn.
        if "unclosed <socket" in str(message):
            return
        self.reports.append(f"{category.__name__}: {_words(str(message))}")

    def _on_unraisable(self, unraisable: Any) -> None:
        self.reports.append(f"unraisable: {name_of_error(unraisable.exc_value)}")
