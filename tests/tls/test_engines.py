"""Which engine a connection gets: the native one, or asyncio's own."""

from __future__ import annotations

import asyncio
import ssl
from asyncio import sslproto

import pytest

import veloop
from support.certificates import client_context
from support.tls import tls_pair
from veloop import _native, _tls

pytestmark = [pytest.mark.native_only, pytest.mark.timeout(30)]
each_way = pytest.mark.parametrize("way", ["direct", "start_tls"])


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    monkeypatch.delenv("VELOOP_TLS", raising=False)


async def engines(**options):
    """What both ends say, once they have talked."""
    async with tls_pair(**options) as (client, server):
        client.transport.write(b"hello")
        await server.bytes_received(5)
        server.transport.write(b"goodbye")
        await client.bytes_received(7)
        return tuple(end.transport.get_extra_info("tls_engine") for end in (client, server))


@each_way
async def test_it_is_native(way):
    async with tls_pair(way=way) as (client, _server):
        assert isinstance(client.transport, sslproto._SSLProtocolTransport)
        assert isinstance(client.transport._ssl_protocol, sslproto.SSLProtocol)
    assert await engines(way=way) == ("direct", "direct")


@each_way
@pytest.mark.parametrize("chosen, engine", [("auto", "direct"), ("direct", "direct"), ("stdlib", "stdlib")])
async def test_the_environment_chooses(monkeypatch, way, chosen, engine):
    monkeypatch.setenv("VELOOP_TLS", chosen)
    assert await engines(way=way) == (engine, engine)


async def test_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("VELOOP_TLS", "fast")
    with pytest.raises(ValueError, match="one of auto, direct and stdlib, not 'fast'"):
        _tls.make_protocol(asyncio.get_running_loop(), asyncio.Protocol(), client_context(), None)


@each_way
async def test_without_the_functions_it_is_asyncios(monkeypatch, way):
    monkeypatch.setattr(_tls, "_found", ["it is not to be had"])
    assert await engines(way=way) == ("stdlib", "stdlib")


async def test_who_insists_is_told_why(monkeypatch):
    monkeypatch.setattr(_tls, "_found", ["it is not to be had"])
    monkeypatch.setenv("VELOOP_TLS", "direct")
    with pytest.raises(RuntimeError, match="VELOOP_TLS=direct: it is not to be had"):
        _tls.make_protocol(asyncio.get_running_loop(), asyncio.Protocol(), client_context(), None)


@pytest.mark.parametrize(
    "version", ["LibreSSL 3.9.2", "OpenSSL 1.1.1 (compatible; AWS-LC 1.30)", "BoringSSL"]
)
async def test_other_libraries_are_left_alone(monkeypatch, version):
    monkeypatch.setattr(_tls, "_found", [])
    monkeypatch.setattr(ssl, "OPENSSL_VERSION", version)
    assert version in _tls.why_not_native(asyncio.get_running_loop())
    assert await engines() == ("stdlib", "stdlib")


async def test_another_version_than_the_ssl_modules_is_not_used(monkeypatch):
    monkeypatch.setattr(_tls, "_found", [])
    monkeypatch.setattr(_native, "load_openssl", lambda file, version: False)
    assert "functions" in _tls.why_not_native(asyncio.get_running_loop())


async def test_who_replaces_asyncios_protocol_gets_it(monkeypatch):
    class Replaced(sslproto.SSLProtocol):
        pass

    monkeypatch.setattr(sslproto, "SSLProtocol", Replaced)
    async with tls_pair() as (client, _server):
        assert type(client.transport._ssl_protocol) is Replaced


@each_way
async def test_each_connection_has_its_own_object(way):
    context = client_context()
    async with (
        tls_pair(way=way, client_ssl=context) as (first, _),
        tls_pair(way=way, client_ssl=context) as (second, _),
    ):
        first.transport.write(b"first")
        second.transport.write(b"second")
        objects = {end.transport.get_extra_info("ssl_object") for end in (first, second)}
        assert len(objects) == 2


async def test_an_object_made_in_between_is_not_taken_for_the_connections():
    """A context that makes a second SSL object after the connection's own."""

    class Busy(ssl.SSLContext):
        def wrap_bio(self, *args, **kwargs):
            made = super().wrap_bio(*args, **kwargs)
            self.other = super().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="elsewhere")
            return made

    context = Busy(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    assert await engines(client_ssl=context) == ("stdlib", "direct")


def test_the_session_ends_before_its_object(loop):
    """The program may keep the SSL object: it then finds nothing to read, and nowhere to write."""

    async def made():
        async with tls_pair() as (client, _server):
            return client.transport.get_extra_info("ssl_object")

    kept = loop.run_until_complete(made())
    assert kept.version() == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        kept.read(1)
    with pytest.raises(ssl.SSLError):
        kept.write(b"x" * 100_000)


def test_a_session_is_made_by_the_protocol_only():
    with pytest.raises(TypeError):
        _native.TLSSession()
    loop = veloop.new_event_loop()
    try:
        assert loop._tls_session(object(), None) is None
    finally:
        loop.close()
