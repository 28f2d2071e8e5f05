"""The other end of a TLS connection, moved by hand: an ``ssl.SSLObject`` and a plain socket.

It does what the test says and nothing else, so a test decides which records arrive together, and can break
them, hold them back, or stop in their midst.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from support.certificates import client_context, server_context
from support.protocols import Recorder
from support.sockets import socket_pair

ROLES = ("client", "server")
each_role = pytest.mark.parametrize("role", ROLES)

HEADER = 5  # bytes in front of a record
ALERT = 21  # the type of a record with an alert, while alerts go unencrypted


def better_than_asyncio(test: Any) -> Any:
    """For what asyncio's own TLS does wrong, and veloop's does right."""
    stdlib = os.environ.get("VELOOP_TLS") == "stdlib"
    return pytest.mark.native_only(pytest.mark.skipif(stdlib, reason="asyncio's own TLS is chosen")(test))


def records(data: bytes) -> list[bytes]:
    """The records in a piece of a TLS connection, each with its header."""
    found = []
    while data:
        length = HEADER + int.from_bytes(data[3:HEADER])
        found.append(data[:length])
        data = data[length:]
    return found


class Peer:
    """One end of a connection; reads and sends only when it is asked to."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, role: str) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = role == "client"
        self.tls = context.wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=not client,
            server_hostname="localhost" if client else None,
        )

    # -- in order -----------------------------------------------------------------------------------

    async def shake_hands(self) -> None:
        await self._drive(self.tls.do_handshake)

    async def read(self, most: int = 1 << 18) -> bytes:
        """The next data; nothing after a close_notify. An end without one is an ``ssl.SSLEOFError``."""
        try:
            return await self._drive(self.tls.read, most)
        except ssl.SSLZeroReturnError:  # so it is told to whoever has said goodbye already
            return b""

    async def read_exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count and (piece := await self.read(min(count - len(data), 1 << 18))):
            data += piece
        return bytes(data)

    async def read_to_end(self) -> bytes:
        """Everything until the close_notify."""
        return await self.read_exactly(1 << 62)

    async def send(self, data: bytes) -> None:
        await self.send_raw(self.seal(data))

    async def say_goodbye(self) -> None:
        """Sends a close_notify, and waits for none."""
        await self.send_raw(self.seal_goodbye())

    # -- by the record ------------------------------------------------------------------------------

    def seal(self, data: bytes) -> bytes:
        """The records that carry the data."""
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        return self.outgoing.read()

    def seal_goodbye(self) -> bytes:
        """The record with the close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()

    async def send_raw(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive_raw(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, 1 << 18)

    def end(self) -> None:
        """The end of the stream below TLS."""
        self.sock.shutdown(socket.SHUT_WR)

    # -- how ----------------------------------------------------------------------------------------

    async def _drive(self, function: Callable[..., Any], *arguments: Any) -> Any:
        while True:
            try:
                return function(*arguments)
            except ssl.SSLWantReadError:
                await self._send_waiting()
                if data := await self.receive_raw():
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            finally:
                await self._send_waiting()

    async def _send_waiting(self) -> None:
        if self.outgoing.pending:
            await self.send_raw(self.outgoing.read())


def peer_for(role: str, far: socket.socket, context: ssl.SSLContext | None = None) -> Peer:
    """The peer of an end that plays the role."""
    if role == "client":
        return Peer(far, context or server_context(), "server")
    return Peer(far, context or client_context(), "client")


async def connecting(
    role: str,
    near: socket.socket,
    factory: Callable[[], Any] = Recorder,
    *,
    way: str = "direct",
    context: ssl.SSLContext | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Makes a TLS connection of a plain socket: a transport and its protocol."""
    loop = asyncio.get_running_loop()
    client = role == "client"
    context = context or (client_context() if client else server_context())
    if client:
        options.setdefault("server_hostname", "localhost")
    if way == "start_tls":
        plain, protocol = await loop.create_connection(factory, sock=near)
        protocol.transport = await loop.start_tls(plain, protocol, context, server_side=not client, **options)
        return protocol.transport, protocol
    if client:
        return await loop.create_connection(factory, sock=near, ssl=context, **options)
    return await loop.connect_accepted_socket(factory, near, ssl=context, **options)


async def loss(protocol: Any, seconds: float = 10) -> BaseException | None:
    """What connection_lost() is told, which is not to take longer."""
    await asyncio.wait([protocol.lost], timeout=seconds)
    assert protocol.lost.done(), f"the connection does not end; events: {protocol.events}"
    error: BaseException | None = protocol.lost.result()
    return error


@contextlib.asynccontextmanager
async def facing(
    factory: Callable[[], Any] = Recorder,
    role: str = "client",
    *,
    peer_context: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Any, Peer]]:
    """The protocol of a TLS connection in that role, and its peer; closed afterwards."""
    near, far = socket_pair()
    with far:
        peer = peer_for(role, far, peer_context)
        shaking = asyncio.ensure_future(peer.shake_hands())
        try:
            _, protocol = await connecting(role, near, factory, **options)
            await shaking
        finally:
            shaking.cancel()
            await asyncio.wait([shaking])
        try:
            yield protocol, peer
        finally:
            if not protocol.lost.done():
                protocol.transport.abort()
            await asyncio.wait([protocol.lost])
