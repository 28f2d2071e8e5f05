"""The datagram transport: errors, closing, its write buffer, exceptions of its protocol."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import re
import socket
import sys
import warnings

import pytest

from support.datagrams import endpoint, name_of
from support.protocols import DatagramRecorder
from support.sockets import polled

pytestmark = pytest.mark.timeout(30)


def address_of_nobody():
    """A port that was just given up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()


async def test_a_refusal_is_told_to_the_protocol_and_the_transport_goes_on():
    async with endpoint(remote_addr=address_of_nobody()) as (transport, protocol):
        transport.sendto(b"anybody?")
        error = await protocol.errors.get()
        assert isinstance(error, ConnectionRefusedError)
        assert not transport.is_closing()
        transport.sendto(b"again?")
        assert isinstance(await protocol.errors.get(), ConnectionRefusedError)


async def test_a_datagram_that_is_too_large_is_told_to_the_protocol():
    async with endpoint() as (server, receiver), endpoint() as (transport, protocol):
        transport.sendto(bytes(70_000), name_of(server))
        error = await protocol.errors.get()
        assert error.errno == errno.EMSGSIZE
        assert not transport.is_closing()
        transport.sendto(b"small enough", name_of(server))
        assert (await receiver.datagrams.get())[0] == b"small enough"


async def test_large_datagrams_arrive_whole():
    async with endpoint() as (server, receiver), endpoint() as (transport, _):
        data = bytes(range(256)) * 250
        transport.sendto(data, name_of(server))
        assert (await receiver.datagrams.get())[0] == data


@pytest.mark.parametrize("address", [None, "127.0.0.1", ("127.0.0.1", "not a port"), ("127.0.0.1",)])
async def test_an_address_that_makes_no_sense_ends_the_transport(loop_errors, address):
    async with endpoint() as (transport, protocol):
        transport.sendto(b"data", address)
        assert isinstance(await protocol.lost, TypeError)
        (context,) = loop_errors
        loop_errors.clear()
        assert context["message"] == "Fatal write error on datagram transport"
        assert context["transport"] is transport
        assert context["protocol"] is protocol
        assert isinstance(context["exception"], TypeError)


@pytest.mark.parametrize("first", ["close", "abort"])
@pytest.mark.parametrize("second", ["close", "abort"])
async def test_connection_lost_is_called_once_and_later(first, second):
    async with endpoint() as (transport, protocol):
        assert not transport.is_closing()
        getattr(transport, first)()
        assert transport.is_closing()
        assert not protocol.lost.done()
        getattr(transport, second)()
        assert await protocol.lost is None
        assert transport.is_closing()
        assert transport.get_extra_info("socket").fileno() == -1


async def test_what_was_sent_before_close_arrives():
    async with endpoint() as (server, receiver), endpoint(remote_addr=name_of(server)) as (client, protocol):
        for number in range(20):
            client.sendto(b"%d" % number)
        client.close()
        assert await protocol.lost is None
        assert [(await receiver.datagrams.get())[0] for _ in range(20)] == [
            b"%d" % number for number in range(20)
        ]


async def test_a_closed_transport_hears_nothing():
    async with endpoint() as (server, receiver), endpoint() as (client, _):
        address = name_of(server)
        server.close()
        client.sendto(b"too late", address)
        await receiver.lost
        assert receiver.datagrams.empty()


async def test_repeated_sends_after_the_end_are_logged(caplog):
    caplog.set_level(logging.WARNING, "asyncio")
    async with endpoint() as (server, _), endpoint(remote_addr=name_of(server)) as (client, protocol):
        client.abort()
        for _ in range(7):
            client.sendto(b"ignored")
        await protocol.lost
        messages = [record.getMessage() for record in caplog.records]
        assert messages == ["socket.send() raised exception."] * 3


def full_pair():
    """A connected pair of Unix datagram sockets, the first of which has no room to send."""
    near, far = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    far.bind(f"\0veloop-full-pair-{os.getpid()}")
    near.connect(far.getsockname())
    near.setblocking(False)
    far.setblocking(False)
    count = 0
    while True:
        try:
            near.send(b"filler")
        except BlockingIOError:
            return near, far, count
        count += 1


async def receive(loop, sock, count):
    return [await loop.sock_recv(sock, 1 << 20) for _ in range(count)]


async def test_datagrams_wait_in_order_while_there_is_no_room(loop):
    near, far, count = full_pair()
    with far:
        async with endpoint(sock=near) as (transport, _):
            assert transport.get_write_buffer_size() == 0
            data = bytearray(b"0123")
            for _ in range(3):
                transport.sendto(data)
                data += b"4"
            assert transport.get_write_buffer_size() in (15, 15 + 3 * 8)  # headers are counted since 3.13
            received = await receive(loop, far, count + 3)
            assert received == [b"filler"] * count + [b"0123", b"01234", b"012344"]


async def test_close_sends_what_waits_and_abort_does_not(loop):
    for action in ("close", "abort"):
        near, far, count = full_pair()
        with far:
            async with endpoint(sock=near) as (transport, protocol):
                transport.sendto(b"last")
                getattr(transport, action)()
                await polled()
                assert protocol.lost.done() == (action == "abort")
                received = await receive(loop, far, count + (action == "close"))
                assert received == [b"filler"] * count + [b"last"] * (action == "close")
                assert await protocol.lost is None


async def test_writing_is_paused_and_resumed(loop):
    near, far, count = full_pair()
    with far:
        async with endpoint(sock=near) as (transport, protocol):
            assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
            transport.set_write_buffer_limits(high=1000)
            assert transport.get_write_buffer_limits() == (250, 1000)
            transport.sendto(bytes(900))
            assert protocol.events == []
            transport.sendto(bytes(200))
            assert protocol.events == ["pause"]
            await receive(loop, far, count + 2)
            await polled()
            assert protocol.events == ["pause", "resume"]


@pytest.mark.parametrize("method", ["datagram_received", "error_received"])
async def test_an_error_in_a_callback_is_reported_and_the_transport_goes_on(loop_errors, method):
    error = LookupError()

    class Fails(DatagramRecorder):
        pass

    def fail(self, *args):
        getattr(DatagramRecorder, method)(self, *args)
        raise error

    setattr(Fails, method, fail)
    if method == "error_received":
        async with endpoint(Fails, remote_addr=address_of_nobody()) as (transport, protocol):
            transport.sendto(b"x")
            await protocol.errors.get()
            assert not transport.is_closing()
    else:
        async with endpoint(Fails, local_addr=("127.0.0.1", 0)) as (transport, protocol):
            for _ in range(2):
                transport.sendto(b"x", name_of(transport))
                await protocol.datagrams.get()
            assert not transport.is_closing()
    assert {context["exception"] for context in loop_errors} == {error}
    assert len(loop_errors) == (1 if method == "error_received" else 2)
    loop_errors.clear()


@pytest.mark.parametrize("action", ["close", "abort"])
async def test_a_transport_can_be_closed_in_datagram_received(action):
    class Closes(DatagramRecorder):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            getattr(self.transport, action)()

    async with endpoint(Closes, local_addr=("127.0.0.1", 0)) as (transport, protocol):
        transport.sendto(b"one", name_of(transport))
        transport.sendto(b"two", name_of(transport))
        assert await protocol.lost is None
        assert protocol.datagrams.qsize() == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_in_datagram_received_leaves_run_forever(loop, error):
    class Interrupts(DatagramRecorder):
        def datagram_received(self, data, addr):
            raise error

    async def make():
        return await loop.create_datagram_endpoint(Interrupts, ("127.0.0.1", 0))

    transport, protocol = loop.run_until_complete(make())
    transport.sendto(b"x", name_of(transport))
    with pytest.raises(error):
        loop.run_forever()
    transport.abort()
    assert loop.run_until_complete(protocol.lost) is None


async def test_the_protocol_can_be_changed():
    async with endpoint() as (transport, first):
        assert transport.get_protocol() is first
        second = DatagramRecorder()
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        transport.sendto(b"x", name_of(transport))
        await second.datagrams.get()
        assert first.datagrams.empty()
        transport.set_protocol(first)


async def test_a_descriptor_in_use_cannot_be_watched(loop):
    async with endpoint() as (transport, _):
        with pytest.raises(RuntimeError, match="is used by transport"):
            loop.add_reader(transport.get_extra_info("socket").fileno(), print)


async def test_a_dropped_transport_warns(loop):
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    # Only a transport that is not watched any more can be collected.
    transport.pause_reading()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del transport
        gc.collect()
    messages = [str(warning.message) for warning in caught if warning.category is ResourceWarning]
    assert [text for text in messages if re.fullmatch(r"unclosed transport <.*fd=\d+.*>", text)]


async def test_a_datagram_transport_is_an_asyncio_transport(on_veloop):
    async with endpoint() as (transport, _):
        assert isinstance(transport, asyncio.Transport)
        if on_veloop or sys.version_info >= (3, 12):
            assert isinstance(transport, asyncio.DatagramTransport)
        assert re.match(r"<\w+ fd=\d+ read=polling write=<idle, bufsize=0>>", repr(transport))
