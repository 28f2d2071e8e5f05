"""streams echo, {connections} x {size}

read, write, drain: the most common shape of a stream server.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_streams

ORDER = 61
GRID = {"connections": [10, 1, 100], "size": [1_024, 64, 16_384]}


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size)


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_streams(loop, echo, limit(connections, size))
