"""What the programs share: where they tell what they see, and protocols that do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools.faults.run import Main, name_of_error

__all__ = ["LOCAL", "Echo", "Main", "Program", "Recorder", "Served", "World", "lost", "turns"]

LOCAL = "127.0.0.1"


class World:
    """One run's surroundings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.setup = contextlib.ExitStack()  # Leaves when the run is over.
        self.events: dict[str, list[str]] = {}
        self.given: set[int] = set()
        self._data: dict[str, bytes] = {}

    def tell(self, actor: str, event: str) -> None:
        self.events.setdefault(actor, []).append(event)

    def tell_data(self, actor: str, data: bytes | bytearray | memoryview) -> None:
        """Bytes, however they were cut into pieces."""
        told = self.events.setdefault(actor, [])
        if not told or not told[-1].startswith("data "):
            self._data[actor] = b""
            told.append("")
        self._data[actor] += bytes(data)
        told[-1] = f"data {len(self._data[actor])} {zlib.crc32(self._data[actor]):x}"

    def give(self, sock: socket.socket) -> socket.socket:
        """A socket that the program may close, or give to the loop."""
        self.given.add(sock.fileno())
        return sock

    def listening(self, path: Path | None = None) -> socket.socket:
        """A listening socket at a free port, or at a path."""
        sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.setup.enter_context(sock)
        sock.bind(str(path) if path else (LOCAL, 0))
        sock.listen()
        sock.setblocking(False)
        return sock

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets, not blocking."""
        pair = socket.socketpair()
        for sock in pair:
            self.setup.enter_context(sock)
            sock.setblocking(False)
        return pair

    @contextlib.contextmanager
    def telling(self, actor: str) -> Iterator[None]:
        """Tells how the body ends; an error of the network ends here."""
        try:
            yield
        except asyncio.CancelledError:
            self.tell(actor, "cancelled")
            raise
        except (OSError, asyncio.IncompleteReadError, ExceptionGroup) as exc:
            self.tell(actor, name_of_error(exc))
        else:
            self.tell(actor, "finished")


Program = Callable[[World], Main]


class Recorder(asyncio.Protocol):
    """Tells what happens to its connection; what to do about it is the subclass's."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.transport: Any = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.world.tell(self.name, "made")

    def data_received(self, data: bytes) -> None:
        self.world.tell_data(self.name, data)

    def eof_received(self) -> bool | None:
        self.world.tell(self.name, "eof")
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.world.tell(self.name, f"lost {name_of_error(exc)}")
        if not self.lost.done():
            self.lost.set_result(None)

    def abort(self) -> None:
        """Ends the connection, unless it has ended; asyncio's pipes do not like to be ended twice."""
        if not self.lost.done():
            self.transport.abort()


class Echo(Recorder):
    """Sends back what it gets."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


class Served:
    """A server's protocol factory, which knows what it has made."""

    PATIENCE = 0.3  # seconds to wait for a connection that was not accepted yet

    def __init__(self, make: Callable[[], Recorder]) -> None:
        self._make = make
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.made: list[Recorder] = []

    def __call__(self) -> Recorder:
        self.made.append(self._make())
        if not self._first.done():
            self._first.set_result(None)
        return self.made[-1]

    async def lost(self, *clients: Recorder) -> None:
        """Waits until the clients' connections and what the server has made of them are lost."""
        await lost(*clients)
        await asyncio.wait([self._first], timeout=self.PATIENCE)
        await lost(*self.made)


async def lost(*protocols: Any) -> None:
    """Waits until every one of these is told that its connection is lost."""
    await asyncio.gather(*(asyncio.shield(protocol.lost) for protocol in protocols))


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
