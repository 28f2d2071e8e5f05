"""Every method of a loop, a transport, a server and a handle that is closed does what asyncio's does."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import socket
import types
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from support import specimens

# Nobody can close the transports of asyncio's loops that are closed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")

Call = Callable[[Any, socket.socket], Any]


async def nothing() -> None:
    pass


LOOP_METHODS: dict[str, Call] = {
    "call_soon": lambda loop, _sock: loop.call_soon(print),
    "call_soon_threadsafe": lambda loop, _sock: loop.call_soon_threadsafe(print),
    "call_later": lambda loop, _sock: loop.call_later(0, print),
    "call_at": lambda loop, _sock: loop.call_at(0, print),
    "time": lambda loop, _sock: type(loop.time()),
    "stop": lambda loop, _sock: loop.stop(),
    "close": lambda loop, _sock: loop.close(),
    "is_closed": lambda loop, _sock: loop.is_closed(),
    "is_running": lambda loop, _sock: loop.is_running(),
    "get_debug": lambda loop, _sock: loop.get_debug(),
    "set_debug": lambda loop, _sock: loop.set_debug(True),
    "run_forever": lambda loop, _sock: loop.run_forever(),
    "run_until_complete": lambda loop, _sock: loop.run_until_complete(loop.create_future()),
    "create_future": lambda loop, _sock: type(loop.create_future()),
    "create_task": lambda loop, _sock: loop.create_task(nothing()),
    "add_reader": lambda loop, sock: loop.add_reader(sock, print),
    "add_writer": lambda loop, sock: loop.add_writer(sock.fileno(), print),
    "remove_reader": lambda loop, sock: loop.remove_reader(sock),
    "remove_writer": lambda loop, sock: loop.remove_writer(sock.fileno()),
    "add_signal_handler": lambda loop, _sock: loop.add_signal_handler(10, print),
    "remove_signal_handler": lambda loop, _sock: loop.remove_signal_handler(10),
    "run_in_executor": lambda loop, _sock: loop.run_in_executor(None, print),
    "sock_recv": lambda loop, sock: drive(loop.sock_recv(sock, 1)),
    "sock_recv_into": lambda loop, sock: drive(loop.sock_recv_into(sock, bytearray(1))),
    "sock_recvfrom": lambda loop, sock: drive(loop.sock_recvfrom(sock, 1)),
    "sock_recvfrom_into": lambda loop, sock: drive(loop.sock_recvfrom_into(sock, bytearray(1))),
    "sock_sendall": lambda loop, sock: drive(loop.sock_sendall(sock, b"data")),
    "sock_sendto": lambda loop, sock: drive(loop.sock_sendto(sock, b"data", ("127.0.0.1", 9))),
    "sock_connect": lambda loop, sock: drive(loop.sock_connect(sock, "/nonexistent")),
    "sock_accept": lambda loop, sock: drive(loop.sock_accept(sock)),
    "getaddrinfo": lambda loop, _sock: drive(loop.getaddrinfo("localhost", 80)),
    "getnameinfo": lambda loop, _sock: drive(loop.getnameinfo(("127.0.0.1", 80))),
    "create_connection": lambda loop, sock: drive(loop.create_connection(asyncio.Protocol, sock=sock)),
    "create_server": lambda loop, sock: drive(loop.create_server(asyncio.Protocol, sock=sock)),
    "create_datagram_endpoint": lambda loop, _sock: drive(
        loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    ),
    "connect_read_pipe": lambda loop, _sock: with_pipe(loop.connect_read_pipe, "rb"),
    "connect_write_pipe": lambda loop, _sock: with_pipe(loop.connect_write_pipe, "wb"),
    "shutdown_asyncgens": lambda loop, _sock: drive(loop.shutdown_asyncgens()),
    "call_exception_handler": lambda loop, _sock: loop.call_exception_handler({"message": "told"}),
    "get_exception_handler": lambda loop, _sock: loop.get_exception_handler() is None,
    "get_task_factory": lambda loop, _sock: loop.get_task_factory(),
    "repr": lambda loop, _sock: repr(loop).replace(type(loop).__name__, "Loop"),
}


def drive(coroutine: Any) -> Any:
    """What the first step of a coroutine, or making it, comes to."""
    if not inspect.isawaitable(coroutine):
        return coroutine
    iterator = coroutine if isinstance(coroutine, types.CoroutineType) else coroutine.__await__()
    try:
        return iterator.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        iterator.close()


def with_pipe(connect: Callable[..., Any], mode: str) -> Any:
    read_end, write_end = os.pipe()
    with open(read_end, "rb", 0) as reader, open(write_end, "wb", 0) as writer:
        return drive(connect(asyncio.Protocol, reader if mode == "rb" else writer))


def outcome(call: Callable[[], Any]) -> str:
    """What came of it, in words that do not name an address or a class of one of the loops."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = call()
        except (Exception, asyncio.CancelledError) as exc:
            return f"{type(exc).__name__}: {exc}"
    if isinstance(result, asyncio.Handle):
        return "a handle"
    return repr(result).split(" at 0x")[0]


def closed_loop(loop_factory: Callable[[], Any]) -> Any:
    loop = loop_factory()
    specimens.turn(loop)
    loop.set_exception_handler(lambda _loop, _context: None)
    loop.close()
    return loop


@pytest.mark.native_only
@pytest.mark.parametrize("name", LOOP_METHODS)
def test_a_closed_loop_answers_as_asyncios_does(loop_factory, name):
    outcomes = []
    for factory in (loop_factory, asyncio.SelectorEventLoop):
        near, far = socket.socketpair()
        near.setblocking(False)
        with near, far:
            loop = closed_loop(factory)
            outcomes.append(outcome(lambda: LOOP_METHODS[name](loop, near)))
            loop.close()
    assert outcomes[0] == outcomes[1]


TRANSPORT_METHODS: dict[str, Callable[[Any], Any]] = {
    "write": lambda transport: transport.write(b"data"),
    "write of nothing": lambda transport: transport.write(b""),
    "write of a number": lambda transport: transport.write(5),
    "writelines": lambda transport: transport.writelines([b"data", b"more"]),
    "write_eof": lambda transport: transport.write_eof(),
    "can_write_eof": lambda transport: transport.can_write_eof(),
    "sendto": lambda transport: transport.sendto(b"data"),
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "is_closing": lambda transport: transport.is_closing(),
    "is_reading": lambda transport: transport.is_reading(),
    "pause_reading": lambda transport: transport.pause_reading(),
    "resume_reading": lambda transport: transport.resume_reading(),
    "get_protocol": lambda transport: transport.get_protocol() is None,
    "set_protocol": lambda transport: transport.set_protocol(asyncio.Protocol()),
    "get_extra_info": lambda transport: transport.get_extra_info("no such thing"),
    "get_write_buffer_size": lambda transport: transport.get_write_buffer_size(),
    "get_write_buffer_limits": lambda transport: transport.get_write_buffer_limits(),
    "set_write_buffer_limits": lambda transport: transport.set_write_buffer_limits(high=10),
}


async def make_transport(kind: str) -> tuple[Any, Any]:
    """A transport, and what has to be closed with it."""
    loop = asyncio.get_running_loop()
    if kind == "datagram":
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
        return transport, None
    if kind == "stream":
        near, far = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        return transport, far
    read_end, write_end = os.pipe()
    reader, writer = open(read_end, "rb", 0), open(write_end, "wb", 0)  # noqa: SIM115
    if kind == "read pipe":
        transport, _ = await loop.connect_read_pipe(asyncio.Protocol, reader)
        return transport, writer
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writer)
    return transport, reader


def expected(of_asyncio: str) -> str:
    """What asyncio's transports do, except where they trip.

    Over what they have forgotten themselves (the loop, the write method), and over their closed loop, which
    is not needed for letting go of a descriptor.
    """
    trips = "'NoneType' object" in of_asyncio or of_asyncio == "RuntimeError: Event loop is closed"
    return "None" if trips else of_asyncio


@pytest.mark.native_only
@pytest.mark.parametrize("state", ["closing", "lost", "of a closed loop", "lost, of a closed loop"])
@pytest.mark.parametrize("kind", ["stream", "datagram", "read pipe", "write pipe"])
def test_a_transport_answers_as_asyncios_does(loop_factory, kind, state):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        ours = answers(loop_factory, kind, state)
        theirs = answers(asyncio.SelectorEventLoop, kind, state)
        gc.collect()
    # Older versions of asyncio leave some methods out.
    missing = {name for name, answer in theirs.items() if answer.startswith("NotImplementedError")}
    assert {name: ours[name] for name in ours.keys() - missing} == {
        name: expected(answer) for name, answer in theirs.items() if name not in missing
    }


def answers(factory: Callable[[], Any], kind: str, state: str) -> dict[str, str]:
    """What each method that such a transport has comes to, each on a transport of its own."""
    told = {}
    for name, method in TRANSPORT_METHODS.items():
        loop = factory()
        transport, other = loop.run_until_complete(make_transport(kind))
        if state != "of a closed loop":
            transport.close()
        if state.startswith("lost"):
            specimens.turn(loop)
        if state.endswith("closed loop"):
            loop.close()
        if hasattr(transport, name.partition(" ")[0]):
            told[name] = outcome(lambda: method(transport))
        if other is not None:
            other.close()
        if not loop.is_closed():
            transport.close()
            specimens.turn(loop)
            loop.close()
    return told


@pytest.mark.parametrize("name", ["cancel", "cancelled", "get_context", "when", "repr", "_run"])
@pytest.mark.parametrize("schedule", ["call_soon", "call_later", "call_soon_threadsafe"])
def test_a_handle_may_be_used_when_its_loop_is_closed(loop_factory, schedule, name):
    loop = loop_factory()
    ran: list[int] = []
    method = getattr(loop, schedule)
    handle = method(1000, ran.append, 1) if schedule == "call_later" else method(ran.append, 1)
    loop.close()
    if not hasattr(handle, name.replace("repr", "__repr__")):
        return  # get_context() came with Python 3.12; only timers have when().
    if name == "repr":
        assert "Handle" in repr(handle)
    else:
        getattr(handle, name)()
    handle.cancel()
    assert handle.cancelled()


def test_a_server_may_be_used_when_its_loop_is_closed(loop_factory):
    loop = loop_factory()
    server = loop.run_until_complete(loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
    address = server.sockets[0].getsockname()
    loop.close()
    assert server.is_serving()
    with socket.create_connection(address):  # The socket still listens.
        server.close()
    assert not server.is_serving()
    assert list(server.sockets) == []
    assert outcome(server.close) == "None"
