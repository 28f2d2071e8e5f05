"""Stream transports: everything a program can do with one, from every callback, and everything a peer can do.

A program is the kind of connection, the first protocol, the scenes of its callbacks (see
``differential.driving.Script``) and steps, each with how the loop goes on after it.

Sizes are tiny, or larger than any socket takes: how much a socket takes depends on how bytes were put
together, which is not asyncio's to decide. After the peer is gone each write is looked at, so that it is sent
by itself.
"""

from __future__ import annotations

import socket
import struct
import zlib
from typing import Any

from hypothesis import strategies as st

from differential.driving import ERRORS, PROTOCOLS, Actions, Driver, Script, Stepping
from differential.frame import Family, World
from differential.mended import newest_asyncio
from differential.words import Text

HUGE = 300_000
SMALL_BUFFER = 8192

SIZES = st.sampled_from([0, 1, 7, 100, HUGE])
DATA = st.tuples(st.sampled_from(["bytes", "bytes", "bytearray", "view", "gaps", "text"]), SIZES)
LIMITS = st.sampled_from([None, 0, 1, 1000, 50_000_000, float("inf"), -1, "many"])
CALLS = [
    "write_eof",
    "can_write_eof",
    "pause_reading",
    "resume_reading",
    "close",
    "abort",
    "get_write_buffer_limits",
    "is_closing",
    "is_reading",
]
ACTION = st.one_of(
    st.tuples(st.just("write"), DATA),
    st.tuples(st.just("write"), DATA),
    st.tuples(st.just("writelines"), st.lists(st.sampled_from([1, 7, 100, HUGE]), max_size=3).map(tuple)),
    st.tuples(st.just("call"), st.sampled_from(CALLS)),
    st.tuples(st.just("call"), st.sampled_from(CALLS)),
    st.tuples(st.just("size")),
    st.tuples(st.just("limits"), LIMITS, LIMITS),
    st.tuples(st.just("protocol"), st.sampled_from(sorted(PROTOCOLS))),
    st.tuples(st.just("info"), st.sampled_from(["socket", "sockname", "peername", "sslcontext", "nothing"])),
    st.tuples(st.just("repr")),
    st.tuples(st.just("soon")),
)
ENDINGS = {
    "eof_received": st.tuples(st.just("return"), st.sampled_from([None, True, False, 1, "yes", ()])),
    "get_buffer": st.tuples(
        st.just("return"), st.sampled_from(["view", "one", "one", "empty", "bytes", "text", "number", "gaps"])
    ),
}
RAISING = st.tuples(st.just("raise"), st.sampled_from(sorted(ERRORS)))


def scene(callback: str) -> st.SearchStrategy[tuple[str, Actions]]:
    ending = RAISING | ENDINGS[callback] if callback in ENDINGS else RAISING
    actions = st.lists(ACTION, max_size=3).map(tuple)
    ended = st.tuples(actions, ending).map(lambda both: (*both[0], both[1]))
    return st.tuples(st.just(callback), actions | ended)


CALLBACKS = [
    "connection_made",
    "data_received",
    "eof_received",
    "connection_lost",
    "pause_writing",
    "resume_writing",
    "get_buffer",
    "buffer_updated",
]
SCENES = st.lists(st.sampled_from(CALLBACKS).flatmap(scene), max_size=5).map(tuple)
PEER = st.tuples(
    st.just("peer"), st.sampled_from(["send", "send", "drain", "drain", "shutdown", "close", "reset"])
)
WAY_ON = st.sampled_from(["quiet", "quiet", "quiet", "turn", "none"])
STEP = st.one_of(
    st.tuples(st.just("do"), st.lists(ACTION, min_size=1, max_size=4).map(tuple)),
    st.tuples(st.just("now"), ACTION.map(lambda action: (action,))),
    PEER,
    PEER,
)
PROGRAMS = st.tuples(
    st.sampled_from(["pair", "unix", "tcp", "accepted"]),
    st.sampled_from(sorted(PROTOCOLS)),
    st.booleans(),
    SCENES,
    st.lists(st.tuples(STEP, WAY_ON), max_size=8).map(tuple),
)


def small_buffers(sock: socket.socket) -> socket.socket:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    return sock


def make_data(kind: str, size: int, number: int) -> Any:
    data = bytes([97 + number % 26]) * size
    return {
        "bytes": lambda: data,
        "bytearray": lambda: bytearray(data),
        "view": lambda: memoryview(data),
        "gaps": lambda: memoryview(data)[::2],
        "text": lambda: data.decode(),
    }[kind]()


class Player(Stepping):
    """One connection, its protocols and its peer."""

    def __init__(self, world: World, kind: str, scenes: tuple[tuple[str, Actions], ...]) -> None:
        self.world, self.driver, self.kind = world, Driver(world), kind
        self.driver.pause = 0.0005 if kind in ("tcp", "accepted") else 0.0
        self.script = Script(world, scenes, self.act)
        self.transport: Any = None
        self.written = self.protocols = 0
        self.drained = 0
        self.checksum = 0
        self.huge = 0  # bytes written as huge pieces
        self.peer_gone = False

    # -- beginning and end --------------------------------------------------------------------------

    def make_protocol(self, kind: str) -> Any:
        self.protocols += 1
        return PROTOCOLS[kind](self.script, f"{kind}{self.protocols}", self.made)

    def made(self, transport: Any) -> None:
        self.transport = transport

    def connect(self, protocol: str) -> None:
        loop: Any = self.world.loop
        if self.kind == "pair":
            near, self.peer = map(small_buffers, socket.socketpair())
            task = loop.create_unix_connection(lambda: self.make_protocol(protocol), sock=near)
        else:
            family = socket.AF_UNIX if self.kind == "unix" else socket.AF_INET
            with small_buffers(socket.socket(family)) as listener:
                listener.bind("" if family == socket.AF_UNIX else ("127.0.0.1", 0))
                listener.listen()
                if self.kind == "accepted":
                    self.connect_to_server(listener.dup(), protocol)
                    return
                near = small_buffers(socket.socket(family))
                near.connect(listener.getsockname())
                self.peer = small_buffers(listener.accept()[0])
            connect = loop.create_unix_connection if self.kind == "unix" else loop.create_connection
            task = connect(lambda: self.make_protocol(protocol), sock=near)
        self.peer.setblocking(False)
        self.start(task)

    def start(self, connecting: Any) -> None:
        task = self.world.loop.create_task(connecting)
        task.add_done_callback(
            lambda done: self.world.note("connected", done.cancelled() or done.exception())
        )
        self.driver.quiet()

    def connect_to_server(self, listener: socket.socket, protocol: str) -> None:
        loop = self.world.loop
        server = loop.run_until_complete(
            loop.create_server(lambda: self.make_protocol(protocol), sock=listener)
        )
        self.peer = small_buffers(socket.socket())
        self.peer.connect(server.sockets[0].getsockname())
        self.peer.setblocking(False)
        self.driver.quiet()
        server.close()
        self.driver.quiet()

    def finish(self) -> None:
        self.world.note("the end")
        if self.transport is not None:
            self.do(("call", "abort"))
        self.driver.quiet()
        self.peer.close()

    # -- actions ------------------------------------------------------------------------------------

    def looked_at(self) -> None:
        if self.peer_gone:
            self.transport.get_write_buffer_size()

    def do_write(self, data: tuple[str, int]) -> None:
        if data[0] == "gaps" and self.transport.get_write_buffer_size():
            return  # asyncio finds out when it is sent, and loses what waits before it
        self.written += 1
        self.huge += data[1] if data[1] == HUGE else 0
        self.world.attempt("write", self.transport.write, make_data(*data, self.written))
        self.looked_at()

    def do_writelines(self, sizes: tuple[int, ...]) -> None:
        self.written += 1
        pieces = [make_data("bytes", size, self.written) for size in sizes]
        self.huge += HUGE * sizes.count(HUGE)
        self.world.attempt("writelines", self.transport.writelines, pieces)
        self.looked_at()

    def do_call(self, method: str) -> None:
        self.world.attempt(method, getattr(self.transport, method))

    def do_size(self) -> None:
        self.world.note("waits", self.transport.get_write_buffer_size() > 0)

    def do_limits(self, high: Any, low: Any) -> None:
        self.world.attempt("limits", self.transport.set_write_buffer_limits, high, low)

    def do_protocol(self, kind: str) -> None:
        self.transport.set_protocol(self.make_protocol(kind))

    def do_info(self, name: str) -> None:
        value = self.transport.get_extra_info(name, "not known")
        self.world.note(name, (value.family, value.type) if name == "socket" else type(value))

    def do_repr(self) -> None:
        self.transport.get_write_buffer_size()
        text = repr(self.transport)
        self.world.note("repr", Text(text.partition(" write")[0]))

    def do_soon(self) -> None:
        self.world.loop.call_soon(self.world.note, "soon")

    # -- the peer -----------------------------------------------------------------------------------

    def peer_send(self) -> None:
        self.written += 1
        self.world.attempt("peer sends", self.peer.send, make_data("bytes", 11, self.written))

    def peer_drain(self) -> None:
        """Reads until nothing more comes, and notes how much that was, and what."""
        if self.peer.fileno() < 0:
            return
        ended: Any = "open"
        while ended == "open":
            before = self.drained
            self.driver.quiet(self.peer_reads)
            ended = self.ended
            if self.drained == before:
                break
        # How much of something huge was taken before the end is not asyncio's to decide.
        cut_short = self.huge and self.drained < self.huge
        self.world.note("peer has read", *(() if cut_short else (self.drained, self.checksum)), ended)

    ended: Any = "open"

    def peer_reads(self) -> bool:
        """Whether there was something to read."""
        try:
            data = self.peer.recv(1_000_000)
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

    def peer_shutdown(self) -> None:
        self.world.attempt("peer shuts down", self.peer.shutdown, socket.SHUT_WR)

    def peer_close(self) -> None:
        self.peer_gone = True
        self.peer.close()

    def peer_reset(self) -> None:
        if self.peer.fileno() >= 0 and self.peer.family != socket.AF_UNIX:
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer_close()


def run(world: World, program: tuple[Any, ...]) -> None:
    kind, protocol, debug, scenes, steps = program
    world.loop.set_debug(debug)
    player = Player(world, kind, scenes)
    with newest_asyncio():
        player.connect(protocol)
        for step, way_on in steps:
            player.play(step, way_on)
        player.finish()


STREAMS = Family("streams", PROGRAMS, run)
FAMILIES = [STREAMS]
