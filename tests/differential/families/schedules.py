"""Callbacks that schedule, cancel, stop and fail: the order in which everything runs, in made-up time.

A program is whether the loop is in debug mode, and the turns of the loop; a turn is the steps done before it,
and a callback's steps are nested in the step that schedules it.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from typing import Any

from hypothesis import strategies as st

from differential.frame import Family, Interrupt, Odd, Quit, World
from differential.words import Text

Step = tuple[Any, ...]
Steps = tuple[Step, ...]

ERRORS = {"value": ValueError, "quit": Quit, "interrupt": Interrupt, "odd": Odd}
DELAYS = st.sampled_from([-1, 0, 0.5, 1, 3.25, 1e6])
INDEX = st.integers(0, 20)

SIMPLE = st.one_of(
    st.tuples(st.sampled_from(["cancel", "repr", "cancelled", "when"]), INDEX),
    st.tuples(st.sampled_from(["stop", "run_forever", "run_until_complete", "close", "state", "future"])),
    st.tuples(st.just("raise"), st.sampled_from(sorted(ERRORS))),
    st.tuples(st.just("handler"), st.sampled_from(["none", "noting", "raising", "quitting"])),
    st.tuples(st.just("report"), st.sampled_from(["empty", "message", "exception", "odd keys"])),
    st.tuples(st.just("debug"), st.booleans()),
    st.tuples(st.just("set"), st.integers(1, 3)),
    st.tuples(st.just("advance"), st.sampled_from([0, 0.1, 0.5, 2])),
)


def scheduling(steps: st.SearchStrategy[Steps]) -> st.SearchStrategy[Step]:
    """Steps that make a callback of the given steps."""
    return st.one_of(
        st.tuples(st.sampled_from(["soon", "soon", "threadsafe", "in context", "task"]), steps),
        st.tuples(st.sampled_from(["later", "at"]), DELAYS, steps),
    )


def some(step: st.SearchStrategy[Step], most: int = 4) -> st.SearchStrategy[Steps]:
    return st.lists(step, max_size=most).map(tuple)


LEAF = some(SIMPLE, 2)
STEPS = some(SIMPLE | scheduling(some(SIMPLE | scheduling(some(SIMPLE | scheduling(LEAF), 3)), 3)))
PROGRAMS = st.tuples(st.booleans(), st.lists(STEPS, min_size=1, max_size=6).map(tuple))

VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


# Of the releases of 3.13 the first: a nested run that is refused makes the loop forget that it was stopped.
_RUN = inspect.getsource(asyncio.BaseEventLoop.run_forever)
LOSES_ITS_STOP = "try:" in _RUN.partition("_run_forever_setup")[0] and "_run_forever_setup" in _RUN


class Player:
    """Does the steps of one program on one loop."""

    def __init__(self, world: World) -> None:
        self.world, self.loop = world, world.loop
        self.now = 1000.0
        self.loop.time = lambda: self.now
        self.loop.slow_callback_duration = 0.25
        self.handles: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.count = 0

    def callback(self, number: int, steps: Steps) -> None:
        self.world.note("runs", number, VARIABLE.get())
        self.play(steps)

    async def coroutine(self, number: int, steps: Steps) -> None:
        self.callback(number, steps[:1])
        await self.loop.create_future() if number % 7 == 6 else None
        self.callback(-number, steps[1:])

    def play(self, steps: Steps) -> None:
        for name, *arguments in steps:
            getattr(self, "do_" + name.replace(" ", "_"))(*arguments)

    def schedule(self, what: str, call: Any, *arguments: Any, **named: Any) -> None:
        self.count += 1
        handle = self.world.attempt(
            what, call, *arguments[:-1], self.callback, self.count, arguments[-1], **named
        )
        if handle is not None:
            self.handles.append(handle)

    def handle(self, index: int) -> Any:
        return self.handles[index % len(self.handles)] if self.handles else None

    # -- steps ------------------------------------------------------------------------------------

    def do_soon(self, steps: Steps) -> None:
        self.schedule("soon", self.loop.call_soon, steps)

    def do_threadsafe(self, steps: Steps) -> None:
        self.schedule("threadsafe", self.loop.call_soon_threadsafe, steps)

    def do_in_context(self, steps: Steps) -> None:
        context = contextvars.copy_context()
        context.run(VARIABLE.set, 100)
        self.schedule("in context", self.loop.call_soon, steps, context=context)

    def do_later(self, delay: float, steps: Steps) -> None:
        self.schedule("later", self.loop.call_later, self.unlike_others(delay), steps)

    def do_at(self, delay: float, steps: Steps) -> None:
        self.schedule("at", self.loop.call_at, self.now + self.unlike_others(delay), steps)

    def unlike_others(self, delay: float) -> float:
        """Equal deadlines have no order on asyncio's loop."""
        return delay + self.count * 1e-6

    def do_task(self, steps: Steps) -> None:
        self.count += 1
        if self.loop.is_closed():
            return  # the coroutine could not be taken
        task = self.loop.create_task(self.coroutine(self.count, steps))
        self.tasks.append(task)
        task.add_done_callback(lambda done: self.world.note("done", done.cancelled() or done.exception()))

    def do_cancel(self, index: int) -> None:
        if (handle := self.handle(index)) is not None:
            self.world.attempt("cancel", handle.cancel)

    def do_repr(self, index: int) -> None:
        if (handle := self.handle(index)) is not None:
            self.world.note("repr", handle)

    def do_cancelled(self, index: int) -> None:
        if (handle := self.handle(index)) is not None:
            self.world.note("cancelled", handle.cancelled())

    def do_when(self, index: int) -> None:
        if (handle := self.handle(index)) is not None:
            self.world.attempt("when", lambda: handle.when() - 1000)

    def do_stop(self) -> None:
        self.loop.stop()

    def do_run_forever(self) -> None:
        if self.loop.is_running() and not LOSES_ITS_STOP:
            self.world.attempt("run_forever", self.loop.run_forever)

    def do_run_until_complete(self) -> None:
        if self.loop.is_running():
            self.world.attempt("run_until_complete", self.loop.run_until_complete, self.loop.create_future())

    def do_close(self) -> None:
        if self.loop.is_running():
            self.world.attempt("close", self.loop.close)

    def do_state(self) -> None:
        loop = self.loop
        self.world.note(
            "state", loop.is_running(), loop.is_closed(), loop.get_debug(), Text(repr(loop)), loop.time()
        )

    def do_future(self) -> None:
        future = self.loop.create_future()
        self.count += 1
        future.add_done_callback(lambda _done, number=self.count: self.callback(number, ()))
        self.loop.call_soon(future.set_result, None)

    def do_raise(self, kind: str) -> None:
        if self.loop.is_running():
            raise ERRORS[kind](f"raised after {self.count}")

    def do_handler(self, kind: str) -> None:
        def handle(_loop: Any, context: dict[str, Any]) -> None:
            self.world.note("handled", context)
            if kind == "raising":
                raise KeyError("in the handler")
            if kind == "quitting":
                raise Quit("in the handler")

        self.world.attempt("handler", self.loop.set_exception_handler, None if kind == "none" else handle)

    def do_report(self, kind: str) -> None:
        contexts: dict[str, dict[str, Any]] = {
            "empty": {},
            "message": {"message": "made up"},
            "exception": {"message": "made up", "exception": OSError(2, "gone", "file")},
            "odd keys": {"message": "made up", "b": 1, "a": [2], "source_traceback": ()},
        }
        self.world.attempt("report", self.loop.call_exception_handler, contexts[kind])

    def do_debug(self, on: bool) -> None:
        self.loop.set_debug(on)

    def do_set(self, value: int) -> None:
        VARIABLE.set(value)

    def do_advance(self, seconds: float) -> None:
        self.now += seconds


def run(world: World, program: tuple[bool, tuple[Steps, ...]]) -> None:
    debug, turns = program
    world.loop.set_debug(debug)
    player = Player(world)
    contextvars.copy_context().run(play, world, player, turns)


def play(world: World, player: Player, turns: tuple[Steps, ...]) -> None:
    for steps in turns:
        player.play(steps)
        world.loop.call_soon(world.loop.stop)
        world.attempt("turn", world.loop.run_forever)
        player.now += 0.5
    for task in player.tasks:  # it depends on the collector when an error that nobody has seen is told
        if task.done() and not task.cancelled():
            task.exception()


SCHEDULES = Family("schedules", PROGRAMS, run)
FAMILIES = [SCHEDULES]
