"""The end of the stream while reading is paused: everything that was sent before it arrives afterwards.

The peer sends data, a close_notify and FIN in one go, or leaves the close_notify out. asyncio gives up what
it has not decrypted when it learns of the end.
"""

from __future__ import annotations

import asyncio
import ssl

import pytest

from support.certificates import client_context, limited, server_context
from support.protocols import BufferedRecorder, Recorder
from support.sockets import polled, socket_pair
from support.tls_peer import better_than_asyncio, each_role, facing, loss, peer_for

pytestmark = pytest.mark.timeout(60)

SMALL, LARGE = 20_000, 2_000_000
FACTORIES = {
    "Protocol": Recorder,
    "BufferedProtocol": BufferedRecorder,
    "100,000": lambda: BufferedRecorder(100_000),
    "7": lambda: BufferedRecorder(7),
}
each_wide_factory = pytest.mark.parametrize("factory", ["Protocol", "100,000"])
each_narrow_factory = pytest.mark.parametrize("factory", ["BufferedProtocol", "7"])
each_ending = pytest.mark.parametrize("goodbye", [True, False], ids=["goodbye", "no goodbye"])


def text(size):
    return bytes(range(251)) * (size // 251) + bytes(size % 251)


def sending(peer, data, goodbye=True):
    """A task in which the peer sends all, and ends the stream."""

    async def send():
        await peer.send_raw(peer.seal(data) + (peer.seal_goodbye() if goodbye else b""))
        peer.end()

    return asyncio.get_running_loop().create_task(send())


async def ended(protocol, data):
    assert await loss(protocol, 20) is None
    assert len(protocol.received) == len(data)
    assert protocol.received == data
    assert protocol.events == ["made", "data", "eof", "lost"]


async def little_data_and_the_end_at_once(role, factory, goodbye):
    data = text(SMALL)
    async with facing(FACTORIES[factory], role) as (protocol, peer):
        protocol.transport.pause_reading()
        await sending(peer, data, goodbye)
        await polled(4)
        assert protocol.events == ["made"]
        protocol.transport.resume_reading()
        await ended(protocol, data)


@each_role
@each_wide_factory
@each_ending
async def test_little_data_and_the_end_at_once(role, factory, goodbye):
    await little_data_and_the_end_at_once(role, factory, goodbye)


@better_than_asyncio
@each_role
@each_narrow_factory
@each_ending
async def test_little_data_and_the_end_for_a_small_buffer(role, factory, goodbye):
    await little_data_and_the_end_at_once(role, factory, goodbye)


async def much_data_and_the_end(role, factory, goodbye):
    data = text(LARGE if factory != "7" else 200_000)
    async with facing(FACTORIES[factory], role) as (protocol, peer):
        protocol.transport.pause_reading()
        task = sending(peer, data, goodbye)
        await polled(4)
        assert protocol.events == ["made"]
        protocol.transport.resume_reading()
        await ended(protocol, data)
        await task


@each_role
@each_wide_factory
@each_ending
async def test_much_data_and_the_end(role, factory, goodbye):
    await much_data_and_the_end(role, factory, goodbye)


@better_than_asyncio
@each_role
@each_narrow_factory
@each_ending
async def test_much_data_and_the_end_for_a_small_buffer(role, factory, goodbye):
    await much_data_and_the_end(role, factory, goodbye)


def pausing(factory):
    """A protocol that pauses reading at each piece, and resumes two turns later."""

    class Pausing(type(factory())):
        paused = False

        def arrived(self, piece):
            assert not self.paused, "data while reading is paused"
            super().arrived(piece)
            self.transport.pause_reading()
            self.paused = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self.resume)

        def resume(self):
            self.paused = False
            self.transport.resume_reading()

    return Pausing


async def reading_is_paused_at_each_piece(role, version, factory, size):
    data = text(size)
    context = limited(client_context() if role == "server" else server_context(), version)
    async with facing(pausing(FACTORIES[factory]), role, peer_context=context) as (protocol, peer):
        task = sending(peer, data)
        await ended(protocol, data)
        await task


each_version = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
each_size = pytest.mark.parametrize("size", [SMALL, LARGE])


@each_role
@each_version
@each_size
async def test_reading_that_is_paused_at_each_piece(role, version, size):
    await reading_is_paused_at_each_piece(role, version, "Protocol", size)


@better_than_asyncio
@each_role
@each_version
@each_size
async def test_reading_that_is_paused_at_each_piece_in_a_small_buffer(role, version, size):
    await reading_is_paused_at_each_piece(role, version, "BufferedProtocol", size)


@each_role
@each_size
@pytest.mark.parametrize("limit", [100, 5_000, 65_536])
@each_ending
async def test_a_stream_reader_with_a_small_limit(role, size, limit, goodbye):
    data = text(size)
    near, far = socket_pair()
    reader = asyncio.StreamReader(limit=limit)
    protocol = asyncio.StreamReaderProtocol(reader)
    with far:
        peer = peer_for(role, far)
        writer, _ = await asyncio.gather(opened(role, near, reader, protocol), peer.shake_hands())
        try:
            task = sending(peer, data, goodbye)
            await polled(4)
            received = bytearray()
            async with asyncio.timeout(20):
                while piece := await reader.read(limit):
                    received += piece
                    await asyncio.sleep(0)
            assert len(received) == size
            assert received == data
            await task
        finally:
            writer.transport.abort()
            await polled()


async def opened(role, near, reader, protocol):
    """The streams of a TLS connection in that role."""
    loop = asyncio.get_running_loop()
    if role == "client":
        transport, _ = await loop.create_connection(
            lambda: protocol, sock=near, ssl=client_context(), server_hostname="localhost"
        )
    else:
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, near, ssl=server_context())
    return asyncio.StreamWriter(transport, protocol, reader, loop)


@each_role
async def test_an_end_that_comes_alone_while_paused_waits_for_the_reader(role):
    async with facing(Recorder, role) as (protocol, peer):
        await peer.send(b"data")
        await protocol.bytes_received(4)
        protocol.transport.pause_reading()
        await peer.say_goodbye()
        peer.end()
        await polled(4)
        assert "eof" not in protocol.events
        protocol.transport.resume_reading()
        assert await loss(protocol) is None
        assert protocol.events == ["made", "data", "eof", "lost"]


async def ended_without_resuming(role, ending):
    async with facing(Recorder, role, ssl_shutdown_timeout=0.5) as (protocol, peer):
        protocol.transport.pause_reading()
        await sending(peer, text(SMALL))
        await polled(4)
        getattr(protocol.transport, ending)()
        await loss(protocol, 3)
        assert protocol.events[-1] == "lost"


@better_than_asyncio  # whose close() does nothing, and its timeout neither, once the end has arrived
@each_role
async def test_who_never_resumes_can_still_close(role):
    await ended_without_resuming(role, "close")


@each_role
async def test_who_never_resumes_can_still_abort(role):
    await ended_without_resuming(role, "abort")
