"""TLS handshakes: failures, timeouts, cancellation, names, arguments."""

from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from support.certificates import client_context, demanding_server_context, server_context
from support.protocols import Echo, Recorder
from support.sockets import polled, read_to_end, socket_pair

pytestmark = pytest.mark.timeout(30)


async def served(loop, context, factory=Recorder):
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=context)
    return server, server.sockets[0].getsockname()


async def stopped(server):
    server.close()
    await polled(4)
    await server.wait_closed()


async def test_a_name_that_does_not_fit_is_refused(loop, loop_errors):
    server, address = await served(loop, server_context())
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        await loop.create_connection(
            Recorder, *address, ssl=client_context(), server_hostname="other.example"
        )
    await stopped(server)
    loop_errors.clear()


async def test_the_host_is_the_name_by_default(loop):
    server, address = await served(loop, server_context())
    transport, client = await loop.create_connection(Recorder, *address, ssl=client_context())
    assert transport.get_extra_info("ssl_object").server_hostname == "127.0.0.1"
    transport.close()
    await client.lost
    await stopped(server)


async def test_an_authority_that_is_not_trusted_is_refused(loop, loop_errors):
    server, address = await served(loop, server_context())
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        await loop.create_connection(
            Recorder, *address, ssl=ssl.create_default_context(), server_hostname="localhost"
        )
    await stopped(server)
    loop_errors.clear()


async def test_without_checks_any_certificate_will_do(loop):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    server, address = await served(loop, server_context(), Echo)
    transport, client = await loop.create_connection(Recorder, *address, ssl=context, server_hostname="")
    transport.write(b"x")
    await client.bytes_received(1)
    transport.close()
    await client.lost
    await stopped(server)


async def test_a_client_without_a_certificate_is_turned_away(loop, loop_errors):
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # where the client learns of it within the handshake
    server, address = await served(loop, demanding_server_context())
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await loop.create_connection(Recorder, *address, ssl=context, server_hostname="localhost")
    await stopped(server)
    loop_errors.clear()


async def test_sides_without_a_common_version_part(loop, loop_errors):
    client, server_ssl = client_context(), server_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    server_ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    server, address = await served(loop, server_ssl)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await loop.create_connection(Recorder, *address, ssl=client, server_hostname="localhost")
    await stopped(server)
    loop_errors.clear()


async def test_a_client_that_does_not_speak_tls_is_turned_away(loop, loop_errors):
    protocols = []

    def factory():
        protocols.append(Recorder())
        return protocols[-1]

    server, address = await served(loop, server_context(), factory)
    with socket.create_connection(address) as client:
        client.setblocking(False)
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        try:
            answer = await read_to_end(client)
        except ConnectionResetError:
            answer = b""
        assert b"HTTP" not in answer
    await stopped(server)
    assert [protocol.events for protocol in protocols] == [[]]  # it never heard of the connection
    loop_errors.clear()


@pytest.mark.parametrize("how", ["close", "shutdown"])
async def test_a_server_that_leaves_during_the_handshake(loop, how):
    near, far = socket_pair()
    with far:
        task = loop.create_task(
            loop.create_connection(Recorder, sock=near, ssl=client_context(), server_hostname="localhost")
        )
        await polled()
        far.setblocking(False)
        assert far.recv(100_000)
        far.close() if how == "close" else far.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            await task
        await polled()
        assert near.fileno() == -1


@pytest.mark.parametrize("server_side", [False, True])
async def test_a_handshake_that_takes_too_long_is_ended(loop, server_side):
    near, far = socket_pair()
    with far:
        if server_side:
            connecting = loop.connect_accepted_socket(
                Recorder, near, ssl=server_context(), ssl_handshake_timeout=0.02
            )
        else:
            connecting = loop.create_connection(
                Recorder,
                sock=near,
                ssl=client_context(),
                server_hostname="localhost",
                ssl_handshake_timeout=0.02,
            )
        with pytest.raises(ConnectionAbortedError) as caught:
            await connecting
        assert str(caught.value) == (
            "SSL handshake is taking longer than 0.02 seconds: aborting the connection"
        )
        await polled()
        assert near.fileno() == -1


async def test_a_handshake_can_be_cancelled(loop):
    near, far = socket_pair()
    with far:
        task = loop.create_task(
            loop.create_connection(Recorder, sock=near, ssl=client_context(), server_hostname="localhost")
        )
        await polled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        far.close()
        await polled(4)
        assert near.fileno() == -1


@pytest.mark.parametrize("timeout", [0, -1])
async def test_timeouts_must_be_positive(loop, timeout):
    near, far = socket_pair()
    with near, far:
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout"):
            with pytest.raises(ValueError, match=f"{name} should be a positive number, got {timeout}"):
                await loop.start_tls(
                    transport, protocol, client_context(), server_hostname="h", **{name: timeout}
                )
        transport.abort()
        await protocol.lost


async def test_a_shutdown_that_takes_too_long_is_ended(loop):
    """The peer goes on reading, but never says goodbye."""
    near, far = socket_pair()
    connecting = loop.create_connection(
        Recorder, sock=near, ssl=client_context(), server_hostname="localhost", ssl_shutdown_timeout=0.05
    )
    accepting = loop.connect_accepted_socket(Recorder, far, ssl=server_context())
    (transport, client), (peer, server) = await asyncio.gather(connecting, accepting)
    peer.pause_reading()
    started = loop.time()
    transport.close()
    error = await client.lost
    assert 0.04 < loop.time() - started < 5
    assert error is None or isinstance(error, (ConnectionError, TimeoutError))
    peer.abort()
    await server.lost


@pytest.mark.parametrize("transport_name", ["read pipe", "datagram"])
async def test_only_streams_can_be_upgraded(loop, transport_name):
    near, far = socket.socketpair()
    with far:
        if transport_name == "read pipe":
            transport, _ = await loop.connect_read_pipe(Recorder, near)
        else:
            near.close()
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
        with pytest.raises(TypeError, match=r"^transport <.*> is not supported by start_tls\(\)$"):
            await loop.start_tls(transport, asyncio.Protocol(), client_context())
        transport.close()
        await polled()


@pytest.mark.parametrize("context", [None, True, object()])
async def test_start_tls_needs_a_context(loop, context):
    near, far = socket_pair()
    with far:
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        with pytest.raises(TypeError, match=r"sslcontext is expected to be an instance of ssl\.SSLContext"):
            await loop.start_tls(transport, protocol, context)
        transport.close()
        await protocol.lost


async def test_tls_within_tls(loop):
    near, far = socket_pair()
    connecting = loop.create_connection(
        Recorder, sock=near, ssl=client_context(), server_hostname="localhost"
    )
    accepting = loop.connect_accepted_socket(Echo, far, ssl=server_context())
    (outer, client), (outer_peer, server) = await asyncio.gather(connecting, accepting)
    client.transport, server.transport = await asyncio.gather(
        loop.start_tls(outer, client, client_context(), server_hostname="localhost"),
        loop.start_tls(outer_peer, server, server_context(), server_side=True),
    )
    client.transport.write(b"wrapped twice")
    assert await client.bytes_received(13) == b"wrapped twice"
    client.transport.close()
    await client.lost
    await server.lost
