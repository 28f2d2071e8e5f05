"""sock_* echo server, {connections} x {size}

sock_accept, then a task per connection with sock_recv and sock_sendall.
"""

from __future__ import annotations

import asyncio
import socket

from harness.model import Load, Served
from harness.serving import finish_tasks, listening_socket

ORDER = 62
GRID = {"connections": [10, 1, 100], "size": [1_024, 64, 16_384]}


def limit(connections: int, size: int) -> Load:
    return Load("echo", connections, size)


def prepare(loop: asyncio.AbstractEventLoop, connections: int, size: int) -> Served:
    listener, address = listening_socket()
    tasks: set[asyncio.Task[None]] = set()

    async def echo(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            try:
                while data := await loop.sock_recv(connection, 65_536):
                    await loop.sock_sendall(connection, data)
            except ConnectionError:
                pass  # the load ends by closing its connections

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(listener)
            task = loop.create_task(echo(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    tasks.add(loop.create_task(accept()))

    def close() -> None:
        finish_tasks(loop)
        listener.close()

    return Served(address, limit(connections, size), close)
