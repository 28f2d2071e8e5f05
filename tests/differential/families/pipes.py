"""Read and write pipe transports: pipes, FIFOs, sockets and devices, and all that can be done to them."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import zlib
from typing import Any

from hypothesis import strategies as st

from differential.driving import ERRORS, Action, Actions, Driver, Plain, Script, Stepping
from differential.frame import Family, World
from differential.words import Text

HUGE = 400_000
KINDS = ["pipe", "pipe", "fifo", "socket", "null device", "zero device", "file"]
DATA = st.tuples(
    st.sampled_from(["bytes", "bytes", "bytearray", "view", "text"]), st.sampled_from([0, 1, 7, 100, HUGE])
)
LIMITS = st.sampled_from([None, 0, 1, 1000, 50_000_000, -1, "many"])
READING = ["pause_reading", "resume_reading", "close", "is_closing", "is_reading"]
WRITING = ["write_eof", "can_write_eof", "close", "abort", "get_write_buffer_limits", "is_closing"]
COMMON = st.one_of(
    st.tuples(st.just("protocol")),
    st.tuples(st.just("info"), st.sampled_from(["pipe", "socket", "nothing"])),
    st.tuples(st.just("repr")),
    st.tuples(st.just("soon")),
)
READ_ACTION = st.one_of(
    st.tuples(st.just("call"), st.sampled_from(READING)),
    st.tuples(st.just("call"), st.sampled_from(READING)),
    COMMON,
)
WRITE_ACTION = st.one_of(
    st.tuples(st.just("write"), DATA),
    st.tuples(st.just("write"), DATA),
    st.tuples(st.just("writelines"), st.lists(st.sampled_from([0, 1, 100, HUGE]), max_size=3).map(tuple)),
    st.tuples(st.just("call"), st.sampled_from(WRITING)),
    st.tuples(st.just("call"), st.sampled_from(WRITING)),
    st.tuples(st.just("limits"), LIMITS, LIMITS),
    st.tuples(st.just("size")),
    COMMON,
)
PEER_OF_READER = st.sampled_from(["send", "send", "send much", "shutdown", "close"])
PEER_OF_WRITER = st.sampled_from(["drain", "drain", "send", "close"])


def programs(
    way: str, callbacks: list[str], action: st.SearchStrategy[Action], peer: st.SearchStrategy[str]
) -> st.SearchStrategy[Any]:
    raising = st.lists(st.tuples(st.just("raise"), st.sampled_from(sorted(ERRORS))), max_size=1)
    scene = st.tuples(
        st.sampled_from(callbacks),
        st.tuples(st.lists(action, max_size=3), raising).map(lambda both: (*both[0], *both[1])),
    )
    step = st.one_of(
        st.tuples(st.just("do"), st.lists(action, min_size=1, max_size=4).map(tuple)),
        st.tuples(st.just("now"), action.map(lambda each: (each,))),
        st.tuples(st.just("peer"), peer),
    )
    return st.tuples(
        st.just(way),
        st.sampled_from(KINDS),
        st.booleans(),
        st.lists(scene, max_size=4).map(tuple),
        st.lists(st.tuples(step, st.sampled_from(["quiet", "quiet", "turn", "none"])), max_size=8).map(tuple),
    )


PROGRAMS = programs(
    "read",
    ["connection_made", "data_received", "eof_received", "connection_lost"],
    READ_ACTION,
    PEER_OF_READER,
) | programs(
    "write",
    ["connection_made", "connection_lost", "pause_writing", "resume_writing"],
    WRITE_ACTION,
    PEER_OF_WRITER,
)


class Player(Stepping):
    """One transport of a pipe, and the file at the other end."""

    def __init__(self, world: World, way: str, scenes: tuple[tuple[str, Actions], ...]) -> None:
        self.world, self.driver, self.way = world, Driver(world), way
        self.script = Script(world, scenes, self.act)
        self.transport: Any = None
        self.peer: Any = None
        self.lost = False
        self.protocols = self.drained = self.checksum = self.huge = 0
        self.files = contextlib.ExitStack()

    # -- beginning and end --------------------------------------------------------------------------

    def ends(self, kind: str) -> tuple[Any, Any]:
        """A file to read from, and one to write to; one of them, if there is no other end."""
        if kind == "socket":
            near, far = socket.socketpair()
            for sock in near, far:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
            return near, far
        if kind in ("pipe", "fifo"):
            if kind == "fifo":
                folder = self.files.enter_context(tempfile.TemporaryDirectory())
                path = os.path.join(folder, "fifo")
                os.mkfifo(path)
                reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                writing = os.open(path, os.O_WRONLY)
            else:
                reading, writing = os.pipe()
            return open(reading, "rb", 0), open(writing, "wb", 0)
        if kind == "file":
            return self.files.enter_context(tempfile.TemporaryFile()), None
        path = "/dev/null" if kind == "null device" else "/dev/zero"
        return open(path, "r+b", 0), None

    def make_protocol(self) -> Any:
        self.protocols += 1
        return Plain(self.script, f"protocol{self.protocols}", self.made)

    def made(self, transport: Any) -> None:
        self.transport = transport

    def connect(self, kind: str) -> None:
        reading, writing = self.ends(kind)
        near, self.peer = (reading, writing) if self.way == "read" or writing is None else (writing, reading)
        if isinstance(self.peer, socket.socket):
            self.peer.setblocking(False)
        elif self.peer is not None:
            os.set_blocking(self.peer.fileno(), False)
        self.peer_gone = self.peer is None
        loop: Any = self.world.loop
        connect = loop.connect_read_pipe if self.way == "read" else loop.connect_write_pipe
        task = loop.create_task(connect(self.make_protocol, near))
        task.add_done_callback(
            lambda done: self.world.note("connected", done.cancelled() or done.exception())
        )
        if self.way == "read" and kind == "zero device":
            # Endless: a few turns of it are enough.
            for _ in range(4):
                self.driver.turn()
        else:
            self.driver.quiet()
        if self.transport is None:
            near.close()

    def finish(self) -> None:
        self.world.note("the end")
        if self.transport is not None and not self.transport.is_closing():
            self.world.attempt("close", self.transport.close)
        if self.peer is not None:
            self.peer.close()
        self.driver.quiet()
        self.files.close()

    # -- actions ------------------------------------------------------------------------------------

    def do_write(self, data: tuple[str, int]) -> None:
        kind, size = data
        self.huge += size if size == HUGE else 0
        plain = b"w" * size
        made: Any = {
            "bytes": plain,
            "bytearray": bytearray(plain),
            "view": memoryview(plain),
            "text": "w" * size,
        }
        self.world.attempt("write", self.transport.write, made[kind])

    def do_writelines(self, sizes: tuple[int, ...]) -> None:
        self.huge += HUGE * sizes.count(HUGE)
        self.world.attempt("writelines", self.transport.writelines, [b"l" * size for size in sizes])

    def do_call(self, method: str) -> None:
        if method == "abort" and self.transport.is_closing():
            return  # asyncio calls connection_lost() twice, or fails on an attribute that is None
        self.world.attempt(method, getattr(self.transport, method))

    def do_limits(self, high: Any, low: Any) -> None:
        self.world.attempt("limits", self.transport.set_write_buffer_limits, high, low)

    def do_size(self) -> None:
        self.world.note("waits", self.transport.get_write_buffer_size() > 0)

    def do_protocol(self) -> None:
        self.transport.set_protocol(self.make_protocol())

    def do_info(self, name: str) -> None:
        self.world.note(name, type(self.transport.get_extra_info(name, "not known")))

    def do_repr(self) -> None:
        self.world.note("repr", Text(repr(self.transport).partition(" bufsize")[0]))

    def do_soon(self) -> None:
        self.world.loop.call_soon(self.world.note, "soon")

    # -- the other end ------------------------------------------------------------------------------

    def peer_is_there(self) -> bool:
        return not self.peer_gone

    def peer_send(self, size: int = 11) -> None:
        if isinstance(self.peer, socket.socket):
            self.world.attempt("peer sends", self.peer.send, b"p" * size)
        elif self.way == "read":
            self.world.attempt("peer sends", self.peer.write, b"p" * size)

    def peer_send_much(self) -> None:
        self.peer_send(3000)

    def peer_shutdown(self) -> None:
        if isinstance(self.peer, socket.socket):
            self.world.attempt("peer shuts down", self.peer.shutdown, socket.SHUT_WR)

    def peer_close(self) -> None:
        self.peer_gone = True
        self.peer.close()

    ended: Any = "open"

    def peer_reads(self) -> bool:
        try:
            data = os.read(self.peer.fileno(), 1_000_000)
        except BlockingIOError:
            return False
        except OSError as error:
            self.ended = error
            return False
        if not data:
            self.ended = "end of file"
            return False
        self.drained += len(data)
        self.checksum = zlib.crc32(data, self.checksum)
        return True

    def peer_drain(self) -> None:
        while True:
            before = self.drained
            self.driver.quiet(self.peer_reads)
            if self.drained == before or self.ended != "open":
                break
        cut_short = self.huge and self.drained < self.huge
        self.world.note("peer has read", *(() if cut_short else (self.drained, self.checksum)), self.ended)


def run(world: World, program: tuple[Any, ...]) -> None:
    way, kind, debug, scenes, steps = program
    world.loop.set_debug(debug)
    player = Player(world, way, scenes)
    player.connect(kind)
    if way == "read" and kind == "zero device":
        steps = ()
    for step, way_on in steps:
        player.play(step, way_on)
    player.finish()


PIPES = Family("pipes", PROGRAMS, run)
FAMILIES = [PIPES]
