"""Timers, many of them due at the same time, and cancelled in masses: what runs, when, and in which order.

A program is a list of steps in made-up time. Callbacks schedule and cancel nothing that is due at the same
time as themselves: among equal deadlines asyncio's order is that of its heap, which nobody can rely on.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

from hypothesis import strategies as st

from differential.frame import Family, World

Step = tuple[Any, ...]

DELAYS = st.sampled_from([-1, 0, 0.0, 1e-10, 1e-9, 2e-9, 0.25, 0.5, 1, 1.0, True, 2, 1e9, float("inf")])
INDEX = st.integers(0, 50)

STEP = st.one_of(
    st.tuples(st.sampled_from(["later", "at"]), DELAYS),
    st.tuples(st.just("many"), DELAYS, st.integers(1, 120)),
    st.tuples(st.just("cancels later ones"), st.sampled_from([0.25, 0.5]), INDEX),
    st.tuples(st.just("cancel"), INDEX),
    st.tuples(st.just("cancel all but one of"), st.integers(2, 7)),
    st.tuples(st.just("compare"), INDEX, INDEX),
    st.tuples(st.just("look at"), INDEX),
    st.tuples(st.just("turn"), st.sampled_from([0, 1e-10, 1e-9, 0.25, 0.5, 1, 3])),
)
PROGRAMS = st.lists(STEP, min_size=2, max_size=25).map(tuple)

COMPARISONS = {"<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt}


class Player:
    def __init__(self, world: World) -> None:
        self.world, self.loop = world, world.loop
        self.now = 1000.0
        self.loop.time = lambda: self.now
        self.handles: list[Any] = []

    def due(self, number: int, also: Any = None) -> None:
        self.world.note("due", repr(self.handles[number].when()), number)
        if also is not None:
            also()

    def add(self, name: str, delay: float, also: Any = None) -> None:
        number = len(self.handles)
        if name == "later":
            self.handles.append(self.loop.call_later(delay, self.due, number, also))
        else:
            self.handles.append(self.loop.call_at(self.now + delay, self.due, number, also))

    def cancel_later_than(self, number: int, step: int) -> None:
        when = self.handles[number].when()
        for handle in self.handles[:: step + 1]:
            if handle.when() > when + 1:
                handle.cancel()

    def play(self, step: Step) -> None:
        name, *arguments = step
        if name in {"later", "at"}:
            self.add(name, *arguments)
        elif name == "many":
            for _ in range(arguments[1]):
                self.add("at", arguments[0])
        elif name == "cancels later ones":
            self.add(
                "later",
                arguments[0],
                functools.partial(self.cancel_later_than, len(self.handles), arguments[1]),
            )
        elif name == "turn":
            self.now += arguments[0]
            self.loop.call_soon(self.loop.stop)
            self.world.attempt("turn", self.loop.run_forever)
        elif self.handles:
            self.on_handles(name, *arguments)

    def on_handles(self, name: str, *arguments: int) -> None:
        handles = [self.handles[index % len(self.handles)] for index in arguments]
        if name == "cancel":
            handles[0].cancel()
        elif name == "cancel all but one of":
            for number, handle in enumerate(self.handles):
                if number % arguments[0]:
                    handle.cancel()
        elif name == "compare":
            self.world.note("hash", hash(handles[0]) == hash(handles[1]))
            for sign, compare in COMPARISONS.items():
                self.world.attempt(sign, compare, *handles)
                self.world.attempt(sign, compare, handles[0], arguments[1])
        else:
            handle = handles[0]
            self.world.note("looks", handle.when(), type(handle.when()), handle.cancelled(), handle)


def run(world: World, program: tuple[Step, ...]) -> None:
    player = Player(world)
    for step in program:
        player.play(step)
    player.play(("turn", 10))


TIMERS = Family("timers", PROGRAMS, run)
FAMILIES = [TIMERS]
