"""The sock_* methods: odd arguments, odd sockets, and what happens between a wish and its fulfilment."""

from __future__ import annotations

import asyncio
import socket

import pytest

from support.sockets import fill_kernel, polled, read_exactly, sockets

pytestmark = pytest.mark.timeout(30)


@pytest.mark.parametrize(
    ("size", "error"),
    [(-1, ValueError), ("1", TypeError), (1.5, TypeError), (None, TypeError), (1 << 70, OverflowError)],
)
async def test_odd_sizes_are_refused(loop, size, error):
    with sockets() as (near, far):
        far.send(b"data")
        with pytest.raises(error):
            await loop.sock_recv(near, size)
        assert await loop.sock_recv(near, 10) == b"data"


async def test_nothing_can_be_asked_for(loop):
    with sockets() as (near, far):
        far.send(b"data")
        assert await loop.sock_recv(near, 0) == b""
        assert await loop.sock_recv_into(near, bytearray(0)) == 0
        assert await loop.sock_recv(near, 10) == b"data"


@pytest.mark.parametrize("buffer", [b"bytes", "text", None, memoryview(b"bytes")])
async def test_buffers_that_cannot_be_filled_are_refused(loop, buffer):
    with sockets() as (near, far):
        far.send(b"data")
        with pytest.raises((TypeError, BufferError)):
            await loop.sock_recv_into(near, buffer)
        assert await loop.sock_recv(near, 10) == b"data"


@pytest.mark.parametrize("data", ["text", None, 5, [b"data"]])
async def test_data_that_is_none_is_refused(loop, data):
    with sockets() as (near, _), pytest.raises(TypeError):
        await loop.sock_sendall(near, data)


async def test_views_of_a_part_are_sent_and_filled(loop):
    with sockets() as (near, far):
        await loop.sock_sendall(near, memoryview(b"0123456789")[3:6])
        assert far.recv(10) == b"345"
        far.send(b"abc")
        target = bytearray(10)
        assert await loop.sock_recv_into(near, memoryview(target)[2:8]) == 3
        assert target == b"\0\0abc\0\0\0\0\0"


async def test_a_buffer_is_free_again_afterwards(loop):
    with sockets() as (near, far):
        target, source = bytearray(10), bytearray(b"source")
        task = loop.create_task(loop.sock_recv_into(near, target))
        await polled()
        far.send(b"x")
        await task
        await loop.sock_sendall(near, source)
        target.append(1)  # a buffer that is exported cannot be resized
        source.append(1)


async def test_a_buffer_is_free_again_after_a_cancellation(loop):
    with sockets() as (near, far):
        size = fill_kernel(near)
        target, source = bytearray(10), bytearray(b"source")
        tasks = [
            loop.create_task(loop.sock_recv_into(near, target)),
            loop.create_task(loop.sock_sendall(near, source)),
        ]
        await polled()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
        del task, tasks
        target.append(1)
        source.append(1)
        await read_exactly(far, size)


async def test_data_is_not_lost_to_a_receiver_that_was_cancelled(loop):
    with sockets() as (near, far):
        task = loop.create_task(loop.sock_recv(near, 10))
        await polled()
        far.send(b"data")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await loop.sock_recv(near, 10) == b"data"


class Counting(socket.socket):
    """A socket with methods of its own."""

    calls: list[str]

    def recv(self, *args):
        self.calls.append("recv")
        return super().recv(*args).upper()

    def send(self, *args):
        self.calls.append("send")
        return super().send(*args)

    def accept(self):
        self.calls.append("accept")
        return super().accept()


async def test_methods_of_a_subclass_are_called(loop):
    with sockets() as (near, far), Counting(fileno=near.detach()) as sock:
        sock.setblocking(False)
        sock.calls = []
        far.send(b"data")
        assert await loop.sock_recv(sock, 10) == b"DATA"
        task = loop.create_task(loop.sock_recv(sock, 10))
        await polled()
        far.send(b"more")
        assert await task == b"MORE"
        await loop.sock_sendall(sock, b"back")
        assert far.recv(10) == b"back"
        assert set(sock.calls) == {"recv", "send"}
    with Counting() as listener:
        listener.calls = []
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        with socket.create_connection(listener.getsockname()):
            accepted, _ = await loop.sock_accept(listener)
            accepted.close()
        assert "accept" in listener.calls


async def test_a_socket_that_is_closed_while_it_is_awaited(loop):
    """Nobody is told; but the task can be cancelled, and the number used again."""
    near, far = socket.socketpair()
    near.setblocking(False)
    with sockets("unix") as bystander, far:
        task = loop.create_task(loop.sock_recv(near, 10))
        await polled(using=bystander)
        near.close()
        await polled(using=bystander)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await polled(using=bystander)
    with sockets("unix") as (again, other):
        task = loop.create_task(loop.sock_recv(again, 10))
        await polled()
        other.send(b"data")
        assert await task == b"data"


async def test_keywords_name_the_arguments(loop):
    with sockets() as (near, far):
        await loop.sock_sendall(sock=near, data=b"data")
        assert far.recv(10) == b"data"
        far.send(b"12345678")
        assert await loop.sock_recv(sock=near, n=4) == b"1234"
        assert await loop.sock_recv_into(sock=near, buf=bytearray(2)) == 2
        assert await loop.sock_recvfrom(sock=near, bufsize=1) == (b"7", None)
        assert await loop.sock_recvfrom_into(sock=near, buf=bytearray(2), nbytes=1) == (1, None)


@pytest.mark.parametrize("name", ["sock_recv", "sock_sendall", "sock_connect", "sock_accept", "sock_sendto"])
def test_missing_arguments_are_refused_at_once(loop, name):
    with pytest.raises(TypeError, match=r"missing .* required positional argument"):
        getattr(loop, name)()


async def test_a_socket_that_waits_by_itself_is_let_wait(loop):
    """Outside debug mode a socket with a timeout is used as it is."""
    loop.set_debug(False)
    with sockets() as (near, far):
        near.settimeout(0.01)
        with pytest.raises(TimeoutError):
            await loop.sock_recv(near, 10)
        far.send(b"data")
        assert await loop.sock_recv(near, 10) == b"data"
