"""BufferedProtocol: the transport receives into the protocol's own buffer."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import sys

import pytest

from support.protocols import BufferedRecorder, Calls, Recorder
from support.sockets import KINDS, both_ends, connected, polled, socket_pair

pytestmark = pytest.mark.timeout(30)
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
async def test_data_arrives_in_the_protocols_buffer(kind):
    async with both_ends(far_factory=BufferedRecorder, kind=kind) as (left, right):
        left.transport.write(b"some data")
        assert await right.bytes_received(9) == b"some data"
        assert right.buffer.startswith(b"some data")
        left.transport.close()
        assert await right.lost is None
        assert right.events == ["made", "data", "eof", "lost"]


async def test_the_hint_is_minus_one():
    async with connected(BufferedRecorder) as (_, protocol, far):
        far.send(b"data")
        await protocol.bytes_received(4)
        assert set(protocol.hints) == {-1}


@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
async def test_buffers_of_each_size_are_used(size):
    data = bytes(range(256)) * (4 if size < 100 else 4096)
    async with both_ends(far_factory=lambda: BufferedRecorder(size)) as (left, right):
        left.transport.write(data)
        left.transport.write_eof()
        await right.eof
        assert right.received == data


async def test_never_more_is_stored_than_the_buffer_holds():
    class Small(BufferedRecorder):
        def __init__(self):
            super().__init__(16)
            self.counts = []

        def get_buffer(self, sizehint):
            return memoryview(self.buffer)[4:12]

        def buffer_updated(self, nbytes):
            self.counts.append(nbytes)
            self.arrived(bytes(self.buffer[4 : 4 + nbytes]))
            assert self.buffer[:4] == self.buffer[12:] == bytes(4)

    async with connected(Small) as (_, protocol, far):
        far.send(b"0123456789abcdefghij")
        assert await protocol.bytes_received(20) == b"0123456789abcdefghij"
        assert protocol.counts == [8, 8, 4]


@pytest.mark.parametrize(
    "make", [bytearray, lambda size: memoryview(bytearray(size)), lambda size: array.array("B", bytes(size))]
)
async def test_each_writable_buffer_will_do(make):
    class Offers(BufferedRecorder):
        def __init__(self):
            super().__init__()
            self.buffer = make(64)

        def get_buffer(self, sizehint):
            return self.buffer

    async with connected(Offers) as (_, protocol, far):
        far.send(b"some data")
        assert await protocol.bytes_received(9) == b"some data"


async def test_another_buffer_may_be_offered_each_time():
    class Fresh(BufferedRecorder):
        def get_buffer(self, sizehint):
            self.buffer = bytearray(5)
            return self.buffer

    async with connected(Fresh) as (_, protocol, far):
        far.send(b"0123456789abc")
        assert await protocol.bytes_received(13) == b"0123456789abc"


async def test_a_buffer_is_not_held_after_buffer_updated():
    async with connected(BufferedRecorder) as (_, protocol, far):
        far.send(b"data")
        await protocol.bytes_received(4)
        await polled()
        protocol.buffer.extend(b"a buffer that is exported cannot be resized")


async def test_a_buffer_may_be_resized_within_buffer_updated():
    class Grows(BufferedRecorder):
        def get_buffer(self, sizehint):
            return self.buffer

        def buffer_updated(self, nbytes):
            super().buffer_updated(nbytes)
            del self.buffer[:]
            self.buffer += bytes(100)

    async with connected(Grows) as (_, protocol, far):
        far.send(b"one")
        await protocol.bytes_received(3)
        far.send(b"two")
        assert await protocol.bytes_received(6) == b"onetwo"


@each_kind
async def test_an_empty_buffer_ends_the_connection(loop_errors, kind):
    class Empty(BufferedRecorder):
        def get_buffer(self, sizehint):
            return bytearray()

    async with connected(Empty, kind) as (transport, protocol, far):
        far.send(b"data")
        error = await protocol.lost
        assert type(error) is RuntimeError
        assert str(error) == "get_buffer() returned an empty buffer"
        assert loop_errors == [
            {
                "message": "Fatal error: protocol.get_buffer() call failed.",
                "exception": error,
                "transport": transport,
                "protocol": protocol,
            }
        ]
        loop_errors.clear()
        assert protocol.events == ["made", "lost"]


@pytest.mark.parametrize("answer", [None, 5])
async def test_something_that_is_no_buffer_ends_the_connection(loop_errors, answer):
    class Wrong(BufferedRecorder):
        def get_buffer(self, sizehint):
            return answer

    async with connected(Wrong) as (transport, protocol, far):
        far.send(b"data")
        assert isinstance(await protocol.lost, TypeError)
        (context,) = loop_errors
        loop_errors.clear()
        assert context["transport"] is transport
        assert context["message"] == "Fatal error: protocol.get_buffer() call failed."


@pytest.mark.parametrize("answer", ["text", b"bytes cannot be changed", memoryview(b"nor this")])
async def test_a_buffer_that_cannot_be_written_ends_the_connection(loop_errors, answer):
    class Wrong(BufferedRecorder):
        def get_buffer(self, sizehint):
            return answer

    async with connected(Wrong) as (transport, protocol, far):
        far.send(b"data")
        assert isinstance(await protocol.lost, (TypeError, BufferError))
        (context,) = loop_errors
        loop_errors.clear()
        assert context["transport"] is transport
        assert context["protocol"] is protocol
        assert context["message"].startswith("Fatal ")


async def test_the_end_of_the_stream_needs_no_buffer_updated():
    async with connected(BufferedRecorder) as (_, protocol, far):
        far.shutdown(socket.SHUT_WR)
        assert await protocol.lost is None
        assert protocol.events == ["made", "eof", "lost"]
        assert protocol.received == b""


@pytest.mark.parametrize("action", ["close", "abort", "pause_reading"])
async def test_the_transport_can_be_stopped_in_buffer_updated(action):
    factory = Calls("buffer_updated", lambda transport: getattr(transport, action)(), BufferedRecorder)
    async with connected(factory) as (_, protocol, far):
        far.send(b"one")
        await protocol.bytes_received(3)
        if action == "pause_reading":
            far.send(b"two")
            await polled()
        else:
            assert await protocol.lost is None
        assert protocol.received == b"one"


@pytest.mark.parametrize("action", ["close", "abort"])
async def test_the_transport_can_be_closed_in_get_buffer(action):
    class Closes(BufferedRecorder):
        def get_buffer(self, sizehint):
            getattr(self.transport, action)()
            return super().get_buffer(sizehint)

    async with connected(Closes) as (_, protocol, far):
        far.send(b"one")
        assert await protocol.lost is None
        assert protocol.events == ["made", "data", "lost"]
        assert protocol.received == b"one"


async def test_the_protocol_can_be_changed_in_get_buffer():
    second = None

    class Changes(BufferedRecorder):
        def get_buffer(self, sizehint):
            self.transport.set_protocol(second)
            return second.get_buffer(sizehint)

    async with connected(Changes) as (transport, first, far):
        second = BufferedRecorder()
        far.send(b"one")
        assert await second.bytes_received(3) == b"one"
        assert first.received == b""
        transport.set_protocol(first)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="buffers in Python code are from 3.12 on")
async def test_giving_a_buffer_back_may_run_code_that_fails_a_system_call():
    class Buffer:
        def __init__(self):
            self.memory = bytearray(10)

        def __len__(self):
            return len(self.memory)

        def __buffer__(self, flags):
            return memoryview(self.memory)

        def __release_buffer__(self, view):
            with contextlib.suppress(OSError):
                os.close(-1)  # EBADF, where there was EAGAIN

    class Offers(BufferedRecorder):
        def get_buffer(self, sizehint):
            near.recv(10)  # what made the socket readable
            return Buffer()

    near, far = socket_pair()
    transport, protocol = await asyncio.get_running_loop().create_connection(Offers, sock=near)
    with far:
        far.send(b"one")
        await polled()
        assert protocol.events == ["made"]
        transport.close()
        await protocol.lost


async def test_the_protocol_can_be_changed_in_buffer_updated():
    second = None

    def change(transport):
        nonlocal second
        second = Recorder()
        transport.set_protocol(second)

    async with connected(Calls("buffer_updated", change, BufferedRecorder)) as (transport, first, far):
        far.send(b"one")
        await first.bytes_received(3)
        far.send(b"two")
        assert await second.bytes_received(3) == b"two"
        assert first.received == b"one"
        transport.set_protocol(first)


async def test_a_protocol_that_is_both_kinds_gets_the_buffered_calls():
    class Both(BufferedRecorder, asyncio.Protocol):
        def data_received(self, data):
            raise AssertionError("not called")

    async with connected(Both) as (_, protocol, far):
        far.send(b"data")
        assert await protocol.bytes_received(4) == b"data"


async def test_a_large_stream_arrives_whole():
    data = bytes(range(256)) * 40_000
    async with both_ends(far_factory=lambda: BufferedRecorder(100_000)) as (left, right):
        left.transport.write(data)
        left.transport.close()
        assert await right.lost is None
        assert right.received == data
