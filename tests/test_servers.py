"""create_server and Server: listening, accepting, closing."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys

import pytest

from support.descriptors import none_leaked
from support.protocols import Echo, Recorder
from support.sockets import needs_ipv6, polled, sockets

pytestmark = pytest.mark.timeout(30)


class Accepting:
    """A protocol factory that remembers what it made, and lets a test wait for it."""

    def __init__(self, make=Recorder):
        self.make = make
        self.made = asyncio.Queue()

    def __call__(self):
        protocol = self.make()
        self.made.put_nowait(protocol)
        return protocol


async def serve(loop, factory=Recorder, **options):
    """A server on a free port of this machine, and its address."""
    server = await loop.create_server(factory, "127.0.0.1", 0, **options)
    return server, server.sockets[0].getsockname()


async def test_connections_are_accepted(loop):
    accepting = Accepting(Echo)
    server, address = await serve(loop, accepting)
    transport, client = await loop.create_connection(Recorder, *address)
    transport.write(b"hello")
    assert await client.bytes_received(5) == b"hello"
    accepted = await accepting.made.get()
    assert accepted.transport.get_extra_info("peername") == transport.get_extra_info("sockname")
    assert accepted.transport.get_extra_info("sockname") == address
    assert isinstance(accepted.transport, asyncio.Transport)
    transport.close()
    assert await accepted.lost is None
    assert accepted.events == ["made", "data", "eof", "lost"]
    server.close()
    await server.wait_closed()


async def test_a_server_lists_its_sockets(loop):
    server, address = await serve(loop)
    assert isinstance(server, asyncio.Server)
    assert type(server.sockets) is tuple
    (sock,) = server.sockets
    assert isinstance(sock, asyncio.trsock.TransportSocket)
    assert sock.getsockname() == address
    assert sock.gettimeout() == 0
    assert not sock.get_inheritable()
    assert server.get_loop() is loop
    server.close()
    assert server.sockets == ()
    await server.wait_closed()


async def test_several_hosts_can_be_served(loop):
    hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
    server = await loop.create_server(Recorder, hosts, 0)
    names = sorted(sock.getsockname()[0] for sock in server.sockets)
    assert names == ["127.0.0.1", "127.0.0.2"]
    for sock in server.sockets:
        transport, _ = await loop.create_connection(Recorder, *sock.getsockname())
        transport.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("host", [None, ""])
async def test_without_a_host_all_interfaces_are_served(loop, host):
    server = await loop.create_server(Recorder, host, 0)
    names = {sock.getsockname()[0] for sock in server.sockets}
    assert "0.0.0.0" in names
    assert names <= {"0.0.0.0", "::"}
    server.close()
    await server.wait_closed()


@needs_ipv6
async def test_ipv6_can_be_served(loop):
    server = await loop.create_server(Recorder, "::1", 0)
    (sock,) = server.sockets
    assert sock.family == socket.AF_INET6
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    transport, _ = await loop.create_connection(Recorder, *sock.getsockname()[:2])
    transport.close()
    server.close()
    await server.wait_closed()


async def test_socket_options_are_set(loop):
    server, _ = await serve(loop)
    (sock,) = server.sockets
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    server.close()
    await server.wait_closed()
    server, _ = await serve(loop, reuse_address=False, reuse_port=True)
    (sock,) = server.sockets
    assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    server.close()
    await server.wait_closed()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
async def test_connections_can_be_kept_alive(loop):
    for keep_alive in (None, False, True):
        server, _ = await serve(loop, keep_alive=keep_alive)
        (sock,) = server.sockets
        assert bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) == bool(keep_alive)
        server.close()
        await server.wait_closed()


async def test_two_servers_can_share_a_port(loop):
    first, address = await serve(loop, reuse_port=True)
    second = await loop.create_server(Recorder, *address, reuse_port=True)
    assert second.sockets[0].getsockname() == address
    for server in (first, second):
        server.close()
        await server.wait_closed()


async def test_a_port_that_is_taken_is_reported(loop):
    server, address = await serve(loop)
    with none_leaked(), pytest.raises(OSError, match="error while attempting to bind on address") as caught:
        await loop.create_server(Recorder, *address)
    assert caught.value.errno == 98
    assert repr(address) in str(caught.value)
    server.close()
    await server.wait_closed()


async def test_a_server_can_be_given_a_socket(loop):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = await loop.create_server(Echo, sock=sock)
    assert server.sockets[0].fileno() == sock.fileno()
    assert sock.gettimeout() == 0
    transport, client = await loop.create_connection(Recorder, *sock.getsockname())
    transport.write(b"x")
    await client.bytes_received(1)
    transport.close()
    server.close()
    assert sock.fileno() == -1
    await server.wait_closed()


async def test_a_server_need_not_start_serving(loop):
    accepting = Accepting()
    server, address = await serve(loop, accepting, start_serving=False)
    assert not server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(Recorder, *address)
    await server.start_serving()
    assert server.is_serving()
    await server.start_serving()
    transport, _ = await loop.create_connection(Recorder, *address)
    await accepting.made.get()
    transport.close()
    server.close()
    assert not server.is_serving()
    await server.wait_closed()


async def test_a_closed_server_accepts_no_more(loop):
    server, address = await serve(loop)
    assert server.is_serving()
    server.close()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(Recorder, *address)
    await server.wait_closed()
    await server.wait_closed()


async def test_the_port_of_a_closed_server_can_be_served_again(loop):
    server, address = await serve(loop, Echo)
    for _ in range(5):
        transport, client = await loop.create_connection(Recorder, *address)
        transport.write(b"x")
        await client.bytes_received(1)
        server.close()
        transport.close()
        await client.lost
        await server.wait_closed()
        server = await loop.create_server(Echo, *address)
    server.close()
    await server.wait_closed()


async def test_connections_outlive_their_server(loop):
    server, address = await serve(loop, Echo)
    transport, client = await loop.create_connection(Recorder, *address)
    transport.write(b"one")
    await client.bytes_received(3)
    server.close()
    transport.write(b"two")
    assert await client.bytes_received(6) == b"onetwo"
    transport.close()
    await client.lost
    await server.wait_closed()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="older servers do not wait")
async def test_wait_closed_waits_for_the_connections(loop):
    accepting = Accepting()
    server, address = await serve(loop, accepting)
    transport, _ = await loop.create_connection(Recorder, *address)
    accepted = await accepting.made.get()
    waiting = loop.create_task(server.wait_closed())
    server.close()
    await polled()
    assert not waiting.done()
    transport.close()
    await waiting
    assert accepted.lost.done()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="older servers do not wait")
async def test_wait_closed_waits_for_a_server_that_is_open(loop):
    server, _ = await serve(loop)
    waiting = loop.create_task(server.wait_closed())
    await polled()
    assert not waiting.done()
    server.close()
    await waiting


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
@pytest.mark.parametrize("action", ["close_clients", "abort_clients"])
async def test_all_connections_can_be_ended(loop, action):
    accepting = Accepting()
    server, address = await serve(loop, accepting)
    clients = [(await loop.create_connection(Recorder, *address))[1] for _ in range(3)]
    accepted = [await accepting.made.get() for _ in range(3)]
    for protocol in accepted:
        await polled()
        protocol.transport.write(bytes(20_000_000))
    server.close()
    getattr(server, action)()
    assert all(protocol.transport.is_closing() for protocol in accepted)
    await asyncio.wait([protocol.lost for protocol in (*clients, *accepted)])
    await server.wait_closed()
    whole = [len(protocol.received) == 20_000_000 for protocol in clients]
    assert whole == [action == "close_clients"] * 3


async def test_serve_forever_starts_serving_and_ends_when_cancelled(loop):
    accepting = Accepting()
    server, address = await serve(loop, accepting, start_serving=False)
    serving = loop.create_task(server.serve_forever())
    await polled()
    assert server.is_serving()
    transport, _ = await loop.create_connection(Recorder, *address)
    await accepting.made.get()
    with pytest.raises(RuntimeError, match=r"is already being awaited on serve_forever\(\)"):
        await server.serve_forever()
    transport.close()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not server.is_serving()
    with pytest.raises(RuntimeError, match="is closed"):
        await server.serve_forever()


async def test_serve_forever_ends_when_the_server_is_closed(loop):
    server, _ = await serve(loop)
    serving = loop.create_task(server.serve_forever())
    await polled()
    server.close()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_a_server_is_closed_by_its_block(loop):
    server, address = await serve(loop)
    async with server as entered:
        assert entered is server
        transport, _ = await loop.create_connection(Recorder, *address)
        transport.close()
        await polled()
    assert not server.is_serving()
    assert server.sockets == ()


async def test_a_server_that_is_dropped_goes_on_accepting(loop):
    accepting = Accepting()
    server, address = await serve(loop, accepting)
    sock = server._sockets[0]
    del server
    transport, _ = await loop.create_connection(Recorder, *address)
    accepted = await accepting.made.get()
    transport.close()
    await accepted.lost
    loop._stop_serving(sock)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({}, ValueError, "Neither host/port nor sock were specified"),
        (
            {"host": "127.0.0.1", "port": 0, "ssl": True},
            TypeError,
            "ssl argument must be an SSLContext or None",
        ),
        (
            {"port": 0, "ssl_handshake_timeout": 1},
            ValueError,
            "ssl_handshake_timeout is only meaningful with ssl",
        ),
        (
            {"port": 0, "ssl_shutdown_timeout": 1},
            ValueError,
            "ssl_shutdown_timeout is only meaningful with ssl",
        ),
    ],
)
async def test_arguments_are_checked(loop, arguments, error, text):
    with pytest.raises(error) as caught:
        await loop.create_server(Recorder, **arguments)
    assert str(caught.value) == text


async def test_a_socket_excludes_an_address_and_must_be_a_stream(loop):
    with socket.socket() as sock, pytest.raises(ValueError, match="host/port and sock can not be specified"):
        await loop.create_server(Recorder, "127.0.0.1", 0, sock=sock)
    with (
        socket.socket(type=socket.SOCK_DGRAM) as sock,
        pytest.raises(ValueError, match="A Stream Socket was expected, got <socket"),
    ):
        await loop.create_server(Recorder, sock=sock)


@pytest.mark.parametrize("place", ["server", "class"])
async def test_replaced_counting_of_a_server_is_used(loop, monkeypatch, place):
    server, address = await serve(loop, Echo)
    calls = []

    def note(name, method):
        def noted(*arguments):
            calls.append(name)
            return method(*arguments)

        return noted

    for name in ("_attach", "_detach"):
        owner = server if place == "server" else type(server)
        monkeypatch.setattr(owner, name, note(name, getattr(owner, name)))
    transport, client = await loop.create_connection(Recorder, *address)
    transport.write(b"x")
    await client.bytes_received(1)
    assert calls == ["_attach"]
    transport.close()
    while len(calls) < 2:
        await polled()
    assert calls == ["_attach", "_detach"]
    server.close()
    await server.wait_closed()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="older servers only count")
async def test_a_server_knows_its_connections_while_they_last(loop):
    server, address = await serve(loop, Echo)
    peers = [await loop.create_connection(Recorder, *address) for _ in range(3)]
    for transport, client in peers:
        transport.write(b"x")
        await client.bytes_received(1)
    assert len(server._clients) == 3
    assert {type(client) for client in server._clients} == {type(peers[0][0])}
    for left, (transport, _) in enumerate(peers):
        transport.close()
        while len(server._clients) != 2 - left:
            await polled()
    server.close()
    await server.wait_closed()


@pytest.mark.native_only  # asyncio takes back what was never counted
@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
async def test_a_server_that_is_closed_counts_no_connection(loop):
    """One that is made too late fails, and its end is none of the server's business."""
    server = await loop.create_server(Recorder, "127.0.0.1", 0)
    server.close()
    with sockets() as (near, _):
        with pytest.raises(AssertionError):
            loop._make_socket_transport(near, Recorder(), server=server)
        gc.collect()
        await asyncio.sleep(0)
