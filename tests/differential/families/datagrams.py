"""Datagram transports: sending, errors and the end, from every callback; connected and unconnected ones."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from typing import Any

from hypothesis import strategies as st

from differential.driving import ERRORS, Actions, Driver, Script, Stepping
from differential.frame import CAUGHT, Family, World
from differential.mended import newest_asyncio
from differential.words import Text

SIZES = st.sampled_from([0, 1, 7, 100, 5000, 70_000])
DATA = st.tuples(st.sampled_from(["bytes", "bytes", "bytearray", "view", "gaps", "text"]), SIZES)
ADDRESS = st.sampled_from(
    ["none", "none", "peer", "peer", "nobody", "port 0", "port 70000", "short", "text", "number", "bad host"]
)
LIMITS = st.sampled_from([None, 0, 1, 50_000_000, -1, "many"])
CALLS = [
    "pause_reading",
    "resume_reading",
    "close",
    "abort",
    "get_write_buffer_limits",
    "get_write_buffer_size",
    "is_closing",
    "is_reading",
]
ACTION = st.one_of(
    st.tuples(st.just("send"), DATA, ADDRESS),
    st.tuples(st.just("send"), DATA, ADDRESS),
    st.tuples(st.just("flood")),
    st.tuples(st.just("call"), st.sampled_from(CALLS)),
    st.tuples(st.just("call"), st.sampled_from(CALLS)),
    st.tuples(st.just("limits"), LIMITS, LIMITS),
    st.tuples(st.just("protocol")),
    st.tuples(st.just("info"), st.sampled_from(["socket", "sockname", "peername", "nothing"])),
    st.tuples(st.just("repr")),
    st.tuples(st.just("soon")),
)
CALLBACKS = ["connection_made", "datagram_received", "error_received", "connection_lost", "pause_writing"]
SCENE = st.tuples(
    st.sampled_from([*CALLBACKS, "resume_writing"]),
    st.tuples(
        st.lists(ACTION, max_size=3),
        st.lists(st.tuples(st.just("raise"), st.sampled_from(sorted(ERRORS))), max_size=1),
    ).map(lambda both: (*both[0], *both[1])),
)
STEP = st.one_of(
    st.tuples(st.just("do"), st.lists(ACTION, min_size=1, max_size=4).map(tuple)),
    st.tuples(st.just("now"), ACTION.map(lambda action: (action,))),
    st.tuples(st.just("peer"), st.sampled_from(["send", "send empty", "read", "read", "close"])),
)
PROGRAMS = st.tuples(
    st.sampled_from(["inet", "unix"]),
    st.sampled_from(["unconnected", "connected", "remote"]),
    st.booleans(),
    st.lists(SCENE, max_size=5).map(tuple),
    st.lists(st.tuples(STEP, st.sampled_from(["quiet", "quiet", "turn", "none"])), max_size=8).map(tuple),
)


def make_data(kind: str, size: int) -> Any:
    data = b"d" * size
    return {
        "bytes": lambda: data,
        "bytearray": lambda: bytearray(data),
        "view": lambda: memoryview(data),
        "gaps": lambda: memoryview(data)[::2],
        "text": lambda: data.decode(),
    }[kind]()


class Receiver:
    """A protocol that follows the script."""

    def __init__(self, player: Player) -> None:
        player.protocols += 1
        self.player, self.called = player, player.script.called
        self.name = f"protocol{player.protocols}"

    def connection_made(self, transport: Any) -> None:
        self.player.transport = transport
        self.called(self.name, "connection_made")

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.called(self.name, "datagram_received", data, type(address))

    def error_received(self, error: BaseException) -> None:
        self.called(self.name, "error_received", error, sys.exc_info()[1] is error)

    def connection_lost(self, error: BaseException | None) -> None:
        self.player.lost = True
        self.called(self.name, "connection_lost", error)

    def pause_writing(self) -> None:
        self.called(self.name, "pause_writing")

    def resume_writing(self) -> None:
        self.called(self.name, "resume_writing")


class Player(Stepping):
    """One transport and its peer."""

    def __init__(self, world: World, family: str, scenes: tuple[tuple[str, Actions], ...]) -> None:
        self.world, self.driver = world, Driver(world)
        self.family = socket.AF_INET if family == "inet" else socket.AF_UNIX
        self.folder = tempfile.TemporaryDirectory()
        self.script = Script(world, scenes, self.act)
        self.transport: Any = None
        self.protocols = 0
        self.lost = self.aborted = False

    def bound(self, name: str) -> socket.socket:
        sock = socket.socket(self.family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
        inet = self.family == socket.AF_INET
        sock.bind(("127.0.0.1", 0) if inet else os.path.join(self.folder.name, name))
        return sock

    def connect(self, kind: str) -> None:
        self.remote = kind == "remote"
        self.peer = self.bound("peer")
        with self.bound("nobody") as nobody:
            self.addresses = {
                "none": None,
                "peer": self.peer.getsockname(),
                "nobody": nobody.getsockname(),
                "port 0": ("127.0.0.1", 0),
                "port 70000": ("127.0.0.1", 70_000),
                "short": ("127.0.0.1",),
                "text": "text",
                "number": 5,
                "bad host": ("no host", 5),
            }
        if self.family == socket.AF_UNIX:
            os.unlink(self.addresses["nobody"])
        near = self.bound("near")
        self.near_address = near.getsockname()
        loop: Any = self.world.loop
        if kind == "unconnected":
            made = loop.create_datagram_endpoint(lambda: Receiver(self), sock=near)
        elif kind == "connected":
            near.connect(self.addresses["peer"])
            made = loop.create_datagram_endpoint(lambda: Receiver(self), sock=near)
        elif self.family == socket.AF_INET:
            near.close()
            remote = self.addresses["peer"]
            made = loop.create_datagram_endpoint(lambda: Receiver(self), remote_addr=remote)
        else:
            near.close()
            os.unlink(self.near_address)
            made = loop.create_datagram_endpoint(
                lambda: Receiver(self),
                local_addr=self.near_address,
                remote_addr=self.addresses["peer"],
                family=socket.AF_UNIX,
            )
        task = loop.create_task(made)
        task.add_done_callback(lambda done: self.world.note("made", done.cancelled() or done.exception()))
        self.driver.quiet()
        if self.transport is not None and self.transport.get_extra_info("sockname"):
            self.near_address = self.transport.get_extra_info("sockname")

    def finish(self) -> None:
        self.world.note("the end")
        if self.transport is not None:
            self.act(("call", "abort"))
        self.driver.quiet()
        self.peer.close()
        self.folder.cleanup()

    # -- actions ------------------------------------------------------------------------------------

    def do_send(self, data: tuple[str, int], address: str) -> None:
        if self.lost and not self.remote:
            return  # asyncio fails on attributes that are None
        if self.aborted:
            return  # asyncio keeps what a full peer does not take, and never sends it
        self.world.attempt("sendto", self.transport.sendto, make_data(*data), self.addresses[address])

    def do_flood(self) -> None:
        """Sends to a Unix peer, which does not read, until something waits."""
        if self.transport.is_closing():
            return  # asyncio's buffer size is not what waits any more
        for number in range(100):
            if self.transport.get_write_buffer_size():
                break
            try:
                self.transport.sendto(b"%d" % number * 100, self.addresses["peer"])
            except CAUGHT as error:  # raised by error_received()
                self.world.note("flooding failed", error)
                return
        self.world.note("flooded", self.transport.get_write_buffer_size() > 0)

    def do_call(self, method: str) -> None:
        if method == "get_write_buffer_size" and self.transport.is_closing():
            return
        self.aborted = self.aborted or method == "abort"
        self.world.attempt(method, getattr(self.transport, method))

    def do_limits(self, high: Any, low: Any) -> None:
        if self.transport.is_closing():
            return
        self.world.attempt("limits", self.transport.set_write_buffer_limits, high, low)

    def do_protocol(self) -> None:
        self.transport.set_protocol(Receiver(self))

    def do_info(self, name: str) -> None:
        value = self.transport.get_extra_info(name, "not known")
        self.world.note(name, (value.family, value.type) if name == "socket" else type(value))

    def do_repr(self) -> None:
        text = repr(self.transport)
        self.world.note("repr", Text(text.partition(" write")[0] if self.transport.is_closing() else text))

    def do_soon(self) -> None:
        self.world.loop.call_soon(self.world.note, "soon")

    # -- the peer -----------------------------------------------------------------------------------

    def peer_send(self) -> None:
        self.world.attempt("peer sends", self.peer.sendto, b"datagram", self.near_address)

    def peer_send_empty(self) -> None:
        self.world.attempt("peer sends", self.peer.sendto, b"", self.near_address)

    def peer_read(self) -> None:
        def reads() -> bool:
            try:
                self.world.note("peer reads", self.peer.recv(100_000))
            except OSError:
                return False
            return True

        self.driver.quiet(reads)

    def peer_close(self) -> None:
        self.peer.close()


def run(world: World, program: tuple[Any, ...]) -> None:
    family, kind, debug, scenes, steps = program
    world.loop.set_debug(debug)
    player = Player(world, family, scenes)
    with newest_asyncio():
        player.connect(kind)
        for step, way_on in steps:
            player.play(step, way_on)
        player.finish()


DATAGRAMS = Family("datagrams", PROGRAMS, run)
FAMILIES = [DATAGRAMS]
