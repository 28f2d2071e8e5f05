"""Child processes: what can be done to them and their pipes at any time, on transports and on streams.

The kernel decides in which order a child's pipes and its exit are noticed: each has a lane of its own. A
program acts when nothing moves any more: the child has said that it is ready, or has ended.
"""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

from hypothesis import strategies as st

from differential.driving import ERRORS, Action, Actions, Driver, TidyFamily
from differential.frame import CAUGHT, World
from differential.words import Text

PATIENCE = 10.0  # seconds that anything may take on a busy machine
# What a child does, and whether it stays until it is ended.
CHILDREN = {
    "cat": ("echo ready; exec cat", True),
    "sleep": ("echo ready; exec sleep 60", True),
    "exit 3": ("echo out; echo err >&2; exit 3", False),
    "nothing": ("exit 0", False),
    "killed": ("kill -9 $$", False),
    "closed stdin": ("exec 0<&-; echo ready; exec sleep 60", True),
    "closed stdout": ("echo ready; exec 1>&-; exec sleep 60", True),
    "ignores TERM": ("trap '' TERM; echo ready; exec sleep 60", True),
}
ENDING = {"kill", "terminate", "close", "KILL", "TERM", "INT"}
ACTION = st.one_of(
    st.tuples(
        st.just("call"), st.sampled_from(["kill", "terminate", "close", "get_returncode", "is_closing"])
    ),
    st.tuples(
        st.just("signal"), st.sampled_from(["KILL", "TERM", "INT", "CONT", "none", "no number", "text"])
    ),
    st.tuples(st.just("write"), st.sampled_from([0, 1, 100])),
    st.tuples(
        st.just("pipe"), st.integers(0, 3), st.sampled_from(["close", "is_closing", "type", "pause_reading"])
    ),
)
CALLBACKS = [
    "connection_made",
    "pipe_data_received",
    "pipe_connection_lost",
    "process_exited",
    "connection_lost",
]
SCENE = st.tuples(
    st.sampled_from(CALLBACKS),
    st.tuples(
        st.lists(st.tuples(st.just("call"), st.sampled_from(["close", "get_returncode"])), max_size=1),
        st.lists(st.tuples(st.just("raise"), st.sampled_from(["value", "network", "cancelled"])), max_size=1),
    ).map(lambda both: (*both[0], *both[1])),
)
ON_TRANSPORTS = st.tuples(
    st.just("transport"),
    st.sampled_from(sorted(CHILDREN)),
    st.sampled_from(["exec", "shell"]),
    st.lists(SCENE, max_size=2).map(tuple),
    st.lists(ACTION, max_size=5).map(tuple),
)
ON_STREAMS = st.tuples(
    st.just("streams"),
    st.sampled_from([*sorted(CHILDREN), "not there", "a folder"]),
    st.sampled_from(["communicate", "communicate much", "write and wait", "read", "cancelled", "wait twice"]),
)
PROGRAMS = ON_TRANSPORTS | ON_TRANSPORTS | ON_STREAMS


class Child(asyncio.SubprocessProtocol):
    """Notes what it is told, in lanes, and follows its scenes."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.received = {1: bytearray(), 2: bytearray()}

    def connection_made(self, transport: Any) -> None:
        self.player.transport = transport
        self.player.called("connection_made", "process")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.received[fd] += data
        self.player.ready = True
        self.player.called("pipe_data_received", f"pipe {fd}", quietly=True)

    def pipe_connection_lost(self, fd: int, error: BaseException | None) -> None:
        received = b"" if self.player.closed_early else bytes(self.received.get(fd, b""))
        self.player.called("pipe_connection_lost", f"pipe {fd}", type(error), received)
        self.player.pipes_lost.add(fd)

    def process_exited(self) -> None:
        self.player.exited = True
        self.player.called("process_exited", "process", self.player.transport.get_returncode())

    def connection_lost(self, error: BaseException | None) -> None:
        self.player.lost = True
        self.player.called("connection_lost", "process", error)


class Player:
    """One child."""

    def __init__(self, world: World, scenes: tuple[tuple[str, Actions], ...] = ()) -> None:
        self.world, self.driver = world, Driver(world)
        self.scenes: dict[str, list[Actions]] = {}
        for callback, actions in scenes:
            self.scenes.setdefault(callback, []).append(actions)
        self.transport: Any = None
        self.ready = self.exited = self.lost = self.closed_early = self.stays = False
        self.pipes_lost: set[int] = set()

    def called(self, callback: str, lane: str, *values: object, quietly: bool = False) -> None:
        if not quietly:
            self.world.note(callback, *values, lane=lane)
        scenes = self.scenes.get(callback)
        for action in scenes.pop(0) if scenes else ():
            if action[0] == "raise":
                raise ERRORS[action[1]]()
            if not self.stays:
                continue  # It may have ended by then, or not.
            if action[1] == "close":
                self.closed_early = self.closed_early or not self.ready
            self.act(action, lane)

    def until(self, condition: Any, patience: float = PATIENCE) -> None:
        """Runs the loop until something is so, or is not going to be."""
        end = time.monotonic() + patience
        while not condition() and time.monotonic() < end:
            self.world.loop.call_later(0.02, self.world.loop.stop)
            try:
                self.world.loop.run_forever()
            except CAUGHT as error:
                self.world.note("left the loop", error)

    def settle(self, child: str) -> None:
        stays = CHILDREN[child][1]
        if child == "closed stdin":
            self.until(lambda: (self.ready and 0 in self.pipes_lost) or self.lost)
        elif child == "closed stdout":
            self.until(lambda: (self.ready and 1 in self.pipes_lost) or self.lost)
        else:
            self.until(lambda: self.lost or (stays and self.ready))
        self.driver.quiet()

    def ends(self, child: str, action: Action) -> bool:
        """Whether the child does not outlive an action."""
        if action[0] == "pipe":
            return child == "cat" and action[1:] == (0, "close")
        return action[-1] in ENDING and not (child == "ignores TERM" and action[-1] in ("terminate", "TERM"))

    # -- actions ------------------------------------------------------------------------------------

    def act(self, action: Action, lane: str = "") -> None:
        name, *arguments = action
        getattr(self, "do_" + name)(lane, *arguments)

    def do_call(self, lane: str, method: str) -> None:
        self.world.attempt(method, getattr(self.transport, method), lane=lane)

    def do_signal(self, lane: str, name: str) -> None:
        numbers: dict[str, Any] = {"none": 0, "no number": 12345, "text": "TERM"}
        number = numbers.get(name, getattr(signal, "SIG" + name, None))
        self.world.attempt("signal", self.transport.send_signal, number, lane=lane)

    def do_write(self, lane: str, size: int) -> None:
        stdin = self.transport.get_pipe_transport(0)
        if stdin is not None and not stdin.is_closing():
            self.world.attempt("write", stdin.write, b"i" * size, lane=lane)

    def do_pipe(self, lane: str, fd: int, what: str) -> None:
        pipe = self.transport.get_pipe_transport(fd)
        if pipe is None:
            self.world.note("no pipe", fd, lane=lane)
        elif what == "type":
            self.world.note("type", Text(type(pipe).__name__), lane=lane)
        elif hasattr(pipe, what):
            self.world.attempt(f"{what} {fd}", getattr(pipe, what), lane=lane)

    def play(self, child: str, way: str, actions: Actions) -> None:
        loop, (script, self.stays) = self.world.loop, CHILDREN[child]
        if way == "shell":
            starting = loop.subprocess_shell(lambda: Child(self), script)
        else:
            starting = loop.subprocess_exec(lambda: Child(self), "/bin/sh", "-c", script)
        task = loop.create_task(starting)
        self.until(task.done)
        self.world.note("started", task.exception() if task.done() else "not")
        if self.transport is None:
            return
        self.settle(child)
        for action in actions:
            self.driver.in_loop(self.act, action)
            if self.ends(child, action):
                self.until(lambda: self.exited)
            self.driver.quiet()
        if not self.exited:
            self.world.attempt("kill", self.transport.kill)
        self.until(lambda: self.exited)
        # The ends of its pipes are there by now; connection_lost() does not come after some errors.
        self.until(lambda: self.lost, 0.5)
        self.world.note("the end", self.exited, self.lost)
        self.transport.close()
        self.driver.quiet()


async def on_streams(world: World, child: str, what: str) -> None:
    """One child by ``asyncio.create_subprocess_exec()``."""
    pipe = asyncio.subprocess.PIPE
    arguments = {"not there": ["/does/not/exist"], "a folder": ["/"]}.get(child)
    arguments = arguments or ["/bin/sh", "-c", CHILDREN[child][0]]
    make = asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        process: Any = await make
    except OSError as error:
        world.note("not started", error)
        return
    stays = CHILDREN[child][1]
    if what in ("communicate", "communicate much"):
        if stays and child != "cat":
            await process.stdout.readline()
            process.kill()
        data = b"input " * (100_000 if what.endswith("much") else 1)
        out, err = await asyncio.wait_for(process.communicate(data), PATIENCE)
        world.note(what, len(out), out[:20], err)
    elif what == "cancelled":
        if stays:
            await process.stdout.readline()
            waiting = asyncio.ensure_future(process.communicate())
            await asyncio.sleep(0)
            waiting.cancel()
            world.note("cancelled", (await asyncio.gather(waiting, return_exceptions=True))[0])
            process.kill()
    elif what == "write and wait":
        if stays:
            await process.stdout.readline()
            process.stdin.write(b"line\n")
            if child == "cat":
                world.note("answered", await process.stdout.readline())
            process.kill()
    elif what == "read":
        world.note("first line", await process.stdout.readline())
        if stays:
            process.terminate() if child != "ignores TERM" else process.kill()
    elif stays:
        process.kill()
    codes = await asyncio.gather(process.wait(), process.wait())
    world.note("ended", codes, process.returncode)


def run(world: World, program: tuple[Any, ...]) -> None:
    if program[0] == "streams":
        asyncio.set_event_loop(world.loop)
        world.run(asyncio.wait_for(on_streams(world, *program[1:]), 2 * PATIENCE))
        return
    _, child, way, scenes, actions = program
    asyncio.set_event_loop(world.loop)
    Player(world, scenes).play(child, way, actions)


PROCESSES = TidyFamily("processes", PROGRAMS, run, collect=True)
FAMILIES = [PROCESSES]
