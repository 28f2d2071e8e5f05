"""Alerts: the peer is told why a connection ends. asyncio's loop keeps the alert of an error for itself."""

from __future__ import annotations

import asyncio
import ssl
import sys

import pytest

from support.certificates import (
    client_context,
    demanding_server_context,
    expired_server_context,
    limited,
    server_context,
)
from support.protocols import BufferedRecorder, Recorder
from support.sockets import polled, socket_pair
from support.tls_peer import (
    ALERT,
    better_than_asyncio,
    connecting,
    each_role,
    facing,
    loss,
    peer_for,
    records,
)
from support.tls_stories import outcome

pytestmark = pytest.mark.timeout(30)
each_way = pytest.mark.parametrize("way", ["direct", "start_tls"])
each_version = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])

OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
STRONG, WEAK = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"

# what fails: the role, how the end under test is made, the context of its peer, the alert that the peer gets
FAILURES = {
    "an unknown authority": (
        "client",
        lambda: {"context": ssl.create_default_context()},
        server_context,
        "ALERT_UNKNOWN_CA",
    ),
    "an unknown authority, TLS 1.2": (
        "client",
        lambda: {"context": limited(ssl.create_default_context(), OLD)},
        server_context,
        "ALERT_UNKNOWN_CA",
    ),
    "another name": (
        "client",
        lambda: {"server_hostname": "other.example"},
        server_context,
        "ALERT_BAD_CERTIFICATE",
    ),
    "an expired certificate": ("client", dict, expired_server_context, "ALERT_CERTIFICATE_EXPIRED"),
    "a client of another version": (
        "server",
        lambda: {"context": limited(server_context(), NEW)},
        lambda: limited(client_context(), OLD),
        "ALERT_PROTOCOL_VERSION",
    ),
    "a client of other ciphers": (
        "server",
        lambda: {"context": limited(server_context(), OLD, STRONG)},
        lambda: limited(client_context(), OLD, WEAK),
        "ALERT_HANDSHAKE_FAILURE",
    ),
    "no certificate": (
        "server",
        lambda: {"context": demanding_server_context()},
        client_context,
        "CERTIFICATE_REQUIRED",
    ),
    "no certificate, TLS 1.2": (
        "server",
        lambda: {"context": limited(demanding_server_context(), OLD)},
        client_context,
        "ALERT_HANDSHAKE_FAILURE",
    ),
}


async def told_to_the_peer(peer):
    """Why the peer's connection ends: in TLS 1.3 a client may first learn of it after its own handshake."""

    async def shake_hands_and_read():
        await peer.shake_hands()
        await peer.read()

    return await outcome(shake_hands_and_read())


@better_than_asyncio
@each_way
@pytest.mark.parametrize("name", FAILURES)
async def test_a_handshake_that_fails_sends_its_alert(name, way):
    role, options, peer_context, alert = FAILURES[name]
    near, far = socket_pair()
    with far:
        peer = peer_for(role, far, peer_context())
        own, told = await asyncio.gather(
            outcome(connecting(role, near, way=way, **options())), told_to_the_peer(peer)
        )
        await polled()
        assert near.fileno() == -1
    assert isinstance(own, ssl.SSLError)
    assert isinstance(told, ssl.SSLError)
    assert told.reason.endswith(alert)


@better_than_asyncio
async def test_a_client_of_create_server_gets_the_alert(loop):
    server = await loop.create_server(
        Recorder, "127.0.0.1", 0, ssl=limited(server_context(), ssl.TLSVersion.TLSv1_3)
    )
    try:
        with pytest.raises(ssl.SSLError, match="alert protocol version"):
            await loop.create_connection(
                Recorder,
                *server.sockets[0].getsockname(),
                ssl=limited(client_context(), ssl.TLSVersion.TLSv1_2),
                server_hostname="localhost",
            )
    finally:
        server.close()
        await polled()
        await server.wait_closed()


@better_than_asyncio
@each_role
@each_version
@pytest.mark.parametrize("factory", [Recorder, lambda: BufferedRecorder(7)])
async def test_a_broken_record_sends_its_alert(role, version, factory):
    context = limited(client_context() if role == "server" else server_context(), version)
    async with facing(factory, role, peer_context=context) as (protocol, peer):
        record = bytearray(peer.seal(b"data"))
        record[-1] ^= 1
        await peer.send_raw(record)
        assert isinstance(await loss(protocol), ssl.SSLError)
        with pytest.raises(ssl.SSLError) as told:
            await peer.read()
        assert told.value.reason.endswith("ALERT_BAD_RECORD_MAC")


@each_role
@each_version
async def test_close_sends_a_goodbye_and_nothing_else(role, version):
    context = limited(client_context() if role == "server" else server_context(), version)
    async with facing(Recorder, role, peer_context=context) as (protocol, peer):
        protocol.transport.write(b"data")
        protocol.transport.close()
        assert await peer.read_to_end() == b"data"
        await peer.say_goodbye()
        assert await loss(protocol) is None
        assert await peer.receive_raw() == b""


@each_role
async def test_a_goodbye_is_answered(role):
    async with facing(Recorder, role) as (protocol, peer):
        await peer.say_goodbye()
        assert await peer.read_to_end() == b""
        assert await loss(protocol) is None
        assert protocol.events == ["made", "eof", "lost"]


@pytest.mark.skipif(sys.version_info < (3, 11, 4), reason="takes a missing close_notify for an end")
@each_role
async def test_abort_says_nothing(role):
    async with facing(Recorder, role) as (protocol, peer):
        protocol.transport.abort()
        assert await loss(protocol) is None
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            await peer.read()


async def test_a_timeout_of_the_handshake_sends_what_it_had_and_no_alert():
    near, far = socket_pair()
    with far:
        error = await outcome(connecting("client", near, ssl_handshake_timeout=0.02))
        assert isinstance(error, ConnectionAbortedError)
        far.setblocking(False)
        peer = peer_for("client", far)
        (greeting,) = records(await peer.receive_raw())
        assert greeting[0] != ALERT
        assert await peer.receive_raw() == b""
