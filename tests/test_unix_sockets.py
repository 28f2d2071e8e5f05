"""Unix sockets: create_unix_connection and create_unix_server."""

from __future__ import annotations

import asyncio
import errno
import os
import pathlib
import socket
import sys

import pytest

from support.descriptors import none_leaked
from support.protocols import Echo, Recorder
from support.sockets import polled

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "socket")


async def bounced(loop, address):
    """Sends a word to the echo server at `address`, and closes the connection again."""
    transport, client = await loop.create_unix_connection(Recorder, address)
    transport.write(b"word")
    assert await client.bytes_received(4) == b"word"
    transport.close()
    assert await client.lost is None
    return transport


@pytest.mark.parametrize("make", [str, pathlib.Path, os.fsencode])
async def test_a_path_can_be_served(loop, path, make):
    server = await loop.create_unix_server(Echo, make(path))
    assert isinstance(server, asyncio.Server)
    assert server.sockets[0].family == socket.AF_UNIX
    assert server.sockets[0].getsockname() == path
    transport = await bounced(loop, make(path))
    assert transport.get_extra_info("peername") == path
    assert transport.get_extra_info("sockname") == ""
    server.close()
    await server.wait_closed()


async def test_the_accepted_side_knows_its_addresses(loop, path):
    made = loop.create_future()

    class Accepted(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            made.set_result(self)

    server = await loop.create_unix_server(Accepted, path)
    transport, _ = await loop.create_unix_connection(Recorder, path)
    accepted = await made
    assert accepted.transport.get_extra_info("sockname") == path
    assert accepted.transport.get_extra_info("peername") == ""
    assert accepted.transport.get_extra_info("socket").family == socket.AF_UNIX
    transport.close()
    await accepted.lost
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("make", [str, os.fsencode])
async def test_an_abstract_address_can_be_served(loop, make):
    address = make(f"\0veloop-test-abstract-{os.getpid()}")
    server = await loop.create_unix_server(Echo, address)
    assert server.sockets[0].getsockname() == os.fsencode(address)
    transport = await bounced(loop, address)
    assert transport.get_extra_info("peername") == os.fsencode(address)
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_unix_connection(Recorder, address)


async def test_abstract_addresses_with_zeros_inside_differ(loop):
    prefix = f"\0veloop-test-zeros-{os.getpid()}\0"
    servers = [await loop.create_unix_server(Echo, prefix + name) for name in "ab"]
    await bounced(loop, prefix + "b")
    servers[1].close()
    await servers[1].wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_unix_connection(Recorder, prefix + "b")
    await bounced(loop, prefix + "a")
    servers[0].close()
    await servers[0].wait_closed()


async def test_a_socket_can_be_served_and_connected(loop, path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    server = await loop.create_unix_server(Echo, sock=listener)
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    transport, protocol = await loop.create_unix_connection(Recorder, sock=client)
    assert client.gettimeout() == 0
    transport.write(b"x")
    await protocol.bytes_received(1)
    transport.close()
    await protocol.lost
    assert client.fileno() == -1
    server.close()
    await server.wait_closed()
    assert listener.fileno() == -1


async def test_a_stale_socket_file_is_replaced(loop, path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    assert pathlib.Path(path).is_socket()
    server = await loop.create_unix_server(Echo, path)
    await bounced(loop, path)
    server.close()
    await server.wait_closed()


async def test_another_file_is_not_replaced(loop, path):
    pathlib.Path(path).write_text("precious")
    with none_leaked(), pytest.raises(OSError, match="is already in use") as caught:
        await loop.create_unix_server(Echo, path)
    assert caught.value.errno == errno.EADDRINUSE
    assert str(caught.value) == f"[Errno 98] Address {path!r} is already in use"
    assert pathlib.Path(path).read_text() == "precious"


@pytest.mark.parametrize("cleanup", [None, True, False])
async def test_the_socket_file_is_removed_with_the_server(loop, path, cleanup):
    if cleanup is not None and sys.version_info < (3, 13):
        pytest.skip("cleanup_socket is new in 3.13")
    options = {} if cleanup is None else {"cleanup_socket": cleanup}
    server = await loop.create_unix_server(Echo, path, **options)
    assert pathlib.Path(path).exists()
    server.close()
    await server.wait_closed()
    removed = cleanup is not False and sys.version_info >= (3, 13)
    assert pathlib.Path(path).exists() == (not removed)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
async def test_a_socket_file_of_somebody_else_is_not_removed(loop, path):
    first = await loop.create_unix_server(Echo, path)
    second = await loop.create_unix_server(Echo, path)
    first.close()
    await first.wait_closed()
    await bounced(loop, path)
    second.close()
    await second.wait_closed()
    assert not pathlib.Path(path).exists()


async def test_a_server_need_not_start_serving(loop, path):
    server = await loop.create_unix_server(Echo, path, start_serving=False)
    with pytest.raises(ConnectionRefusedError):
        await loop.create_unix_connection(Recorder, path)
    await server.start_serving()
    await bounced(loop, path)
    server.close()
    await server.wait_closed()


async def test_connecting_to_a_path_that_does_not_exist(loop, path):
    with none_leaked(), pytest.raises(FileNotFoundError):
        await loop.create_unix_connection(Recorder, path)


async def test_connecting_where_nobody_listens(loop, path):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    with none_leaked(), pytest.raises(ConnectionRefusedError):
        await loop.create_unix_connection(Recorder, path)


async def test_a_path_that_is_too_long_is_refused(loop, path):
    with none_leaked():
        with pytest.raises(OSError, match="AF_UNIX path too long"):
            await loop.create_unix_connection(Recorder, "/" * 200)
        with pytest.raises(OSError, match="AF_UNIX path too long"):
            await loop.create_unix_server(Recorder, "/tmp/" + "x" * 200)


@pytest.mark.parametrize("turns", range(4))
async def test_connecting_can_be_cancelled_at_each_step(loop, path, turns):
    server = await loop.create_unix_server(Recorder, path)
    with none_leaked():
        task = loop.create_task(loop.create_unix_connection(Recorder, path))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        try:
            transport, protocol = await task
        except asyncio.CancelledError:
            pass
        else:
            transport.close()
            await protocol.lost
            del transport, protocol
        del task
        await polled(4)
    server.close()
    await server.wait_closed()


async def test_many_connections_leave_no_descriptor(loop, path):
    with none_leaked():
        server = await loop.create_unix_server(Echo, path)
        for _ in range(10):
            await asyncio.gather(*(bounced(loop, path) for _ in range(20)))
        server.close()
        await polled()
        await server.wait_closed()


CONNECTION_ARGUMENTS = [
    ({}, "no path and sock were specified"),
    ({"path": "p", "server_hostname": "h"}, "server_hostname is only meaningful with ssl"),
    ({"path": "p", "ssl": True}, "you have to pass server_hostname when using ssl"),
    ({"path": "p", "ssl_handshake_timeout": 1}, "ssl_handshake_timeout is only meaningful with ssl"),
    ({"path": "p", "ssl_shutdown_timeout": 1}, "ssl_shutdown_timeout is only meaningful with ssl"),
]
SERVER_ARGUMENTS = [
    ({}, ValueError, "path was not specified, and no sock specified"),
    ({"path": "p", "ssl": True}, TypeError, "ssl argument must be an SSLContext or None"),
    (
        {"path": "p", "ssl_handshake_timeout": 1},
        ValueError,
        "ssl_handshake_timeout is only meaningful with ssl",
    ),
    (
        {"path": "p", "ssl_shutdown_timeout": 1},
        ValueError,
        "ssl_shutdown_timeout is only meaningful with ssl",
    ),
]


@pytest.mark.parametrize(("arguments", "text"), CONNECTION_ARGUMENTS)
async def test_arguments_of_a_connection_are_checked(loop, arguments, text):
    with pytest.raises(ValueError, match=r".+") as caught:
        await loop.create_unix_connection(Recorder, **arguments)
    assert str(caught.value) == text


@pytest.mark.parametrize(("arguments", "error", "text"), SERVER_ARGUMENTS)
async def test_arguments_of_a_server_are_checked(loop, arguments, error, text):
    with pytest.raises(error) as caught:
        await loop.create_unix_server(Recorder, **arguments)
    assert str(caught.value) == text


@pytest.mark.parametrize("method", ["create_unix_connection", "create_unix_server"])
async def test_a_socket_excludes_a_path_and_must_be_a_unix_stream(loop, method):
    call = getattr(loop, method)
    with (
        socket.socket(socket.AF_UNIX) as sock,
        pytest.raises(ValueError, match=r"^path and sock can not be specified at the same time$"),
    ):
        await call(Recorder, "path", sock=sock)
    for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_DGRAM)):
        with (
            socket.socket(family, kind) as sock,
            pytest.raises(ValueError, match=r"^A UNIX Domain Stream Socket was expected, got <socket"),
        ):
            await call(Recorder, sock=sock)
