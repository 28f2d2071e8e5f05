"""Programs with servers and with connections that do not come about at once."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import Any

from tools.faults.programs.world import LOCAL, Main, Program, Recorder, Served, World, lost


def accepting(world: World) -> Main:
    """Connections that wait already when the server starts."""
    listener = world.give(world.listening())
    clients = [world.setup.enter_context(socket.create_connection(listener.getsockname())) for _ in range(3)]
    for number, client in enumerate(clients):
        client.sendall(f"hello {number}".encode())
        client.shutdown(socket.SHUT_WR)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: list[Recorder] = []
        finished = loop.create_future()

        class Counting(Recorder):
            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                made.append(self)
                if len(made) == len(clients):
                    finished.set_result(None)

        numbers = itertools.count(1)
        server = await loop.create_server(lambda: Counting(world, f"server {next(numbers)}"), sock=listener)
        async with server:
            await finished

    return main


def happy_eyeballs(world: World) -> Main:
    """Two addresses at once: one refuses, the other accepts."""
    refusing = socket.socket()
    world.setup.enter_context(refusing)
    refusing.bind((LOCAL, 0))
    listener = world.listening()
    addresses = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", sock.getsockname()) for sock in (refusing, listener)
    ]

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        async def both(*_arguments: Any, **_named: Any) -> Any:
            return addresses

        loop.getaddrinfo = both
        with world.telling("connecting"):
            transport, protocol = await loop.create_connection(
                lambda: Recorder(world, "client"), "two.example", 80, happy_eyeballs_delay=0.01
            )
            transport.close()
            await lost(protocol)

    return main


def refused(world: World) -> Main:
    """Nobody listens."""
    refusing = socket.socket()
    world.setup.enter_context(refusing)
    refusing.bind((LOCAL, 0))
    port = refusing.getsockname()[1]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with world.telling("connecting"):
            await loop.create_connection(lambda: Recorder(world, "client"), LOCAL, port)

    return main


def resolving(world: World) -> Main:
    """Names and numbers, and a server known by name."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for host in (LOCAL, "localhost"):
            with world.telling(f"resolving {host}"):
                found = await loop.getaddrinfo(host, 80, family=socket.AF_INET, type=socket.SOCK_STREAM)
                world.tell("resolving", str(found))
        with world.telling("name"):
            world.tell("name", str(await loop.getnameinfo((LOCAL, 80), socket.NI_NUMERICHOST)))
        served = Served(lambda: Recorder(world, "server"))
        server = await loop.create_server(served, "localhost", 0, family=socket.AF_INET)
        async with server:
            with world.telling("connecting"):
                port = server.sockets[0].getsockname()[1]
                transport, protocol = await loop.create_connection(
                    lambda: Recorder(world, "client"), "localhost", port, family=socket.AF_INET
                )
                transport.close()
                await served.lost(protocol)

    return main


PROGRAMS: tuple[Program, ...] = (accepting, happy_eyeballs, refused, resolving)
