"""Ten thousand connections at once."""

import asyncio
import contextlib
import resource
import socket

import pytest

WANTED = 10_000
BATCH = 100  # fewer than the backlog of a server


@pytest.fixture
def descriptors():
    """Allows as many descriptors as possible, and answers for how many connections they are enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = max(soft, 2 * WANTED + 500)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, hard)))
    except (ValueError, OSError):
        needed = hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(WANTED, (needed - 500) // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_connections_each_get_their_echo(loop, tmp_path, descriptors):
    made = lost = 0
    changed = asyncio.Event()

    class Echo(asyncio.Protocol):
        def connection_made(self, transport):
            nonlocal made
            made += 1
            self.transport = transport
            changed.set()

        def data_received(self, data):
            self.transport.write(data)

        def connection_lost(self, exc):
            nonlocal lost
            lost += exc is None
            changed.set()

    async def until(condition):
        while not condition():
            changed.clear()
            await changed.wait()

    async def main():
        server = await loop.create_unix_server(Echo, str(tmp_path / "socket"), backlog=2 * BATCH)
        with contextlib.ExitStack() as stack:
            clients = []
            while len(clients) < descriptors:
                for _ in range(min(BATCH, descriptors - len(clients))):
                    client = stack.enter_context(socket.socket(socket.AF_UNIX))
                    client.connect(str(tmp_path / "socket"))
                    client.setblocking(False)
                    clients.append(client)
                await until(lambda: made == len(clients))
            for number, client in enumerate(clients):
                client.send(b"%d" % number)
            for number, client in enumerate(clients):
                assert await loop.sock_recv(client, 100) == b"%d" % number
        await until(lambda: lost == descriptors)
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert made == lost == descriptors
