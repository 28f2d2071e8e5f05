"""TLS on a connection that is there already: `start_tls` on loops and streams, and TLS in TLS."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from support.certificates import client_context, server_context
from support.descriptors import none_leaked
from support.protocols import BufferedRecorder, Echo, Recorder
from support.sockets import polled, socket_pair
from support.streams import serving
from support.tls import tls_pair
from support.tls_peer import better_than_asyncio, connecting, each_role, facing, loss, peer_for
from support.tls_stories import outcome

pytestmark = pytest.mark.timeout(60)
FACTORIES = {"Protocol": Recorder, "BufferedProtocol": BufferedRecorder, "1": lambda: BufferedRecorder(1)}
each_factory = pytest.mark.parametrize("factory", FACTORIES)


@each_role
@each_factory
async def test_plain_text_before_and_data_after(role, factory):
    near, far = socket_pair()
    with far:
        loop = asyncio.get_running_loop()
        plain, protocol = await loop.create_connection(FACTORIES[factory], sock=near)
        far.send(b"220 ready\r\n")
        assert await protocol.bytes_received(11) == b"220 ready\r\n"
        plain.write(b"STARTTLS\r\n")
        peer = peer_for(role, far)
        assert await peer.receive_raw() == b"STARTTLS\r\n"
        client = role == "client"
        transport, _ = await asyncio.gather(
            loop.start_tls(
                plain,
                protocol,
                client_context() if client else server_context(),
                server_side=not client,
                server_hostname="localhost" if client else None,
            ),
            peer.shake_hands(),
        )
        assert transport is not plain
        assert transport.get_protocol() is protocol
        protocol.transport = transport
        await peer.send(b"250 secret")
        assert await protocol.bytes_received(21) == b"220 ready\r\n250 secret"
        transport.write(b"answer")
        assert await peer.read_exactly(6) == b"answer"
        assert protocol.events == ["made", "data"]  # connection_made() is not repeated
        await peer.say_goodbye()
        assert await loss(protocol) is None
        assert protocol.events == ["made", "data", "eof", "lost"]


async def test_the_greeting_arrives_together_with_the_plain_text():
    """Who reads a line and then upgrades finds the greeting behind it, having paused in time."""

    class Line(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    near, far = socket_pair()
    with far:
        loop = asyncio.get_running_loop()
        plain, protocol = await loop.create_connection(Line, sock=near)
        peer = peer_for("server", far)
        far.setblocking(False)
        await peer.send_raw(b"STARTTLS\r\n")
        await protocol.bytes_received(10)
        shaking = loop.create_task(peer.shake_hands())
        await polled()  # the greeting is in the kernel
        protocol.transport = await loop.start_tls(plain, protocol, server_context(), server_side=True)
        await shaking
        protocol.transport.resume_reading()
        await peer.send(b"data")
        assert await protocol.bytes_received(14) == b"STARTTLS\r\ndata"
        protocol.transport.abort()
        await loss(protocol)


@each_role
async def test_data_right_behind_the_handshake(role):
    """The peer's last flight and its first data arrive in one piece; none of it is lost."""
    near, far = socket_pair()
    with far:
        peer = peer_for(role, far)

        async def shake_hands_and_send():
            if role == "server":  # a client's Finished, and its data with it
                with pytest.raises(ssl.SSLWantReadError):
                    peer.tls.do_handshake()
                await peer.send_raw(peer.outgoing.read())
                while True:
                    peer.incoming.write(await peer.receive_raw())
                    try:
                        peer.tls.do_handshake()
                    except ssl.SSLWantReadError:
                        continue
                    break
                await peer.send_raw(peer.outgoing.read() + peer.seal(b"at once"))
            else:
                await peer.shake_hands()
                await peer.send(b"at once")

        (_, protocol), _ = await asyncio.gather(
            connecting(role, near, way="start_tls"), shake_hands_and_send()
        )
        assert await protocol.bytes_received(7) == b"at once"
        protocol.transport.abort()
        await loss(protocol)


async def test_what_waits_in_plain_text_goes_first(loop_errors):
    """What was written before the upgrade, and waits, arrives before the greeting."""
    near, far = socket_pair()
    with far:
        loop = asyncio.get_running_loop()
        plain, protocol = await loop.create_connection(Recorder, sock=near)
        plain.write(bytes(5_000_000))
        task = loop.create_task(
            loop.start_tls(plain, protocol, client_context(), server_hostname="localhost")
        )
        peer = peer_for("client", far)
        left = 5_000_000
        while left:
            left -= len(await loop.sock_recv(far, min(left, 1 << 18)))
        protocol.transport, _ = await asyncio.gather(task, peer.shake_hands())
        await peer.send(b"data")
        assert await protocol.bytes_received(4) == b"data"
        protocol.transport.abort()
        await loss(protocol)
    # asyncio's SSLProtocol is told to resume what it has not paused: the protocol before it did.
    assert all(context["message"] == "protocol.resume_writing() failed" for context in loop_errors)
    loop_errors.clear()


async def test_streams_are_upgraded_on_both_sides():
    async def handler(reader, writer):
        assert await reader.readline() == b"STARTTLS\n"
        writer.write(b"go\n")
        await writer.drain()
        await writer.start_tls(server_context())
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    async with serving(handler, limit=1000) as address:
        with none_leaked():
            reader, writer = await asyncio.open_connection(*address, limit=1000)
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go\n"
            await writer.start_tls(client_context(), server_hostname="localhost")
            assert isinstance(writer.get_extra_info("ssl_object"), ssl.SSLObject)
            for number in range(300):
                line = b"line %d\n" % number
                writer.write(line)
                if number % 7 == 0:
                    await writer.drain()
            for number in range(300):
                assert await reader.readline() == b"LINE %d\n" % number
            writer.close()
            await writer.wait_closed()
            await polled(4)


@pytest.mark.parametrize("size", [1, 1000, 5_000_000])
async def test_tls_in_tls(size):
    data = bytes(range(250)) * (size // 250) + b"x" * (size % 250)
    loop = asyncio.get_running_loop()
    async with tls_pair(Recorder, Echo) as (client, server):
        for _ in range(2):  # and once more, within that
            client.transport, server.transport = await asyncio.gather(
                loop.start_tls(client.transport, client, client_context(), server_hostname="localhost"),
                loop.start_tls(server.transport, server, server_context(), server_side=True),
            )
            client.transport.write(data)
            assert await client.bytes_received(size) == data
            client.received.clear()
            server.received.clear()
        client.transport.close()
        assert await loss(client) is None
        assert await loss(server) is None


@better_than_asyncio
async def test_the_inner_connection_fails_alone():
    """The outer one ends with it, without a trace of the inner data. Before 3.13 asyncio stumbles over it."""
    loop = asyncio.get_running_loop()
    with none_leaked():
        async with facing(Recorder) as (protocol, peer):
            outer = protocol.transport
            task = loop.create_task(
                outcome(loop.start_tls(outer, protocol, client_context(), server_hostname="localhost"))
            )
            assert (await peer.read())[:1] == b"\x16"  # the inner greeting, in the clear for the outer peer
            await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            error = await task
            assert isinstance(error, ssl.SSLError)
            assert await loss(protocol) is error
        await polled()


@each_role
async def test_an_upgrade_that_nobody_answers_can_be_cancelled(role):
    loop = asyncio.get_running_loop()
    with none_leaked():
        near, far = socket_pair()
        with far:
            plain, protocol = await loop.create_connection(Recorder, sock=near)
            context = client_context() if role == "client" else server_context()
            task = loop.create_task(
                loop.start_tls(
                    plain,
                    protocol,
                    context,
                    server_side=role == "server",
                    server_hostname="localhost" if role == "client" else None,
                )
            )
            await polled()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await polled(4)
            assert near.fileno() == -1


async def test_an_upgrade_of_a_closing_connection_is_refused():
    loop = asyncio.get_running_loop()
    near, far = socket_pair()
    with far:
        plain, protocol = await loop.create_connection(Recorder, sock=near)
        plain.close()
        error = await outcome(
            loop.start_tls(
                plain, protocol, client_context(), server_hostname="localhost", ssl_handshake_timeout=0.2
            )
        )
        assert error is None or isinstance(error, OSError)
        await polled()
