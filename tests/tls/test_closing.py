"""close() and abort(): what was written arrives, no peer can hold the end up, and it is told once."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
import zlib

import pytest

from support.certificates import client_context, limited, server_context
from support.descriptors import none_leaked
from support.protocols import BufferedRecorder, Recorder
from support.sockets import polled, reset
from support.tls_peer import better_than_asyncio, each_role, facing, loss

pytestmark = pytest.mark.timeout(60)
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
each_end = pytest.mark.parametrize("role, version", [("client", NEW), ("client", OLD), ("server", NEW)])
each_way = pytest.mark.parametrize("way", ["direct", "start_tls"])


def end(role, version=NEW, factory=Recorder, **options):
    peer_context = client_context() if role == "server" else server_context()
    return facing(factory, role, peer_context=limited(peer_context, version), **options)


async def received_slowly(peer, pause):
    """How much arrives until the close_notify, and its checksum, read in pieces by a peer in no hurry."""
    count = checksum = rounds = 0
    while piece := await peer.read(50_000):
        count += len(piece)
        checksum = zlib.crc32(piece, checksum)
        rounds += 1
        if rounds % 16 == 0:
            await asyncio.sleep(pause)
    return count, checksum


@each_end
@each_way
async def test_everything_written_before_close_arrives(role, version, way):
    data = bytes(range(250)) * 40_000  # 10 MB
    async with end(role, version, way=way) as (protocol, peer):
        for start in range(0, len(data), 3_000_000):
            protocol.transport.write(data[start : start + 3_000_000])
        protocol.transport.close()
        assert protocol.transport.is_closing()
        protocol.transport.write(b"too late")
        count, checksum = await received_slowly(peer, 0.001)
        assert count == len(data)
        assert checksum == zlib.crc32(data)
        await peer.say_goodbye()
        assert await loss(protocol) is None
        assert protocol.events[-1] == "lost"


@each_end
async def test_close_waits_for_the_goodbye(role, version):
    async with end(role, version) as (protocol, peer):
        protocol.transport.close()
        assert await peer.read() == b""
        await polled(3)
        assert not protocol.lost.done()
        await peer.say_goodbye()
        assert await loss(protocol) is None


@each_end
async def test_close_needs_no_goodbye_when_the_peer_goes(role, version):
    async with end(role, version) as (protocol, peer):
        protocol.transport.close()
        assert await peer.read() == b""
        peer.end()
        assert await loss(protocol) is None


@each_end
async def test_a_peer_that_says_no_goodbye_is_waited_for_so_long(role, version):
    """It has read everything, and goes on reading."""
    async with end(role, version, ssl_shutdown_timeout=0.05) as (protocol, peer):
        started = time.monotonic()
        protocol.transport.write(b"last words")
        protocol.transport.close()
        assert await peer.read_to_end() == b"last words"
        error = await loss(protocol, 5)
        assert 0.03 < time.monotonic() - started < 4
        assert isinstance(error, TimeoutError)
        assert str(error) == "SSL shutdown timed out"


@each_end
async def test_a_peer_that_does_not_read_is_waited_for_so_long(role, version):
    async with end(role, version, ssl_shutdown_timeout=0.05) as (protocol, _peer):
        protocol.transport.write(bytes(20_000_000))
        protocol.transport.close()
        started = time.monotonic()
        error = await loss(protocol, 5)
        assert time.monotonic() - started < 4
        assert isinstance(error, TimeoutError)
        assert str(error) == "SSL shutdown timed out"


@each_end
async def test_a_peer_that_sends_on_after_close_is_not_heard(role, version):
    """What arrives after close() is not for the protocol; it does not put the end off."""
    async with end(role, version, ssl_shutdown_timeout=0.5) as (protocol, peer):
        protocol.transport.close()
        await peer.send_raw(peer.seal(b"I go on") + peer.seal_goodbye())
        await loss(protocol, 5)
        assert "data" not in protocol.events


@each_end
@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_peer_that_vanishes_during_close(role, version, ending):
    async with end(role, version) as (protocol, peer):
        protocol.transport.write(bytes(5_000_000))
        protocol.transport.close()
        await polled()
        (peer.sock.close if ending == "close" else lambda: reset(peer.sock))()
        error = await loss(protocol, 5)
        assert error is None or isinstance(error, ConnectionError)
        assert protocol.events[-1] == "lost"


@each_end
async def test_a_peer_that_resets_is_told_as_such(role, version):
    async with end(role, version) as (protocol, peer):
        await peer.send(b"data")
        await protocol.bytes_received(4)
        reset(peer.sock)
        error = await loss(protocol)
        assert type(error) is ConnectionResetError
        assert protocol.events == ["made", "data", "lost"]
        protocol.transport.write(b"into the void")
        protocol.transport.close()
        protocol.transport.abort()
        await polled()


@each_end
@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
async def test_abort_is_immediate(role, version, factory):
    async with end(role, version, factory) as (protocol, peer):
        await peer.send(b"data")
        await protocol.bytes_received(4)
        protocol.transport.write(bytes(20_000_000))
        await peer.send(b"more")
        protocol.transport.abort()
        protocol.transport.abort()
        assert await loss(protocol, 2) is None
        assert protocol.received == b"data"
        assert protocol.transport.is_closing()
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            while await peer.read():
                pass


@each_role
async def test_abort_while_close_waits(role):
    async with end(role) as (protocol, _peer):
        protocol.transport.write(bytes(20_000_000))
        protocol.transport.close()
        await polled()
        protocol.transport.abort()
        assert await loss(protocol, 2) is None


@each_end
async def test_data_and_a_goodbye_in_one_piece(role, version):
    async with end(role, version) as (protocol, peer):
        await peer.send_raw(peer.seal(b"all I have") + peer.seal_goodbye())
        assert await peer.read_to_end() == b""
        assert await loss(protocol) is None
        assert protocol.received == b"all I have"
        assert protocol.events == ["made", "data", "eof", "lost"]


@each_end
async def test_what_waits_is_sent_after_the_peers_goodbye(role, version):
    """In TLS 1.3 one may go on writing when the other has said all; asyncio sends at least what waits."""
    data = bytes(3_000_000)
    async with end(role, version) as (protocol, peer):
        protocol.transport.write(data)
        await peer.say_goodbye()
        received = 0
        try:
            while piece := await peer.read():
                received += len(piece)
        except ssl.SSLError as error:  # a second goodbye is not to be had in every case
            assert error.reason in ("APPLICATION_DATA_AFTER_CLOSE_NOTIFY", "UNEXPECTED_EOF_WHILE_READING")
        assert await loss(protocol) is None
        assert received <= len(data)
        assert protocol.events[-2:] == ["eof", "lost"]


@better_than_asyncio
@each_role
async def test_a_goodbye_does_not_cut_off_what_waits(role):
    """All that was written before the peer's goodbye came is sent, however slowly it reads."""
    data = bytes(3_000_000)
    async with end(role, NEW) as (protocol, peer):
        protocol.transport.write(data)
        await peer.say_goodbye()
        assert len(await peer.read_to_end()) == len(data)
        assert await loss(protocol) is None


@each_role
async def test_streams_close_in_order(role):
    async with end(role) as (protocol, peer):
        reader = asyncio.StreamReader()
        inner = asyncio.StreamReaderProtocol(reader)
        transport = protocol.transport
        transport.set_protocol(inner)
        inner.connection_made(transport)
        writer = asyncio.StreamWriter(transport, inner, reader, asyncio.get_running_loop())
        writer.write(b"question")
        await writer.drain()
        assert await peer.read_exactly(8) == b"question"
        await peer.send(b"answer")
        await peer.say_goodbye()
        assert await reader.read() == b"answer"
        writer.close()
        assert await peer.read_to_end() == b""
        await writer.wait_closed()
        protocol.lost.set_result(None)


@pytest.mark.native_only
async def test_nothing_is_left_of_a_hundred_connections():
    with none_leaked():
        for number in range(100):
            async with end("client" if number % 2 else "server", way="direct") as (protocol, peer):
                protocol.transport.write(b"x" * number)
                if number % 5 == 0:
                    protocol.transport.abort()
                elif number % 5 == 1:
                    peer.sock.shutdown(socket.SHUT_RDWR)
                elif number % 5 == 2:
                    await peer.send_raw(b"garbage, not a record")
                else:
                    protocol.transport.close()
                    await peer.say_goodbye()
                await loss(protocol)
        await polled()
