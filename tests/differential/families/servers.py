"""Servers: serving, closing and waiting in every order, with clients that come, talk and go in between.

What happens on one connection is compared in order; between connections the order is not asyncio's to decide
(it keeps them in a set, and makes each in a task of its own).
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import Any

from hypothesis import strategies as st

from differential.driving import ERRORS, Action, Actions, Driver, TidyFamily
from differential.frame import CAUGHT, World
from differential.mended import newest_asyncio

KINDS = ["tcp", "tcp", "unix", "two sockets"]
SERVER_CALLS = ["close", "is_serving", "sockets", "repr"]
if sys.version_info >= (3, 13):
    SERVER_CALLS += ["close_clients", "abort_clients"]
AWAITED = ["start_serving", "serve_forever", "wait_closed"]
SERVER_ACTION = st.one_of(
    st.tuples(st.just("server"), st.sampled_from(SERVER_CALLS)),
    st.tuples(st.just("await"), st.sampled_from(AWAITED)),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
)
TRANSPORT_ACTION = st.tuples(
    st.just("transport"), st.sampled_from(["close", "abort", "write", "write_eof", "pause_reading"])
)
RAISING = st.tuples(st.just("raise"), st.sampled_from(sorted(ERRORS)))
# An exit ends the task in which asyncio makes the connection, which is told when that is collected.
FACTORY_SCENE = st.tuples(
    st.just("factory"),
    st.just(()) | st.tuples(st.tuples(st.just("raise"), st.sampled_from(["value", "network", "odd"]))),
)
SCENE = FACTORY_SCENE | st.tuples(
    st.sampled_from(["connection_made", "data_received", "eof_received", "connection_lost"]),
    st.tuples(st.lists(TRANSPORT_ACTION | SERVER_ACTION, max_size=2), st.lists(RAISING, max_size=1)).map(
        lambda both: (*both[0], *both[1])
    ),
)
CLIENT = st.tuples(
    st.just("client"), st.sampled_from(["send", "read", "shutdown", "close", "reset"]), st.integers(0, 3)
)
STEP = st.one_of(
    st.tuples(st.just("connect")),
    st.tuples(st.just("connect")),
    CLIENT,
    st.tuples(st.just("do"), st.lists(SERVER_ACTION, min_size=1, max_size=2).map(tuple)),
    st.tuples(st.just("do"), st.lists(SERVER_ACTION, min_size=1, max_size=2).map(tuple)),
)
PROGRAMS = st.tuples(
    st.sampled_from(KINDS),
    st.booleans(),
    st.booleans(),
    st.lists(SCENE, max_size=4).map(tuple),
    st.lists(STEP, max_size=10).map(tuple),
)


class Connection(asyncio.Protocol):
    """One accepted connection; it notes what happens in a lane of its own."""

    transport: Any = None

    def __init__(self, player: Player, number: int) -> None:
        self.player, self.number = player, number

    def called(self, callback: str, *values: object) -> None:
        self.player.called(self, callback, *values)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.called("connection_made", type(transport.get_extra_info("peername")))

    def data_received(self, data: bytes) -> None:
        self.called("data_received", data)

    def eof_received(self) -> None:
        self.called("eof_received")

    def connection_lost(self, error: BaseException | None) -> None:
        self.called("connection_lost", error)


class Player:
    """One server and its clients."""

    def __init__(self, world: World, kind: str, scenes: tuple[tuple[str, Actions], ...]) -> None:
        self.world, self.driver, self.kind = world, Driver(world), kind
        self.driver.pause = 0.0 if kind == "unix" else 0.0005
        self.scenes: dict[str, list[Actions]] = {}
        for callback, actions in scenes:
            self.scenes.setdefault(callback, []).append(actions)
        self.server: Any = None
        self.addresses: list[Any] = []
        self.clients: list[socket.socket] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.connections = 0

    def make_protocol(self) -> Connection:
        self.connections += 1
        connection = Connection(self, self.connections)
        self.called(connection, "factory")
        return connection

    def called(self, connection: Connection, callback: str, *values: object) -> None:
        lane = f"connection {connection.number}"
        self.world.note(callback, *values, lane=lane)
        scenes = self.scenes.get(callback)
        for action in scenes.pop(0) if scenes else ():
            if action[0] == "raise":
                raise ERRORS[action[1]]()
            if action[0] == "transport":
                method = getattr(connection.transport, action[1])
                self.world.attempt(action[1], method, *([b"data"] if action[1] == "write" else []), lane=lane)
            else:
                self.act(action)

    def serve(self, start: bool) -> None:
        loop: Any = self.world.loop
        family = socket.AF_UNIX if self.kind == "unix" else socket.AF_INET
        listeners = []
        for _ in range(2 if self.kind == "two sockets" else 1):
            listener = socket.socket(family)
            listener.bind("" if self.kind == "unix" else ("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)
            listeners.append(listener)
            self.addresses.append(listener.getsockname())
        make = loop.create_unix_server if self.kind == "unix" else loop.create_server
        self.server = loop.run_until_complete(
            make(self.make_protocol, sock=listeners[0], start_serving=start, backlog=10)
        )
        self.server._sockets += listeners[1:]  # asyncio makes several only for several addresses
        if start and listeners[1:]:
            for listener in listeners[1:]:
                loop._start_serving(self.make_protocol, listener, None, self.server, 10)

    def finish(self) -> None:
        self.world.note("the end")
        for client in self.clients:
            client.close()
        for task in self.tasks:
            task.cancel()
        self.driver.quiet()
        self.server.close()
        if hasattr(self.server, "abort_clients"):
            self.server.abort_clients()
        self.driver.quiet()

    # -- actions ------------------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        name, argument = action
        getattr(self, "do_" + name)(argument)

    def do_server(self, what: str) -> None:
        if what == "sockets":
            self.world.note("sockets", len(self.server.sockets))
        elif what == "repr":
            self.world.note("repr", self.server)
        else:
            self.world.attempt(what, getattr(self.server, what))

    def do_await(self, what: str) -> None:
        number = len(self.tasks)

        async def awaiting() -> None:
            try:
                result = await getattr(self.server, what)()
            except CAUGHT as error:
                # The task that is cancelled is not the only one that ends then: in an order of asyncio's own.
                self.world.note(what, "raised", error, lane=f"task {number}")
            else:
                self.world.note(what, result, lane=f"task {number}")

        self.tasks.append(self.world.loop.create_task(awaiting()))

    def do_cancel(self, number: int) -> None:
        if number < len(self.tasks):
            self.tasks[number].cancel()

    # -- steps --------------------------------------------------------------------------------------

    def step_connect(self) -> None:
        client = socket.socket(socket.AF_UNIX if self.kind == "unix" else socket.AF_INET)
        address = self.addresses[len(self.clients) % len(self.addresses)]
        self.clients.append(client)
        self.world.attempt("connect", client.connect, address)
        client.setblocking(False)

    def step_client(self, what: str, number: int) -> None:
        if number >= len(self.clients) or (client := self.clients[number]).fileno() < 0:
            return
        if what == "send":
            self.world.attempt("client sends", client.send, b"hello")
        elif what == "read":
            self.world.attempt("client reads", client.recv, 1000)
        elif what == "shutdown":
            self.world.attempt("client shuts down", client.shutdown, socket.SHUT_WR)
        else:
            if what == "reset" and client.family == socket.AF_INET:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

    def step_do(self, actions: Actions) -> None:
        for action in actions:
            self.world.loop.call_soon(self.act, action)


def run(world: World, program: tuple[Any, ...]) -> None:
    kind, start, debug, scenes, steps = program
    world.loop.set_debug(debug)
    player = Player(world, kind, scenes)
    with newest_asyncio():
        player.serve(start)
        for name, *arguments in steps:
            getattr(player, "step_" + name)(*arguments)
            player.driver.quiet()
        player.finish()


SERVERS = TidyFamily("servers", PROGRAMS, run, collect=True)
FAMILIES = [SERVERS]
