"""Stream transports: what a protocol is told and when, closing, changing protocols."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import warnings

import pytest

from support.protocols import BufferedRecorder, Calls, Recorder, half_open
from support.sockets import (
    KINDS,
    SOCKETS,
    both_ends,
    connected,
    fill,
    polled,
    read_to_end,
    reset,
    socket_pair,
)

pytestmark = pytest.mark.timeout(30)
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
async def test_events_come_in_order(kind):
    async with both_ends(kind=kind) as (left, right):
        left.transport.write(b"hello")
        left.transport.close()
        assert await right.lost is None
        assert await left.lost is None
        assert right.events == ["made", "data", "eof", "lost"]
        assert left.events == ["made", "lost"]
        assert right.received == b"hello"


async def test_connection_made_has_been_called_when_create_connection_returns():
    async with connected() as (transport, protocol, _):
        assert protocol.events == ["made"]
        assert protocol.transport is transport


async def test_data_that_waits_already_comes_after_connection_made(loop):
    near, far = socket_pair()
    far.sendall(b"early")
    far.close()
    _, protocol = await loop.create_connection(Recorder, sock=near)
    assert await protocol.lost is None
    assert protocol.events == ["made", "data", "eof", "lost"]
    assert protocol.received == b"early"


@each_kind
async def test_eof_arrives_after_all_data(kind):
    async with both_ends(kind=kind) as (left, right):
        left.transport.write(b"x" * 1_000_000)
        left.transport.write_eof()
        await right.eof
        assert len(right.received) == 1_000_000
        assert right.events[:3] == ["made", "data", "eof"]


@pytest.mark.parametrize("answer", [None, False, 0, ""])
async def test_eof_received_that_answers_false_closes_the_transport(answer):
    async with connected() as (transport, protocol, far):
        protocol.keep_open = answer
        far.shutdown(socket.SHUT_WR)
        await protocol.eof
        assert transport.is_closing()
        assert await protocol.lost is None
        assert await read_to_end(far) == b""


@pytest.mark.parametrize("answer", [True, 1, "yes"])
async def test_eof_received_that_answers_true_keeps_the_writing_side(answer):
    async with connected() as (transport, protocol, far):
        protocol.keep_open = answer
        far.shutdown(socket.SHUT_WR)
        await protocol.eof
        await polled()
        assert not transport.is_closing()
        transport.write(b"still here")
        transport.close()
        assert await read_to_end(far) == b"still here"
        assert await protocol.lost is None
        assert protocol.events == ["made", "eof", "lost"]


@each_kind
async def test_a_half_closed_transport_still_receives(kind):
    async with both_ends(far_factory=half_open, kind=kind) as (left, right):
        left.transport.write(b"question")
        left.transport.write_eof()
        await right.eof
        right.transport.write(b"answer")
        assert await left.bytes_received(6) == b"answer"
        assert left.events == ["made", "data"]
        right.transport.close()
        assert await left.lost is None
        assert await right.lost is None


@each_kind
async def test_both_sides_can_half_close_one_after_the_other(kind):
    async with both_ends(half_open, half_open, kind) as (left, right):
        left.transport.write_eof()
        await right.eof
        right.transport.write(b"last words")
        right.transport.write_eof()
        await left.eof
        assert left.received == b"last words"
        assert not left.transport.is_closing()
        assert not right.transport.is_closing()


@each_kind
async def test_close_sends_what_was_written(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        size = await fill(transport)
        transport.write(bytes(range(256)) * 20_000)
        transport.close()
        assert transport.get_write_buffer_size() > 0
        assert transport.is_closing()
        assert not protocol.lost.done()
        assert await read_to_end(far) == bytes(size) + bytes(range(256)) * 20_000
        assert await protocol.lost is None


async def test_close_stops_reading_at_once():
    async with connected() as (transport, protocol, far):
        await fill(transport)
        transport.close()
        far.send(b"too late")
        await polled()
        assert protocol.events == ["made"]


@each_kind
async def test_abort_discards_what_was_not_sent(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        size = await fill(transport)
        assert transport.get_write_buffer_size() > 0
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        assert transport.is_closing()
        assert await protocol.lost is None
        assert len(await read_to_end(far)) < size


async def test_abort_cuts_a_close_short():
    async with connected() as (transport, protocol, far):
        size = await fill(transport)
        transport.close()
        await polled()
        assert not protocol.lost.done()
        transport.abort()
        assert await protocol.lost is None
        assert len(await read_to_end(far)) < size


@pytest.mark.parametrize("first", ["close", "abort"])
@pytest.mark.parametrize("second", ["close", "abort"])
async def test_connection_lost_is_called_once_and_later(first, second):
    async with connected() as (transport, protocol, _):
        getattr(transport, first)()
        getattr(transport, second)()
        assert not protocol.lost.done()  # never from within close() or abort()
        assert await protocol.lost is None
        getattr(transport, second)()
        await polled()
        assert protocol.events == ["made", "lost"]


@pytest.mark.parametrize("action", ["close", "abort"])
@pytest.mark.parametrize("method", ["connection_made", "data_received", "eof_received", "connection_lost"])
async def test_a_transport_can_be_closed_in_each_callback(loop, method, action):
    near, far = socket_pair()
    with far:
        far.sendall(b"data")
        far.shutdown(socket.SHUT_WR)
        factory = Calls(method, lambda transport: getattr(transport, action)())
        _, protocol = await loop.create_connection(factory, sock=near)
        assert await protocol.lost is None
        await polled()
        before = {"connection_made": ["made"], "data_received": ["made", "data"]}
        assert protocol.events == [*before.get(method, ["made", "data", "eof"]), "lost"]
        assert near.fileno() == -1


async def test_the_protocol_can_be_changed():
    async with connected() as (transport, first, far):
        assert transport.get_protocol() is first
        far.send(b"one")
        await first.bytes_received(3)
        second = Recorder()
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        far.send(b"two")
        assert await second.bytes_received(3) == b"two"
        far.close()
        assert await second.lost is None
        assert second.events == ["data", "eof", "lost"]
        assert first.events == ["made", "data"]
        first.connection_lost(None)


async def test_the_kind_of_protocol_can_be_changed():
    async with connected() as (transport, first, far):
        far.send(b"one")
        await first.bytes_received(3)
        second = BufferedRecorder()
        transport.set_protocol(second)
        far.send(b"two")
        assert await second.bytes_received(3) == b"two"
        transport.set_protocol(first)
        far.send(b"three")
        assert await first.bytes_received(8) == b"onethree"
        assert second.received == b"two"


async def test_a_protocol_can_be_changed_while_it_is_called():
    second = None

    def change(transport):
        nonlocal second
        second = Recorder()
        transport.set_protocol(second)

    async with connected(Calls("data_received", change)) as (_, first, far):
        far.send(b"one")
        await first.bytes_received(3)
        far.send(b"two")
        assert await second.bytes_received(3) == b"two"
        assert first.received == b"one"
        far.close()
        await second.lost
        first.connection_lost(None)


async def test_a_reset_is_given_to_connection_lost():
    async with connected() as (_, protocol, far):
        reset(far)
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.events == ["made", "lost"]


async def test_a_peer_that_leaves_while_we_write_ends_the_connection():
    async with connected(half_open, "unix") as (transport, protocol, far):
        far.close()
        await protocol.eof
        transport.write(b"nobody listens")
        assert isinstance(await protocol.lost, BrokenPipeError)
        assert protocol.events == ["made", "eof", "lost"]


async def test_a_reset_ends_a_transport_that_has_data_to_send():
    async with connected() as (transport, protocol, far):
        transport.pause_reading()
        await fill(transport)
        reset(far)
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert transport.get_write_buffer_size() == 0


@pytest.mark.parametrize("kind", SOCKETS)
async def test_a_transport_that_is_dropped_warns_and_closes_its_socket(loop, kind):
    near, far = socket_pair(kind)
    far.setblocking(False)
    with far:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        transport.pause_reading()
        del near
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del transport
            gc.collect()
        messages = [str(warning.message) for warning in caught if warning.category is ResourceWarning]
        assert [text for text in messages if re.fullmatch(r"unclosed transport <.*fd=\d+.*>", text)]
        assert await read_to_end(far) == b""


async def test_a_transport_in_use_is_kept_alive_by_the_loop(loop):
    near, far = socket_pair()
    with far:
        _, protocol = await loop.create_connection(Recorder, sock=near)
        protocol.transport = None
        del near
        gc.collect()
        far.send(b"data")
        assert await protocol.bytes_received(4) == b"data"
        far.close()
        assert await protocol.lost is None


async def test_the_repr_shows_the_descriptor_and_the_state():
    async with connected() as (transport, protocol, _):
        descriptor = transport.get_extra_info("socket").fileno()
        shape = rf"<\w+ fd={descriptor} read=polling write=<idle, bufsize=0>>"
        assert re.fullmatch(shape, repr(transport))
        transport.pause_reading()
        await fill(transport)
        size = transport.get_write_buffer_size()
        shape = rf"<\w+ fd={descriptor} read=idle write=<polling, bufsize={size}>>"
        assert re.fullmatch(shape, repr(transport))
        transport.abort()
        assert re.match(rf"<\w+ closing fd={descriptor} ", repr(transport))
        await protocol.lost
        assert re.match(rf"<\w+ closed fd={descriptor}", repr(transport))


async def test_a_transport_is_an_asyncio_transport():
    async with connected() as (transport, _, _):
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, asyncio.ReadTransport)
        assert isinstance(transport, asyncio.WriteTransport)
        assert not isinstance(transport, asyncio.DatagramTransport)
