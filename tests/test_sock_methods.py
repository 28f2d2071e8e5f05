"""loop.sock_recv, sock_sendall and their relatives: data over sockets that belong to the caller."""

from __future__ import annotations

import asyncio
import inspect
import socket
import ssl

import pytest

from support.certificates import client_context
from support.descriptors import none_leaked
from support.sockets import SOCKETS, connected, fill_kernel, polled, read_exactly, sockets

pytestmark = pytest.mark.timeout(30)
each_kind = pytest.mark.parametrize("kind", SOCKETS)

ADDRESS = ("127.0.0.1", 9)
CALLS = {
    "sock_recv": lambda loop, sock: loop.sock_recv(sock, 10),
    "sock_recv_into": lambda loop, sock: loop.sock_recv_into(sock, bytearray(10)),
    "sock_recvfrom": lambda loop, sock: loop.sock_recvfrom(sock, 10),
    "sock_recvfrom_into": lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(10)),
    "sock_sendall": lambda loop, sock: loop.sock_sendall(sock, b"data"),
    "sock_sendto": lambda loop, sock: loop.sock_sendto(sock, b"data", ADDRESS),
    "sock_connect": lambda loop, sock: loop.sock_connect(sock, ADDRESS),
    "sock_accept": lambda loop, sock: loop.sock_accept(sock),
}
each_call = pytest.mark.parametrize("name", CALLS)
RECEIVING = ["sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into"]


def datagram_sockets():
    pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in pair:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
    return pair


async def started(loop, coroutine):
    """A task that has begun to wait for its socket."""
    task = loop.create_task(coroutine)
    await polled()
    assert not task.done()
    return task


async def cancelled(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@each_kind
async def test_data_that_waits_is_received(loop, kind):
    with sockets(kind) as (near, far):
        far.send(b"data")
        assert await loop.sock_recv(near, 2) == b"da"
        assert await loop.sock_recv(near, 100) == b"ta"


@each_kind
async def test_data_that_comes_later_is_received(loop, kind):
    with sockets(kind) as (near, far):
        task = await started(loop, loop.sock_recv(near, 100))
        far.send(b"data")
        assert await task == b"data"
        assert loop.remove_reader(near) is False


@pytest.mark.parametrize("later", [False, True])
async def test_the_end_of_the_stream_is_received_as_nothing(loop, later):
    with sockets() as (near, far):
        task = await started(loop, loop.sock_recv(near, 100)) if later else None
        far.shutdown(socket.SHUT_WR)
        assert await (task or loop.sock_recv(near, 100)) == b""
        assert await loop.sock_recv(near, 100) == b""


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("make", [bytearray, lambda size: memoryview(bytearray(size))])
async def test_data_is_received_into_a_buffer(loop, make, later):
    with sockets() as (near, far):
        buffer = make(10)
        if later:
            task = await started(loop, loop.sock_recv_into(near, buffer))
            far.send(b"data")
            count = await task
        else:
            far.send(b"data")
            count = await loop.sock_recv_into(near, buffer)
        assert count == 4
        assert bytes(buffer) == b"data" + bytes(6)


@pytest.mark.parametrize("later", [False, True])
async def test_datagrams_are_received_with_their_sender(loop, later):
    one, other = datagram_sockets()
    with one, other:
        task = await started(loop, loop.sock_recvfrom(one, 100)) if later else None
        other.sendto(b"data", one.getsockname())
        assert await (task or loop.sock_recvfrom(one, 100)) == (b"data", other.getsockname())


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("limit", [0, 3])
async def test_datagrams_are_received_into_a_buffer(loop, limit, later):
    one, other = datagram_sockets()
    with one, other:
        buffer = bytearray(8)
        task = await started(loop, loop.sock_recvfrom_into(one, buffer, limit)) if later else None
        other.sendto(b"data", one.getsockname())
        count, address = await (task or loop.sock_recvfrom_into(one, buffer, limit))
        assert count == (limit or 4)
        assert address == other.getsockname()
        assert bytes(buffer) == b"data"[:count] + bytes(8 - count)


@each_kind
@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
async def test_small_data_is_sent_at_once(loop, kind, make):
    with sockets(kind) as (near, far):
        assert await loop.sock_sendall(near, make(b"data")) is None
        assert far.recv(100) == b"data"
        assert await loop.sock_sendall(near, make(b"")) is None


@each_kind
async def test_large_data_is_sent_as_it_is_read(loop, kind):
    data = bytes(range(256)) * 20_000
    with sockets(kind) as (near, far):
        size = fill_kernel(near)
        task = await started(loop, loop.sock_sendall(near, data))
        assert await read_exactly(far, size + len(data)) == bytes(size) + data
        assert await task is None
        assert loop.remove_writer(near) is False


async def test_sendto_answers_how_much_was_sent(loop):
    one, other = datagram_sockets()
    with one, other:
        assert await loop.sock_sendto(one, b"data", other.getsockname()) == 4
        assert other.recvfrom(100) == (b"data", one.getsockname())


async def test_sendto_waits_for_room(loop):
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind("\0veloop-sendto-waits-for-room")
        receiver.setblocking(False)
        sender.setblocking(False)
        count = 0
        while True:
            try:
                sender.sendto(b"x", receiver.getsockname())
            except BlockingIOError:
                break
            count += 1
        # An unconnected sender is told of room only by trying again.
        for _ in range(count):
            receiver.recv(10)
        assert await loop.sock_sendto(sender, b"last", receiver.getsockname()) == 4
        assert receiver.recv(10) == b"last"


async def test_receiving_and_sending_on_one_socket_at_once(loop):
    with sockets() as (near, far):
        size = fill_kernel(near)
        receiving = await started(loop, loop.sock_recv(near, 100))
        sending = await started(loop, loop.sock_sendall(near, b"forth"))
        far.send(b"back")
        assert await receiving == b"back"
        assert not sending.done()
        assert (await read_exactly(far, size + 5))[size:] == b"forth"
        await sending


@pytest.mark.parametrize("name", RECEIVING)
async def test_a_cancelled_receiver_leaves_the_socket_free(loop, name):
    with none_leaked(), sockets("unix") as (near, far):
        task = await started(loop, CALLS[name](loop, near))
        await cancelled(task)
        assert loop.remove_reader(near) is False
        far.send(b"data")
        assert await loop.sock_recv(near, 100) == b"data"


async def test_a_cancelled_sender_leaves_the_socket_free(loop):
    with sockets() as (near, far):
        size = fill_kernel(near)
        task = await started(loop, loop.sock_sendall(near, b"never sent"))
        await cancelled(task)
        assert loop.remove_writer(near) is False
        await read_exactly(far, size)
        await loop.sock_sendall(near, b"sent")
        assert await read_exactly(far, 4) == b"sent"


async def test_the_number_of_a_cancelled_socket_can_be_used_by_a_transport(loop):
    for _ in range(3):
        near, far = socket.socketpair()
        near.setblocking(False)
        number = near.fileno()
        task = await started(loop, loop.sock_recv(near, 10))
        await cancelled(task)
        near.close()
        far.close()
        near, far = socket.socketpair()
        assert number in (near.fileno(), far.fileno())
        made, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        other, _ = await loop.create_connection(asyncio.Protocol, sock=far)
        made.abort()
        other.abort()
        await polled()


async def test_a_timeout_cancels_a_receiver(loop):
    with sockets() as (near, far):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await loop.sock_recv(near, 10)
        far.send(b"data")
        assert await loop.sock_recv(near, 10) == b"data"


async def test_the_later_of_two_receivers_gets_the_data(loop):
    with sockets() as (near, far):
        first = await started(loop, loop.sock_recv(near, 10))
        second = await started(loop, loop.sock_recv(near, 10))
        far.send(b"data")
        assert await second == b"data"
        third = await started(loop, loop.sock_recv(near, 10))
        await cancelled(first)
        far.send(b"more")
        assert await third == b"more"


async def test_a_receiver_gives_way_to_a_reader(loop):
    with sockets() as (near, far):
        task = await started(loop, loop.sock_recv(near, 10))
        seen = loop.create_future()
        loop.add_reader(near, lambda: seen.done() or seen.set_result(near.recv(10)))
        await cancelled(task)
        far.send(b"data")
        assert await seen == b"data"
        assert loop.remove_reader(near) is True


@pytest.mark.parametrize("name", RECEIVING)
@pytest.mark.parametrize("later", [False, True])
async def test_a_reset_is_raised(loop, name, later):
    with sockets() as (near, far):
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        task = await started(loop, CALLS[name](loop, near)) if later else None
        far.close()
        with pytest.raises(ConnectionResetError):
            await (task or CALLS[name](loop, near))
        assert loop.remove_reader(near) is False


@pytest.mark.parametrize("later", [False, True])
async def test_sending_to_a_peer_that_left_fails(loop, later):
    with sockets("unix") as (near, far):
        task = None
        if later:
            fill_kernel(near)
            task = await started(loop, loop.sock_sendall(near, b"data"))
        far.close()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await (task or loop.sock_sendall(near, b"data"))
        assert loop.remove_writer(near) is False


@each_call
async def test_a_closed_socket_is_refused(loop, name):
    sock = socket.socket()
    sock.setblocking(False)
    sock.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        await CALLS[name](loop, sock)


@each_call
async def test_a_blocking_socket_is_refused_in_debug_mode(loop, name):
    loop.set_debug(True)
    loop.slow_callback_duration = 10
    with (
        sockets(blocking=True) as (near, _),
        pytest.raises(ValueError, match=r"^the socket must be non-blocking$"),
    ):
        await CALLS[name](loop, near)
    with sockets() as (near, _):
        near.settimeout(1)
        with pytest.raises(ValueError, match=r"^the socket must be non-blocking$"):
            await CALLS[name](loop, near)


@each_call
async def test_tls_sockets_are_refused(loop, name):
    with sockets() as (near, _):
        wrapped = client_context().wrap_socket(
            near, server_hostname="localhost", do_handshake_on_connect=False
        )
        with wrapped, pytest.raises(TypeError, match=r"^Socket cannot be of type SSLSocket$"):
            await CALLS[name](loop, wrapped)
        assert isinstance(wrapped, ssl.SSLSocket)


@pytest.mark.parametrize("name", RECEIVING)
async def test_the_socket_of_a_transport_is_refused(loop, name):
    async with connected() as (transport, protocol, far):
        copy = socket.socket(fileno=transport.get_extra_info("socket").fileno())
        copy.setblocking(False)
        try:
            with pytest.raises(RuntimeError, match=r"^File descriptor \d+ is used by transport <"):
                await CALLS[name](loop, copy)
        finally:
            copy.detach()
        far.send(b"data")
        assert await protocol.bytes_received(4) == b"data"


@each_call
def test_the_methods_are_coroutines(loop, name):
    with sockets() as (near, _):
        coroutine = CALLS[name](loop, near)
        assert asyncio.iscoroutine(coroutine)
        assert inspect.isawaitable(coroutine)
        coroutine.close()


async def test_many_sockets_are_read_at_once(loop):
    pairs = [socket.socketpair() for _ in range(100)]
    for near, _ in pairs:
        near.setblocking(False)
    tasks = [loop.create_task(loop.sock_recv(near, 10)) for near, _ in pairs]
    await polled()
    for number, (_, far) in enumerate(pairs):
        far.send(b"%d" % number)
    assert await asyncio.gather(*tasks) == [b"%d" % number for number in range(100)]
    for near, far in pairs:
        near.close()
        far.close()
