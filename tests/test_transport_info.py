"""What a stream transport knows: extra information, its socket, options, write buffer."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from support.descriptors import none_leaked
from support.sockets import (
    KINDS,
    SOCKETS,
    connected,
    fill,
    needs_ipv6,
    polled,
    read_exactly,
    read_to_end,
    socket_pair,
)

pytestmark = pytest.mark.timeout(30)
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("kind", ["tcp", "accepted"])
async def test_the_addresses_are_those_of_the_socket(kind):
    async with connected(kind=kind) as (transport, _, far):
        assert transport.get_extra_info("peername") == far.getsockname()
        assert transport.get_extra_info("sockname") == far.getpeername()


async def test_unnamed_unix_sockets_have_empty_addresses():
    async with connected(kind="unix") as (transport, _, _):
        assert transport.get_extra_info("peername") == ""
        assert transport.get_extra_info("sockname") == ""


@needs_ipv6
async def test_ipv6_addresses_have_four_parts(loop):
    server = await loop.create_server(asyncio.Protocol, "::1", 0)
    address = server.sockets[0].getsockname()
    transport, _ = await loop.create_connection(asyncio.Protocol, "::1", address[1])
    assert transport.get_extra_info("peername") == ("::1", address[1], 0, 0)
    assert len(transport.get_extra_info("sockname")) == 4
    transport.close()
    server.close()
    await server.wait_closed()


@each_kind
async def test_unknown_information_is_the_default(kind):
    async with connected(kind=kind) as (transport, _, _):
        marker = object()
        assert transport.get_extra_info("no such thing") is None
        assert transport.get_extra_info("no such thing", marker) is marker
        assert transport.get_extra_info("sslcontext") is None
        assert transport.get_extra_info("ssl_object", marker) is marker
        assert transport.get_extra_info("pipe", marker) is marker


@pytest.mark.parametrize("kind", ["tcp", "accepted"])
async def test_the_addresses_are_still_known_after_the_end(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        peername, sockname = far.getsockname(), far.getpeername()
        transport.close()
        await protocol.lost
        assert transport.get_extra_info("peername") == peername
        assert transport.get_extra_info("sockname") == sockname


async def test_the_addresses_and_the_protocol_are_known_within_connection_lost():
    seen = []

    class Looks(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            self.lost = asyncio.get_running_loop().create_future()

        def connection_lost(self, exc):
            seen.append(self.transport.get_extra_info("peername"))
            seen.append(self.transport.get_extra_info("socket").fileno() >= 0)
            seen.append(self.transport.get_protocol() is self)
            self.lost.set_result(None)

    async with connected(Looks) as (transport, protocol, far):
        address = far.getsockname()
        transport.close()
        await protocol.lost
        await polled()
        assert transport.get_protocol() is None
    assert seen == [address, True, True]


@each_kind
async def test_the_socket_is_a_transport_socket(kind):
    async with connected(kind=kind) as (transport, _, far):
        sock = transport.get_extra_info("socket")
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        assert sock.family == far.family
        assert sock.type == socket.SOCK_STREAM
        assert sock.getsockname() == far.getpeername()
        assert sock.getpeername() == far.getsockname()
        assert sock.gettimeout() == 0
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert transport.get_extra_info("socket").fileno() == sock.fileno()


@each_kind
async def test_the_socket_may_be_asked_for_after_the_end(kind):
    async with connected(kind=kind) as (transport, protocol, _):
        transport.close()
        await protocol.lost
        sock = transport.get_extra_info("socket")
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        assert sock.fileno() == -1


@each_kind
async def test_what_was_written_comes_before_a_shutdown_by_hand(kind):
    async with connected(kind=kind) as (transport, _, far):
        transport.write(b"last words")
        transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        assert await read_to_end(far) == b"last words"


async def test_the_socket_can_be_shut_down_by_hand():
    async with connected() as (transport, protocol, far):
        transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        assert await protocol.lost is None
        assert far.recv(1) == b""
        assert protocol.events == ["made", "eof", "lost"]


@each_kind
async def test_the_socket_can_be_duplicated(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        sock = transport.get_extra_info("socket")
        with sock.dup() as copy:
            assert copy.gettimeout() == 0
            assert not os.get_blocking(sock.fileno())  # a flag that the two have in common
            transport.close()
            await protocol.lost
            copy.send(b"from the copy")
            assert await read_exactly(far, 13) == b"from the copy"


@each_kind
async def test_the_socket_below_is_non_blocking(kind):
    async with connected(kind=kind) as (transport, _, _):
        assert transport._sock.gettimeout() == 0
        assert not os.get_blocking(transport._sock_fd)


@each_kind
async def test_the_socket_is_closed_after_connection_lost(kind):
    async with connected(kind=kind) as (transport, protocol, _):
        sock = transport.get_extra_info("socket")
        transport.close()
        await protocol.lost
        assert sock.fileno() == -1


@pytest.mark.parametrize("kind", SOCKETS)
async def test_the_socket_given_to_create_connection_is_closed_with_the_transport(loop, kind):
    near, far = socket_pair(kind)
    with far:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        assert transport.get_extra_info("socket").fileno() == near.fileno()
        assert near.gettimeout() == 0
        transport.abort()
        await polled()
        assert near.fileno() == -1


async def test_a_descriptor_is_closed_once(loop):
    """The number of a closed descriptor belongs to whoever gets it next."""
    with none_leaked():
        near, far = socket_pair()
        number = near.fileno()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        far.close()
        transport.abort()
        await polled()
        replacement = socket.socket()
        others = []
        while replacement.fileno() != number:
            others.append(replacement)
            replacement = socket.socket()
        near.close()
        transport.close()
        transport.abort()
        del near, transport
        await polled()
        assert replacement.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        for sock in [replacement, *others]:
            sock.close()


@pytest.mark.parametrize("protocol_number", [0, socket.IPPROTO_TCP])
async def test_small_tcp_writes_are_not_delayed(loop, protocol_number):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol_number)
        near.connect(listener.getsockname())
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        sock = transport.get_extra_info("socket")
        if protocol_number == socket.IPPROTO_TCP:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        transport.abort()
        await polled()


@pytest.mark.native_only
async def test_a_tcp_socket_without_a_protocol_number_is_not_delayed_either(loop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        near.connect(listener.getsockname())
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        transport.abort()
        await polled()


async def test_accepted_connections_are_not_delayed(loop):
    made = loop.create_future()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport):
            made.set_result(transport)

    server = await loop.create_server(Accepted, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    client, _ = await loop.create_connection(asyncio.Protocol, *address)
    accepted = await made
    for transport in (client, accepted):
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert not sock.get_inheritable()
        assert sock.gettimeout() == 0
        transport.close()
    server.close()
    await server.wait_closed()


async def test_the_write_buffer_holds_what_the_kernel_did_not_take():
    async with connected() as (transport, _, far):
        assert transport.get_write_buffer_size() == 0
        size = await fill(transport)
        waiting = transport.get_write_buffer_size()
        assert 0 < waiting <= size
        transport.write(b"1234567")
        assert transport.get_write_buffer_size() == waiting + 7
        await read_exactly(far, size + 7)
        await polled()
        assert transport.get_write_buffer_size() == 0
