"""readline echo, {connections} x {size}

Latency of a line-based server: nothing overlaps, each trip sleeps and wakes both sides.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import serve_streams

ORDER = 64
GRID = {"connections": [1, 10], "size": [64, 1_024]}


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size)


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    return serve_streams(loop, echo, limit(connections, size))
