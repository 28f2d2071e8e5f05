"""TLS: connections made in each of asyncio's ways, and everything that both ends can do to them, at any time.

The other end is an ``ssl.SSLObject`` that goes on only when the program says so; time is made up, so that the
timeouts of handshake and shutdown can be waited for.
"""

from __future__ import annotations

import functools
import socket
import ssl
import struct
import zlib
from typing import Any

from hypothesis import strategies as st

from differential.driving import ERRORS, PROTOCOLS, Acting, Action, Actions, Driver, Script, TidyFamily
from differential.frame import CAUGHT, World
from differential.mended import newest_asyncio
from support import certificates

HUGE = 300_000
HANDSHAKE_TIMEOUT, SHUTDOWN_TIMEOUT = 5.0, 3.0
WAYS = ["client", "client", "accepted", "server", "server", "client later", "server later"]
TRUST = ["good", "good", "good", "good", "not trusted", "certificate wanted", "other name"]
CALLS = [
    "write_eof",
    "can_write_eof",
    "pause_reading",
    "resume_reading",
    "close",
    "close",
    "abort",
    "is_closing",
    "is_reading",
    "get_write_buffer_limits",
]
ACTION = st.one_of(
    st.tuples(st.just("write"), st.sampled_from([0, 1, 100, 100, HUGE])),
    st.tuples(st.just("write"), st.sampled_from([0, 1, 100, 100, HUGE])),
    st.tuples(st.just("writelines"), st.lists(st.sampled_from([0, 1, 100]), max_size=3).map(tuple)),
    st.tuples(st.just("call"), st.sampled_from(CALLS)),
    st.tuples(st.just("call"), st.sampled_from(CALLS)),
    st.tuples(st.just("size")),
    st.tuples(
        st.just("limits"),
        st.sampled_from([None, 0, 1000, 50_000_000, -1, "many"]),
        st.sampled_from([None, 0, 1000]),
    ),
    st.tuples(st.just("protocol"), st.sampled_from(sorted(PROTOCOLS))),
    st.tuples(
        st.just("info"),
        st.sampled_from(["socket", "peername", "sslcontext", "ssl_object", "cipher", "nothing"]),
    ),
    st.tuples(st.just("soon")),
)
CALLBACKS = {
    "connection_made": None,
    "data_received": None,
    "eof_received": [None, True, False],
    "connection_lost": None,
    "pause_writing": None,
    "resume_writing": None,
    "get_buffer": ["view", "one", "empty", "bytes", "text"],
    "buffer_updated": None,
}
RAISING = st.tuples(st.just("raise"), st.sampled_from(sorted(ERRORS)))


def scene(callback: str) -> st.SearchStrategy[tuple[str, Actions]]:
    answers = CALLBACKS[callback]
    ending = RAISING | st.tuples(st.just("return"), st.sampled_from(answers)) if answers else RAISING
    return st.tuples(
        st.just(callback),
        st.tuples(st.lists(ACTION, max_size=3), st.lists(ending, max_size=1)).map(
            lambda both: (*both[0], *both[1])
        ),
    )


SCENES = st.lists(st.sampled_from(sorted(CALLBACKS)).flatmap(scene), max_size=5).map(tuple)
FAR = st.sampled_from(
    [
        "go on",
        "go on",
        "go on",
        "go on",
        "send",
        "send",
        "send much",
        "end",
        "shutdown",
        "close",
        "reset",
        "garbage",
    ]
)
STEP = st.one_of(
    st.tuples(st.just("do"), st.lists(ACTION, min_size=1, max_size=4).map(tuple)),
    st.tuples(st.just("far"), FAR),
    st.tuples(st.just("far"), FAR),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 4.0, 10.0])),
    st.tuples(st.just("cancel")),
)
PROGRAMS = st.tuples(
    st.sampled_from(WAYS),
    st.sampled_from(TRUST),
    st.sampled_from(sorted(PROTOCOLS)),
    st.booleans(),
    SCENES,
    st.lists(st.tuples(STEP, st.sampled_from(["quiet", "quiet", "quiet", "turn"])), max_size=10).map(tuple),
)


@functools.cache
def contexts(trust: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a client, and of a server."""
    client = ssl.create_default_context() if trust == "not trusted" else certificates.client_context()
    demanding = trust == "certificate wanted"
    return client, certificates.demanding_server_context() if demanding else certificates.server_context()


class FarEnd:
    """The peer: it reads, writes and shakes hands when it is told to."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, server_side: bool, name: str | None
    ) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=server_side,
            server_hostname=None if server_side else name,
        )
        self.connected = False
        self.state: Any = "open"
        self.read = self.checksum = 0

    def go_on(self) -> bool:
        """Does what can be done now; says whether that was anything."""
        moved = self.receive()
        if self.state == "open":
            try:
                if not self.connected:
                    self.tls.do_handshake()
                    self.connected = moved = True
                while data := self.tls.read(100_000):
                    self.read += len(data)
                    self.checksum = zlib.crc32(data, self.checksum)
                    moved = True
                self.state = "ended by the peer"
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.state = error.reason
        return self.send_waiting() or moved

    def receive(self) -> bool:
        try:
            data = self.sock.recv(1_000_000)
        except BlockingIOError:
            return False
        except OSError:
            self.state = "lost"
            return False
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        return bool(data)

    def send_waiting(self) -> bool:
        if not self.outgoing.pending:
            return False
        try:
            self.sock.sendall(self.outgoing.read())
        except OSError:
            self.state = "lost"
        return True


class Player(Acting):
    """One connection with TLS, its protocols and its far end."""

    def __init__(self, world: World, way: str, trust: str, scenes: tuple[tuple[str, Actions], ...]) -> None:
        self.world, self.driver, self.way = world, Driver(world), way
        self.now = 1000.0
        world.loop.time = lambda: self.now
        self.driver.pause = 0.0005
        self.script = Script(world, scenes, self.act)
        self.transport: Any = None
        self.plain: Any = None
        self.server: Any = None
        self.near: Any = None
        self.protocols = self.huge = 0
        self.trust = trust
        self.client_context, self.server_context = contexts(trust)

    # -- beginning and end --------------------------------------------------------------------------

    def make_protocol(self, kind: str) -> Any:
        self.protocols += 1
        return PROTOCOLS[kind](self.script, f"{kind}{self.protocols}", self.made)

    def made(self, transport: Any) -> None:
        if self.way.endswith("later"):
            self.plain = transport
        else:
            self.transport = transport

    def connect(self, kind: str) -> None:
        loop: Any = self.world.loop
        timeouts = {"ssl_handshake_timeout": HANDSHAKE_TIMEOUT, "ssl_shutdown_timeout": SHUTDOWN_TIMEOUT}
        name = "example.org" if self.trust == "other name" else "localhost"
        client = self.way.startswith("client")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            if self.way == "server":
                making = loop.create_server(
                    lambda: self.make_protocol(kind), sock=listener.dup(), ssl=self.server_context, **timeouts
                )
                self.server = loop.run_until_complete(making)
                far = socket.create_connection(listener.getsockname())
            else:
                far = socket.create_connection(listener.getsockname())
                near = self.near = listener.accept()[0]
        far_context = self.server_context if client else self.client_context
        self.far = FarEnd(far, far_context, client, name)
        self.task = None
        if self.way == "server":
            return
        if self.way.endswith("later"):
            protocol = self.make_protocol(kind)
            try:
                loop.run_until_complete(loop.create_connection(lambda: protocol, sock=near))
            except CAUGHT as error:  # raised by connection_made()
                self.world.note("left the loop", error)
                return
            making = loop.start_tls(
                self.plain,
                protocol,
                self.client_context if client else self.server_context,
                server_side=not client,
                server_hostname=name if client else None,
                **timeouts,
            )
        elif client:
            making = loop.create_connection(
                lambda: self.make_protocol(kind),
                sock=near,
                ssl=self.client_context,
                server_hostname=name,
                **timeouts,
            )
        else:
            making = loop.connect_accepted_socket(
                lambda: self.make_protocol(kind), near, ssl=self.server_context, **timeouts
            )
        self.task = loop.create_task(making)
        self.task.add_done_callback(self.connected)

    def connected(self, task: Any) -> None:
        if task.cancelled() or task.exception():
            self.world.note("not connected", task.cancelled() or task.exception())
            return
        result = task.result()
        self.world.note("connected", type(result))
        if self.way.endswith("later"):
            self.transport = result

    def finish(self) -> None:
        self.world.note("the end", self.far.connected, self.far.state)
        if not self.huge or self.far.read >= self.huge:
            self.world.note("the far end has read", self.far.read, self.far.checksum)
        if self.task is not None and not self.task.done():
            self.task.cancel()
            self.driver.quiet()
        for transport in (self.transport, self.plain):
            if transport is not None:
                transport.abort()
        if self.server is not None:
            self.driver.quiet()  # asyncio cannot close a server while it makes a connection
            self.server.close()
        self.driver.quiet()
        self.far.sock.close()
        for _ in range(2):  # Whatever still shakes hands or shuts down gives up.
            self.now += 10 * HANDSHAKE_TIMEOUT
            self.driver.quiet()
        if self.near is not None:
            self.near.close()  # Nobody has taken it, if connecting was cancelled before it began.

    # -- actions ------------------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        if self.transport is not None:
            super().act(action)

    def do_write(self, size: int) -> None:
        self.huge += size if size == HUGE else 0
        self.world.attempt("write", self.transport.write, b"w" * size)

    def do_writelines(self, sizes: tuple[int, ...]) -> None:
        self.world.attempt("writelines", self.transport.writelines, [b"l" * size for size in sizes])

    def do_call(self, method: str) -> None:
        self.world.attempt(method, getattr(self.transport, method))

    def do_size(self) -> None:
        self.world.note("waits", self.transport.get_write_buffer_size() > 0)

    def do_limits(self, high: Any, low: Any) -> None:
        self.world.attempt("limits", self.transport.set_write_buffer_limits, high, low)

    def do_protocol(self, kind: str) -> None:
        self.transport.set_protocol(self.make_protocol(kind))

    def do_info(self, name: str) -> None:
        self.world.note(name, type(self.transport.get_extra_info(name, "not known")))

    def do_soon(self) -> None:
        self.world.loop.call_soon(self.world.note, "soon")

    # -- the far end --------------------------------------------------------------------------------

    def far_go_on(self) -> None:
        self.driver.quiet(self.far.go_on)

    def far_send(self, size: int = 11) -> None:
        if self.far.connected:
            self.world.attempt("far sends", self.far.tls.write, b"f" * size)
            self.far.send_waiting()

    def far_send_much(self) -> None:
        self.far_send(5000)

    def far_end(self) -> None:
        if self.far.connected:
            try:
                self.far.tls.unwrap()
            except ssl.SSLError as error:
                self.world.note("far ends", error.reason)
            self.far.send_waiting()

    def far_shutdown(self) -> None:
        self.world.attempt("far shuts down", self.far.sock.shutdown, socket.SHUT_WR)

    def far_close(self) -> None:
        self.far.sock.close()

    def far_reset(self) -> None:
        self.far.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.far.sock.close()

    def far_garbage(self) -> None:
        self.world.attempt("far sends garbage", self.far.sock.send, b"this is no TLS at all\r\n" * 3)

    def play(self, step: tuple[Any, ...], way_on: str) -> None:
        what, *arguments = step
        if what == "far":
            if self.far.sock.fileno() >= 0:
                getattr(self, "far_" + arguments[0].replace(" ", "_"))()
        elif what == "wait":
            self.now += arguments[0]
        elif what == "cancel":
            if self.task is not None:
                self.task.cancel()
        elif self.transport is not None:
            self.world.loop.call_soon(self.do, *arguments[0])
        if way_on == "turn":
            self.driver.turn()
        else:
            self.driver.quiet()


def run(world: World, program: tuple[Any, ...]) -> None:
    way, trust, protocol, debug, scenes, steps = program
    world.loop.set_debug(debug)
    player = Player(world, way, trust, scenes)
    with newest_asyncio():
        player.connect(protocol)
        for step, way_on in steps:
            player.play(step, way_on)
        player.finish()


TLS = TidyFamily("tls", PROGRAMS, run, collect=True)
FAMILIES = [TLS]
