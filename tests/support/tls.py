"""TLS connections between two recorders, made in each of the ways that asyncio has."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from support.certificates import client_context, server_context
from support.protocols import Recorder
from support.sockets import socket_pair


@contextlib.asynccontextmanager
async def tls_pair(
    client_factory: Callable[[], Any] = Recorder,
    server_factory: Callable[[], Any] = Recorder,
    *,
    way: str = "direct",
    client_ssl: ssl.SSLContext | None = None,
    server_ssl: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[Any, Any]]:
    """The protocols at both ends of a TLS connection, made at once or by `start_tls`; closed afterwards."""
    make = {"direct": _direct, "start_tls": _upgraded}[way]
    client, server = await make(
        client_factory, server_factory, client_ssl or client_context(), server_ssl or server_context()
    )
    try:
        yield client, server
    finally:
        for protocol in (client, server):
            if not protocol.lost.done():
                protocol.transport.abort()
        await asyncio.wait([client.lost, server.lost])


async def _direct(
    client_factory: Any, server_factory: Any, client_ssl: ssl.SSLContext, server_ssl: ssl.SSLContext
) -> tuple[Any, Any]:
    loop = asyncio.get_running_loop()
    near, far = socket_pair()
    (_, client), (_, server) = await asyncio.gather(
        loop.create_connection(client_factory, sock=near, ssl=client_ssl, server_hostname="localhost"),
        loop.connect_accepted_socket(server_factory, far, ssl=server_ssl),
    )
    return client, server


async def _upgraded(
    client_factory: Any, server_factory: Any, client_ssl: ssl.SSLContext, server_ssl: ssl.SSLContext
) -> tuple[Any, Any]:
    loop = asyncio.get_running_loop()
    near, far = socket_pair()
    client_plain, client = await loop.create_connection(client_factory, sock=near)
    server_plain, server = await loop.create_connection(server_factory, sock=far)
    client.transport, server.transport = await asyncio.gather(
        loop.start_tls(client_plain, client, client_ssl, server_hostname="localhost"),
        loop.start_tls(server_plain, server, server_ssl, server_side=True),
    )
    return client, server
