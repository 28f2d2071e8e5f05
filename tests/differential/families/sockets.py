"""The sock_* methods: several at once on one socket, cancelled at any moment, with peers that end and reset.

A program opens a pair of sockets and a listener, and does its steps in turns, waiting after each turn until
nothing more happens. Calls are tasks; how they end is noted. Only one kind of byte is sent, so that it does
not matter how much of a large piece the kernel took before something was cancelled.
"""

from __future__ import annotations

import asyncio
import io
import socket
import struct
import tempfile
from typing import Any

from hypothesis import strategies as st

from differential.frame import Family, Inline, World
from differential.mended import newest_asyncio

Step = tuple[Any, ...]
Steps = tuple[Step, ...]

BIG = 600_000
END = st.integers(0, 1)
INDEX = st.integers(0, 9)
SIZES = st.sampled_from([1, 3, 10, 0])
CANCELLED = st.sampled_from(["", "", "", "", "before it starts", "once it runs", "in the next turn"])
FILES = st.sampled_from(["file", "raw file", "memory", "text file", "empty file"])
PLACES = st.sampled_from(["listener", "refused", "path", "nowhere", "no tuple", "other family", "name"])
ADDRESSES = st.sampled_from(["peer", "refused", "other family", "none", "no port", "big port"])


def call(*arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just("call"), CANCELLED, st.tuples(*arguments))


def name(*names: str) -> st.SearchStrategy[str]:
    return st.sampled_from(names)


CALLS = st.one_of(
    call(name("recv", "recv_into", "recvfrom", "recvfrom_into"), END, SIZES),
    call(name("recv", "recv_into"), END, SIZES),
    call(name("sendall"), END, SIZES | st.just(BIG)),
    call(name("sendall"), END, st.just(BIG)),
    call(name("sendto"), END, SIZES, ADDRESSES),
    call(
        name("sendfile"),
        END,
        FILES,
        st.sampled_from([0, 5, 5000]),
        st.sampled_from([None, 1, 100, 0]),
        st.booleans(),
    ),
    call(name("accept")),
    call(name("connect"), INDEX, PLACES),
)
OTHERS = st.one_of(
    st.tuples(name("peer sends"), END, SIZES),
    st.tuples(name("peer reads", "peer drains", "shut down"), END),
    st.tuples(name("close", "reset", "watch", "unwatch"), END),
    st.tuples(name("cancel"), INDEX),
)
STEPS = st.lists(CALLS | CALLS | OTHERS, min_size=1, max_size=4).map(tuple)
PROGRAMS = st.tuples(
    st.booleans(),
    st.sampled_from(["unix", "tcp", "udp"]),
    st.lists(STEPS, min_size=1, max_size=6).map(tuple),
)


def opened(kind: str) -> tuple[socket.socket, socket.socket]:
    if kind == "unix":
        return socket.socketpair()
    if kind == "udp":
        pair = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
        for each in pair:
            each.bind(("127.0.0.1", 0))
        pair[0].connect(pair[1].getsockname())
        pair[1].connect(pair[0].getsockname())
        return pair
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return client, listener.accept()[0]


class Player:
    """Does the steps. Whatever they need is open from the start, so that no number is used twice."""

    def __init__(self, world: World, kind: str) -> None:
        self.world, self.loop, self.kind = world, world.loop, kind
        self.ends = opened(kind)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.clients = [socket.socket() for _ in range(3)]
        self.path_client = socket.socket(socket.AF_UNIX)
        with socket.create_server(("127.0.0.1", 0)) as gone:
            self.refused = gone.getsockname()
        for each in (*self.ends, self.listener, *self.clients, self.path_client):
            each.setblocking(False)
            world.closing(each)
        self.address = self.ends[0].getpeername()
        self.tasks: list[asyncio.Task[Any]] = []

    async def main(self, turns: tuple[Steps, ...]) -> None:
        for steps in turns:
            for step in steps:
                if step[0] == "watch":
                    await self.watch(step[1])
                else:
                    self.play(*step)
            await self.world.settle()
        for index in range(len(self.tasks)):
            self.cancel(index)
        await self.world.settle()

    def play(self, what: str, *arguments: Any) -> None:
        if what != "call":
            getattr(self, what.replace(" ", "_"))(*arguments)
            return
        cancelled, (method, *rest) = arguments
        task = self.make_task(method, getattr(self, method)(*rest))
        self.tasks.append(task)
        if cancelled == "before it starts":
            task.cancel()
        elif cancelled == "once it runs":
            self.loop.call_soon(task.cancel)
        elif cancelled == "in the next turn":
            self.loop.call_soon(self.loop.call_soon, task.cancel)

    def make_task(self, method: str, coroutine: Any) -> asyncio.Task[Any]:
        """A task of the very coroutine, so that a cancellation meets nothing of ours."""
        number = len(self.tasks)
        task = self.loop.create_task(coroutine)
        task.add_done_callback(lambda done: self.done(number, method, done))
        return task

    def done(self, number: int, method: str, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self.world.note("cancelled", number, method)
        elif (error := task.exception()) is not None:
            self.world.note("failed", number, method, error)
        else:
            result = task.result()  # addresses hold ports
            self.world.note("done", number, method, result[0] if isinstance(result, tuple) else result)

    # -- calls ------------------------------------------------------------------------------------

    def recv(self, end: int, size: int) -> Any:
        return self.loop.sock_recv(self.ends[end], size)

    def recv_into(self, end: int, size: int) -> Any:
        return self.loop.sock_recv_into(self.ends[end], bytearray(size))

    def recvfrom(self, end: int, size: int) -> Any:
        return self.loop.sock_recvfrom(self.ends[end], size)

    def recvfrom_into(self, end: int, size: int) -> Any:
        return self.loop.sock_recvfrom_into(self.ends[end], bytearray(size))

    def sendall(self, end: int, size: int) -> Any:
        return self.loop.sock_sendall(
            self.ends[end], b"x" * (min(size, 9000) if self.kind == "udp" else size)
        )

    def sendto(self, end: int, size: int, where: str) -> Any:
        addresses: dict[str, Any] = {
            "peer": self.address,
            "refused": self.refused,
            "other family": ("::1", 9),
            "none": None,
            "no port": ("127.0.0.1",),
            "big port": ("127.0.0.1", 65536),
        }
        return self.loop.sock_sendto(self.ends[end], b"x" * size, addresses[where])

    def sendfile(self, end: int, kind: str, offset: int, count: int | None, fallback: bool) -> Any:
        if kind == "memory":
            file: Any = io.BytesIO(bytes(7000))
        elif kind == "text file":
            file = tempfile.TemporaryFile("w+")  # noqa: SIM115
        else:
            file = tempfile.TemporaryFile(buffering=0 if kind == "raw file" else -1)  # noqa: SIM115
            file.write(b"" if kind == "empty file" else bytes(7000))
            file.flush()
        self.world.closing(file)
        return self.loop.sock_sendfile(self.ends[end], file, offset, count, fallback=fallback)

    def accept(self) -> Any:
        return self.accepted()

    async def accepted(self) -> Any:
        connection, _address = await self.loop.sock_accept(self.listener)
        with connection:
            return connection.gettimeout()

    def connect(self, index: int, where: str) -> Any:
        places: dict[str, Any] = {
            "listener": self.listener.getsockname(),
            "refused": self.refused,
            "path": "/nonexistent/socket",
            "nowhere": ("127.0.0.1", 65536),
            "no tuple": 42,
            "other family": ("::1", 9),
            "name": ("localhost", self.refused[1]),
        }
        client = self.path_client if where == "path" else self.clients[index % len(self.clients)]
        return self.loop.sock_connect(client, places[where])

    # -- other steps --------------------------------------------------------------------------------

    def peer_sends(self, end: int, size: int) -> None:
        try:
            self.ends[end].send(b"x" * size)
        except OSError as error:
            self.world.note("peer sends", type(error))

    def peer_reads(self, end: int) -> None:
        try:
            self.ends[end].recv(2)
        except OSError as error:
            self.world.note("peer reads", type(error))

    def peer_drains(self, end: int) -> None:
        try:
            while self.ends[end].recv(1 << 20):
                pass
        except OSError:
            pass

    def shut_down(self, end: int) -> None:
        try:
            self.ends[end].shutdown(socket.SHUT_WR)
        except OSError as error:
            self.world.note("shut down", type(error))

    def close(self, end: int) -> None:
        self.ends[end].close()

    def reset(self, end: int) -> None:
        if self.kind == "tcp" and self.ends[end].fileno() >= 0:
            self.ends[end].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.ends[end].close()

    async def watch(self, end: int) -> None:
        """Takes the place of a call that waits. Alone: stale news reach it only right after a poll."""
        await self.world.settle()
        if self.ends[end].fileno() >= 0:
            self.loop.add_reader(self.ends[end], self.seen, end)
            await self.world.settle()
            self.unwatch(end)

    def unwatch(self, end: int) -> None:
        if self.ends[end].fileno() >= 0:
            self.world.note("unwatch", self.loop.remove_reader(self.ends[end]))

    def seen(self, end: int) -> None:
        self.world.note("seen", end)
        self.unwatch(end)

    def cancel(self, index: int) -> None:
        if self.tasks:
            self.world.note("cancel", self.tasks[index % len(self.tasks)].cancel())


def run(world: World, program: tuple[bool, str, tuple[Steps, ...]]) -> None:
    debug, kind, turns = program
    world.loop.set_debug(debug)
    world.loop.set_default_executor(Inline())
    with newest_asyncio():
        world.run(Player(world, kind).main(turns))


SOCKETS = Family("sockets", PROGRAMS, run)
FAMILIES = [SOCKETS]
