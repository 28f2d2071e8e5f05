"""Real sockets on this machine, transports on them, and ways to wait for the loop's next look at them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from support.protocols import Recorder

SOCKETS = ("tcp", "unix")
KINDS = (*SOCKETS, "accepted")  # of transports: made from a socket, or by a server


def socket_pair(kind: str = "tcp") -> tuple[socket.socket, socket.socket]:
    """Two connected sockets; both block."""
    if kind == "unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname(), timeout=10)
        near.settimeout(None)
        far, _ = listener.accept()
    return near, far


@contextlib.contextmanager
def sockets(kind: str = "tcp", *, blocking: bool = False) -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket_pair(kind)
    with near, far:
        near.setblocking(blocking)
        far.setblocking(blocking)
        yield near, far


async def _accepted(factory: Callable[[], Any]) -> tuple[Any, socket.socket]:
    """The protocol of a connection that a server has accepted, and the socket at the other end."""
    loop = asyncio.get_running_loop()
    made = loop.create_future()

    def make() -> Any:
        protocol = factory()
        loop.call_soon(made.set_result, protocol)
        return protocol

    server = await loop.create_server(make, "127.0.0.1", 0)
    far = socket.create_connection(server.sockets[0].getsockname(), timeout=10)
    far.settimeout(None)
    protocol = await made
    server.close()
    while protocol.transport is None:
        await asyncio.sleep(0)
    return protocol, far


@contextlib.asynccontextmanager
async def connected(
    factory: Callable[[], Any] = Recorder, kind: str = "tcp"
) -> AsyncIterator[tuple[Any, Any, socket.socket]]:
    """A transport, its protocol, and the plain socket at the other end; all closed afterwards."""
    if kind == "accepted":
        protocol, far = await _accepted(factory)
    else:
        near, far = socket_pair(kind)
        _, protocol = await asyncio.get_running_loop().create_connection(factory, sock=near)
    far.setblocking(False)
    transport = protocol.transport
    with far:
        try:
            yield transport, protocol, far
        finally:
            if not protocol.lost.done():
                transport.abort()
            await asyncio.wait([protocol.lost])


@contextlib.asynccontextmanager
async def both_ends(
    near_factory: Callable[[], Any] = Recorder, far_factory: Callable[[], Any] = Recorder, kind: str = "tcp"
) -> AsyncIterator[tuple[Any, Any]]:
    """The protocols at both ends of one connection; both transports are closed afterwards."""
    loop = asyncio.get_running_loop()
    if kind == "accepted":
        left, far = await _accepted(near_factory)
    else:
        near, far = socket_pair(kind)
        _, left = await loop.create_connection(near_factory, sock=near)
    _, right = await loop.create_connection(far_factory, sock=far)
    try:
        yield left, right
    finally:
        for protocol in (left, right):
            if not protocol.lost.done():
                protocol.transport.abort()
        await asyncio.wait([left.lost, right.lost])


async def polled(times: int = 2, using: tuple[socket.socket, socket.socket] | None = None) -> None:
    """Returns when the loop has looked at its descriptors since the call, and told protocols what it saw.

    Whatever was ready before is then delivered: a byte that waits in a fresh socket is seen in the same
    poll, or in a later one. `using` names the sockets for that, where new ones would disturb the test.
    """
    loop = asyncio.get_running_loop()
    with contextlib.nullcontext(using) if using else sockets("unix") as (near, far):
        far.send(b"!" * times)
        for _ in range(times):
            seen = loop.create_future()
            loop.add_reader(near, lambda seen=seen: seen.done() or seen.set_result(None))
            try:
                await seen
            finally:
                loop.remove_reader(near)
            near.recv(1)
    await asyncio.sleep(0)


async def read_exactly(sock: socket.socket, count: int) -> bytes:
    """Reads `count` bytes from a non-blocking socket (fewer at the end of the stream)."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < count:
        chunk = await loop.sock_recv(sock, min(count - len(data), 1 << 18))
        if not chunk:
            break
        data += chunk
    return bytes(data)


async def read_to_end(sock: socket.socket) -> bytes:
    """Reads from a non-blocking socket until the other side has closed it."""
    return await read_exactly(sock, 1 << 62)


def reset(sock: socket.socket) -> None:
    """Closes a TCP socket with a reset instead of an orderly end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def fill(transport: Any) -> int:
    """Writes until the kernel takes no more and something waits; answers how much was written in all."""
    total = 0
    while transport.get_write_buffer_size() == 0:
        transport.write(bytes(1 << 16))
        total += 1 << 16
        await polled(1)
    return total


def fill_kernel(sock: socket.socket) -> int:
    """Sends on a non-blocking socket until the kernel takes no more; answers how much it took."""
    total = 0
    while True:
        try:
            total += sock.send(bytes(1 << 16))
        except BlockingIOError:
            return total


@contextlib.contextmanager
def silent_address(host: str = "127.0.0.1") -> Iterator[Any]:
    """An address that is taken, and where nobody listens."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.bind((host, 0))
        yield taken.getsockname()


@contextlib.contextmanager
def full_address() -> Iterator[Any]:
    """The address of a listener that does not answer: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()


async def closed(transport: Any, protocol: Any) -> None:
    """Closes a connection and waits for its end."""
    transport.close()
    await protocol.lost


def _has_ipv6() -> bool:
    """Whether ::1 can be used here."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="no IPv6 on this machine")
