"""`get_extra_info("ssl_object")` is the connection's real `ssl.SSLObject`, with all it can tell and do."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from support.certificates import (
    authority,
    certified_client_context,
    client_context,
    demanding_server_context,
    limited,
    server_context,
)
from support.protocols import Recorder
from support.tls import tls_pair
from support.tls_peer import each_role, facing, loss

pytestmark = pytest.mark.timeout(30)
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
each_version = pytest.mark.parametrize("version", [OLD, NEW])
each_way = pytest.mark.parametrize("way", ["direct", "start_tls"])


def object_of(protocol):
    return protocol.transport.get_extra_info("ssl_object")


@each_way
@each_version
async def test_both_objects_tell_of_one_session(way, version):
    async with tls_pair(way=way, client_ssl=limited(client_context(), version)) as (client, server):
        ours, theirs = object_of(client), object_of(server)
        assert type(ours) is type(theirs) is ssl.SSLObject
        assert (ours.server_side, theirs.server_side) == (False, True)
        assert (ours.server_hostname, theirs.server_hostname) == ("localhost", None)
        assert ours.version() == theirs.version() == {OLD: "TLSv1.2", NEW: "TLSv1.3"}[version]
        assert ours.cipher() == theirs.cipher()
        assert ours.cipher() in theirs.shared_ciphers()
        assert ours.compression() is theirs.compression() is None
        assert ours.selected_alpn_protocol() is theirs.selected_alpn_protocol() is None
        assert ours.pending() == 0
        certificate = ssl.PEM_cert_to_DER_cert(ssl.DER_cert_to_PEM_cert(ours.getpeercert(True)))
        assert certificate == ours.getpeercert(binary_form=True)
        assert ours.getpeercert() == client.transport.get_extra_info("peercert")
        assert theirs.getpeercert() is None
        assert ours.context is client.transport.get_extra_info("sslcontext")
        assert theirs.context is server.transport.get_extra_info("sslcontext")


@each_version
async def test_both_ends_are_bound_to_the_same_channel(version):
    kind = "tls-unique"
    async with tls_pair(client_ssl=limited(client_context(), version)) as (client, server):
        ours, theirs = (object_of(end).get_channel_binding(kind) for end in (client, server))
        assert ours
        assert ours == theirs
        with pytest.raises(ValueError, match="not implemented"):
            object_of(client).get_channel_binding("tls-of-tomorrow")


@pytest.mark.parametrize("names", [(["h2"], ["h2"], "h2"), (["h2", "a"], ["a"], "a"), (["h2"], ["a"], None)])
@each_role
async def test_protocols_are_negotiated(role, names):
    own, theirs, agreed = names
    context = client_context() if role == "client" else server_context()
    peer_context = server_context() if role == "client" else client_context()
    context.set_alpn_protocols(own)
    peer_context.set_alpn_protocols(theirs)
    async with facing(Recorder, role, context=context, peer_context=peer_context) as (protocol, peer):
        assert object_of(protocol).selected_alpn_protocol() == agreed
        assert peer.tls.selected_alpn_protocol() == agreed


@each_way
@each_version
async def test_each_end_has_a_certificate(way, version):
    options = {
        "client_ssl": limited(certified_client_context(), version),
        "server_ssl": demanding_server_context(),
    }
    async with tls_pair(way=way, **options) as (client, server):
        client.transport.write(b"x")
        await server.bytes_received(1)
        assert ("DNS", "localhost") in object_of(client).getpeercert()["subjectAltName"]
        shown = object_of(server).getpeercert()
        assert ("email", "client@example.org") in shown["subjectAltName"]
        assert server.transport.get_extra_info("peercert") == shown
        assert authority().cert_pem.bytes() not in object_of(server).getpeercert(binary_form=True)


@each_version
async def test_a_session_is_there_for_the_next_connection(version):
    """Whoever holds the objects can go on with a session: TLS 1.3 gives it with the first data."""
    context = limited(client_context(), version)
    server_ssl = server_context()
    async with tls_pair(client_ssl=context, server_ssl=server_ssl) as (client, server):
        server.transport.write(b"x")
        await client.bytes_received(1)
        session = object_of(client).session
        assert isinstance(session, ssl.SSLSession)
        assert session.has_ticket
        assert not object_of(client).session_reused

    class Resuming(ssl.SSLObject):
        @classmethod
        def _create(cls, *arguments, **options):
            return super()._create(*arguments, **{**options, "session": session})

    context.sslobject_class = Resuming
    async with tls_pair(client_ssl=context, server_ssl=server_ssl) as (client, server):
        assert object_of(client).session_reused
        assert object_of(server).session_reused
        server.transport.write(b"again")
        client.transport.write(b"and back")
        assert await client.bytes_received(5) == b"again"
        assert await server.bytes_received(8) == b"and back"


async def test_a_client_shows_its_certificate_later():
    """Authentication after the handshake, which TLS 1.3 has for that."""
    client_ssl, server_ssl = limited(certified_client_context(), NEW), server_context()
    client_ssl.post_handshake_auth = True
    authority().configure_trust(server_ssl)
    server_ssl.verify_mode = ssl.CERT_REQUIRED
    server_ssl.post_handshake_auth = True
    async with tls_pair(client_ssl=client_ssl, server_ssl=server_ssl) as (client, server):
        client.transport.write(b"before")
        await server.bytes_received(6)
        assert object_of(server).getpeercert() is None
        object_of(server).verify_client_post_handshake()
        server.transport.write(b"who are you?")  # takes the request along
        await client.bytes_received(12)
        client.transport.write(b"that is me")
        await server.bytes_received(16)
        shown = object_of(server).getpeercert()
        assert ("email", "client@example.org") in shown["subjectAltName"]
        server.transport.write(b"fine")
        assert await client.bytes_received(16) == b"who are you?fine"


async def test_a_client_that_will_not_authenticate_later_is_told_so():
    client_ssl, server_ssl = limited(client_context(), NEW), server_context()
    authority().configure_trust(server_ssl)
    server_ssl.verify_mode = ssl.CERT_REQUIRED
    server_ssl.post_handshake_auth = True
    client_ssl.post_handshake_auth = False
    async with facing(Recorder, "server", context=server_ssl, peer_context=client_ssl) as (protocol, peer):
        with pytest.raises(ssl.SSLError, match="extension not received"):
            object_of(protocol).verify_client_post_handshake()
        await peer.send(b"and goes on")
        assert await protocol.bytes_received(11) == b"and goes on"


async def test_the_object_outlives_its_connection():
    async with tls_pair() as (client, _):
        kept = object_of(client)
        cipher, certificate = kept.cipher(), kept.getpeercert()
        client.transport.abort()
        await loss(client)
    client.transport = None
    await asyncio.sleep(0)
    assert kept.cipher() == cipher
    assert kept.getpeercert() == certificate
    assert kept.version() == "TLSv1.3"
    assert kept.session is not None
    for use in (lambda: kept.read(10), lambda: kept.write(b"x"), kept.unwrap):
        try:
            use()  # whatever it answers, it has to come back
        except (ssl.SSLError, OSError):
            pass


@each_role
async def test_the_object_can_be_asked_while_data_is_exchanged(role):
    """From inside the callbacks, and between them."""

    class Asks(Recorder):
        def data_received(self, data):
            told.append((object_of(self).version(), object_of(self).pending() >= 0))
            super().data_received(data)

    told = []
    async with facing(Asks, role) as (protocol, peer):
        for number in range(20):
            await peer.send(b"%d" % number * 100)
            object_of(protocol).cipher()
            protocol.transport.write(b"%d" % number * 100)
            assert await peer.read_exactly(100 * len(str(number))) == b"%d" % number * 100
        await protocol.bytes_received(1000 + 2000)
    assert set(told) == {("TLSv1.3", True)}
