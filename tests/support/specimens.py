"""One of each object that a loop makes, with a token that lives as long as it does.

A specimen refers to its token, and whoever wants a cycle lets the token refer to the specimen: both are gone
when ``token()`` is None.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import weakref
from collections.abc import Callable
from typing import Any

Loop = asyncio.AbstractEventLoop


class Token:
    """Whatever a callback, a protocol or an argument drags along."""

    def __init__(self) -> None:
        self.specimen: Any = None
        self.extra: list[Any] = []

    def method(self, *_arguments: Any) -> None:
        pass


class _Protocol(Token, asyncio.Protocol):
    pass


class _Datagrams(Token, asyncio.DatagramProtocol):
    pass


class _Buffered(Token, asyncio.BufferedProtocol):
    def __init__(self) -> None:
        super().__init__()
        self.buffer = bytearray(1000)
        self.views: list[memoryview] = []

    def get_buffer(self, sizehint: int) -> memoryview:
        self.views.append(memoryview(self.buffer))
        return self.views[-1]


class _Buffer(Token, bytearray):
    def __init__(self) -> None:
        Token.__init__(self)
        bytearray.__init__(self, 100)


class _Host(str):
    specimen: Any = None


Made = tuple[Any, Any]


def handle_that_ran(loop: Loop) -> Made:
    token = Token()
    handle = loop.call_soon(token.method)
    turn(loop)
    return handle, token


def handle_that_is_cancelled(loop: Loop) -> Made:
    token = Token()
    handle = loop.call_soon_threadsafe(print)
    handle.cancel()
    turn(loop)
    # What a cancelled handle had is gone; asyncio.Handle has no room for more, so a container holds both.
    token.extra.append(handle)
    return [handle, token], token


def timer_that_ran(loop: Loop) -> Made:
    token = Token()
    handle = loop.call_at(0, token.method)
    turn(loop)
    return handle, token


def lost_stream(loop: Loop) -> Made:
    near, far = socket.socketpair()
    with far:
        transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=near))
        transport.abort()
        turn(loop)
    token = transport.token = Token()  # type: ignore[attr-defined]
    return transport, token


def paused_stream(loop: Loop) -> Made:
    near, far = socket.socketpair()
    transport, protocol = loop.run_until_complete(loop.create_connection(_Protocol, sock=near))
    transport.pause_reading()
    protocol.extra.append(far)
    return transport, protocol


def paused_buffered_stream(loop: Loop) -> Made:
    near, far = socket.socketpair()
    transport, protocol = loop.run_until_complete(loop.create_connection(_Buffered, sock=near))
    far.send(b"hello")
    while bytes(protocol.buffer[:5]) != b"hello":
        turn(loop)
    transport.pause_reading()
    protocol.extra.append(far)
    return transport, protocol


def lost_datagram(loop: Loop) -> Made:
    connect = loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    transport, _ = loop.run_until_complete(connect)
    transport.abort()
    turn(loop)
    token = transport.token = Token()  # type: ignore[attr-defined]
    return transport, token


def unused_read_pipe(loop: Loop) -> Made:
    read_end, write_end = os.pipe()
    with open(write_end, "wb", 0) as other:
        file = open(read_end, "rb", 0)  # noqa: SIM115
        transport, protocol = loop.run_until_complete(loop.connect_read_pipe(_Protocol, file))
        transport.pause_reading()
        protocol.extra.append(file)
        del other
    return transport, protocol


def lost_write_pipe(loop: Loop) -> Made:
    read_end, write_end = os.pipe()
    with open(read_end, "rb", 0):
        file = open(write_end, "wb", 0)  # noqa: SIM115
        transport, _ = loop.run_until_complete(loop.connect_write_pipe(asyncio.BaseProtocol, file))
        transport.abort()  # type: ignore[attr-defined]
        turn(loop)
    token = transport.token = Token()  # type: ignore[attr-defined]
    return transport, token


def closed_server(loop: Loop) -> Made:
    token = Token()

    async def serve() -> asyncio.Server:
        return await loop.create_server(token.method, "127.0.0.1", 0)  # type: ignore[arg-type]

    server = loop.run_until_complete(serve())
    server.close()
    turn(loop)
    return server, token


def _receiver(loop: Loop, arguments: Callable[[_Buffer], tuple[str, tuple[Any, ...]]]) -> Made:
    near, far = socket.socketpair()
    near.setblocking(False)
    token = _Buffer()
    token.extra += [near, far]
    name, rest = arguments(token)
    return getattr(loop, name)(near, *rest), token


def receiving(loop: Loop) -> Made:
    """A coroutine that was cancelled while it waited."""
    coroutine, token = _receiver(loop, lambda buffer: ("sock_recv_into", (buffer,)))
    task = loop.create_task(coroutine)
    turn(loop)
    task.cancel()
    turn(loop)
    return [coroutine, task, token], token


def finished_sending(loop: Loop) -> Made:
    coroutine, token = _receiver(loop, lambda buffer: ("sock_sendall", (buffer,)))
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
    return [coroutine, token], token


def looking_up(loop: Loop) -> Made:
    token = _Host("127.0.0.1")
    coroutine: Any = loop.getaddrinfo(token, 80)
    coroutine.close()
    return [coroutine, token], token


KINDS: list[Callable[[Loop], Made]] = [
    handle_that_ran,
    handle_that_is_cancelled,
    timer_that_ran,
    lost_stream,
    paused_stream,
    paused_buffered_stream,
    lost_datagram,
    unused_read_pipe,
    lost_write_pipe,
    closed_server,
    receiving,
    finished_sending,
    looking_up,
]
# Dropped without being closed, these warn, as asyncio's do.
UNCLOSED = (paused_stream, paused_buffered_stream, unused_read_pipe)


def turn(loop: Loop) -> None:
    """A few turns of the loop: what is due now happens."""
    for _ in range(3):
        loop.call_soon(loop.stop)
        loop.run_forever()


def cycle(loop: Loop, make: Callable[[Loop], Made]) -> weakref.ref[Token]:
    """A specimen to which only its own token refers, and that token's weak reference."""
    specimen, token = make(loop)
    token.specimen = specimen
    return weakref.ref(token)


# What a loop that nobody refers to takes along, by what leads from it to the token.


def _watched(loop: Loop, register: str) -> weakref.ref[Token]:
    token = Token()
    near, far = socket.socketpair()
    getattr(loop, register)(near, token.method)
    token.specimen = loop
    token.extra += [near, far]
    return weakref.ref(token)


def _scheduled(loop: Loop, method: str, *delay: float) -> weakref.ref[Token]:
    token = Token()
    token.specimen = loop
    getattr(loop, method)(*delay, token.method)
    return weakref.ref(token)


def _stream(loop: Loop, *, full: bool) -> weakref.ref[Token]:
    near, far = socket.socketpair()
    transport, protocol = loop.run_until_complete(loop.create_connection(_Protocol, sock=near))
    while full and transport.get_write_buffer_size() == 0:
        transport.write(bytes(1 << 16))
    protocol.specimen = loop
    protocol.extra.append(far)
    return weakref.ref(protocol)


def _datagrams(loop: Loop) -> weakref.ref[Token]:
    connect = loop.create_datagram_endpoint(_Datagrams, ("127.0.0.1", 0))
    _, protocol = loop.run_until_complete(connect)
    protocol.specimen = loop
    return weakref.ref(protocol)


def _pipe(loop: Loop, end: str) -> weakref.ref[Token]:
    read_end, write_end = os.pipe()
    reader = open(read_end, "rb", 0)  # noqa: SIM115
    writer = open(write_end, "wb", 0)  # noqa: SIM115
    mine, other = (reader, writer) if end == "read" else (writer, reader)
    connect = getattr(loop, f"connect_{end}_pipe")(_Protocol, mine)
    _, protocol = loop.run_until_complete(connect)
    protocol.specimen = loop
    protocol.extra.append(other)
    return weakref.ref(protocol)


def _server(loop: Loop) -> weakref.ref[Token]:
    token = Token()
    loop.run_until_complete(loop.create_server(token.method, "127.0.0.1", 0))  # type: ignore[arg-type]
    token.specimen = loop
    return weakref.ref(token)


def _waiting(loop: Loop) -> weakref.ref[Token]:
    coroutine, token = _receiver(loop, lambda buffer: ("sock_recv_into", (buffer,)))
    token.specimen = loop
    token.extra.append(coroutine)
    coroutine.send(None)
    return weakref.ref(token)


HELD_BY_A_LOOP: dict[str, Callable[[Loop], weakref.ref[Token]]] = {
    "call_soon": lambda loop: _scheduled(loop, "call_soon"),
    "call_soon_threadsafe": lambda loop: _scheduled(loop, "call_soon_threadsafe"),
    "call_later": lambda loop: _scheduled(loop, "call_later", 1000),
    "add_reader": lambda loop: _watched(loop, "add_reader"),
    "add_writer": lambda loop: _watched(loop, "add_writer"),
    "stream": lambda loop: _stream(loop, full=False),
    "stream that waits to send": lambda loop: _stream(loop, full=True),
    "datagrams": _datagrams,
    "read pipe": lambda loop: _pipe(loop, "read"),
    "write pipe": lambda loop: _pipe(loop, "write"),
    "server": _server,
    "sock_recv_into": _waiting,
}
