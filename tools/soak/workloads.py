"""What is done over and over. A workload does ``count`` things on a loop, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import trustme

Loop = asyncio.AbstractEventLoop
Workload = Callable[[Loop, int], None]

BATCH = 100
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no TIME_WAIT, which would use up the ports


def turn(loop: Loop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def in_batches(count: int, batch: int = BATCH) -> list[int]:
    """``count`` in pieces of at most ``batch``."""
    full, rest = divmod(count, batch)
    return [batch] * full + [rest] * (rest > 0)


def until(loop: Loop, condition: Callable[[], bool]) -> None:
    while not condition():
        turn(loop)


def callbacks(loop: Loop, count: int) -> None:
    for size in in_batches(count):
        for number in range(size):
            loop.call_soon(abs, number)
        turn(loop)


def timers_that_fire(loop: Loop, count: int) -> None:
    for size in in_batches(count):
        now = loop.time()
        for number in range(size):
            loop.call_at(now, abs, number)
        turn(loop)


def cancelled_timers(loop: Loop, count: int) -> None:
    for size in in_batches(count):
        for timer in [loop.call_later(1000 + number, abs, number) for number in range(size)]:
            timer.cancel()
    turn(loop)


def threadsafe_calls(loop: Loop, count: int) -> None:
    def call() -> None:
        for size in in_batches(count, 1000):
            taken = threading.Event()
            for number in range(size):
                loop.call_soon_threadsafe(abs, number)
            loop.call_soon_threadsafe(taken.set)
            taken.wait()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=call)
    thread.start()
    loop.run_forever()
    thread.join()


def watched_descriptors(loop: Loop, count: int) -> None:
    near, far = socket.socketpair()
    with near, far:
        for _ in range(count):
            loop.add_reader(near, abs, 0)
            loop.add_writer(near, abs, 0)
            loop.remove_writer(near)
            loop.remove_reader(near)


class _Server(asyncio.Protocol):
    """Echoes, and counts echoes and the connections that were lost."""

    echoed = 0
    lost = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        _Server.echoed += 1

    def connection_lost(self, exc: BaseException | None) -> None:
        _Server.lost += 1


def connections(loop: Loop, count: int) -> None:
    """Accepted ones, each with an echo; their clients are plain sockets, and reset them at the end."""
    server = loop.run_until_complete(loop.create_server(_Server, "127.0.0.1", 0, backlog=BATCH))
    address = server.sockets[0].getsockname()
    for size in in_batches(count):
        echoed, lost = _Server.echoed + size, _Server.lost + size
        clients = [socket.create_connection(address) for _ in range(size)]
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.send(b"hello")
        until(loop, lambda: _Server.echoed == echoed)  # noqa: B023
        for client in clients:
            assert client.recv(5) == b"hello"
            client.close()
        until(loop, lambda: _Server.lost == lost)  # noqa: B023
    server.close()
    loop.run_until_complete(server.wait_closed())


def outgoing_connections(loop: Loop, count: int) -> None:
    """Streams at both ends, made by create_connection() and closed in order."""

    async def talk(address: tuple[str, int]) -> None:
        reader, writer = await asyncio.open_connection(*address)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.write(b"hello")
        await reader.readexactly(5)
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await loop.create_server(_Server, "127.0.0.1", 0)
        for size in in_batches(count, 20):
            address = server.sockets[0].getsockname()
            await asyncio.gather(*[talk(address) for _ in range(size)])
        server.close()

    expected = _Server.lost + count
    loop.run_until_complete(main())
    until(loop, lambda: _Server.lost == expected)


@contextlib.contextmanager
def a_connection_that_is_never_idle(loop: Loop) -> Iterator[Workload]:
    """Writes on one connection, which lives all the time, and on which something always waits to be sent."""
    near, far = socket.socketpair()
    far.setblocking(False)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=near))
    piece = bytes(1000)
    waiting = 50 * len(piece)

    def write(_loop: Loop, count: int) -> None:
        for size in in_batches(count):
            for _ in range(size):
                transport.write(piece)
            while transport.get_write_buffer_size() > waiting:
                with contextlib.suppress(BlockingIOError):
                    far.recv(5000)
                turn(loop)
            assert transport.get_write_buffer_size() > 0

    with far:
        write(loop, 100)
        yield write
        transport.abort()
        turn(loop)


def sock_calls(loop: Loop, count: int) -> None:
    near, far = socket.socketpair()

    async def main() -> None:
        for _ in range(count // 2):
            waiting = loop.create_task(loop.sock_recv(near, 100))
            await asyncio.sleep(0)
            await loop.sock_sendall(far, b"hello")
            await waiting

    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        loop.run_until_complete(main())


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received = 0

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received += 1


def datagrams(loop: Loop, count: int) -> None:
    def endpoint(**options: Any) -> Any:
        return loop.run_until_complete(loop.create_datagram_endpoint(_Datagrams, **options))

    receiver, counter = endpoint(local_addr=("127.0.0.1", 0))
    sender, _ = endpoint(remote_addr=receiver.get_extra_info("sockname"))
    for size in in_batches(count, 20):  # Few enough to fit into the socket's buffer.
        expected = counter.received + size
        for _ in range(size):
            sender.sendto(b"hello")
        until(loop, lambda: counter.received == expected)  # noqa: B023
    sender.close()
    receiver.close()
    turn(loop)


def lookups(loop: Loop, count: int) -> None:
    async def main() -> None:
        for _ in range(count):
            await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    loop.run_until_complete(main())


@functools.cache
def _certificate() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


def tls_connections(loop: Loop, count: int) -> None:
    server_side, client_side = _certificate()

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_side, server_hostname="localhost"
        )
        writer.write(b"hello")
        await reader.readexactly(5)
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await loop.create_server(_Server, "127.0.0.1", 0, ssl=server_side)
        for size in in_batches(count, 10):
            port = server.sockets[0].getsockname()[1]
            await asyncio.gather(*[talk(port) for _ in range(size)])
        server.close()

    expected = _Server.lost + count
    loop.run_until_complete(main())
    until(loop, lambda: _Server.lost >= expected)


def child_processes(loop: Loop, count: int) -> None:
    async def main() -> None:
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate(b"hello")
            assert output == b"hello"

    loop.run_until_complete(main())


def loops(_loop: Loop, count: int) -> None:
    """Loops themselves, each run for a moment and closed."""
    make = sys.modules["veloop"].new_event_loop
    for _ in range(count):
        loop = make()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
