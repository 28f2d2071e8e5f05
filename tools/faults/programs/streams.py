"""Programs with stream connections."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from typing import Any

from tools.faults.programs.world import LOCAL, Echo, Main, Program, Recorder, Served, World, lost

MUCH = bytes(range(256)) * 2048  # 512 KiB: more than a socket takes at once.


class Client(Recorder):
    """Asks once, and closes when it has the whole answer."""

    question = b"question"

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.left = len(self.question)
        transport.write(self.question)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.left -= len(data)
        if self.left <= 0:
            self.transport.close()


def tcp_echo(world: World) -> Main:
    """Protocols over TCP."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        served = Served(lambda: Echo(world, "server"))
        server = await loop.create_server(served, LOCAL, 0)
        async with server:
            with world.telling("connecting"):
                port = server.sockets[0].getsockname()[1]
                _, client = await loop.create_connection(lambda: Client(world, "client"), LOCAL, port)
                await served.lost(client)

    return main


def unix_echo(world: World) -> Main:
    """Protocols over Unix sockets."""
    path = str(world.folder / "socket")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        served = Served(lambda: Echo(world, "server"))
        server = await loop.create_unix_server(served, path)
        async with server:
            with world.telling("connecting"):
                _, client = await loop.create_unix_connection(lambda: Client(world, "client"), path)
                await served.lost(client)

    return main


def stream_api(world: World) -> Main:
    """StreamReader and StreamWriter, with more than a socket takes at once."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with world.telling("server"):
            world.tell_data("server", await reader.readline())
            world.tell_data("server", await reader.readexactly(len(MUCH)))
            writer.writelines([b"an", b"swer\n", MUCH])
            await writer.drain()
        with world.telling("closing server"):
            writer.close()
            await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(serve, LOCAL, 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with world.telling("client"):
                reader, writer = await asyncio.open_connection(LOCAL, port)
                try:
                    writer.write(b"question\n")
                    await writer.drain()
                    writer.write(MUCH)
                    writer.write_eof()
                    world.tell_data("client", await reader.read())
                finally:
                    writer.close()
                    await writer.wait_closed()

    return main


def half_close(world: World) -> Main:
    """One side has said all, the other answers then."""

    class Server(Recorder):
        def eof_received(self) -> bool:
            super().eof_received()
            self.transport.write(b"the answer")
            self.transport.write_eof()
            self.transport.close()
            return True

    class HalfClient(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.writelines([b"the ", b"question"])
            transport.write_eof()

    async def main() -> None:
        await _between(world, Server, HalfClient)

    return main


def flow_control(world: World) -> Main:
    """A reader that pauses now and then, and a writer that is told to."""

    class Slow(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self.transport.resume_reading)

    class Fast(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            transport.set_write_buffer_limits(high=1000)
            transport.write(MUCH)
            transport.write(MUCH)
            transport.close()

    async def main() -> None:
        await _between(world, Slow, Fast)

    return main


def buffered_protocol(world: World) -> Main:
    """A protocol with a buffer of its own."""

    class Server(Recorder, asyncio.BufferedProtocol):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.buffer = bytearray(1000)

        def get_buffer(self, sizehint: int) -> bytearray:
            return self.buffer

        def buffer_updated(self, count: int) -> None:
            self.world.tell_data(self.name, self.buffer[:count])
            self.transport.write(self.buffer[:count])

    async def main() -> None:
        await _between(world, Server, Client)

    return main


def reset(world: World) -> Main:
    """One side aborts, with data on the way in both directions."""

    class Aborting(Recorder):
        def data_received(self, data: bytes) -> None:
            self.transport.write(b"never seen" * 1000)
            self.transport.abort()

    async def main() -> None:
        await _between(world, Aborting, Client)

    return main


def tls_echo(world: World) -> Main:
    """TLS from the first byte."""
    return functools.partial(_tls_echo, world)


async def _tls_echo(world: World) -> None:
    loop = asyncio.get_running_loop()
    server_context, client_context = _contexts()
    served = Served(lambda: Echo(world, "server"))
    server = await loop.create_server(served, LOCAL, 0, ssl=server_context)
    async with server:
        with world.telling("connecting"):
            port = server.sockets[0].getsockname()[1]
            _, client = await loop.create_connection(
                lambda: Client(world, "client"), LOCAL, port, ssl=client_context, server_hostname="localhost"
            )
            await served.lost(client)


def start_tls(world: World) -> Main:
    """TLS on a connection that began without."""
    contexts = _contexts()
    ends = world.pair()
    for end in ends:
        world.give(end)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def side(name: str, end: socket.socket, context: ssl.SSLContext) -> None:
            with world.telling(name):
                is_server = name == "server"
                plain, protocol = await loop.create_connection(lambda: Recorder(world, name), sock=end)
                try:
                    transport = await loop.start_tls(
                        plain,
                        protocol,
                        context,
                        server_side=is_server,
                        server_hostname=None if is_server else "localhost",
                    )
                    assert transport is not None
                    transport.write(b"hello from the " + name.encode())
                    while not protocol.lost.done() and world.events[name] == ["made"]:
                        await asyncio.sleep(0)
                    transport.close()
                except BaseException:
                    plain.abort()
                    raise
                await lost(protocol)

        await asyncio.gather(
            *(side(*which) for which in zip(("server", "client"), ends, contexts, strict=True))
        )

    return main


def sendfile(world: World) -> Main:
    """A file over a transport, from the kernel or piece by piece."""
    path = world.folder / "file"
    path.write_bytes(MUCH)
    file = world.setup.enter_context(path.open("rb"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        served = Served(lambda: Recorder(world, "server"))
        server = await loop.create_server(served, LOCAL, 0)
        async with server:
            with world.telling("client"):
                port = server.sockets[0].getsockname()[1]
                transport, client = await loop.create_connection(lambda: Recorder(world, "c"), LOCAL, port)
                try:
                    transport.write(b"first")
                    count = await loop.sendfile(transport, file, 10, 300_000)
                    world.tell("client", f"sent {count}")
                    transport.write(b"last")
                finally:
                    transport.close()
                await served.lost(client)

    return main


async def _between(world: World, server_type: type[Recorder], client_type: type[Recorder]) -> None:
    """A server's protocol and a client's, until both have lost their connection."""
    loop = asyncio.get_running_loop()
    served = Served(lambda: server_type(world, "server"))
    server = await loop.create_server(served, LOCAL, 0)
    async with server:
        with world.telling("connecting"):
            port = server.sockets[0].getsockname()[1]
            _, client = await loop.create_connection(lambda: client_type(world, "client"), LOCAL, port)
            try:
                await served.lost(client)
            finally:
                client.abort()


@functools.cache
def _contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server known as localhost, and a client that trusts it."""
    import trustme  # Only the programs with TLS need it.

    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


PROGRAMS: tuple[Program, ...] = (
    tcp_echo,
    unix_echo,
    stream_api,
    half_close,
    flow_control,
    buffered_protocol,
    reset,
    tls_echo,
    start_tls,
    sendfile,
)
