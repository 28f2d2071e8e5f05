"""Servers for the network rows: from a protocol or a stream handler to ``Served``."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

from harness.certificate import make_certificate
from harness.model import Address, Load, Served

BACKLOG = 1024
StreamHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def listening_socket() -> tuple[socket.socket, Address]:
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener, listener.getsockname()  # asked now: some loops take the descriptor away from the socket


def finish_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancels what still runs and lets transports take leave."""

    async def finish() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    loop.run_until_complete(finish())


def serve_protocol(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.BaseProtocol],
    load: Load,
    tls: ssl.SSLContext | None = None,
) -> Served:
    listener, address = listening_socket()
    server = loop.run_until_complete(loop.create_server(factory, sock=listener, ssl=tls, backlog=BACKLOG))

    def close() -> None:
        server.close()
        finish_tasks(loop)

    return Served(address, load, close)


def serve_unix(
    loop: asyncio.AbstractEventLoop, factory: Callable[[], asyncio.BaseProtocol], load: Load
) -> Served:
    folder = tempfile.TemporaryDirectory()
    path = f"{folder.name}/socket"
    server = loop.run_until_complete(loop.create_unix_server(factory, path, backlog=BACKLOG))

    def close() -> None:
        server.close()
        finish_tasks(loop)
        folder.cleanup()

    return Served(path, load, close)


def serve_uvicorn(loop: asyncio.AbstractEventLoop, application: Any, load: Load) -> Served:
    import httptools  # noqa: F401  (uvicorn would fall back to another parser without a word)
    import uvicorn

    listener, address = listening_socket()
    config = uvicorn.Config(
        application, http="httptools", lifespan="off", log_level="error", access_log=False, backlog=BACKLOG
    )
    server = uvicorn.Server(config)
    if load.tls:
        with tempfile.TemporaryDirectory() as folder:
            config.ssl_certfile = make_certificate(folder)
            config.load()
    serving = loop.create_task(server.serve(sockets=[listener]))

    async def started() -> None:
        while not server.started:
            await asyncio.sleep(0.01)

    loop.run_until_complete(started())

    def close() -> None:
        server.force_exit = server.should_exit = True
        loop.run_until_complete(serving)

    return Served(address, load, close)


def serve_streams(
    loop: asyncio.AbstractEventLoop, handler: StreamHandler, load: Load, tls: ssl.SSLContext | None = None
) -> Served:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the load ends by closing its connections
        finally:
            writer.close()

    listener, address = listening_socket()
    start = asyncio.start_server(handle, sock=listener, ssl=tls, backlog=BACKLOG)
    server = loop.run_until_complete(start)

    def close() -> None:
        server.close()
        finish_tasks(loop)

    return Served(address, load, close)


def server_tls() -> ssl.SSLContext:
    """A context with a new certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(make_certificate(folder))
    return context
