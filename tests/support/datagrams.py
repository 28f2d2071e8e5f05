"""Datagram transports that a test can open and forget, and plain sockets that talk to them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from support.protocols import DatagramRecorder

LOCAL = ("127.0.0.1", 0)
ANY = {socket.AF_INET: LOCAL, socket.AF_INET6: ("::1", 0)}  # address of a family: a free port


@contextlib.asynccontextmanager
async def endpoint(
    factory: Callable[[], Any] = DatagramRecorder, **options: Any
) -> AsyncIterator[tuple[Any, Any]]:
    """A datagram transport and its protocol (at a free port, if nothing is said); closed afterwards."""
    loop = asyncio.get_running_loop()
    options = options or {"local_addr": LOCAL}
    transport, protocol = await loop.create_datagram_endpoint(factory, **options)
    try:
        yield transport, protocol
    finally:
        if not protocol.lost.done():
            transport.abort()
        await asyncio.wait([protocol.lost])


def name_of(transport: Any) -> Any:
    """The address that a transport is bound to."""
    return transport.get_extra_info("sockname")


@contextlib.contextmanager
def bound(family: socket.AddressFamily = socket.AF_INET, count: int = 1) -> Iterator[list[socket.socket]]:
    """Plain sockets at free ports, which block."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(count)]
        for sock in made:
            sock.bind(ANY[family])
            sock.settimeout(10)
        yield made


class Listener(asyncio.DatagramProtocol):
    """Keeps what it is told, and schedules nothing, so that nothing else comes in between."""

    def __init__(self, act: Callable[[Any, bytes], object] | None = None) -> None:
        self.received: list[bytes] = []
        self.senders: list[Any] = []
        self.errors: list[Exception] = []
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.act = act

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.append(data)
        self.senders.append(addr)
        if self.act is not None:
            self.act(self, data)

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


def answering() -> Listener:
    """A protocol that sends each datagram back at once."""
    return Listener(lambda protocol, data: protocol.transport.sendto(data, protocol.senders[-1]))
