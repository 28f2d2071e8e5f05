"""Pipes as transports, with the other end in the hands of the test."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

from support.protocols import Recorder
from support.sockets import polled


@contextlib.asynccontextmanager
async def read_pipe(factory: Callable[[], Any] = Recorder) -> AsyncIterator[tuple[Any, Any, list[int]]]:
    """A transport that reads a pipe, its protocol, and the other end in a list (take it out to close it)."""
    read_end, write_end = os.pipe()
    pipe = io.FileIO(read_end, "r")
    writers = [write_end]
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_read_pipe(factory, pipe)
    try:
        yield transport, protocol, writers
    finally:
        if not protocol.lost.done():
            transport.close()
        await asyncio.wait([protocol.lost])
        for descriptor in writers:
            os.close(descriptor)


@contextlib.asynccontextmanager
async def write_pipe(factory: Callable[[], Any] = Recorder) -> AsyncIterator[tuple[Any, Any, io.FileIO]]:
    """A transport that writes a pipe, its protocol, and the other end as a raw file."""
    read_end, write_end = os.pipe()
    pipe = io.FileIO(write_end, "w")
    loop = asyncio.get_running_loop()
    with io.FileIO(read_end, "r") as reader:
        os.set_blocking(read_end, False)
        transport, protocol = await loop.connect_write_pipe(factory, pipe)
        try:
            yield transport, protocol, reader
        finally:
            if not protocol.lost.done():
                transport.abort()
            await asyncio.wait([protocol.lost])


async def drain_pipe(reader: io.FileIO, count: int = 1 << 62) -> bytes:
    """Reads a non-blocking pipe up to `count` bytes, or to its end."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < count:
        ready = loop.create_future()
        loop.add_reader(reader, lambda ready=ready: ready.done() or ready.set_result(None))
        await ready
        loop.remove_reader(reader)
        chunk = reader.read(1 << 16)
        if not chunk:
            break
        data += chunk
    return bytes(data)


async def fill_pipe(transport: Any) -> int:
    """Writes until the kernel takes no more and something waits; answers how much was written in all."""
    total = 0
    while transport.get_write_buffer_size() == 0:
        transport.write(bytes(10_000))
        total += 10_000
        await polled(1)
    return total
