"""The standard loop as oracle: a made-up program runs on asyncio and on veloop, and what happens is compared.

A *program* is plain data that hypothesis makes up: usually a tuple of steps, each a tuple of a name and
arguments, with the steps of its callbacks nested in it. A *family* knows how to run its programs on a loop:

    def run(world: World, program) -> None:
        world.loop.call_soon(world.note, "called")
        world.run(main(world))                      # a coroutine, to its end

    FAMILY = Family("name", strategy, run)          # listed in FAMILIES of its file, see families/__init__.py

Whatever the program sees it tells the world, by ``note(what, *values)``, or by ``attempt(what, call, *args)``
and ``attempted(what, awaitable)``, which note the result or the error of a call. Values, exceptions (type,
arguments, attributes, notes, cause and context), log records of asyncio and what Python could not raise are
noted in words (``differential.words``) that hold no address, number of a descriptor, port or time. Events
whose order is not decided by the loop go to different ``lane``s: the order holds within a lane.

``Family.check(program)`` is for tests: it raises ``Different`` unless both loops told the same story, or one
that is explained by the listed differences (``differential.listed``). A story that asyncio itself tells in
more than one way is run again a few times: veloop's must be one of asyncio's.

Whatever a run has opened goes to ``world.closing(thing)``; it is closed after the program, before the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import logging
import socket
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from differential import listed
from differential.words import Text, words_of

Event = tuple[str, ...]
Story = dict[str, list[Event]]  # by lane
MakeLoop = Callable[[], asyncio.AbstractEventLoop]

LONG = 10  # seconds after which a run is taken for hanging, and stopped
ENDINGS = 10  # how often what is left over of a program may stop the loop while its tasks are cancelled
QUIET = 2  # polls in which nothing happens, after which nothing more is expected
RESTLESS = 40  # such times in which something always happened: then the program is left out
AGAIN = 5  # how often asyncio is asked again before a difference is one
TWICE = 2  # how often veloop has to tell another story: a busy machine tells many


class Interrupt(KeyboardInterrupt):
    """Ctrl-C, as a made-up program raises it."""


class Quit(SystemExit):
    """The end, as a made-up program asks for it."""


class Odd(BaseException):
    """Neither an error nor one of the two above."""


CAUGHT = (Exception, asyncio.CancelledError, Interrupt, Quit, Odd)


class Inline(concurrent.futures.ThreadPoolExecutor):
    """An executor without threads: what it does is done when it is asked, so that the order is the loop's."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(call(*args, **named))
        except Exception as error:
            future.set_exception(error)
        return future


def veloop_loop() -> asyncio.AbstractEventLoop:
    import veloop

    return veloop.new_event_loop()


class World:
    """What one run of a program has: a loop, a pen, and a shelf for what has to be closed."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        loop.slow_callback_duration = 1000.0  # in debug mode: a busy machine is not part of the story
        self.story: Story = {}
        self._to_close: list[Any] = []
        self._bell = socket.socketpair()  # made now: its numbers are nobody's that was closed while watched
        for end in self._bell:
            end.setblocking(False)

    # -- writing down ---------------------------------------------------------------------------

    def note(self, what: str, *values: object, lane: str = "") -> None:
        """Writes down an event."""
        self.story.setdefault(lane, []).append((what, *map(words_of, values)))

    def attempt(self, what: str, call: Callable[..., Any], *args: Any, lane: str = "", **named: Any) -> Any:
        """Calls, and notes the result, which is returned, or the error."""
        try:
            result = call(*args, **named)
        except CAUGHT as error:
            self.note(what, "raised", error, lane=lane)
            return None
        self.note(what, result, lane=lane)
        return result

    async def attempted(self, what: str, awaitable: Awaitable[Any], lane: str = "") -> Any:
        """Awaits, and notes the result, which is returned, or the error (cancellation, too)."""
        try:
            result = await awaitable
        except CAUGHT as error:
            self.note(what, "raised", error, lane=lane)
            return None
        self.note(what, result, lane=lane)
        return result

    # -- running --------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine to its end, or until it hangs; notes the error it ends with."""
        return self.attempt("main", self.loop.run_until_complete, main)

    def closing(self, thing: Any) -> Any:
        """Something with ``close()``, to be closed after the program."""
        self._to_close.append(thing)
        return thing

    async def settle(self) -> None:
        """Returns when the loop has seen what is ready, has run what came of it, and nothing more comes."""
        before = -1
        for _ in range(RESTLESS):
            now = sum(map(len, self.story.values()))
            if now == before:
                return
            before = now
            for _ in range(QUIET):
                await self._seen()
        self.story = {"": [("restless",)]}

    async def _seen(self) -> None:
        """Returns when the loop has polled, and has run what it found."""
        near, far = self._bell
        seen = self.loop.create_future()
        far.send(b"!")
        self.loop.add_reader(near, lambda: seen.done() or seen.set_result(None))
        await seen
        self.loop.remove_reader(near)
        near.recv(1)
        for _ in range(3):
            await asyncio.sleep(0)

    def end(self) -> None:
        """Closes everything: what that tells is part of the story, too."""
        for thing in reversed(self._to_close):
            thing.close()
        self._to_close.clear()
        if not self.loop.is_closed():
            self._cancel_tasks()
            self.loop.close()
        for end in self._bell:
            end.close()

    def _cancel_tasks(self) -> None:
        self.loop.set_exception_handler(None)
        for _ in range(ENDINGS):
            tasks = asyncio.all_tasks(self.loop)
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            self.attempt("ending", self.loop.run_until_complete, self._ended(tasks))

    async def _ended(self, tasks: set[asyncio.Task[Any]]) -> None:
        await asyncio.wait(tasks)


class _Records(logging.Handler):
    """Notes the log records of asyncio in the world of the run."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.DEBUG)
        self.world = world

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.world.note("log", record.levelname, Text(record.getMessage()), error)


def _rescue(loop: asyncio.AbstractEventLoop, ended: threading.Event) -> None:
    """Stops a loop that hangs, whatever it is that it runs."""
    while not ended.wait(LONG):
        with contextlib.suppress(RuntimeError):  # closed
            loop.call_soon_threadsafe(loop.stop)


@contextlib.contextmanager
def _watched(world: World) -> Iterator[None]:
    """Everything that is told behind the program's back is noted while this lasts."""
    records = _Records(world)
    logger = logging.getLogger("asyncio")
    before = logger.level, logger.propagate, sys.unraisablehook
    logger.addHandler(records)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    sys.unraisablehook = lambda raised: world.note("unraisable", raised.exc_value)
    gc.disable()  # what others have left is not part of this story
    ended = threading.Event()
    rescuer = threading.Thread(target=_rescue, args=(world.loop, ended), daemon=True)
    rescuer.start()
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
        for each in warned:
            world.note("warning", each.category, Text(str(each.message)), lane="warnings")
    finally:
        ended.set()
        rescuer.join()
        gc.enable()
        logger.removeHandler(records)
        logger.level, logger.propagate, sys.unraisablehook = before
        asyncio.set_event_loop(None)


@dataclass
class Count:
    """What came of the programs that a family has run."""

    cases: int = 0
    differences: int = 0
    explained_cases: int = 0
    explained: dict[str, int] = field(default_factory=dict)  # by the name of the listed difference

    def explain(self, names: list[str]) -> None:
        """One more case that the listed differences explain."""
        self.explained_cases += 1
        for name in names:
            self.explained[name] = self.explained.get(name, 0) + 1

    def add(self, other: Count) -> None:
        self.cases += other.cases
        self.differences += other.differences
        self.explained_cases += other.explained_cases
        for name, times in other.explained.items():
            self.explained[name] = self.explained.get(name, 0) + times


class Different(AssertionError):
    """The two loops told different stories."""

    def __init__(self, family: str, program: object, expected: Story, told: Story) -> None:
        lines = [f"{family}: {program!r}"]
        for lane in sorted(expected.keys() | told.keys()):
            ours, theirs = told.get(lane, []), expected.get(lane, [])
            if ours == theirs:
                continue
            place = next(
                (at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other),
                min(len(ours), len(theirs)),
            )
            lines += [f"lane {lane!r}, event {place}, after {theirs[max(0, place - 3) : place]}"]
            lines += [f"  asyncio: {theirs[place : place + 4]}", f"  veloop:  {ours[place : place + 4]}"]
        super().__init__("\n".join(lines))


@dataclass
class Family:
    """Programs of one kind, and how one is run.

    ``cases`` makes all programs, where that is possible: then they are run instead of random ones.
    ``collect``: run the collector at the end of each run, as part of its story.
    """

    name: str
    programs: st.SearchStrategy[Any]
    run: Callable[[World, Any], None]
    cases: Callable[[], Iterable[Any]] | None = None
    collect: bool = False
    count: Count = field(default_factory=Count)

    def remark(self) -> str:
        """What else there is to say about the programs that were run."""
        return ""

    def told_on(self, make_loop: MakeLoop, program: object) -> Story:
        """The story of one run."""
        world = World(make_loop())
        with _watched(world):
            try:
                self.run(world, program)
            finally:
                world.end()
                if self.collect:
                    gc.collect()
        return world.story

    def check(self, program: object) -> None:
        """Raises ``Different`` unless veloop's story is asyncio's, or differs in listed ways only."""
        self.count.cases += 1
        for asked in range(TWICE * AGAIN):
            if asked % AGAIN == 0:
                told = self.told_on(veloop_loop, program)
            expected = self.told_on(asyncio.SelectorEventLoop, program)
            if told == expected:
                return
            reasons = listed.explanation(expected, told)
            if reasons is not None:
                self.count.explain(reasons)
                return
        self.count.differences += 1
        raise Different(self.name, program, expected, told)
