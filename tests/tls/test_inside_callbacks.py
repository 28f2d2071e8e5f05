"""Whatever a protocol does to its transport inside a callback, its story makes sense, and is asyncio's."""

from __future__ import annotations

import asyncio

import pytest

from support.protocols import BufferedRecorder, Recorder
from support.sockets import polled, socket_pair
from support.tls_peer import better_than_asyncio, connecting, each_role, facing, loss, peer_for

pytestmark = pytest.mark.timeout(60)

MUCH = 1_500_000


def close(transport):
    transport.close()


def abort(transport):
    transport.abort()


def close_and_abort(transport):
    transport.close()
    transport.abort()


def write(transport):
    transport.write(b"from inside")


def write_and_close(transport):
    transport.write(b"from inside")
    transport.close()


def write_and_abort(transport):
    transport.write(b"from inside")
    transport.abort()


def pause(transport):
    transport.pause_reading()


def pause_and_resume(transport):
    transport.pause_reading()
    transport.resume_reading()


def pause_for_a_while(transport):
    transport.pause_reading()
    asyncio.get_running_loop().call_later(0.001, lambda: transport.is_closing() or transport.resume_reading())


def pause_and_close(transport):
    transport.pause_reading()
    transport.close()


def pause_and_abort(transport):
    transport.pause_reading()
    transport.abort()


def other_limits(transport):
    transport.set_write_buffer_limits(0)


def look(transport):
    transport.get_write_buffer_size()
    transport.get_write_buffer_limits()
    transport.get_extra_info("ssl_object")
    transport.get_protocol()
    transport.is_closing()


def another_protocol(transport):
    protocol = transport.get_protocol()
    transport.set_protocol(Heir(protocol))


class Heir(asyncio.Protocol):
    """Takes over, and writes into the diary of the one before."""

    def __init__(self, before):
        self.data_received, self.eof_received = before.arrived, before.eof_received
        self.connection_lost = before.connection_lost
        self.pause_writing, self.resume_writing = before.pause_writing, before.resume_writing


ACTIONS = [
    *(close, abort, close_and_abort, write, write_and_close, write_and_abort),
    *(pause, pause_and_resume, pause_for_a_while, pause_and_close, pause_and_abort),
    *(other_limits, look, another_protocol),
]
METHODS = {
    Recorder: ["connection_made", "data_received", "eof_received", "pause_writing", "resume_writing"],
    BufferedRecorder: ["connection_made", "get_buffer", "buffer_updated", "eof_received", "resume_writing"],
}
CASES = [
    (role, base, method)
    for base, methods in METHODS.items()
    for method in methods
    for role in (("client", "server") if base is Recorder else ("server",))
]


def acting(base, method, action):
    """A protocol that does it when the method is called for the first time."""

    def act(protocol, *arguments):
        answer = getattr(base, method)(protocol, *arguments)
        if not protocol.acted:
            protocol.acted = True
            action(protocol.transport)
        return answer

    return type("Acting", (base,), {method: act, "acted": False})


async def whole_life(role, base, method, action):
    """The peer says two things, reads much, and says goodbye; the story, and how much the peer got."""
    near, far = socket_pair()
    got = bytearray()
    with far:
        peer = peer_for(role, far)

        async def live():
            try:
                await peer.shake_hands()
                await peer.send(b"one")
                await peer.send(b"two")
                while len(got) < MUCH and (piece := await peer.read()):
                    got.extend(piece)
                await peer.say_goodbye()
                while piece := await peer.read():
                    got.extend(piece)
                peer.end()
            except OSError:
                pass

        task = asyncio.ensure_future(live())
        transport, protocol = await connecting(
            role, near, acting(base, method, action), ssl_shutdown_timeout=0.2
        )
        heard = asyncio.ensure_future(protocol.bytes_received(6))
        await asyncio.wait([protocol.lost, heard], return_when="FIRST_COMPLETED", timeout=0.05)
        heard.cancel()
        transport.set_write_buffer_limits(high=100_000)
        transport.write(b"m" * MUCH)
        await asyncio.wait([protocol.lost], timeout=0.1)
        transport.close()
        await loss(protocol, 5)
        await polled()
        assert near.fileno() == -1
        await asyncio.wait_for(task, 5)
    assert protocol.acted or protocol.events[-1] == "lost"
    assert protocol.events[0] == "made"
    assert protocol.events.count("lost") == 1
    assert protocol.events[-1] == "lost"
    steps = [event for event in protocol.events if event in ("eof", "lost")]
    assert got.replace(b"from inside", b"") == b"m" * (len(got) - len(b"from inside") * got.count(b"f"))
    return steps, bytes(protocol.received)


@pytest.mark.native_only  # what it holds is not asyncio's to keep, and takes half a minute
@pytest.mark.parametrize("role, base, method", CASES)
async def test_a_protocol_acts(role, base, method):
    for steps, received in await asyncio.gather(
        *(whole_life(role, base, method, action) for action in ACTIONS)
    ):
        assert steps[-1] == "lost"
        assert b"onetwo".startswith(received)


@each_role
@pytest.mark.parametrize(
    "action", [close, abort, write, look, close_and_abort], ids=lambda each: each.__name__
)
async def test_connection_lost_is_the_end_of_it(role, action):
    class Last(Recorder):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            action(self.transport)

    async with facing(Last, role) as (protocol, peer):
        await peer.say_goodbye()
        assert await loss(protocol) is None
        await polled()
        assert protocol.events == ["made", "eof", "lost"]


@each_role
async def test_a_buffer_for_what_the_next_protocol_gets(role):
    """The protocol changes between two pieces of one record."""

    class First(BufferedRecorder):
        def buffer_updated(self, nbytes):
            super().buffer_updated(nbytes)
            if len(self.received) >= 14:
                self.transport.set_protocol(second)

    second = Recorder()
    async with facing(lambda: First(7), role) as (protocol, peer):
        await peer.send(b"0123456789" * 10)
        await second.bytes_received(100 - 14)
        assert protocol.received + second.received == b"0123456789" * 10
        protocol.transport.set_protocol(protocol)


@better_than_asyncio
@each_role
async def test_reading_that_is_paused_from_the_start_does_not_hold_up_the_handshake(role):
    class Paused(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    async with facing(Paused, role) as (protocol, peer):
        await peer.send(b"waits")
        await polled()
        assert protocol.events == ["made"]
        protocol.transport.resume_reading()
        await protocol.bytes_received(5)
