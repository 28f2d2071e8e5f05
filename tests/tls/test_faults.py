"""Faults at any moment of a TLS connection: it ends, once, with a fit error, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket

import pytest

from support.certificates import client_context, server_context
from support.descriptors import none_leaked
from support.protocols import BufferedRecorder, Recorder
from support.sockets import polled, reset, socket_pair
from support.tls_peer import connecting, each_role, facing, loss, peer_for, records
from support.tls_stories import outcome

pytestmark = pytest.mark.timeout(60)
each_way = pytest.mark.parametrize("way", ["direct", "start_tls"])

STAGES = ["before the greeting", "after the greeting", "in the midst of the flight", "after the flight"]
FAULTS = {
    "reset": lambda peer: reset(peer.sock),
    "close": lambda peer: peer.sock.close(),
    "half close": lambda peer: peer.sock.shutdown(socket.SHUT_WR),
    "garbage": lambda peer: peer.sock.send(b"garbage: \x17\x03\x03 and more of it" * 3),
    "stall": lambda peer: None,
}


async def hand_over(peer, role, stage):
    """The peer goes so far in the handshake, and no further."""
    if stage == "before the greeting":
        return
    if role == "client":  # whose greeting comes first
        peer.incoming.write(await peer.receive_raw())
        if stage == "after the greeting":
            return
    with pytest.raises(Exception, match=r"want to read|did not complete"):
        peer.tls.do_handshake()
    flight = records(peer.outgoing.read())
    if stage == "in the midst of the flight":
        flight[-1] = flight[-1][: len(flight[-1]) // 2]
    await peer.send_raw(b"".join(flight))
    await polled()


@each_role
@each_way
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_during_the_handshake(role, way, stage, fault):
    with none_leaked():
        near, far = socket_pair()
        with far:
            peer = peer_for(role, far)
            task = asyncio.ensure_future(outcome(connecting(role, near, way=way, ssl_handshake_timeout=0.15)))
            await polled()
            await hand_over(peer, role, stage)
            FAULTS[fault](peer)
            finished = role == "client" and stage == "after the flight"
            error = await task
            await polled(3)
        await polled(3)
        if finished and error is None:
            return  # a client is done when the server's flight is there; it is closed by the collector
        assert isinstance(error, OSError)
        if fault == "reset" and stage != "in the midst of the flight":
            assert isinstance(error, ConnectionResetError)
        if fault == "stall":
            assert isinstance(error, ConnectionAbortedError)
        assert near.fileno() == -1


@each_role
@pytest.mark.parametrize("stage", STAGES[:3])
async def test_a_handshake_that_is_cancelled(role, stage):
    """Nothing of it stays, and the protocol never hears of the connection."""
    with none_leaked():
        near, far = socket_pair()
        with far:
            peer = peer_for(role, far)
            protocol = Recorder()
            task = asyncio.ensure_future(connecting(role, near, lambda: protocol))
            await polled()
            await hand_over(peer, role, stage)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await polled(4)
            assert near.fileno() == -1
            assert protocol.events == []


@each_role
async def test_a_time_limit_for_a_whole_connection(role):
    with none_leaked():
        near, far = socket_pair()
        with far, pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await connecting(role, near)
        await polled(4)
        assert near.fileno() == -1


async def test_a_server_forgets_those_who_stall(loop):
    """Clients that connect and say nothing are turned away in time, and no other has to wait for them."""
    protocols = []

    def make():
        protocols.append(Recorder())
        return protocols[-1]

    with none_leaked():
        server = await loop.create_server(
            make, "127.0.0.1", 0, ssl=server_context(), ssl_handshake_timeout=0.3
        )
        address = server.sockets[0].getsockname()
        silent = [socket.create_connection(address) for _ in range(20)]
        transport, client = await loop.create_connection(
            Recorder, *address, ssl=client_context(), server_hostname="localhost"
        )
        transport.close()
        assert await loss(client) is None
        for sock in silent:
            sock.setblocking(False)
            assert await asyncio.wait_for(loop.sock_recv(sock, 1), 5) == b""
            sock.close()
        heard = [protocol for protocol in protocols if protocol.events]
        assert len(heard) == 1
        await loss(heard[0])
        server.close()
        await polled(4)
        await server.wait_closed()
        server = None


async def broken_off(rng, number):
    """One connection, which one of its ends breaks off at some moment; its protocol, if it had begun."""
    near, far = socket_pair()
    role = rng.choice(["client", "server"])
    factory = rng.choice([Recorder, lambda: BufferedRecorder(rng.choice([1, 7, 4096]))])
    peer = peer_for(role, far)
    protocols, shaken = [], []

    def make():
        protocols.append(factory())
        return protocols[-1]

    async def live():
        await peer.shake_hands()
        for _ in range(3):
            await peer.send(rng.randbytes(rng.choice([1, 100, 40_000])))
            await peer.read()
        await peer.say_goodbye()
        await peer.read_to_end()

    async def own_life():
        _, protocol = await connecting(role, near, make, ssl_shutdown_timeout=0.5)
        shaken.append(protocol)
        for _ in range(3):
            protocol.transport.write(rng.randbytes(rng.choice([1, 100, 40_000, 400_000])))
            await asyncio.sleep(0)
        if rng.random() < 0.3:
            protocol.transport.pause_reading()
        if rng.random() < 0.5:
            heard = asyncio.ensure_future(protocol.bytes_received(1))
            try:
                await asyncio.wait([heard, protocol.lost], return_when="FIRST_COMPLETED", timeout=0.5)
            finally:
                heard.cancel()
        rng.choice([protocol.transport.close, protocol.transport.abort, lambda: None])()
        await asyncio.shield(protocol.lost)

    theirs = asyncio.ensure_future(live())
    ours = asyncio.ensure_future(own_life())
    for _ in range(rng.randrange(30)):
        await asyncio.sleep(0)
    how = rng.choice(["reset", "close", "cancel", "abort", "garbage", "half close"])
    theirs.cancel()
    await asyncio.gather(theirs, return_exceptions=True)
    if how == "cancel":
        ours.cancel()
    elif how == "abort" and protocols and protocols[0].transport:
        protocols[0].transport.abort()
    elif how in FAULTS:
        try:
            FAULTS[how](peer)
        except OSError:  # the other end was quicker
            pass
    far.close()
    await asyncio.wait([ours], timeout=0.5)
    ours.cancel()  # if nobody has looked: reading is paused
    await asyncio.gather(ours, return_exceptions=True)
    for protocol in protocols:
        if protocol.transport:
            protocol.transport.abort()
    return shaken


@pytest.mark.native_only
@pytest.mark.parametrize("seed", range(3))
async def test_connections_that_are_broken_off_at_any_moment(seed):
    rng = random.Random(seed)
    with none_leaked():
        for start in range(0, 100, 50):
            lives = await asyncio.gather(
                *(broken_off(random.Random(rng.random()), start + number) for number in range(50))
            )
            await polled(4)
            for protocol in itertools.chain(*lives):
                await loss(protocol)
                assert protocol.events[0] == "made"
                assert protocol.events[-1] == "lost"
        await polled(4)


@each_role
async def test_two_connections_do_not_disturb_each_other(role):
    """One fails in its midst while the other goes on: errors do not stray from one to the other."""
    async with facing(Recorder, role) as (bad, bad_peer), facing(Recorder, role) as (good, good_peer):
        for number in range(10):
            await good_peer.send(b"%d" % number)
        await bad_peer.send_raw(b"\x17\x03\x03\x00\x20" + bytes(32))
        await good_peer.send(b"and on")
        assert await loss(bad) is not None
        assert await good.bytes_received(16) == b"0123456789and on"
        good.transport.write(b"answer")
        assert await good_peer.read_exactly(6) == b"answer"
