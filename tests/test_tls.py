"""TLS connections: data, the end of the stream, closing; made by `ssl=` and by `start_tls`, in both roles."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys

import pytest

from support.certificates import (
    certified_client_context,
    client_context,
    demanding_server_context,
    server_context,
)
from support.descriptors import none_leaked
from support.protocols import BufferedRecorder, Echo, Raises, Recorder
from support.pythons import since_3_11_7
from support.sockets import polled
from support.tls import tls_pair

pytestmark = pytest.mark.timeout(30)
each_way = pytest.mark.parametrize("way", ["direct", "start_tls"])


@each_way
@pytest.mark.parametrize("sender", ["client", "server"])
async def test_data_arrives(way, sender):
    async with tls_pair(way=way) as (client, server):
        here, there = (client, server) if sender == "client" else (server, client)
        here.transport.write(b"hello")
        here.transport.writelines([b" wide", b" world"])
        assert await there.bytes_received(16) == b"hello wide world"


@each_way
@pytest.mark.parametrize("closer", ["client", "server"])
async def test_both_sides_learn_of_an_orderly_end(way, closer):
    async with tls_pair(way=way) as (client, server):
        here, there = (client, server) if closer == "client" else (server, client)
        here.transport.write(b"last words")
        here.transport.close()
        assert await there.lost is None
        assert await here.lost is None
        assert there.received == b"last words"
        assert there.events == ["made", "data", "eof", "lost"]
        assert here.transport.is_closing()
        assert there.transport.is_closing()


@each_way
@pytest.mark.parametrize("factory", [Recorder, lambda: BufferedRecorder(70_000)])
async def test_large_data_arrives_whole(way, factory):
    data = bytes(range(256)) * 20_000
    async with tls_pair(factory, factory, way=way) as (client, server):
        client.transport.write(data)
        server.transport.write(data)
        assert await server.bytes_received(len(data)) == data
        assert await client.bytes_received(len(data)) == data
        client.transport.close()
        await server.lost


async def test_small_buffers_are_filled_again_and_again():
    async with tls_pair(lambda: BufferedRecorder(7)) as (client, server):
        server.transport.write(b"0123456789" * 100)
        assert await client.bytes_received(1000) == b"0123456789" * 100


async def test_many_small_writes_keep_their_order():
    async with tls_pair() as (client, server):
        for number in range(1000):
            client.transport.write(b"%d," % number)
        client.transport.close()
        await server.lost
        assert server.received == b"".join(b"%d," % number for number in range(1000))


async def test_what_is_written_in_connection_made_arrives():
    class Greets(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(b"hello")

    async with tls_pair(Greets, Greets) as (client, server):
        assert await server.bytes_received(5) == b"hello"
        assert await client.bytes_received(5) == b"hello"


async def test_echo_over_a_server(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=server_context())
    address = server.sockets[0].getsockname()

    async def bounce(number):
        transport, client = await loop.create_connection(
            Recorder, *address, ssl=client_context(), server_hostname="localhost"
        )
        data = b"%d" % number * 1000
        transport.write(data)
        assert await client.bytes_received(len(data)) == data
        transport.close()
        await client.lost

    with none_leaked():
        await asyncio.gather(*map(bounce, range(10)))
        await polled(4)
    server.close()
    await server.wait_closed()


async def test_the_transport_knows_its_session():
    async with tls_pair() as (client, server):
        for protocol in (client, server):
            transport = protocol.transport
            assert isinstance(transport, asyncio.Transport)
            assert isinstance(transport.get_extra_info("ssl_object"), (ssl.SSLObject, ssl.SSLSocket))
            assert isinstance(transport.get_extra_info("sslcontext"), ssl.SSLContext)
            assert transport.get_extra_info("cipher") == transport.get_extra_info("ssl_object").cipher()
            assert transport.get_extra_info("compression") is None
            assert transport.get_extra_info("socket").fileno() >= 0
            assert transport.get_extra_info("unknown", 7) == 7
            assert transport.get_protocol() is protocol
            assert not transport.is_closing()
        names = client.transport.get_extra_info("peercert")["subjectAltName"]
        assert ("DNS", "localhost") in names
        assert not server.transport.get_extra_info("peercert")
        assert client.transport.get_extra_info("peername") == server.transport.get_extra_info("sockname")
        assert client.transport.get_extra_info("ssl_object").version() == "TLSv1.3"


async def test_a_half_close_is_not_to_be_had():
    async with tls_pair() as (client, _):
        assert client.transport.can_write_eof() is False
        with pytest.raises(NotImplementedError):
            client.transport.write_eof()


@pytest.mark.parametrize("data", ["text", None, 5])
async def test_other_types_are_refused(data):
    async with tls_pair() as (client, server):
        with pytest.raises(TypeError, match="data: expecting a bytes-like instance, got"):
            client.transport.write(data)
        client.transport.write(b"fine")
        assert await server.bytes_received(4) == b"fine"


async def test_reading_can_be_paused():
    async with tls_pair() as (client, server):
        assert server.transport.is_reading()
        server.transport.pause_reading()
        assert not server.transport.is_reading()
        client.transport.write(b"data")
        await polled(4)
        assert server.events == ["made"]
        server.transport.resume_reading()
        assert await server.bytes_received(4) == b"data"


async def test_writing_is_paused_and_resumed():
    async with tls_pair() as (client, server):
        client.transport.set_write_buffer_limits(high=100_000)
        assert client.transport.get_write_buffer_limits() == (25_000, 100_000)
        server.transport.pause_reading()
        total = 0
        while client.events[-1] != "pause":
            client.transport.write(bytes(100_000))
            total += 100_000
            await polled(1)
        assert client.transport.get_write_buffer_size() > 0
        server.transport.resume_reading()
        await server.bytes_received(total)
        await polled(4)
        assert client.events[-1] == "resume"
        assert client.transport.get_write_buffer_size() == 0


@pytest.mark.parametrize("factory", [Recorder, BufferedRecorder])
async def test_the_protocol_can_be_changed(factory):
    async with tls_pair() as (client, first):
        client.transport.write(b"one")
        await first.bytes_received(3)
        second = factory()
        first.transport.set_protocol(second)
        assert first.transport.get_protocol() is second
        client.transport.write(b"two")
        assert await second.bytes_received(3) == b"two"
        first.transport.set_protocol(first)


@each_way
async def test_abort_ends_the_connection_at_once(way):
    async with tls_pair(way=way) as (client, server):
        server.transport.pause_reading()
        client.transport.write(bytes(20_000_000))
        client.transport.abort()
        assert await client.lost is None
        server.transport.resume_reading()
        await server.lost
        assert len(server.received) < 20_000_000


@since_3_11_7("fails on an attribute of None (gh-98539)")
async def test_close_may_be_repeated_and_followed_by_abort():
    async with tls_pair() as (client, server):
        client.transport.close()
        client.transport.close()
        client.transport.abort()
        assert await client.lost is None
        client.transport.close()
        client.transport.abort()
        await server.lost
        assert client.events.count("lost") == server.events.count("lost") == 1


async def test_what_is_written_after_the_end_is_ignored():
    async with tls_pair() as (client, server):
        client.transport.close()
        client.transport.write(b"ignored")
        await client.lost
        client.transport.write(b"ignored")
        await server.lost
        assert server.received == b""


async def test_an_end_without_a_farewell_is_told_to_the_protocol():
    """The peer closes the connection below TLS: there is no close_notify."""
    async with tls_pair() as (client, server):
        server.transport.write(b"data")
        await client.bytes_received(4)
        server.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        assert await client.lost is None
        assert client.events == ["made", "data", "eof", "lost"]


async def test_an_error_in_data_received_ends_the_connection(loop_errors):
    error = LookupError()
    async with tls_pair(server_factory=Raises("data_received", error)) as (client, server):
        client.transport.write(b"data")
        assert await server.lost is error
        assert error in [context["exception"] for context in loop_errors]
        loop_errors.clear()
        await client.lost


@each_way
async def test_a_client_can_show_a_certificate(way):
    options = {"client_ssl": certified_client_context(), "server_ssl": demanding_server_context()}
    async with tls_pair(way=way, **options) as (client, server):
        client.transport.write(b"x")
        await server.bytes_received(1)
        names = server.transport.get_extra_info("peercert")["subjectAltName"]
        assert ("email", "client@example.org") in names


async def test_protocols_are_negotiated():
    client_ssl, server_ssl = client_context(), server_context()
    client_ssl.set_alpn_protocols(["h2", "http/1.1"])
    server_ssl.set_alpn_protocols(["http/1.1", "spdy"])
    async with tls_pair(client_ssl=client_ssl, server_ssl=server_ssl) as (client, server):
        for protocol in (client, server):
            assert protocol.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_the_server_learns_the_name_that_is_asked_for():
    names = []
    server_ssl = server_context()
    server_ssl.sni_callback = lambda sslobj, name, context: names.append(name)
    async with tls_pair(server_ssl=server_ssl):
        assert names == ["localhost"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_each_version_of_the_protocol(version):
    client_ssl = client_context()
    client_ssl.minimum_version = client_ssl.maximum_version = version
    data = bytes(1_000_000)
    async with tls_pair(client_ssl=client_ssl, server_factory=Echo) as (client, server):
        client.transport.write(data)
        assert await client.bytes_received(len(data)) == data
        client.transport.close()
        assert await server.lost is None
        assert await client.lost is None


@pytest.mark.skipif(sys.version_info < (3, 12), reason="older transports only warn when they are dropped")
async def test_a_tls_transport_is_closing_once_it_was_closed():
    async with tls_pair() as (client, server):
        client.transport.close()
        assert client.transport.is_closing()
        await client.lost
        await server.lost
        assert server.transport.is_closing()
