"""Accepting: failing factories, many connections, no descriptors left; connect_accepted_socket."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import socket
import subprocess
import sys
import textwrap

import pytest

from support.descriptors import none_leaked
from support.protocols import Echo, Raises, Recorder
from support.sockets import needs_ipv6, polled, socket_pair
from support.turns import run_once

pytestmark = pytest.mark.timeout(60)


async def serve(loop, factory):
    server = await loop.create_server(factory, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # asyncio leaves it to the collector
@pytest.mark.parametrize("debug", [False, True])
async def test_a_factory_that_raises_costs_only_its_connection(loop, loop_errors, debug):
    loop.set_debug(debug)
    loop.slow_callback_duration = 10
    error = ValueError("no protocol for you")
    failures = [error]

    def factory():
        if failures:
            raise failures.pop()
        return Echo()

    server, address = await serve(loop, factory)
    refused = socket.create_connection(address)
    refused.setblocking(False)
    await polled()
    transport, client = await loop.create_connection(Recorder, *address)
    transport.write(b"x")
    await client.bytes_received(1)
    transport.close()
    await client.lost
    server.close()
    await server.wait_closed()
    if debug:
        (context,) = loop_errors
        assert context == {
            "message": "Error on transport creation for incoming connection",
            "exception": error,
        }
    else:
        assert loop_errors == []
    loop_errors.clear()
    error.__traceback__ = None  # which holds the accepted socket
    gc.collect()
    with refused:
        assert await loop.sock_recv(refused, 10) == b""


async def test_an_error_in_connection_made_keeps_the_accepted_connection(loop, loop_errors):
    error = ValueError()
    made = []

    def factory():
        made.append(Raises("connection_made", error)())
        return made[-1]

    server, address = await serve(loop, factory)
    transport, _ = await loop.create_connection(Recorder, *address)
    transport.write(b"data")
    while not made:
        await polled()
    assert await made[0].bytes_received(4) == b"data"
    (context,) = loop_errors
    assert context["exception"] is error
    loop_errors.clear()
    transport.close()
    await made[0].lost
    server.close()
    await server.wait_closed()


async def test_five_hundred_connections_leave_no_descriptor(loop):
    with none_leaked():
        server, address = await serve(loop, Echo)

        async def bounce(number):
            transport, client = await loop.create_connection(Recorder, *address)
            data = b"%d" % number
            transport.write(data)
            assert await client.bytes_received(len(data)) == data
            transport.close()
            assert await client.lost is None

        for start in range(0, 500, 100):
            await asyncio.gather(*map(bounce, range(start, start + 100)))
        server.close()
        await polled()
        await server.wait_closed()


async def test_many_connections_at_once_are_all_accepted(loop):
    with none_leaked():
        protocols = []

        def factory():
            protocols.append(Echo())
            return protocols[-1]

        server, address = await serve(loop, factory)
        clients = [socket.create_connection(address) for _ in range(90)]
        for number, sock in enumerate(clients):
            sock.sendall(b"%d" % number)
            sock.setblocking(False)
        answers = [await loop.sock_recv(sock, 100) for sock in clients]
        assert answers == [b"%d" % number for number in range(90)]
        for sock in clients:
            sock.close()
        await asyncio.wait([protocol.lost for protocol in protocols])
        assert len(protocols) == 90
        server.close()
        await server.wait_closed()


async def test_connections_that_come_together_after_many_single_ones_are_all_accepted(loop):
    """Whoever looks behind the first connection only now and then must not forget the others."""
    server, address = await serve(loop, Echo)
    for single in range(1, 60):
        # One alone, for a long time; then more and more at once.
        clients = [socket.create_connection(address, timeout=10) for _ in range(max(1, single - 40))]
        for number, sock in enumerate(clients):
            sock.sendall(b"%d" % number)
            sock.setblocking(False)
        for number, sock in enumerate(clients):
            assert await asyncio.wait_for(loop.sock_recv(sock, 100), 10) == b"%d" % number
            sock.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", pytest.param("::1", marks=needs_ipv6)])
async def test_every_accepted_connection_sends_small_pieces_at_once(loop, host):
    """Those that waited before the server was started, too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    options = []

    class Asks(Echo):
        def connection_made(self, transport):
            super().connection_made(transport)
            sock = transport.get_extra_info("socket")
            options.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)

    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind((host, 0))
        listener.listen()
        port = listener.getsockname()[1]
        target = ("127.0.0.1" if family == socket.AF_INET else "::1", port)
        with contextlib.ExitStack() as clients:
            for _ in range(3):
                clients.enter_context(socket.create_connection(target))
            server = await loop.create_server(Asks, sock=listener)
            for _ in range(3):
                clients.enter_context(socket.create_connection(target))
            while len(options) < 6:
                await polled()
        assert options == [True] * 6
        server.close()
        await server.wait_closed()


async def test_connections_that_left_before_they_were_accepted_are_told_as_closed(loop):
    protocols = []

    def factory():
        protocols.append(Recorder())
        return protocols[-1]

    listener = socket.create_server(("127.0.0.1", 0))
    for _ in range(5):
        socket.create_connection(listener.getsockname()).close()
    server = await loop.create_server(factory, sock=listener)
    while len(protocols) < 5:
        await polled()
    await asyncio.wait([protocol.lost for protocol in protocols])
    assert [protocol.events for protocol in protocols] == [["made", "eof", "lost"]] * 5
    server.close()
    await server.wait_closed()


def test_a_loop_can_be_closed_while_a_server_listens(loop_factory):
    loop = loop_factory()
    server = loop.run_until_complete(loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
    sock = server._sockets[0]
    loop.close()
    sock.close()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_listener_closed_behind_the_loops_back_accepts_nothing_of_a_stranger(loop, loop_errors):
    """Its number is a stranger's by now, while a duplicate keeps its file being polled."""
    made = []
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    loop.run_until_complete(loop.create_server(lambda: made.append(1) or Recorder(), sock=listener))
    duplicate, number = listener.dup(), listener.fileno()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        listener.close()
        os.dup2(stranger.fileno(), number)
        with socket.create_connection(address), socket.create_connection(stranger.getsockname()):
            for _ in range(3):
                run_once(loop)
            stranger.accept()[0].close()  # The stranger's connection is still there.
    os.close(number)
    assert not made
    assert {error["exception"].errno for error in loop_errors} == {errno.EBADF}
    duplicate.close()
    loop_errors.clear()


EXHAUSTED = """
    import asyncio, errno, os, resource, socket, sys
    from asyncio import constants
    from conftest import LOOP_FACTORIES

    constants.ACCEPT_RETRY_DELAY = 0.05
    errors = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        made = asyncio.Queue()

        class Accepted(asyncio.Protocol):
            def connection_made(self, transport):
                made.put_nowait(transport)

        server = await loop.create_server(Accepted, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        clients = [socket.socket() for _ in range(3)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        hogs = []
        try:
            while True:
                hogs.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as exc:
            assert exc.errno == errno.EMFILE
        for client in clients:
            client.connect(address)
        while not errors:
            await asyncio.sleep(0.001)
        assert made.empty()
        cpu = os.times()
        await asyncio.sleep(0.2)
        spent = os.times().user + os.times().system - cpu.user - cpu.system
        for hog in hogs:
            os.close(hog)
        transports = [await made.get() for _ in clients]
        for context in errors:
            assert context["message"] == "socket.accept() out of system resource", context
            assert context["exception"].errno == errno.EMFILE, context
            assert context["socket"].getsockname() == address, context
        server.close()
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0)
        assert spent < 0.15, spent
        print("recovered")

    loop = LOOP_FACTORIES[sys.argv[1]]()
    loop.run_until_complete(asyncio.wait_for(main(), 20))
    loop.close()
"""


def test_accepting_recovers_when_descriptors_run_out(request, on_veloop, loop_factory):
    """With none left, accepting says so, pauses instead of spinning, and goes on when there are some."""
    code = textwrap.dedent(EXHAUSTED)
    name = "veloop" if on_veloop else "asyncio"
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=request.path.parent,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("recovered\n")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_a_socket_accepted_elsewhere_can_be_connected(loop, kind):
    near, far = socket_pair(kind)
    with far:
        transport, protocol = await loop.connect_accepted_socket(Echo, near)
        far.setblocking(False)
        far.send(b"data")
        assert await loop.sock_recv(far, 10) == b"data"
        assert transport.get_extra_info("peername") == far.getsockname()
        transport.close()
        await protocol.lost
        assert near.fileno() == -1


async def test_an_accepted_socket_must_be_a_stream(loop):
    with (
        socket.socket(type=socket.SOCK_DGRAM) as sock,
        pytest.raises(ValueError, match="A Stream Socket was expected, got <socket"),
    ):
        await loop.connect_accepted_socket(Recorder, sock)
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="ssl_handshake_timeout is only meaningful with ssl"):
            await loop.connect_accepted_socket(Recorder, sock, ssl_handshake_timeout=1)
        with pytest.raises(ValueError, match="ssl_shutdown_timeout is only meaningful with ssl"):
            await loop.connect_accepted_socket(Recorder, sock, ssl_shutdown_timeout=1)
