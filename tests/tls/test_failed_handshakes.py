"""Handshakes that fail: whoever awaits them, and the protocol, learn the same on both loops."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from support.certificates import (
    certified_client_context,
    client_context,
    demanding_server_context,
    expired_server_context,
    limited,
    server_context,
)
from support.protocols import BufferedRecorder, Recorder
from support.sockets import polled, socket_pair
from support.tls_peer import connecting, peer_for, records
from support.tls_stories import described, outcome, same_on_asyncio

pytestmark = pytest.mark.timeout(30)
each_way = pytest.mark.parametrize("way", ["direct", "start_tls"])

OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
STRONG, WEAK = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"


def own(context=None, **options):
    return {"context": context, **options}


# what fails: the role, how the end under test is made, the context of its peer, the reason
FAILURES = {
    "an unknown authority": (
        "client",
        lambda: own(ssl.create_default_context()),
        server_context,
        "CERTIFICATE_VERIFY_FAILED",
    ),
    "an unknown authority, TLS 1.2": (
        "client",
        lambda: own(limited(ssl.create_default_context(), OLD)),
        server_context,
        "CERTIFICATE_VERIFY_FAILED",
    ),
    "another name": (
        "client",
        lambda: own(server_hostname="other.example"),
        server_context,
        "CERTIFICATE_VERIFY_FAILED",
    ),
    "another address": (
        "client",
        lambda: own(server_hostname="192.0.2.1"),
        server_context,
        "CERTIFICATE_VERIFY_FAILED",
    ),
    "an expired certificate": ("client", own, expired_server_context, "CERTIFICATE_VERIFY_FAILED"),
    "a server of another version": (
        "client",
        lambda: own(limited(client_context(), OLD)),
        lambda: limited(server_context(), NEW),
        "ALERT_PROTOCOL_VERSION",
    ),
    "a client of another version": (
        "server",
        lambda: own(limited(server_context(), NEW)),
        lambda: limited(client_context(), OLD),
        "UNSUPPORTED_PROTOCOL",
    ),
    "a server of other ciphers": (
        "client",
        lambda: own(limited(client_context(), OLD, STRONG)),
        lambda: limited(server_context(), OLD, WEAK),
        "ALERT_HANDSHAKE_FAILURE",
    ),
    "a client of other ciphers": (
        "server",
        lambda: own(limited(server_context(), OLD, STRONG)),
        lambda: limited(client_context(), OLD, WEAK),
        "NO_SHARED_CIPHER",
    ),
    "a client that does not trust": ("server", own, ssl.create_default_context, "ALERT_UNKNOWN_CA"),
    "a client without a certificate": (
        "server",
        lambda: own(demanding_server_context()),
        client_context,
        "PEER_DID_NOT_RETURN_A_CERTIFICATE",
    ),
}


async def refused(role, way, factory, options, talk):
    """What the end under test learns while its peer does `talk(socket)`."""
    near, far = socket_pair()
    protocols = []

    def make():
        protocols.append(factory())
        return protocols[-1]

    with far:
        error, _ = await asyncio.gather(
            outcome(connecting(role, near, make, way=way, **options)), outcome(talk(far))
        )
        await polled()
        assert near.fileno() == -1
    (protocol,) = protocols
    if way == "direct":
        assert protocol.events == []  # it has never heard of the connection
        return described(error)
    assert protocol.events == ["made", "lost"]
    assert await protocol.lost is error
    return described(error)


@pytest.mark.native_only
@each_way
@pytest.mark.parametrize("name", FAILURES)
def test_the_reason_is_told(loop, loop_errors, name, way):
    role, options, peer_context, reason = FAILURES[name]

    async def scenario():
        return await refused(
            role, way, Recorder, options(), lambda far: peer_for(role, far, peer_context()).shake_hands()
        )

    kind, details = same_on_asyncio(loop, loop_errors, scenario)
    verifying = reason == "CERTIFICATE_VERIFY_FAILED"
    assert kind is (ssl.SSLCertVerificationError if verifying else ssl.SSLError)
    assert details["library"] == "SSL"
    assert details["reason"].endswith(reason)
    assert details["errno"] == ssl.SSL_ERROR_SSL
    assert not verifying or details["verify_message"]


GARBAGE = {
    "a request in HTTP": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "server"),
    "an answer in HTTP": (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "client"),
    "zeros": (bytes(1000), "either"),
    "an alert": (b"\x15\x03\x03\x00\x02\x02\x28", "either"),
    "an unknown alert": (b"\x15\x03\x03\x00\x02\x02\xee", "either"),
    "a goodbye": (b"\x15\x03\x03\x00\x02\x01\x00", "either"),
    "data": (b"\x17\x03\x03\x00\x20" + bytes(32), "either"),
    "a long record": (b"\x16\x03\x03\xff\xff" + bytes(66_000), "either"),
    "a greeting that means nothing": (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "server"),
}
CASES = [
    (name, role)
    for name, (_, talker) in GARBAGE.items()
    for role in ("client", "server")
    if talker in (role, "either")
]


@pytest.mark.native_only
@each_way
@pytest.mark.parametrize("name, role", CASES)
@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
def test_what_is_not_tls_is_an_error(loop, loop_errors, name, role, way, factory):
    data, _ = GARBAGE[name]

    async def talk(far):
        far.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(far, data)

    async def scenario():
        return await refused(role, way, factory, {}, talk)

    kind, details = same_on_asyncio(loop, loop_errors, scenario)
    assert issubclass(kind, ssl.SSLError)
    if name == "a request in HTTP":
        assert details["reason"] == "HTTP_REQUEST"
    if name == "an answer in HTTP":
        assert details["reason"] in ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG")


@pytest.mark.native_only
@pytest.mark.parametrize("at", ["first byte", "header", "middle", "last byte"])
@each_way
def test_a_handshake_that_is_cut_short(loop, loop_errors, at, way):
    """The peer's first flight ends in its midst."""

    async def talk(far):
        peer = peer_for("client", far)
        peer.incoming.write(await peer.receive_raw())
        with pytest.raises(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        flight = peer.outgoing.read()
        end = {"first byte": 1, "header": 4, "middle": len(flight) // 2, "last byte": -1}[at]
        await peer.send_raw(flight[:end])
        peer.end()

    async def scenario():
        return await refused("client", way, Recorder, {}, talk)

    kind, details = same_on_asyncio(loop, loop_errors, scenario)
    assert kind is ConnectionResetError
    assert details["args"] == ()


@pytest.mark.native_only
@pytest.mark.parametrize("record", [0, 2, -1])
def test_a_handshake_with_a_broken_byte(loop, loop_errors, record):
    async def talk(far):
        peer = peer_for("client", far)
        peer.incoming.write(await peer.receive_raw())
        with pytest.raises(ssl.SSLWantReadError):
            peer.tls.do_handshake()
        flight = records(peer.outgoing.read())
        broken = bytearray(flight[record])
        broken[10] ^= 255
        flight[record] = bytes(broken)
        await peer.send_raw(b"".join(flight))

    async def scenario():
        return await refused("client", "direct", Recorder, {}, talk)

    kind, details = same_on_asyncio(loop, loop_errors, scenario)
    assert kind is ssl.SSLError
    assert details["library"] == "SSL"


@pytest.mark.parametrize("turns_away", ["an unknown authority", "no certificate"])
async def test_a_server_goes_on_after_handshakes_that_fail(loop, turns_away):
    """The protocol of a connection that fails is never told of it; the next one is served."""
    protocols = []

    def make():
        protocols.append(Recorder())
        return protocols[-1]

    context = demanding_server_context() if turns_away == "no certificate" else server_context()
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=context)
    address = server.sockets[0].getsockname()
    bad = limited(client_context(), OLD) if turns_away == "no certificate" else ssl.create_default_context()
    for _ in range(5):
        error = await outcome(
            loop.create_connection(Recorder, *address, ssl=bad, server_hostname="localhost")
        )
        assert error is not None
    transport, client = await loop.create_connection(
        Recorder, *address, ssl=certified_client_context(), server_hostname="localhost"
    )
    transport.write(b"served")
    assert await protocols[-1].bytes_received(6) == b"served"
    assert [protocol.events for protocol in protocols[:-1]] == [[]] * 5
    transport.close()
    await client.lost
    await protocols[-1].lost
    server.close()
    await server.wait_closed()
