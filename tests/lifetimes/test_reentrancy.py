"""Callbacks, protocols, buffers and destructors that close, drop and replace at random whatever there is.

There is nothing to compare here: a program that went wrong ends the process, or is found by the sanitizers
(``./dev sanitize``).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import socket
import sys
from typing import Any

import pytest

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

EXPECTED = (RuntimeError, ValueError, OSError, TypeError, AttributeError)
ON_TRANSPORT = (
    *(
        "close",
        "abort",
        "pause_reading",
        "resume_reading",
        "write_eof",
        "write",
        "writelines",
        "set_protocol",
    ),
    *("set_write_buffer_limits", "get_write_buffer_size", "get_extra_info", "__repr__", "forget"),
)


class Program:
    """One random program on one loop. Whatever of it Python calls does a few things more."""

    def __init__(self, loop: Any, seed: int) -> None:
        self.loop = loop
        self.random = random.Random(seed)
        self.transports: list[Any] = []
        self.handles: list[Any] = []
        self.files: list[Any] = []
        self.depth = 0
        self.over = False

    def act(self) -> None:
        if self.over or self.depth > 3:
            return
        self.depth += 1
        for _ in range(self.random.randrange(3)):
            with contextlib.suppress(*EXPECTED):
                self.random.choice((self.on_transport, self.on_transport, self.on_handle, self.on_file))()
        self.depth -= 1

    def on_transport(self) -> None:
        transport = self.random.choice(self.transports or [None])
        action = self.random.choice(ON_TRANSPORT)
        arguments: dict[str, Any] = {
            "write": lambda: bytes(self.random.choice((1, 100, 40_000, 400_000))),
            "writelines": lambda: [Buffer(self) if sys.version_info >= (3, 12) else b"x", b"y" * 50_000],
            "set_protocol": lambda: self.protocol(),
            "set_write_buffer_limits": lambda: self.random.choice((0, 10, 1000)),
            "get_extra_info": lambda: self.random.choice(("socket", "peername", "x")),
        }
        if action == "forget":
            self.transports.remove(transport)
        elif action in arguments:
            getattr(transport, action)(arguments[action]())
        else:
            getattr(transport, action)()

    def on_handle(self) -> None:
        action = self.random.randrange(6)
        if action == 0:
            self.handles.append(self.loop.call_soon(Thing(self), Thing(self)))
        elif action == 1:
            self.handles.append(self.loop.call_later(0.001, Thing(self), *(Thing(self) for _ in range(4))))
        elif action == 2:
            gc.collect(0)
        elif self.handles:
            handle = self.random.choice(self.handles)
            (handle.cancel, handle._run, lambda: self.handles.remove(handle))[action - 3]()

    def on_file(self) -> None:
        file = self.random.choice(self.files or [None])
        watched = file if self.random.random() < 0.5 else file.fileno()
        action = self.random.choice(("add_reader", "add_writer", "remove_reader", "remove_writer", "forget"))
        if action == "forget":
            self.files.remove(file)
        elif action.startswith("add"):
            getattr(self.loop, action)(watched, Thing(self), Thing(self))
        else:
            getattr(self.loop, action)(watched)

    def protocol(self) -> Any:
        return self.random.choice((Protocol, BufferedProtocol))(self)

    async def main(self) -> None:
        server = await self.loop.create_server(self.protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        for _ in range(self.random.randrange(2, 8)):
            near, far = socket.socketpair()
            far.setblocking(False)
            self.files.append(File(self, far))
            with contextlib.suppress(*EXPECTED):
                await self.loop.create_connection(self.protocol, sock=near)
                await self.loop.create_connection(self.protocol, *address)
                await self.loop.create_datagram_endpoint(lambda: Protocol(self), local_addr=("127.0.0.1", 0))
            self.act()
            await asyncio.sleep(0)
        for _ in range(5):
            self.act()
            await asyncio.sleep(0.0005)
        server.close()


class Thing:
    """A callback, an argument, an owner: calling it, and destroying it, goes on with the program."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def __call__(self, *_args: Any) -> None:
        self.program.act()

    def __del__(self) -> None:
        self.program.act()


class File(Thing):
    def __init__(self, program: Program, sock: socket.socket) -> None:
        super().__init__(program)
        self.socket = sock

    def fileno(self) -> int:
        return self.socket.fileno()


class Buffer(Thing):
    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.memory = bytearray(program.random.choice((1, 100, 70_000)))

    def __len__(self) -> int:
        self.program.act()
        return len(self.memory)

    def __buffer__(self, flags: int) -> memoryview:
        self.program.act()
        return memoryview(self.memory)

    def __release_buffer__(self, view: memoryview) -> None:
        self.program.act()


class Protocol(Thing, asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.program.transports.append(transport)
        self.program.act()

    def eof_received(self) -> bool:
        self.program.act()
        return self.program.random.random() < 0.5

    data_received = datagram_received = error_received = buffer_updated = Thing.__call__
    connection_lost = pause_writing = resume_writing = Thing.__call__


class BufferedProtocol(Protocol, asyncio.BufferedProtocol):
    def get_buffer(self, sizehint: int) -> Any:
        self.program.act()
        return Buffer(self.program) if sys.version_info >= (3, 12) else bytearray(1000)


@pytest.mark.native_only
@pytest.mark.parametrize("seed", range(8))
def test_whatever_calls_back_may_do_whatever_it_likes(loop_factory, caplog, seed):
    caplog.set_level(logging.CRITICAL + 1, logger="asyncio")  # records would keep what they tell of
    for number in range(5):
        loop = loop_factory()
        loop.set_exception_handler(lambda _loop, _context: None)
        program = Program(loop, 5 * seed + number)
        loop.run_until_complete(program.main())
        if number % 2:
            program.transports.clear()
        loop.close()
        program.over = True
        del loop, program
        gc.collect()
