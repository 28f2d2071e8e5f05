"""Watched descriptors: readers and writers that are added, replaced and removed, also by each other.

A program opens a few connections (sockets or pipes) and does its steps one after the other, waiting in
between until nothing more happens. A watching callback is told how often it may run: then it stops watching.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from hypothesis import strategies as st

from differential.frame import Family, World

Step = tuple[Any, ...]
Steps = tuple[Step, ...]

KINDS = st.lists(st.sampled_from(["unix", "tcp", "pipe"]), min_size=1, max_size=3).map(tuple)
END = st.integers(0, 5)
ENDS = st.tuples(END)

SIMPLE = st.one_of(
    st.tuples(st.sampled_from(["remove_reader", "remove_writer", "recv", "send", "close", "shutdown"]), END),
    st.tuples(st.sampled_from(["remove_reader", "remove_writer", "recv", "send"]), END),
    st.tuples(st.sampled_from(["fill", "by number", "unwatch and close"]), END),
    st.tuples(st.sampled_from(["raise", "again", "stop watching"])),
)


def watching(steps: st.SearchStrategy[Steps]) -> st.SearchStrategy[Step]:
    return st.tuples(st.sampled_from(["add_reader", "add_writer"]), END, st.integers(1, 3), steps)


def some(step: st.SearchStrategy[Step], most: int = 3) -> st.SearchStrategy[Steps]:
    return st.lists(step, max_size=most).map(tuple)


INNER = watching(some(SIMPLE | watching(some(SIMPLE | watching(some(SIMPLE, 2)), 2))))
PROGRAMS = st.tuples(
    st.booleans(), KINDS, st.lists(some(SIMPLE | INNER | INNER), min_size=1, max_size=6).map(tuple)
)


class End:
    """One end of a connection: a socket, or one of a pipe."""

    def __init__(self, watched: Any) -> None:
        self.watched = watched
        self.number = watched if isinstance(watched, int) else watched.fileno()
        self.is_open = True

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            os.close(self.watched) if isinstance(self.watched, int) else self.watched.close()


def opened(kind: str) -> tuple[End, End]:
    if kind == "pipe":
        near, far = os.pipe()
        for number in (near, far):
            os.set_blocking(number, False)
        return End(near), End(far)
    if kind == "unix":
        pair = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            pair = client, listener.accept()[0]
    for each in pair:
        each.setblocking(False)
    return End(pair[0]), End(pair[1])


class Player:
    def __init__(self, world: World, kinds: tuple[str, ...]) -> None:
        self.world, self.loop = world, world.loop
        self.ends = [world.closing(end) for kind in kinds for end in opened(kind)]
        self.watched: set[tuple[str, int]] = set()
        self.count = 0

    async def main(self, turns: tuple[Steps, ...]) -> None:
        for steps in turns:
            try:
                self.play(steps, None)
            except ValueError:
                self.world.note("raised in main")
            await self.world.settle()
        for index in range(len(self.ends)):
            self.play((("unwatch and close", index),), None)
        await self.world.settle()

    def play(self, steps: Steps, this: tuple[str, int] | None) -> None:
        for name, *arguments in steps:
            if name == "raise":
                raise ValueError("made up")
            if name == "stop watching":
                if this is not None:
                    self.watch("remove_" + this[0], this[1])
            elif name == "again":
                if this is not None:
                    self.world.note("again", self.count)
            else:
                index = arguments[0] % len(self.ends)
                getattr(self, name.replace(" ", "_"))(index, *arguments[1:])

    def watch(self, name: str, index: int, *arguments: Any) -> None:
        self.world.attempt(f"{name} {index}", getattr(self.loop, name), self.ends[index].watched, *arguments)
        if self.ends[index].is_open:
            adds, what = name.startswith("add"), (name.split("_")[1], index)
            self.watched.add(what) if adds else self.watched.discard(what)

    def called(self, what: str, index: int, number: int, left: list[int], steps: Steps) -> None:
        self.world.note("called", what, index, number)
        left[0] -= 1
        if left[0] == 0:
            self.watch("remove_" + what, index)
        if left[0] < 0:
            raise RuntimeError("a removed callback has run")
        self.play(steps, (what, index))

    # -- steps ------------------------------------------------------------------------------------

    def add(self, what: str, index: int, times: int, steps: Steps) -> None:
        self.count += 1
        self.watch("add_" + what, index, self.called, what, index, self.count, [times], steps)

    def add_reader(self, index: int, times: int, steps: Steps) -> None:
        self.add("reader", index, times, steps)

    def add_writer(self, index: int, times: int, steps: Steps) -> None:
        self.add("writer", index, times, steps)

    def remove_reader(self, index: int) -> None:
        self.watch("remove_reader", index)

    def remove_writer(self, index: int) -> None:
        self.watch("remove_writer", index)

    def by_number(self, index: int) -> None:
        """The descriptor instead of the socket; the other way round for neither."""
        if self.ends[index].is_open:
            self.world.attempt("by number", self.loop.remove_reader, self.ends[index].number)

    def recv(self, index: int) -> None:
        if self.ends[index].is_open:
            self.world.attempt("recv", os.read, self.ends[index].number, 3)

    def send(self, index: int) -> None:
        if self.ends[index].is_open:
            self.world.attempt("send", os.write, self.ends[index].number, b"12345")

    def fill(self, index: int) -> None:
        try:
            while self.ends[index].is_open:
                os.write(self.ends[index].number, bytes(1 << 16))
        except OSError as error:
            self.world.note("filled", type(error))

    def close(self, index: int) -> None:
        if self.watched & {("reader", index), ("writer", index)}:
            self.world.note("closed while watched", index)
        self.ends[index].close()

    def unwatch_and_close(self, index: int) -> None:
        self.watch("remove_reader", index)
        self.watch("remove_writer", index)
        self.ends[index].close()

    def shutdown(self, index: int) -> None:
        end = self.ends[index]
        if end.is_open and isinstance(end.watched, socket.socket):
            self.world.attempt("shutdown", end.watched.shutdown, socket.SHUT_WR)


def run(world: World, program: tuple[bool, tuple[str, ...], tuple[Steps, ...]]) -> None:
    debug, kinds, turns = program
    world.loop.set_debug(debug)
    world.run(Player(world, kinds).main(turns))


WATCHERS = Family("watchers", PROGRAMS, run)
FAMILIES = [WATCHERS]
