"""Descriptor numbers recycled as fast as possible, while connections are cancelled, closed and raced.

Every connection has a mark, and sends nothing else. Whatever is freed is taken at once by bystanders: sockets
that nobody sends to, and that nobody but the test may close. So a byte on a wrong descriptor, or a descriptor
closed twice, is seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket

import pytest

from support.descriptors import none_leaked
from support.sockets import polled, reset, socket_pair

pytestmark = pytest.mark.timeout(60)

STEPS = 500
AT_ONCE = 12
BYSTANDERS = 6


class Connection:
    """One end is used through the loop in one of several ways, the other by the test."""

    def __init__(self, number: int, loop: asyncio.AbstractEventLoop, near: socket.socket, far: socket.socket):
        self.mark = number.to_bytes(4, "big")
        self.loop = loop
        self.near = near
        self.far = far
        self.received = {"near": bytearray(), "far": bytearray()}
        for sock in (near, far):
            sock.setblocking(False)

    async def begin(self) -> None:
        raise NotImplementedError

    def send(self) -> None:
        raise NotImplementedError

    def end(self, how: int) -> None:
        """One of several ways to end it, right now."""
        raise NotImplementedError

    async def ended(self) -> None:
        self.far.close()
        for end, data in self.received.items():
            whole = self.mark * (len(data) // 4 + 1)
            assert bytes(data) == whole[: len(data)], f"{end} got what was not meant for it"

    def drive_far(self, rng: random.Random) -> None:
        """The other end sends or receives, or leaves."""
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self.far.fileno() < 0:
                return
            if rng.random() < 0.5:
                self.far.send(self.mark * rng.randrange(1, 50))
            else:
                self.received["far"] += self.far.recv(1000)


class ByTransport(Connection, asyncio.Protocol):
    transport: asyncio.Transport

    async def begin(self) -> None:
        self.lost = self.loop.create_future()
        await self.loop.create_connection(lambda: self, sock=self.near)

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received["near"] += data

    def connection_lost(self, exc) -> None:
        self.lost.set_result(None)

    def send(self) -> None:
        self.transport.write(self.mark * 10)

    def end(self, how: int) -> None:
        (self.transport.close, self.transport.abort, lambda: reset(self.far), self.far.close)[how]()

    async def ended(self) -> None:
        self.transport.abort()
        await self.lost
        await super().ended()


class BySocketMethods(Connection):
    async def begin(self) -> None:
        self.tasks = [self.loop.create_task(self.receive())]

    async def receive(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self.loop.sock_recv(self.near, 100):
                self.received["near"] += data

    async def transmit(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.loop.sock_sendall(self.near, self.mark * 20_000)

    def send(self) -> None:
        if len(self.tasks) == 1:
            self.tasks.append(self.loop.create_task(self.transmit()))

    def end(self, how: int) -> None:
        if how % 2:
            self.far.send(self.mark)  # arrives together with the cancellation
        for task in self.tasks:
            task.cancel()
        if how > 1:
            # asyncio takes a cancelled receiver's watcher away with the future, on the next turn.
            self.loop.call_soon(self.loop.call_soon, self.near.close)

    async def ended(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.sleep(0)
        self.near.close()
        await super().ended()


class ByWatching(Connection):
    async def begin(self) -> None:
        self.loop.add_reader(self.near, self.readable)

    def readable(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self.received["near"] += self.near.recv(100)

    def send(self) -> None:
        if self.near.fileno() >= 0:
            self.loop.add_writer(self.near, self.writable)

    def writable(self) -> None:
        self.loop.remove_writer(self.near)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self.near.send(self.mark)

    def end(self, how: int) -> None:
        if self.near.fileno() < 0:
            return
        if how % 2:
            self.far.send(self.mark)
        self.loop.remove_reader(self.near)
        self.loop.remove_writer(self.near)
        if how > 1:
            self.near.close()

    async def ended(self) -> None:
        self.end(2)
        await super().ended()


class Bystanders:
    """Take the numbers that are free, and notice who touches them."""

    def __init__(self) -> None:
        self.present: list[tuple[socket.socket, int]] = []

    def come(self) -> None:
        for sock in socket.socketpair():
            sock.setblocking(False)
            self.present.append((sock, os.fstat(sock.fileno()).st_ino))
        while len(self.present) > BYSTANDERS:
            self.go()

    def go(self) -> None:
        sock, inode = self.present.pop(0)
        assert os.fstat(sock.fileno()).st_ino == inode, "a bystander's descriptor was closed"
        with contextlib.suppress(BlockingIOError):
            assert sock.recv(100) == b"", "a bystander got what was not meant for it"
        sock.close()


KINDS = (ByTransport, BySocketMethods, ByWatching)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_no_byte_goes_astray_and_nothing_is_closed_twice(loop, kind, seed):
    rng = random.Random(seed)
    with none_leaked():
        bystanders = Bystanders()
        connections: list[Connection] = []
        ending: list[Connection] = []
        for step in range(STEPS):
            bystanders.come()
            chance = rng.random()
            if len(connections) < AT_ONCE and chance < 0.4:
                connection = rng.choice(KINDS)(step, loop, *socket_pair(kind))
                await connection.begin()
                connections.append(connection)
            elif chance < 0.6 and connections:
                ending.append(connections.pop(rng.randrange(len(connections))))
                ending[-1].end(rng.randrange(4))
            if len(ending) > 3:
                await ending.pop(0).ended()
            for connection in connections:
                if rng.random() < 0.3:
                    connection.drive_far(rng)
                elif rng.random() < 0.3:
                    connection.send()
            if rng.random() < 0.5:
                await asyncio.sleep(0)
        for connection in connections + ending:
            await connection.ended()
        while bystanders.present:
            bystanders.go()
        await polled()
