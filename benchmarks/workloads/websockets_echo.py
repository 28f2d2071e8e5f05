"""websockets echo, {connections} x {size}

The server of the package websockets, without compression; binary messages.
"""

from __future__ import annotations

import asyncio

from harness.model import Load, Served
from harness.serving import finish_tasks, listening_socket

ORDER = 104
GRID = {"connections": [10, 1], "size": [1_024, 64]}


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    from websockets.asyncio.server import Server, ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    listener, address = listening_socket()

    async def start() -> Server:
        return await serve(echo, sock=listener, compression=None, ping_interval=None, backlog=1024)

    server = loop.run_until_complete(start())

    def close() -> None:
        server.close()
        finish_tasks(loop)

    return Served(address, Load("websocket", connections, size), close)
