"""What arrives after the handshake and is no TLS: the connection ends, with the same error on both loops."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from support.certificates import client_context, limited, server_context
from support.protocols import BufferedRecorder, Recorder
from support.sockets import polled
from support.tls_peer import HEADER, better_than_asyncio, each_role, facing, loss
from support.tls_stories import described, same_on_asyncio

pytestmark = pytest.mark.timeout(30)
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
each_end = pytest.mark.parametrize("role, version", [("client", NEW), ("client", OLD), ("server", NEW)])
FACTORIES = {"Protocol": Recorder, "BufferedProtocol": BufferedRecorder, "7": lambda: BufferedRecorder(7)}
each_factory = pytest.mark.parametrize("factory", FACTORIES)


def changed(record, place, value=None):
    data = bytearray(record)
    data[place] = data[place] ^ 1 if value is None else value
    return bytes(data)


# As OpenSSL calls it, before and from 3.2 on.
DAMAGED = ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "RECORD_LAYER_FAILURE")
DAMAGE = {
    "the last byte": lambda record: changed(record, -1),
    "the first byte of the text": lambda record: changed(record, HEADER + 8),
    "the type": lambda record: changed(record, 0, 99),
    "the version": lambda record: changed(record, 1, 9),
    "the length, too short": lambda record: changed(record, 4, 3),
    "nothing, but it comes again": None,
    "nothing, but the one before is missing": None,
    "an alert in the clear": lambda record: b"\x15\x03\x03\x00\x02\x02\x28",
    "a warning in the clear": lambda record: b"\x15\x03\x03\x00\x02\x01\x5a",
    "a goodbye in the clear": lambda record: b"\x15\x03\x03\x00\x02\x01\x00",
    "a greeting": lambda record: b"\x16\x03\x03\x00\x04\x01\x00\x00\x00",
    "empty": lambda record: b"\x17\x03\x03\x00\x00",
    "too long": lambda record: b"\x17\x03\x03\x48\x01" + bytes(0x4801),
    "HTTP": lambda record: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeros": lambda record: bytes(64),
}


def context_for(role, version):
    return limited(client_context() if role == "server" else server_context(), version)


async def told(protocol):
    """The protocol's whole story."""
    error = await loss(protocol)
    return protocol.events, bytes(protocol.received), described(error)


@pytest.mark.native_only
@each_end
@pytest.mark.parametrize("factory", ["Protocol", "BufferedProtocol"])
@pytest.mark.parametrize("name", DAMAGE)
def test_a_record_that_is_damaged(loop, loop_errors, name, role, version, factory):
    async def scenario():
        async with facing(FACTORIES[factory], role, peer_context=context_for(role, version)) as (
            protocol,
            peer,
        ):
            await peer.send(b"good")
            await protocol.bytes_received(4)
            record = peer.seal(b"damaged")
            if name == "nothing, but it comes again":
                await peer.send_raw(record)
                await protocol.bytes_received(11)
            damage = DAMAGE[name]
            if name == "nothing, but the one before is missing":
                record = peer.seal(b"the next")
            await peer.send_raw(damage(record) if damage else record)
            await polled()
            peer.end()
            story = await told(protocol)
            transport = protocol.transport
            transport.write(b"ignored")
            transport.close()
            assert transport.is_closing()
            return story

    events, received, error = same_on_asyncio(loop, loop_errors, scenario)
    assert events[:2] == ["made", "data"]
    assert events[-1] == "lost"
    if name in ("the last byte", "the first byte of the text", "nothing, but the one before is missing"):
        assert received == b"good"
        kind, details = error
        assert kind is ssl.SSLError
        assert details["reason"] in DAMAGED


@pytest.mark.native_only
@each_end
@each_factory
@pytest.mark.parametrize("kept", [1, HEADER, HEADER + 1, -1])
def test_a_record_that_is_cut_short(loop, loop_errors, kept, role, version, factory):
    """The stream ends below TLS, in the midst of a record: what came before has arrived."""

    async def scenario():
        async with facing(FACTORIES[factory], role, peer_context=context_for(role, version)) as (
            protocol,
            peer,
        ):
            await peer.send(b"good")
            await protocol.bytes_received(4)
            await peer.send_raw(peer.seal(b"cut")[:kept])
            peer.end()
            return await told(protocol)

    events, received, _ = same_on_asyncio(loop, loop_errors, scenario)
    assert received == b"good"
    assert events == ["made", "data", "eof", "lost"]


@pytest.mark.native_only
@each_role
@each_factory
def test_whole_records_before_one_that_is_cut_short(loop, loop_errors, role, factory):
    async def scenario():
        async with facing(FACTORIES[factory], role) as (protocol, peer):
            await peer.send_raw(peer.seal(b"one") + peer.seal(b"two") + peer.seal(b"cut")[:-1])
            peer.end()
            return await told(protocol)

    events, received, error = same_on_asyncio(loop, loop_errors, scenario)
    if factory != "7":  # a small buffer loses what asyncio has not read when the end arrives
        assert received == b"onetwo"
    assert events == ["made", "data", "eof", "lost"]
    assert error is None


@better_than_asyncio  # asyncio drops what it has read together with a broken record
@each_role
@each_factory
async def test_good_records_before_a_broken_one_arrive(role, factory):
    async with facing(FACTORIES[factory], role) as (protocol, peer):
        await peer.send_raw(peer.seal(b"one") + peer.seal(b"two") + changed(peer.seal(b"bad"), -1))
        error = await loss(protocol)
        assert protocol.received == b"onetwo"
        assert isinstance(error, ssl.SSLError)
        assert error.reason in DAMAGED


@each_role
@pytest.mark.parametrize("size", [1, 7, 100])
async def test_records_that_arrive_in_pieces(role, size):
    data = bytes(range(256)) * 4
    async with facing(Recorder, role) as (protocol, peer):
        stream = peer.seal(data[:10]) + peer.seal(data[10:])
        for start in range(0, len(stream), size):
            await peer.send_raw(stream[start : start + size])
            if start // size % 5 == 0:
                await asyncio.sleep(0)
        assert await protocol.bytes_received(len(data)) == data


async def test_a_stream_reader_raises_the_error():
    """Whoever reads gets the error, after what has arrived before."""
    async with facing(Recorder) as (protocol, peer):
        reader = asyncio.StreamReader()
        protocol.transport.set_protocol(asyncio.StreamReaderProtocol(reader))
        await peer.send(b"line\nrest")
        assert await reader.readline() == b"line\n"
        await peer.send_raw(changed(peer.seal(b"x"), -1))
        with pytest.raises(ssl.SSLError) as caught:
            await reader.readline()
        assert caught.value.reason in DAMAGED
        protocol.lost.set_result(None)
