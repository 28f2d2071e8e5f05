"""What an SSLContext can be told to do, or made to be: it happens on every connection that it makes."""

from __future__ import annotations

import ssl
import sys

import pytest

from support import certificates
from support.certificates import client_context, limited, named_server_context, server_context
from support.protocols import BufferedRecorder, Recorder
from support.sockets import polled, sockets
from support.tls import tls_pair
from support.tls_peer import connecting, each_role, facing, loss
from support.tls_stories import outcome

pytestmark = pytest.mark.timeout(30)
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
each_version = pytest.mark.parametrize("version", [OLD, NEW])
each_way = pytest.mark.parametrize("way", ["direct", "start_tls"])


def own_context(role, of=ssl.SSLContext):
    """A context for the role, of that class."""
    if role == "server":
        context = of(ssl.PROTOCOL_TLS_SERVER)
        return configured(context, role)
    return configured(of(ssl.PROTOCOL_TLS_CLIENT), role)


def configured(context, role):
    if role == "server":
        certificates._server_certificate().configure_cert(context)
    else:
        certificates.authority().configure_trust(context)
    return context


async def talk(protocol, peer):
    """Both ends say something, much in one direction, and part in order."""
    await peer.send(b"hello")
    assert await protocol.bytes_received(5) == b"hello"
    data = bytes(range(256)) * 800
    protocol.transport.write(data)
    protocol.transport.close()
    assert await peer.read_to_end() == data
    await peer.say_goodbye()
    assert await loss(protocol) is None


@each_role
@each_version
async def test_keys_are_logged(role, version, tmp_path):
    path = tmp_path / "keys"
    context = limited(own_context(role), version)
    context.keylog_filename = str(path)
    async with facing(Recorder, role, context=context) as (protocol, peer):
        await talk(protocol, peer)
    del context
    labels = {line.split()[0] for line in path.read_text().splitlines() if not line.startswith("#")}
    expected = {"CLIENT_RANDOM"} if version == OLD else {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}
    assert labels >= expected


@each_role
@each_version
async def test_messages_are_shown(role, version):
    """The debugging hook of the ssl module, which gets the connection's own object."""
    seen = []

    def show(connection, direction, version, content, kind, data):
        seen.append((type(connection), direction, getattr(content, "name", content)))

    context = limited(own_context(role), version)
    context._msg_callback = show
    async with facing(Recorder, role, context=context) as (protocol, peer):
        shaken = len(seen)
        await talk(protocol, peer)
    context._msg_callback = None
    assert {each[0] for each in seen} == {ssl.SSLObject}
    assert {each[1] for each in seen} == {"read", "write"}
    assert len(seen) > shaken > 4  # and the records after the handshake
    assert (ssl.SSLObject, "write", "ALERT") in seen[shaken:]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="newer than this Python")
@each_role
async def test_a_key_that_both_know_takes_the_place_of_certificates(role):
    key = bytes.fromhex("c0ffee")
    asked = []

    def client_key(hint):
        asked.append("client")
        return "somebody", key

    def server_key(identity):
        asked.append(identity)
        return key

    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    for each in (client, server):
        limited(each, OLD, "PSK")
    client.set_psk_client_callback(client_key)
    server.set_psk_server_callback(server_key, "a hint")
    context, peer_context = (client, server) if role == "client" else (server, client)
    async with facing(Recorder, role, context=context, peer_context=peer_context) as (protocol, peer):
        assert "PSK" in protocol.transport.get_extra_info("cipher")[0]
        await talk(protocol, peer)
    assert sorted(asked) == ["client", "somebody"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="newer than this Python")
async def test_keys_that_differ_do_not_connect(loop_errors):
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    for each in (client, server):
        limited(each, OLD, "PSK")
    client.set_psk_client_callback(lambda hint: ("somebody", b"one"))
    server.set_psk_server_callback(lambda identity: b"another")

    async def connect():
        async with facing(Recorder, "server", context=server, peer_context=client):
            raise AssertionError("connected with another key")

    error = await outcome(connect())
    assert isinstance(error, (ssl.SSLError, ConnectionError))
    loop_errors.clear()


class Counting(ssl.SSLContext):
    """Remembers what it has wrapped."""

    def wrap_bio(self, *arguments, **options):
        made = super().wrap_bio(*arguments, **options)
        self.__dict__.setdefault("made", []).append(made)
        return made


@each_role
@each_way
async def test_a_context_of_a_derived_class_wraps(role, way):
    context = own_context(role, Counting)
    async with facing(Recorder, role, way=way, context=context) as (protocol, peer):
        assert context.made == [protocol.transport.get_extra_info("ssl_object")]
        await talk(protocol, peer)


class Delegating(ssl.SSLContext):
    """As truststore does it: the context that is given is not the one that makes the connection."""

    def __init__(self, protocol):
        self.inner = ssl.SSLContext(protocol)
        self.inner.minimum_version = ssl.TLSVersion.TLSv1_2

    def __new__(cls, protocol):
        return super().__new__(cls, protocol)

    def wrap_bio(self, incoming, outgoing, server_side=False, server_hostname=None, session=None):
        made = self.inner.wrap_bio(
            incoming, outgoing, server_side=server_side, server_hostname=server_hostname, session=session
        )
        # Another object, made later, is not the one that is given back.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(
            ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="elsewhere"
        )
        return made


@each_role
@each_way
@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
async def test_a_context_that_has_another_one_work(role, way, factory):
    context = Delegating(ssl.PROTOCOL_TLS_SERVER if role == "server" else ssl.PROTOCOL_TLS_CLIENT)
    configured(context.inner, role)
    async with facing(factory, role, way=way, context=context) as (protocol, peer):
        assert protocol.transport.get_extra_info("ssl_object").context is context.inner
        assert protocol.transport.get_extra_info("sslcontext") is context
        await talk(protocol, peer)


class Wrapper:
    """Is no SSLObject, but passes everything on to one."""

    def __init__(self, inner, calls):
        self._inner, self._calls = inner, calls

    def __getattr__(self, name):
        self._calls.add(name)
        return getattr(self._inner, name)


class Wrapping(ssl.SSLContext):
    calls: set

    def wrap_bio(self, *arguments, **options):
        self.calls = set()
        return Wrapper(super().wrap_bio(*arguments, **options), self.calls)


@each_role
@each_way
@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
async def test_a_context_that_wraps_its_objects(role, way, factory):
    """What is in between sees everything that goes through."""
    context = own_context(role, Wrapping)
    async with facing(factory, role, way=way, context=context) as (protocol, peer):
        assert type(protocol.transport.get_extra_info("ssl_object")) is Wrapper
        await talk(protocol, peer)
    assert context.calls >= {"do_handshake", "read", "write", "unwrap"}


class Tapped(ssl.SSLObject):
    """An object of the program's own class, which looks at the data."""

    def __new__(cls, *arguments, **options):
        made = super().__new__(cls)
        made.seen = {"read": 0, "write": 0}
        return made

    def read(self, most=1024, buffer=None):
        data = super().read(most, buffer)
        self.seen["read"] += data if isinstance(data, int) else len(data)
        return data

    def write(self, data):
        count = super().write(data)
        self.seen["write"] += count
        return count


@each_role
@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
async def test_an_object_of_the_programs_own_class_sees_the_data(role, factory):
    context = own_context(role)
    context.sslobject_class = Tapped

    async with facing(factory, role, context=context) as (protocol, peer):
        tapped = protocol.transport.get_extra_info("ssl_object")
        assert type(tapped) is Tapped
        await talk(protocol, peer)
        assert tapped.seen == {"read": 5, "write": 256 * 800}


@each_way
@pytest.mark.parametrize("name", ["bücher.example", "例え.example", "xn--bcher-kva.example"])
async def test_names_of_all_languages(way, name):
    """They go over the wire, and are compared, in their ASCII form."""
    names = []
    ascii_name = name.encode("idna").decode()
    server_ssl = named_server_context(ascii_name)
    server_ssl.sni_callback = lambda _object, asked, _context: names.append(asked)
    async with facing(Recorder, "client", way=way, peer_context=server_ssl, server_hostname=name) as (
        protocol,
        peer,
    ):
        assert protocol.transport.get_extra_info("ssl_object").server_hostname == ascii_name
        await talk(protocol, peer)
    assert names == [ascii_name]


@pytest.mark.parametrize("name", ["a" * 64 + ".example", ".example", "a..b"])
async def test_names_that_cannot_be(name):
    with sockets() as (near, _):
        with pytest.raises(ValueError):  # UnicodeError is one, too
            await connecting("client", near, server_hostname=name)
        await polled()


@each_way
async def test_one_context_makes_many_connections(way):
    client_ssl, server_ssl = client_context(), server_context()
    for round_number in range(5):
        async with tls_pair(way=way, client_ssl=client_ssl, server_ssl=server_ssl) as (client, server):
            client.transport.write(b"%d" % round_number)
            assert await server.bytes_received(1) == b"%d" % round_number
