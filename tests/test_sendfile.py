"""loop.sendfile and loop.sock_sendfile: files to transports and to sockets."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys

import pytest

from support.certificates import client_context, server_context
from support.protocols import Recorder
from support.sockets import (
    KINDS,
    SOCKETS,
    connected,
    fill,
    fill_kernel,
    polled,
    read_exactly,
    read_to_end,
    sockets,
)

pytestmark = pytest.mark.timeout(60)
each_kind = pytest.mark.parametrize("kind", KINDS)
CONTENT = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        yield file


RANGES = [
    (0, None),
    (0, len(CONTENT)),
    (0, 10),
    (1000, None),
    (1000, 500_000),
    (len(CONTENT) - 5, None),
    (len(CONTENT) - 5, 100),
    (len(CONTENT), None),
    (len(CONTENT) + 10, None),
    (0, len(CONTENT) * 2),
]


def part(offset, count):
    return CONTENT[offset:] if count is None else CONTENT[offset : offset + count]


@each_kind
@pytest.mark.parametrize(("offset", "count"), RANGES)
async def test_a_part_of_a_file_is_sent_to_a_transport(loop, file, kind, offset, count):
    async with connected(kind=kind) as (transport, _, far):
        expected = part(offset, count)
        reading = loop.create_task(read_exactly(far, len(expected)))
        assert await loop.sendfile(transport, file, offset, count, fallback=False) == len(expected)
        assert await reading == expected
        if expected:
            assert file.tell() == offset + len(expected)
        assert not transport.is_closing()
        assert transport.is_reading()


@pytest.mark.parametrize("kind", SOCKETS)
@pytest.mark.parametrize(("offset", "count"), RANGES)
async def test_a_part_of_a_file_is_sent_to_a_socket(loop, file, kind, offset, count):
    with sockets(kind) as (near, far):
        expected = part(offset, count)
        reading = loop.create_task(read_exactly(far, len(expected)))
        assert await loop.sock_sendfile(near, file, offset, count, fallback=False) == len(expected)
        assert await reading == expected
        if expected:
            assert file.tell() == offset + len(expected)
        assert loop.remove_writer(near) is False


async def test_the_file_follows_what_was_written_before(loop, file):
    async with connected() as (transport, _, far):
        size = await fill(transport)
        transport.write(b"before")
        sending = loop.create_task(loop.sendfile(transport, file, 0, 1000))
        await polled()
        assert not sending.done()
        data = await read_exactly(far, size + 6 + 1000)
        assert data[size:] == b"before" + CONTENT[:1000]
        assert await sending == 1000
        transport.write(b"after")
        assert await read_exactly(far, 5) == b"after"


@pytest.mark.parametrize("method", ["write", "writelines"])
async def test_nothing_can_be_written_meanwhile(loop, file, method):
    if method == "writelines" and sys.version_info < (3, 12):
        method = "write"
    async with connected() as (transport, _, far):
        size = await fill(transport)
        sending = loop.create_task(loop.sendfile(transport, file, 0, 1000))
        await polled()
        with pytest.raises(RuntimeError, match=rf"^unable to {method}; sendfile is in progress$"):
            getattr(transport, method)(b"data" if method == "write" else [b"data"])
        await read_exactly(far, size + 1000)
        assert await sending == 1000


async def test_data_that_comes_meanwhile_is_received_afterwards(loop, file):
    async with connected() as (transport, protocol, far):
        size = await fill(transport)
        sending = loop.create_task(loop.sendfile(transport, file))
        await polled()
        assert not transport.is_reading()
        far.send(b"hello")
        await polled()
        assert protocol.received == b""
        await read_exactly(far, size + len(CONTENT))
        await sending
        assert await protocol.bytes_received(5) == b"hello"


@each_kind
async def test_reading_may_be_resumed_while_a_file_waits_to_be_sent(loop, file, kind):
    async with connected(kind=kind) as (transport, protocol, far):
        with transport.get_extra_info("socket").dup() as near:
            size = fill_kernel(near)
        sending = loop.create_task(loop.sendfile(transport, file))
        await polled()
        transport.resume_reading()
        far.send(b"heard")
        assert await protocol.bytes_received(5) == b"heard"
        received = await read_exactly(far, size + len(CONTENT))
        assert received[size:] == CONTENT
        assert await sending == len(CONTENT)


@each_kind
async def test_a_transport_that_is_aborted_while_a_file_waits_is_closed(
    loop, loop_errors, on_veloop, file, kind
):
    async with connected(kind=kind) as (transport, protocol, far):
        with transport.get_extra_info("socket").dup() as near:
            fill_kernel(near)
        sending = loop.create_task(loop.sendfile(transport, file))
        await polled()
        transport.abort()
        assert await protocol.lost is None
        await read_to_end(far)
        sending.cancel()
        with pytest.raises((asyncio.CancelledError, OSError)):
            await sending
        if not on_veloop:
            loop_errors.clear()  # asyncio settles its own waiter a second time


async def test_a_transport_that_was_paused_stays_paused(loop, file):
    async with connected() as (transport, _, far):
        transport.pause_reading()
        await loop.sendfile(transport, file, 0, 10)
        assert not transport.is_reading()
        assert await read_exactly(far, 10) == CONTENT[:10]


async def test_a_transport_can_be_closed_after_a_file(loop, file):
    async with connected() as (transport, protocol, far):
        reading = loop.create_task(read_to_end(far))
        await loop.sendfile(transport, file)
        transport.close()
        assert await reading == CONTENT
        assert await protocol.lost is None


@each_kind
async def test_a_peer_that_leaves_ends_the_call(loop, loop_errors, on_veloop, file, kind):
    async with connected(kind=kind) as (transport, protocol, far):
        transport.set_write_buffer_limits(high=0)
        await fill(transport)
        sending = loop.create_task(loop.sendfile(transport, file))
        await polled()
        far.close()
        with pytest.raises((ConnectionError, RuntimeError)):
            await sending
        transport.abort()
        await protocol.lost
        await polled()
        if not on_veloop and loop_errors:
            (context,) = loop_errors  # asyncio settles its own waiter a second time
            assert isinstance(context["exception"], asyncio.InvalidStateError)
            loop_errors.clear()


@pytest.mark.parametrize("target", ["transport", "socket"])
async def test_an_object_that_is_no_file_needs_the_fallback(loop, target):
    async with connected() as (transport, _, far):
        with sockets() as (near, near_far):
            source = io.BytesIO(b"0123456789")
            if target == "transport":
                with pytest.raises(asyncio.SendfileNotAvailableError):
                    await loop.sendfile(transport, source, fallback=False)
                assert await loop.sendfile(transport, source, 2, 5) == 5
                assert await read_exactly(far, 5) == b"23456"
            else:
                with pytest.raises(asyncio.SendfileNotAvailableError):
                    await loop.sock_sendfile(near, source, fallback=False)
                assert await loop.sock_sendfile(near, source, 2, 5) == 5
                assert await read_exactly(near_far, 5) == b"23456"
            assert source.tell() == 7


async def test_a_large_object_is_sent_by_the_fallback(loop):
    async with connected() as (transport, protocol, far):
        source = io.BytesIO(CONTENT)
        reading = loop.create_task(read_exactly(far, len(CONTENT) + 3))
        assert await loop.sendfile(transport, source) == len(CONTENT)
        assert source.tell() == len(CONTENT)
        transport.write(b"end")
        assert await reading == CONTENT + b"end"
        assert transport.get_protocol() is protocol
        far.send(b"back")
        assert await protocol.bytes_received(4) == b"back"


async def test_a_closing_transport_is_refused(loop, file):
    async with connected() as (transport, protocol, _):
        transport.close()
        with pytest.raises(RuntimeError, match=r"^Transport is closing$"):
            await loop.sendfile(transport, file)
        await protocol.lost


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"offset": "0"}, TypeError, "offset must be a non-negative integer (got '0')"),
        ({"offset": 1.5}, TypeError, "offset must be a non-negative integer (got 1.5)"),
        ({"offset": -1}, ValueError, "offset must be a non-negative integer (got -1)"),
        ({"count": "1"}, TypeError, "count must be a positive integer (got '1')"),
        ({"count": 0}, ValueError, "count must be a positive integer (got 0)"),
        ({"count": -5}, ValueError, "count must be a positive integer (got -5)"),
    ],
)
async def test_bounds_are_checked(loop, file, options, error, text):
    with sockets() as (near, _), pytest.raises(error) as caught:
        await loop.sock_sendfile(near, file, **options)
    assert str(caught.value) == text


async def test_text_files_are_refused(loop, tmp_path):
    (tmp_path / "text").write_text("text")
    with (
        (tmp_path / "text").open() as file,
        sockets() as (near, _),
        pytest.raises(ValueError, match=r"^file should be opened in binary mode$"),
    ):
        await loop.sock_sendfile(near, file)


async def test_datagram_sockets_are_refused(loop, file):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        with pytest.raises(ValueError, match=r"^only SOCK_STREAM type sockets are supported$"):
            await loop.sock_sendfile(sock, file)


async def test_blocking_sockets_are_refused_in_debug_mode(loop, file):
    loop.set_debug(True)
    loop.slow_callback_duration = 10
    with (
        sockets(blocking=True) as (near, _),
        pytest.raises(ValueError, match=r"^the socket must be non-blocking$"),
    ):
        await loop.sock_sendfile(near, file)


async def test_an_empty_file_sends_nothing(loop, tmp_path):
    path = tmp_path / "empty"
    path.touch()
    with path.open("rb") as empty, sockets() as (near, far):
        assert await loop.sock_sendfile(near, empty) == 0
        await loop.sock_sendall(near, b"x")
        assert await read_exactly(far, 1) == b"x"


async def test_a_cancelled_call_leaves_the_socket_free(loop, file):
    with sockets() as (near, far):
        size = fill_kernel(near)
        task = loop.create_task(loop.sock_sendfile(near, file, 0, 100))
        await polled()
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await polled()
        assert loop.remove_writer(near) is False
        await read_exactly(far, size)
        await loop.sock_sendall(near, b"x")
        assert await read_exactly(far, 1) == b"x"


async def test_a_pipe_transport_takes_no_file(loop, file):
    read_end, write_end = os.pipe()
    with open(read_end, "rb", 0), open(write_end, "wb", 0) as pipe:
        transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, pipe)
        with pytest.raises(RuntimeError, match=r"^sendfile is not supported for transport <"):
            await loop.sendfile(transport, file)
        transport.close()
        await polled()


async def test_a_tls_transport_sends_by_the_fallback(loop, file):
    done = loop.create_future()

    class Collects(Recorder):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            done.set_result(bytes(self.received))

    server = await loop.create_server(Collects, "127.0.0.1", 0, ssl=server_context())
    transport, protocol = await loop.create_connection(
        Recorder, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost"
    )
    with pytest.raises(RuntimeError, match=r"^fallback is disabled and native sendfile is not supported"):
        await loop.sendfile(transport, file, fallback=False)
    transport.write(b"before")
    assert await loop.sendfile(transport, file, 100) == len(CONTENT) - 100
    assert file.tell() == len(CONTENT)
    transport.write(b"after")
    transport.close()
    assert await done == b"before" + CONTENT[100:] + b"after"
    await protocol.lost
    server.close()
    await server.wait_closed()
