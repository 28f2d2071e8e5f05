"""Closes descriptors that the loop watches, in every way of watching, and lets others have their numbers.

Run by test_closed_behind_the_loop.py in a process of its own, as the worst that can happen is its end. Says
what it is about to do before each case, and "survived" at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys

from conftest import LOOP_FACTORIES
from support.sockets import fill_kernel, polled, socket_pair, sockets


async def transport_reads(loop, keep):
    near, _ = keep(*socket_pair("unix"))
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    return near, transport


async def transport_waits_for_writing(loop, keep):
    near, _ = keep(*socket_pair("unix"))
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    transport.write(bytes(1 << 22))
    return near, transport


async def transport_was_accepted(loop, keep):
    accepted = loop.create_future()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport):
            accepted.set_result(transport)

    server = await loop.create_server(Accepted, "127.0.0.1", 0)
    keep(socket.create_connection(server.sockets[0].getsockname()))
    transport = await accepted
    server.close()
    return transport.get_extra_info("socket")._sock, transport


async def server_listens(loop, keep):
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    return server.sockets[0]._sock, server


async def receiver_waits(loop, keep):
    near, _ = keep(*socket_pair("unix"))
    near.setblocking(False)
    task = loop.create_task(loop.sock_recv(near, 10))
    await asyncio.sleep(0)
    return near, task


async def sender_waits(loop, keep):
    near, _ = keep(*socket_pair("unix"))
    near.setblocking(False)
    fill_kernel(near)
    task = loop.create_task(loop.sock_sendall(near, b"more"))
    await asyncio.sleep(0)
    return near, task


async def accepter_waits(loop, keep):
    (listener,) = keep(socket.create_server(("127.0.0.1", 0)))
    listener.setblocking(False)
    task = loop.create_task(loop.sock_accept(listener))
    await asyncio.sleep(0)
    return listener, task


async def reader_and_writer(loop, keep):
    near, _ = keep(*socket_pair("unix"))
    loop.add_reader(near, lambda: None)
    loop.add_writer(near, lambda: None)
    return near, None


async def datagrams(loop, keep):
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    return transport.get_extra_info("socket")._sock, transport


def open_pipe():
    """The reading end and the writing end."""
    reading, writing = os.pipe()
    return open(reading, "rb", 0), open(writing, "wb", 0)


async def read_pipe(loop, keep):
    file, other = open_pipe()
    keep(other)
    transport, _ = await loop.connect_read_pipe(asyncio.Protocol, file)
    return file, transport


async def write_pipe(loop, keep):
    other, file = open_pipe()
    keep(other)
    transport, _ = await loop.connect_write_pipe(asyncio.Protocol, file)
    transport.write(bytes(1 << 20))
    return file, transport


WATCHED = (
    transport_reads,
    transport_waits_for_writing,
    transport_was_accepted,
    server_listens,
    receiver_waits,
    sender_waits,
    accepter_waits,
    reader_and_writer,
    datagrams,
    read_pipe,
    write_pipe,
)


def nobody(number):
    return []


def a_socket(number):
    taker, other = sorted(socket.socketpair(), key=lambda sock: sock.fileno() != number)
    if taker.fileno() != number:
        with taker:
            os.dup2(taker.fileno(), number)
        taker = socket.socket(fileno=number)
    return [taker, other]


def a_file(number):
    opened = os.open(os.devnull, os.O_WRONLY)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    return [open(number, "wb", 0)]


def a_socket_of_the_loop(number):
    """Watched by the same loop, as soon as it has the number."""
    return a_socket(number)


TAKERS = (nobody, a_socket, a_file, a_socket_of_the_loop)


async def case(loop, watched, taker) -> None:
    files: list = []

    def keep(*some):
        files.extend(some)
        return some

    with sockets("unix") as using:
        file, user = await watched(loop, keep)
        await polled(using=using)
        number = file.fileno()
        file.close()
        taken = taker(number)
        heard = []
        if taker is a_socket_of_the_loop:
            loop._add_reader(number, lambda: heard.append(taken[0].recv(10)))
            taken[1].send(b"hello")
        for other in files:
            if other is not file and isinstance(other, socket.socket):
                other.setblocking(False)
                with contextlib.suppress(OSError):
                    other.send(b"to whom?")
        await polled(4, using=using)
        if taker is a_socket_of_the_loop:
            assert heard == [b"hello"], heard
            loop._remove_reader(number)
        if isinstance(user, asyncio.Task):
            user.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await user
        elif user is not None:
            with contextlib.suppress(ValueError):  # a server's: as asyncio says it of a closed socket
                getattr(user, "abort", user.close)()
        if watched is reader_and_writer and taker is not a_socket_of_the_loop:
            loop._remove_reader(number)
            loop._remove_writer(number)
        await polled(2, using=using)
        if len(taken) == 2:
            for one in taken:
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    raise AssertionError(f"it got {one.recv(10)!r}")
        for one in taken:
            one.close()  # fails if somebody else has closed it
        for other in files:
            other.close()
        await polled(2, using=using)


async def works(loop) -> None:
    """A loop that has been through all this still serves."""
    near, far = socket_pair("unix")
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        await loop.sock_sendall(near, b"ping")
        assert await loop.sock_recv(far, 10) == b"ping"


def main() -> None:
    loop = LOOP_FACTORIES[sys.argv[1]]()
    reported: list = []
    loop.set_exception_handler(lambda _loop, context: reported.append(context))
    for watched in WATCHED:
        for taker in TAKERS:
            print(f"{watched.__name__}: {taker.__name__}", flush=True)
            loop.run_until_complete(asyncio.wait_for(case(loop, watched, taker), 10))
            loop.run_until_complete(works(loop))
    loop.close()
    print("survived")


if __name__ == "__main__":
    main()
