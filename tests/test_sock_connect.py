"""loop.sock_connect and loop.sock_accept."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket

import pytest

from support.descriptors import none_leaked
from support.sockets import full_address, needs_ipv6, polled, silent_address

pytestmark = pytest.mark.timeout(30)


@contextlib.contextmanager
def listening(family=socket.AF_INET, address=("127.0.0.1", 0), backlog=100):
    with socket.socket(family) as listener:
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
        yield listener


def new_socket(family=socket.AF_INET):
    sock = socket.socket(family)
    sock.setblocking(False)
    return sock


@contextlib.contextmanager
def connect_that_hangs():
    """A socket and an address that does not answer."""
    with full_address() as address, new_socket() as sock:
        yield sock, address


async def test_connecting_to_a_listener(loop):
    with listening() as listener, new_socket() as sock:
        assert await loop.sock_connect(sock, listener.getsockname()) is None
        assert sock.getpeername() == listener.getsockname()
        assert loop.remove_writer(sock) is False


async def test_connecting_by_name(loop):
    with listening() as listener, new_socket() as sock:
        await loop.sock_connect(sock, ("localhost", listener.getsockname()[1]))
        assert sock.getpeername() == listener.getsockname()


@needs_ipv6
@pytest.mark.parametrize("parts", [2, 4])
async def test_connecting_over_ipv6(loop, parts):
    with listening(socket.AF_INET6, ("::1", 0)) as listener, new_socket(socket.AF_INET6) as sock:
        await loop.sock_connect(sock, listener.getsockname()[:parts])
        assert sock.getpeername() == listener.getsockname()


@pytest.mark.parametrize("make", [str, os.fsencode])
async def test_connecting_to_a_path(loop, tmp_path, make):
    path = make(tmp_path / "socket")
    with listening(socket.AF_UNIX, path) as listener, new_socket(socket.AF_UNIX) as sock:
        await loop.sock_connect(sock, path)
        assert sock.getpeername() == listener.getsockname()


async def test_connecting_to_an_abstract_address(loop):
    name = f"\0veloop-test-{os.getpid()}"
    with listening(socket.AF_UNIX, name), new_socket(socket.AF_UNIX) as sock:
        await loop.sock_connect(sock, name)
        assert sock.getpeername() == name.encode()


async def test_connecting_where_nobody_listens(loop):
    with silent_address() as address, new_socket() as sock:
        with pytest.raises(ConnectionRefusedError) as caught:
            await loop.sock_connect(sock, address)
        assert caught.value.errno == errno.ECONNREFUSED
        assert caught.value.strerror == f"Connect call failed {address}"
        assert loop.remove_writer(sock) is False


async def test_connecting_to_a_path_that_does_not_exist(loop, tmp_path):
    with new_socket(socket.AF_UNIX) as sock, pytest.raises(FileNotFoundError):
        await loop.sock_connect(sock, str(tmp_path / "missing"))


async def test_a_connected_socket_cannot_be_connected_again(loop):
    with listening() as listener, new_socket() as sock:
        for _ in range(2):  # the second time, the kernel only says that the first has succeeded
            await loop.sock_connect(sock, listener.getsockname())
        with pytest.raises(OSError, match="already connected") as caught:
            await loop.sock_connect(sock, listener.getsockname())
        assert caught.value.errno == errno.EISCONN


async def test_a_datagram_socket_can_be_connected(loop):
    with silent_address() as address, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
        assert sock.getpeername() == address


async def test_a_connect_that_hangs_can_be_cancelled(loop):
    with none_leaked(), connect_that_hangs() as (sock, address):
        task = loop.create_task(loop.sock_connect(sock, address))
        await polled()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.remove_writer(sock) is False


async def test_the_number_of_a_cancelled_connect_can_be_reused_at_once(loop):
    for _ in range(3):
        with connect_that_hangs() as (sock, address):
            number = sock.fileno()
            task = loop.create_task(loop.sock_connect(sock, address))
            await polled()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            sock.close()
            with listening() as listener, new_socket() as other:
                assert number in (listener.fileno(), other.fileno())
                transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
                await loop.sock_connect(other, listener.getsockname())
                transport.abort()
                await polled()


async def test_a_connect_that_times_out_leaves_nothing_behind(loop):
    with none_leaked(), connect_that_hangs() as (sock, address):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_connect(sock, address), 0.01)
        assert loop.remove_writer(sock) is False


async def test_a_connection_that_waits_is_accepted(loop):
    with listening() as listener, socket.create_connection(listener.getsockname()) as client:
        accepted, address = await loop.sock_accept(listener)
        with accepted:
            assert address == client.getsockname()
            assert accepted.getpeername() == client.getsockname()
            assert accepted.gettimeout() == 0
            assert not accepted.get_inheritable()


async def test_a_connection_that_comes_later_is_accepted(loop):
    with listening() as listener:
        task = loop.create_task(loop.sock_accept(listener))
        await polled()
        assert not task.done()
        with socket.create_connection(listener.getsockname()) as client:
            accepted, address = await task
            with accepted:
                assert address == client.getsockname()
        assert loop.remove_reader(listener) is False


async def test_a_unix_connection_is_accepted(loop, tmp_path):
    path = str(tmp_path / "socket")
    with listening(socket.AF_UNIX, path) as listener, new_socket(socket.AF_UNIX) as client:
        task = loop.create_task(loop.sock_accept(listener))
        await loop.sock_connect(client, path)
        accepted, address = await task
        with accepted:
            assert address == ""
            assert accepted.family == socket.AF_UNIX


async def test_a_cancelled_accept_takes_no_connection(loop):
    with none_leaked(), listening() as listener:
        task = loop.create_task(loop.sock_accept(listener))
        await polled()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.remove_reader(listener) is False
        with socket.create_connection(listener.getsockname()) as client:
            accepted, address = await loop.sock_accept(listener)
            accepted.close()
            assert address == client.getsockname()


async def test_accepting_on_a_socket_that_does_not_listen_fails(loop):
    with new_socket() as sock, pytest.raises(OSError, match="Invalid argument"):
        await loop.sock_accept(sock)


async def test_many_connections_are_accepted_and_connected(loop):
    with none_leaked(), listening() as listener, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(new_socket()) for _ in range(50)]
        connecting = asyncio.gather(*(loop.sock_connect(sock, listener.getsockname()) for sock in clients))
        peers = set()
        for _ in clients:
            accepted, address = await loop.sock_accept(listener)
            stack.enter_context(accepted)
            peers.add(address)
        await connecting
        assert peers == {sock.getsockname() for sock in clients}
