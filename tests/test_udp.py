"""Datagrams: create_datagram_endpoint and its transport."""

from __future__ import annotations

import asyncio
import errno
import os
import pathlib
import socket
import sys

import pytest

from support.datagrams import LOCAL, endpoint, name_of
from support.descriptors import none_leaked
from support.protocols import DatagramRecorder
from support.sockets import needs_ipv6, polled

pytestmark = pytest.mark.timeout(30)
EMPTY_IS_SENT = sys.version_info >= (3, 13)


async def test_datagrams_reach_a_local_address():
    async with endpoint() as (server, receiver), endpoint(remote_addr=name_of(server)) as (client, _):
        client.sendto(b"hello")
        assert await receiver.datagrams.get() == (b"hello", name_of(client))


async def test_a_receiver_can_be_named():
    async with endpoint() as (server, receiver), endpoint() as (client, _):
        client.sendto(b"hello", ("localhost", name_of(server)[1]))
        assert (await receiver.datagrams.get())[0] == b"hello"


async def test_an_answer_goes_to_the_sender():
    async with endpoint() as (server, receiver), endpoint(remote_addr=name_of(server)) as (client, answered):
        client.sendto(b"question")
        _, address = await receiver.datagrams.get()
        server.sendto(b"answer", address)
        assert await answered.datagrams.get() == (b"answer", name_of(server))


async def test_datagrams_keep_their_order_and_their_bounds():
    async with endpoint() as (server, receiver), endpoint(remote_addr=name_of(server)) as (client, _):
        for number in range(100):
            client.sendto(b"%d" % number)
        received = [(await receiver.datagrams.get())[0] for _ in range(100)]
        assert received == [b"%d" % number for number in range(100)]


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
async def test_bytes_like_objects_are_sent(make):
    async with endpoint() as (server, receiver), endpoint() as (client, _):
        client.sendto(make(b"data"), name_of(server))
        assert (await receiver.datagrams.get())[0] == b"data"


@pytest.mark.parametrize("connected", [False, True])
async def test_an_empty_datagram_is_one_since_python_3_13(connected):
    async with endpoint() as (server, receiver):
        options = {"remote_addr": name_of(server)} if connected else {"local_addr": LOCAL}
        async with endpoint(**options) as (client, _):
            client.sendto(b"", None if connected else name_of(server))
            client.sendto(b"end", None if connected else name_of(server))
            received = [(await receiver.datagrams.get())[0]]
            if EMPTY_IS_SENT:
                received.append((await receiver.datagrams.get())[0])
            assert received == ([b"", b"end"] if EMPTY_IS_SENT else [b"end"])


@pytest.mark.parametrize("data", ["text", None, 5, [b"x"]])
async def test_other_types_are_refused(data):
    async with endpoint() as (transport, _):
        with pytest.raises(TypeError) as caught:
            transport.sendto(data, name_of(transport))
        name = type(data).__name__
        assert str(caught.value) == f"data argument must be a bytes-like object, not {name!r}"


async def test_a_connected_endpoint_sends_only_to_its_peer():
    async with endpoint() as (server, receiver), endpoint(remote_addr=name_of(server)) as (client, _):
        client.sendto(b"one", None)
        client.sendto(b"two", name_of(server))
        with pytest.raises(
            ValueError, match=r"^Invalid address: must be None or \('127.0.0.1', \d+\)$"
        ) as caught:
            client.sendto(b"three", ("127.0.0.1", 9))
        assert str(name_of(server)) in str(caught.value)
        assert [(await receiver.datagrams.get())[0] for _ in range(2)] == [b"one", b"two"]
        assert receiver.datagrams.empty()


async def test_a_connected_endpoint_hears_only_its_peer():
    async with (
        endpoint() as (server, _),
        endpoint(remote_addr=name_of(server)) as (client, receiver),
        endpoint() as (stranger, _),
    ):
        stranger.sendto(b"hello", name_of(client))
        server.sendto(b"known", name_of(client))
        assert (await receiver.datagrams.get())[0] == b"known"
        await polled()
        assert receiver.datagrams.empty()


async def test_addresses_are_known():
    async with endpoint() as (server, _), endpoint(remote_addr=name_of(server)) as (client, _):
        assert server.get_extra_info("peername") is None
        assert client.get_extra_info("peername") == name_of(server)
        sock = client.get_extra_info("socket")
        assert isinstance(sock, asyncio.trsock.TransportSocket)
        assert sock.type == socket.SOCK_DGRAM
        assert sock.getsockname() == name_of(client)
        assert client.get_extra_info("unknown", 5) == 5


async def test_both_addresses_can_be_given():
    async with (
        endpoint() as (server, receiver),
        endpoint(local_addr=LOCAL, remote_addr=name_of(server)) as (client, _),
    ):
        client.sendto(b"x")
        assert await receiver.datagrams.get() == (b"x", name_of(client))


@needs_ipv6
async def test_ipv6():
    async with endpoint(local_addr=("::1", 0)) as (server, receiver):
        assert len(name_of(server)) == 4
        async with endpoint(remote_addr=name_of(server)[:2]) as (client, answered):
            client.sendto(b"hello")
            data, address = await receiver.datagrams.get()
            assert (data, address) == (b"hello", name_of(client))
            server.sendto(b"back", address)
            assert (await answered.datagrams.get())[0] == b"back"


async def test_a_family_is_enough():
    async with endpoint(family=socket.AF_INET) as (client, _), endpoint() as (server, receiver):
        client.sendto(b"hello", name_of(server))
        assert (await receiver.datagrams.get())[0] == b"hello"


async def test_a_socket_can_be_given():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(LOCAL)
    async with endpoint(sock=sock) as (transport, receiver):
        assert sock.gettimeout() == 0
        transport.sendto(b"to myself", name_of(transport))
        assert (await receiver.datagrams.get())[0] == b"to myself"
    assert sock.fileno() == -1


async def test_a_connected_socket_can_be_given():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(LOCAL)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect(peer.getsockname())
        async with endpoint(sock=sock) as (transport, receiver):
            assert transport.get_extra_info("peername") == peer.getsockname()
            transport.sendto(b"x")
            data, address = peer.recvfrom(10)
            assert data == b"x"
            peer.sendto(b"y", address)
            assert (await receiver.datagrams.get())[0] == b"y"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before 3.13 only SOCK_DGRAM is taken")
async def test_a_socket_of_packets_can_be_given():
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0veloop-test-packets-{os.getpid()}")
        listener.listen()
        near = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
    with far:
        async with endpoint(sock=near) as (transport, receiver):
            transport.sendto(b"out")
            assert far.recv(10) == b"out"
            far.send(b"in")
            assert (await receiver.datagrams.get())[0] == b"in"


async def test_unix_datagrams(tmp_path):
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    async with (
        endpoint(local_addr=one, family=socket.AF_UNIX) as (server, receiver),
        endpoint(local_addr=other, remote_addr=one, family=socket.AF_UNIX) as (client, answered),
    ):
        client.sendto(b"hello")
        assert await receiver.datagrams.get() == (b"hello", other)
        server.sendto(b"back", other)
        assert await answered.datagrams.get() == (b"back", one)
        assert name_of(server) == one
        assert client.get_extra_info("peername") == one


async def test_a_stale_unix_datagram_socket_is_replaced(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(path)
    async with endpoint(local_addr=path, family=socket.AF_UNIX):
        assert pathlib.Path(path).is_socket()


async def test_an_abstract_unix_datagram_address():
    address = f"\0veloop-test-datagrams-{os.getpid()}"
    async with (
        endpoint(local_addr=address, family=socket.AF_UNIX) as (_, receiver),
        endpoint(remote_addr=address, family=socket.AF_UNIX) as (client, _),
    ):
        client.sendto(b"hello")
        assert (await receiver.datagrams.get())[0] == b"hello"


async def test_socket_options():
    async with endpoint(local_addr=LOCAL, allow_broadcast=True) as (transport, _):
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    async with endpoint(local_addr=LOCAL, reuse_port=True) as (transport, _):
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        async with endpoint(local_addr=name_of(transport), reuse_port=True) as (other, _):
            assert name_of(other) == name_of(transport)


async def test_a_broadcasting_endpoint_with_a_peer_is_not_connected():
    async with (
        endpoint() as (server, receiver),
        endpoint(remote_addr=name_of(server), allow_broadcast=True) as (client, answered),
    ):
        assert client.get_extra_info("peername") is None
        client.sendto(b"hello")
        _, (_, port) = await receiver.datagrams.get()
        server.sendto(b"back", ("127.0.0.1", port))
        assert (await answered.datagrams.get())[0] == b"back"


async def test_a_port_that_is_taken_is_reported(loop):
    async with endpoint() as (transport, _):
        with none_leaked(), pytest.raises(OSError, match="Address already in use") as caught:
            await loop.create_datagram_endpoint(DatagramRecorder, name_of(transport))
        assert caught.value.errno == errno.EADDRINUSE


SOCKET_ARGUMENTS = {
    "local_addr": LOCAL,
    "remote_addr": LOCAL,
    "family": 2,
    "proto": 1,
    "flags": 1,
    "reuse_port": True,
}


@pytest.mark.parametrize("name", SOCKET_ARGUMENTS)
async def test_a_socket_excludes_what_would_make_one(loop, name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError, match="socket modifier keyword arguments can not be used") as caught:
            await loop.create_datagram_endpoint(DatagramRecorder, sock=sock, **{name: SOCKET_ARGUMENTS[name]})
        assert f"({name}={SOCKET_ARGUMENTS[name]})" in str(caught.value)


async def test_other_arguments_are_checked(loop):
    make = loop.create_datagram_endpoint
    with pytest.raises(ValueError, match=r"^unexpected address family$"):
        await make(DatagramRecorder)
    with pytest.raises(TypeError, match=r"^2-tuple is expected$"):
        await make(DatagramRecorder, local_addr="127.0.0.1")
    with pytest.raises(TypeError, match=r"^string is expected$"):
        await make(DatagramRecorder, local_addr=LOCAL, family=socket.AF_UNIX)
    with socket.socket() as sock, pytest.raises(ValueError, match=r"Socket was expected|socket was expected"):
        await make(DatagramRecorder, sock=sock)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # older asyncio leaves a socket behind
async def test_a_factory_that_raises_fails_the_call(loop):
    def factory():
        raise LookupError

    with pytest.raises(LookupError):
        await loop.create_datagram_endpoint(factory, LOCAL)
