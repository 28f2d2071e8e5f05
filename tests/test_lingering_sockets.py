"""A socket that was received from, or connected, may stay registered with the kernel: nobody must notice."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import weakref

import pytest

from support.sockets import polled, sockets
from support.turns import idles

pytestmark = pytest.mark.timeout(30)


async def receive_later(loop, near, far, data=b"data"):
    """A call that had to wait, after which the socket is registered no more, or lingers."""
    task = loop.create_task(loop.sock_recv(near, 100))
    await polled()
    far.send(data)
    assert await task == data


async def test_calls_in_a_row_get_their_data(loop):
    with sockets() as (near, far):
        for number in range(20):
            await receive_later(loop, near, far, b"%d" % number)
            if number % 3 == 0:
                assert loop.remove_reader(near) is False


async def test_data_that_came_while_nobody_waited_is_received(loop):
    with sockets() as (near, far):
        await receive_later(loop, near, far)
        for _ in range(3):
            far.send(b"abc")
            await polled()
            assert await loop.sock_recv(near, 1) == b"a"
            assert await loop.sock_recv(near, 100) == b"bc"
            await receive_later(loop, near, far)


async def test_a_reader_is_told_as_long_as_there_is_data(loop):
    with sockets() as (near, far):
        await receive_later(loop, near, far)
        far.send(b"data")
        await polled()
        seen = []
        loop.add_reader(near, lambda: seen.append(1))
        for _ in range(5):
            await polled()
        assert len(seen) >= 5
        assert loop.remove_reader(near) is True
        await loop.sock_recv(near, 100)
        await receive_later(loop, near, far)


async def test_a_writer_and_a_receiver_share_the_socket(loop):
    with sockets() as (near, far):
        await receive_later(loop, near, far)
        seen = []
        loop.add_writer(near, lambda: seen.append(1))
        for _ in range(3):
            await receive_later(loop, near, far)
        assert len(seen) >= 3
        assert loop.remove_writer(near) is True
        await receive_later(loop, near, far)


async def test_a_transport_takes_the_socket_over_and_gives_it_back(loop):
    with sockets() as (near, far):
        await receive_later(loop, near, far)
        copy = near.dup()
        reader, writer = await asyncio.open_connection(sock=near)
        for _ in range(3):
            far.send(b"data")
            assert await reader.readexactly(4) == b"data"
        writer.close()
        await writer.wait_closed()
        with copy:
            await receive_later(loop, copy, far)
            await receive_later(loop, copy, far)


@pytest.mark.parametrize("end", ["close", "drop", "detach"])
async def test_a_new_socket_of_the_same_number_is_told_of_its_data(loop, end):
    near, far = socket.socketpair()
    for _ in range(5):
        near.setblocking(False)
        await receive_later(loop, near, far)
        number = near.fileno()
        if end == "close":
            near.close()
            far.close()
            near, far = socket.socketpair()
        elif end == "drop":
            alive = weakref.ref(near)
            with pytest.warns(ResourceWarning):
                del near
                gc.collect()
            assert alive() is None
            far.close()
            near, far = socket.socketpair()
        else:
            near = socket.socket(fileno=near.detach())
        assert number in (near.fileno(), far.fileno())
    far.setblocking(False)
    near.setblocking(False)
    await receive_later(loop, far, near)
    await receive_later(loop, near, far)
    near.close()
    far.close()


@pytest.mark.parametrize("closed", [False, True])
async def test_data_that_nobody_wants_does_not_keep_the_loop_busy(loop, closed):
    """Also not if the connection lives on elsewhere, as in a process that was forked."""
    near, far = socket.socketpair()
    near.setblocking(False)
    await receive_later(loop, near, far)
    elsewhere = os.dup(near.fileno())
    if closed:
        near.close()
    far.send(b"data")
    assert await idles(0.2)
    os.close(elsewhere)
    near.close()
    far.close()


async def test_many_connections_one_after_the_other(loop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)

        async def serve():
            while True:
                connection, _ = await loop.sock_accept(listener)
                with connection:
                    while data := await loop.sock_recv(connection, 100):
                        await loop.sock_sendall(connection, data)

        task = loop.create_task(serve())
        for number in range(50):
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, listener.getsockname())
                for part in range(3):
                    message = b"%d.%d" % (number, part)
                    await loop.sock_sendall(client, message)
                    assert await loop.sock_recv(client, 100) == message
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_socket_put_in_the_place_of_another_is_told_of_its_data(loop):
    near, far = socket.socketpair()
    other_near, other_far = socket.socketpair()
    with near, far, other_near, other_far:
        for sock in (near, other_near):
            sock.setblocking(False)
        far.send(b"first")
        receiving = asyncio.ensure_future(loop.sock_recv(near, 100))
        assert await receiving == b"first"
        waiting = asyncio.ensure_future(loop.sock_recv(near, 100))
        await asyncio.sleep(0)
        far.send(b"second")
        assert await waiting == b"second"
        os.dup2(other_near.fileno(), near.fileno())
        waiting = asyncio.ensure_future(loop.sock_recv(near, 100))
        await asyncio.sleep(0)
        other_far.send(b"third")
        assert await asyncio.wait_for(waiting, 10) == b"third"


async def connect(loop, listener):
    near = socket.socket()
    near.setblocking(False)
    await loop.sock_connect(near, listener.getsockname())
    return near, listener.accept()[0]


async def test_a_connected_socket_receives(loop, listener):
    near, far = await connect(loop, listener)
    with near, far:
        assert loop.remove_writer(near) is False
        await receive_later(loop, near, far)
        await receive_later(loop, near, far)


async def test_a_writer_of_a_connected_socket_is_told_as_long_as_there_is_room(loop, listener):
    near, far = await connect(loop, listener)
    with near, far:
        seen = []
        loop.add_writer(near, lambda: seen.append(1))
        for _ in range(5):
            await polled()
        assert len(seen) >= 5
        assert loop.remove_writer(near) is True
        await polled()
        del seen[:]
        await polled()
        assert seen == []


async def test_a_connected_socket_sends_more_than_fits(loop, listener):
    near, far = await connect(loop, listener)
    with near, far:
        sending = loop.create_task(loop.sock_sendall(near, bytes(10_000_000)))
        far.setblocking(False)
        received = 0
        while received < 10_000_000:
            received += len(await loop.sock_recv(far, 1 << 20))
        await sending


async def test_sockets_are_connected_one_after_the_other(loop, listener):
    """Each has the number of the one before it; every second one is read by a transport."""
    for turn in range(6):
        near, far = await connect(loop, listener)
        if turn % 2:
            reader, writer = await asyncio.open_connection(sock=near)
            far.send(b"data")
            assert await reader.readexactly(4) == b"data"
            writer.close()
            await writer.wait_closed()
        else:
            near.close()
        far.close()


async def test_a_connected_socket_that_nobody_reads_does_not_keep_the_loop_busy(loop, listener):
    near, far = await connect(loop, listener)
    with near, far:
        elsewhere = os.dup(near.fileno())
        near.close()
        far.send(b"data")
        far.close()
        assert await idles(0.2)
        os.close(elsewhere)
