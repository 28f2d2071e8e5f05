"""Peers that are no help: they reset, stall, send one byte at a time, never read, or are not there."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from support.protocols import BufferedRecorder, Recorder
from support.sockets import connected, fill, full_address, polled, read_to_end, reset, silent_address, sockets

pytestmark = pytest.mark.timeout(60)
KINDS = ("tcp", "accepted")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_that_resets_is_told_as_such(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        reset(far)
        error = await protocol.lost
        assert type(error) is ConnectionResetError
        assert error.errno == errno.ECONNRESET
        assert protocol.events == ["made", "lost"]
        assert transport.is_closing()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_reset_while_much_waits_to_be_sent(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        await fill(transport)
        reset(far)
        error = await protocol.lost
        assert isinstance(error, ConnectionResetError)
        assert transport.get_write_buffer_size() == 0
        transport.write(b"after")
        assert transport.get_write_buffer_size() == 0


@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_that_sends_one_byte_at_a_time(kind, factory):
    data = bytes(range(256)) * 2
    async with connected(factory, kind) as (_, protocol, far):
        for number in range(len(data)):
            far.send(data[number : number + 1])
            if number % 3 == 0:
                await asyncio.sleep(0)
        assert await protocol.bytes_received(len(data)) == data
        far.shutdown(socket.SHUT_WR)
        await protocol.eof
        assert await protocol.lost is None
        assert protocol.events == ["made", "data", "eof", "lost"]


async def test_a_stream_reader_gets_lines_byte_by_byte():
    with sockets("unix") as (near, far):
        reader, writer = await asyncio.open_connection(sock=near)
        for byte in b"one\ntwo\nrest":
            far.send(bytes([byte]))
            await asyncio.sleep(0)
        far.shutdown(socket.SHUT_WR)
        assert await reader.readline() == b"one\n"
        assert await reader.readline() == b"two\n"
        assert await reader.read() == b"rest"
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_that_never_reads_holds_the_writer_back(kind):
    """Who minds pause_writing() keeps no more than the limit waiting; abort() discards it."""
    high, piece = 100_000, bytes(10_000)
    async with connected(kind=kind) as (transport, protocol, _):
        transport.set_write_buffer_limits(high=high)
        written = 0
        while protocol.events[-1] != "pause":
            transport.write(piece)
            written += len(piece)
            await polled(1)
        assert high < transport.get_write_buffer_size() <= high + len(piece)
        await polled(5)
        assert protocol.events == ["made", "pause"]
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        assert await protocol.lost is None
        assert protocol.events == ["made", "pause", "lost"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_that_never_reads_does_not_end_a_close(kind):
    """close() sends what waits, however long that takes; abort() ends even that."""
    async with connected(kind=kind) as (transport, protocol, _):
        await fill(transport)
        transport.close()
        await polled(5)
        assert not protocol.lost.done()
        assert transport.get_write_buffer_size() > 0
        transport.abort()
        assert await protocol.lost is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_that_stalled_gets_everything_when_it_reads_again(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        written = await fill(transport)
        transport.close()
        await polled(3)
        assert len(await read_to_end(far)) == written
        assert await protocol.lost is None


@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_that_has_said_all_can_still_be_answered(kind):
    def factory():
        protocol = Recorder()
        protocol.keep_open = True
        return protocol

    async with connected(factory, kind) as (transport, protocol, far):
        far.shutdown(socket.SHUT_WR)
        await protocol.eof
        transport.write(b"the answer")
        transport.close()
        assert await read_to_end(far) == b"the answer"
        assert await protocol.lost is None


async def test_a_peer_that_is_not_there(loop):
    with silent_address() as address:
        with pytest.raises(ConnectionRefusedError) as caught:
            await loop.create_connection(Recorder, *address)
        assert caught.value.errno == errno.ECONNREFUSED


async def test_a_peer_that_does_not_accept(loop):
    """The caller's patience ends first; nothing of the attempt stays."""
    with full_address() as address, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await loop.create_connection(Recorder, *address)


async def test_connections_that_are_reset_before_they_are_accepted(loop):
    """Whatever the server sees of them, it goes on serving."""
    made = []

    def factory():
        made.append(Recorder())
        return made[-1]

    server = await loop.create_server(factory, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    for _ in range(20):
        reset(socket.create_connection(address))
    await polled()
    with socket.create_connection(address) as good:
        good.sendall(b"hello")
        good.shutdown(socket.SHUT_WR)
        while not any(protocol.received == b"hello" for protocol in made):
            await polled(1)
        server.close()
        await asyncio.wait([protocol.lost for protocol in made])
