"""What a stream transport holds, and for how long; what becomes of it when its loop is closed."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import sys
import warnings
import weakref

import pytest

from support.descriptors import none_leaked
from support.protocols import BufferedRecorder, Recorder
from support.sockets import connected, fill, polled, read_exactly, read_to_end, socket_pair

pytestmark = pytest.mark.timeout(60)


class Plain(asyncio.Protocol):
    """Keeps nothing."""


async def test_a_finished_transport_holds_neither_its_protocol_nor_its_data(loop):
    near, far = socket_pair()
    with far:
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        data = bytearray(1_000_000)
        transport.write(data)
        transport.abort()
        await protocol.lost
        gone = weakref.ref(protocol)
        protocol.transport = None
        del protocol
        gc.collect()
        assert gone() is None
        assert transport.get_protocol() is None
        data.append(1)  # a buffer that is exported cannot be resized
        assert transport.is_closing()


async def test_a_finished_transport_is_freed_with_its_last_reference(loop):
    near, far = socket_pair()
    with far:
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        transport.close()
        await protocol.lost
        gone = weakref.ref(transport)
        protocol.transport = None
        del transport
        gc.collect()
        assert gone() is None


@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
async def test_a_replaced_protocol_is_not_held(loop, factory):
    near, far = socket_pair()
    far.setblocking(False)
    with far:
        transport, first = await loop.create_connection(factory, sock=near)
        far.send(b"x")
        await first.bytes_received(1)
        second = Recorder()
        transport.set_protocol(second)
        gone = weakref.ref(first)
        first.transport = None
        del first
        await polled()
        gc.collect()
        assert gone() is None
        transport.abort()
        await second.lost


@pytest.mark.parametrize("method", ["write", "writelines"])
@pytest.mark.parametrize("ending", ["sent", "close", "abort", "refused"])
async def test_written_objects_are_given_back(on_veloop, method, ending):
    if (
        method == "writelines"
        and ending == "refused"
        and not on_veloop
        and (3, 12) <= sys.version_info < (3, 14)
    ):
        pytest.skip("older asyncio's writelines fails on a closed transport")
    async with connected() as (transport, protocol, far):
        size = 0 if ending == "refused" else await fill(transport)
        if ending == "refused":
            transport.close()
        chunks = [bytes([number]) * 1000 for number in range(5)]
        before = [sys.getrefcount(chunk) for chunk in chunks]
        if method == "write":
            for chunk in chunks:
                transport.write(chunk)
            del chunk
        else:
            transport.writelines(chunks)
        if ending == "sent":
            await read_exactly(far, size + 5000)
            await polled()
        elif ending != "refused":
            getattr(transport, ending)()
            await read_to_end(far)
            await protocol.lost
        await polled()
        gc.collect()
        assert [sys.getrefcount(chunk) for chunk in chunks] == before


async def test_a_paused_transport_in_a_cycle_is_collected(loop):
    near, far = socket_pair()
    far.setblocking(False)
    with far:
        transport, protocol = await loop.create_connection(Plain, sock=near)
        transport.pause_reading()
        protocol.transport = transport
        del near
        gone = weakref.ref(transport)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del transport, protocol
            gc.collect()
        assert any("unclosed transport" in str(warning.message) for warning in caught)
        # The recorded warning holds the transport that it is about, which Python 3.15 takes seriously.
        caught.clear()
        gc.collect()
        assert gone() is None
        assert await read_to_end(far) == b""


async def test_attributes_and_weak_references_are_had():
    async with connected() as (transport, _, _):
        transport.mine = "attribute"
        assert transport.mine == "attribute"
        assert vars(transport)["mine"] == "attribute"
        assert weakref.ref(transport)() is transport
        assert transport in {transport: 1}
        assert transport == transport
        assert transport != object()


async def test_attributes_that_libraries_read(loop):
    async with connected() as (transport, _, far):
        assert transport._start_tls_compatible is True
        assert transport._sendfile_compatible is asyncio.constants._SendfileMode.TRY_NATIVE
        assert transport._extra["peername"] == far.getsockname()
        assert transport._extra["sockname"] == far.getpeername()
        assert transport._extra["socket"].fileno() == transport.get_extra_info("socket").fileno()
        assert isinstance(transport._sock, socket.socket)
        assert transport._sock.fileno() == transport._sock_fd
        assert transport._loop is loop


async def test_a_thousand_connections_leave_no_objects(loop):
    async def use():
        near, far = socket_pair("unix")
        with far:
            transport, _ = await loop.create_connection(Plain, sock=near)
            far.send(b"data")
            transport.write(b"data")
            transport.pause_reading()
            transport.resume_reading()
            transport.get_extra_info("socket")
            transport.close()
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    with none_leaked():
        for _ in range(20):
            await use()
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(1000):
            await use()
        gc.collect()
        assert len(gc.get_objects()) - before < 50


def open_connection(loop, sock):
    async def connect():
        return await loop.create_connection(Plain, sock=sock)

    return loop.run_until_complete(connect())


@pytest.mark.parametrize("waiting", [False, True])
def test_a_transport_may_outlive_its_loop(loop_factory, waiting):
    loop = loop_factory()
    near, far = socket_pair("unix")
    far.setblocking(False)
    transport, _ = open_connection(loop, near)
    if waiting:
        transport.write(bytes(1_000_000))
    loop.close()
    assert repr(transport)
    assert transport.get_extra_info("peername") == ""
    assert not transport.is_closing()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transport, near, _
        gc.collect()
    assert any("unclosed transport" in str(warning.message) for warning in caught)
    with far:
        while data := far.recv(1 << 20):
            assert set(data) == {0}


@pytest.mark.parametrize("method", ["close", "abort"])
def test_a_transport_that_is_closed_after_its_loop_lets_go_of_its_socket(loop_factory, method):
    """asyncio's own transports complain that the loop is closed; there is nobody left to call either way."""
    loop = loop_factory()
    near, far = socket_pair("unix")
    far.setblocking(False)
    transport, _ = open_connection(loop, near)
    loop.close()
    try:
        getattr(transport, method)()
    except RuntimeError as exc:
        assert str(exc) == "Event loop is closed"
    assert transport.is_closing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        del transport, near, _
        gc.collect()
    with far:
        assert far.recv(1) == b""


async def test_callbacks_run_in_the_context_of_their_connection(loop):
    variable = contextvars.ContextVar("variable", default="outside")
    seen = []

    class Looks(Recorder):
        def note(self, event):
            super().note(event)
            seen.append((event, variable.get()))
            variable.set(f"set by {event}")

    near, far = socket_pair()

    async def connect():
        variable.set("connecting")
        return await loop.create_connection(Looks, sock=near)

    _, protocol = await loop.create_task(connect())
    with far:
        far.send(b"one")
        await protocol.bytes_received(3)
        far.shutdown(socket.SHUT_WR)
        await protocol.lost
    assert variable.get() == "outside"
    assert [event for event, _ in seen] == ["made", "data", "eof", "lost"]
    assert seen[0] == ("made", "connecting")
    assert "outside" not in [value for _, value in seen]


async def test_accepted_connections_have_contexts_of_their_own(loop):
    variable = contextvars.ContextVar("variable", default="unset")
    protocols = []

    class Looks(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            self.values = [variable.get()]
            protocols.append(self)

        def data_received(self, data):
            self.values.append(variable.get())
            variable.set(data.decode())
            super().data_received(data)

    variable.set("serving")
    server = await loop.create_server(Looks, "127.0.0.1", 0)
    variable.set("later")
    address = server.sockets[0].getsockname()
    clients = []
    for number in range(3):
        clients.append(socket.create_connection(address))
        while len(protocols) <= number:
            await polled()
    for turn in (1, 2):
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        for protocol in protocols:
            await protocol.bytes_received(turn)
    for client in clients:
        client.close()
    await asyncio.wait([protocol.lost for protocol in protocols])
    assert [protocol.values for protocol in protocols] == [
        ["serving", "serving", str(number)] for number in range(3)
    ]
    assert variable.get() == "later"
    server.close()
    await server.wait_closed()
