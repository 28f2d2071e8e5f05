"""Programs with datagrams, and with the socket methods of the loop."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from tools.faults.programs.streams import MUCH
from tools.faults.programs.world import LOCAL, Main, Program, World


class Datagrams(asyncio.DatagramProtocol):
    """Tells what it gets; answers if it is to."""

    def __init__(self, world: World, name: str, answers: bool) -> None:
        self.world = world
        self.name = name
        self.answers = answers
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.got: asyncio.Future[None] = loop.create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.world.tell(self.name, "made")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.world.tell(self.name, f"datagram {data!r}")
        if self.answers:
            self.transport.sendto(b"re: " + data, addr)
        elif not self.got.done():
            self.got.set_result(None)

    def error_received(self, exc: Exception) -> None:
        self.world.tell(self.name, f"error {type(exc).__name__}")
        if not self.got.done():
            self.got.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.world.tell(self.name, f"lost {type(exc).__name__}")
        self.lost.set_result(None)
        if not self.got.done():
            self.got.set_result(None)


def datagrams(world: World) -> Main:
    """A connected endpoint asks one that is not."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with world.telling("endpoints"):
            transport, server = await loop.create_datagram_endpoint(
                lambda: Datagrams(world, "server", True), local_addr=(LOCAL, 0)
            )
            address = transport.get_extra_info("sockname")
            try:
                other, client = await loop.create_datagram_endpoint(
                    lambda: Datagrams(world, "client", False), remote_addr=address
                )
                other.sendto(b"question")
                await client.got
                other.close()
                await client.lost
            finally:
                transport.close()
                await server.lost

    return main


def sock_streams(world: World) -> Main:
    """sock_accept, sock_connect, sock_sendall, sock_recv, sock_recv_into."""
    listener = world.listening()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def serve() -> None:
            with world.telling("server"):
                connection, _ = await loop.sock_accept(listener)
                with connection:
                    left, buffer = len(MUCH), bytearray(65536)
                    while left > 0 and (count := await loop.sock_recv_into(connection, buffer)):
                        world.tell_data("server", buffer[:count])
                        left -= count
                    await loop.sock_sendall(connection, b"answer")

        async def ask() -> None:
            with world.telling("client"), socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, listener.getsockname())
                await loop.sock_sendall(sock, MUCH)
                while data := await loop.sock_recv(sock, 3):
                    world.tell_data("client", data)

        await asyncio.gather(serve(), ask())

    return main


def sock_datagrams(world: World) -> Main:
    """sock_sendto, sock_recvfrom, sock_recvfrom_into."""
    ends = []
    for _ in range(2):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        world.setup.enter_context(sock)
        sock.bind((LOCAL, 0))
        sock.setblocking(False)
        ends.append(sock)
    first, second = ends

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with world.telling("both"):
            waiting = asyncio.ensure_future(loop.sock_recvfrom(second, 100))
            try:
                await asyncio.sleep(0)
                await loop.sock_sendto(first, b"question", second.getsockname())
                data, address = await waiting
            finally:
                waiting.cancel()
            world.tell("second", repr(data))
            await loop.sock_sendto(second, b"answer", address)
            buffer = bytearray(100)
            count, _ = await loop.sock_recvfrom_into(first, buffer)
            world.tell("first", repr(bytes(buffer[:count])))

    return main


def sock_sendfile(world: World) -> Main:
    """sock_sendfile, from a file and between two ends of a pair."""
    path = world.folder / "file"
    path.write_bytes(MUCH)
    file = world.setup.enter_context(path.open("rb"))
    ends = world.pair()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def read() -> None:
            with world.telling("reader"):
                while data := await loop.sock_recv(ends[1], 100_000):
                    world.tell_data("reader", data)

        reading = asyncio.ensure_future(read())
        try:
            with world.telling("sender"):
                world.tell("sender", f"sent {await loop.sock_sendfile(ends[0], file, 5, 300_000)}")
        finally:
            ends[0].shutdown(socket.SHUT_WR)
            await reading

    return main


PROGRAMS: tuple[Program, ...] = (datagrams, sock_streams, sock_datagrams, sock_sendfile)
