"""asyncio streams to a handler on this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from support.sockets import polled

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[Any]:
    """A server on this machine that runs `handler(reader, writer)` for each connection; gives its address."""
    running: set[Any] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        try:
            await handler(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            running.discard(asyncio.current_task())
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        for task in running:
            task.cancel()
        await polled()


@contextlib.asynccontextmanager
async def connection(handler: Handler, **options: Any) -> AsyncIterator[Streams]:
    """A reader and a writer that talk to `handler`; closed afterwards."""
    async with serving(handler) as address:
        reader, writer = await asyncio.open_connection(*address, **options)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A handler that sends back what it gets."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def sends(*chunks: bytes) -> Handler:
    """A handler that sends the chunks one by one, and then closes the connection."""

    async def handler(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await polled()

    return handler
