"""A loop that has nothing to do sleeps, and one busy connection does not starve the others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading

import pytest

from support.pipes import fill_pipe, read_pipe, write_pipe
from support.programs import run_program
from support.protocols import BufferedRecorder, Echo, Recorder, half_open
from support.sockets import KINDS, connected, fill, polled, reset, socket_pair, sockets
from support.turns import idles

pytestmark = pytest.mark.timeout(60)
each_kind = pytest.mark.parametrize("kind", KINDS)


async def idles_soon():
    await polled()
    return await idles()


@each_kind
async def test_a_paused_transport_whose_peer_has_left(kind):
    async with connected(kind=kind) as (transport, protocol, far):
        transport.pause_reading()
        far.close()
        assert await idles_soon()
        assert protocol.events == ["made"]
        transport.resume_reading()
        assert await protocol.lost is None


async def test_a_paused_transport_whose_peer_has_reset_the_connection():
    async with connected() as (transport, protocol, far):
        transport.pause_reading()
        reset(far)
        assert await idles_soon()
        assert protocol.events == ["made"]
        transport.resume_reading()
        assert isinstance(await protocol.lost, ConnectionResetError)


@each_kind
async def test_a_transport_kept_open_after_the_end_of_the_stream(kind):
    async with connected(half_open, kind) as (_, protocol, far):
        far.shutdown(socket.SHUT_WR)
        await protocol.eof
        assert await idles_soon()
        assert protocol.events == ["made", "eof"]


@each_kind
async def test_a_transport_kept_open_after_its_peer_has_left(kind):
    async with connected(half_open, kind) as (_, protocol, far):
        far.close()
        await protocol.eof
        assert await idles_soon()
        assert protocol.events == ["made", "eof"]


@each_kind
async def test_a_transport_that_waits_for_room(kind):
    async with connected(kind=kind) as (transport, protocol, _):
        await fill(transport)
        assert await idles_soon()
        transport.close()
        assert await idles_soon()
        assert not protocol.lost.done()


async def test_a_transport_that_has_both_ended_and_waits_for_room():
    async with connected(half_open) as (transport, protocol, far):
        await fill(transport)
        far.shutdown(socket.SHUT_WR)
        await protocol.eof
        assert await idles_soon()


async def test_a_server_and_idle_connections(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    clients = [socket.create_connection(server.sockets[0].getsockname()) for _ in range(20)]
    assert await idles_soon()
    server.close()
    for client in clients:
        client.close()
    await polled(4)
    await server.wait_closed()


async def test_pipes():
    async with read_pipe() as (transport, _, writers):
        transport.pause_reading()
        os.close(writers.pop())
        assert await idles_soon()
    async with write_pipe() as (transport, _, _):
        await fill_pipe(transport)
        assert await idles_soon()


async def test_a_descriptor_that_was_closed_while_it_was_watched(loop):
    with sockets("unix") as bystander:
        near, far = socket.socketpair()
        number = near.fileno()
        loop.add_reader(near, print)
        near.close()
        far.close()
        await polled(using=bystander)
        assert await idles()
        assert loop.remove_reader(number)


class Flood:
    """A thread that sends on a socket as fast as it is read, until stopped."""

    def __init__(self, sock):
        self.sock = sock
        self.thread = threading.Thread(target=self.send)

    def send(self):
        try:
            while True:
                self.sock.sendall(bytes(1 << 20))
        except OSError:
            pass

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *exc_info):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()


class Discards(Recorder):
    count = 0

    def data_received(self, data):
        self.count += len(data)


class BufferedDiscards(BufferedRecorder):
    count = 0

    def buffer_updated(self, nbytes):
        self.count += nbytes


@pytest.mark.parametrize("factory", [Discards, lambda: BufferedDiscards(1 << 16)])
async def test_a_flood_on_one_connection_does_not_stop_another(loop, factory):
    near, far = socket_pair()
    transport, flooded = await loop.create_connection(factory, sock=near)
    with Flood(far):
        while flooded.count < 1 << 20:
            await asyncio.sleep(0)
        async with connected(Echo) as (_, _, other):
            for _ in range(100):
                other.send(b"ping")
                assert await loop.sock_recv(other, 10) == b"ping"
        timer = loop.create_future()
        loop.call_later(0.001, timer.set_result, None)
        await timer
        for _ in range(100):
            await asyncio.sleep(0)
        transport.abort()
        await flooded.lost


async def test_busy_callbacks_do_not_stop_the_input(loop):
    stop = False

    def again():
        if not stop:
            loop.call_soon(again)

    again()
    async with connected() as (transport, protocol, far):
        for number in range(50):
            far.send(b"x")
            await protocol.bytes_received(number + 1)
        transport.close()
        await protocol.lost
    stop = True


async def test_a_busy_connection_does_not_stop_accepting(loop):
    near, far = socket_pair()
    transport, flooded = await loop.create_connection(Discards, sock=near)
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    with Flood(far):
        for _ in range(10):
            with socket.create_connection(server.sockets[0].getsockname()) as client:
                client.setblocking(False)
                client.send(b"ping")
                assert await loop.sock_recv(client, 10) == b"ping"
        transport.abort()
        await flooded.lost
    server.close()
    await polled(4)
    await server.wait_closed()


@pytest.mark.native_only
def test_a_first_wait_without_descriptors_to_spare(loop_factory):
    """asyncio opens what wakes it with the loop. Ours opens it later, and does without until it can."""
    source = """
    import os, resource, threading, time
    loop = new_event_loop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    kept = []
    try:
        while True:
            kept.append(os.dup(0))
    except OSError:
        pass

    async def main():
        begin = loop.time()
        await asyncio.sleep(0.05)
        assert 0.05 <= loop.time() - begin < 5
        for spare in (False, True, True):
            if spare:
                while kept:
                    os.close(kept.pop())
            woken = loop.create_future()
            thread = threading.Thread(target=lambda: (
                time.sleep(0.02), loop.call_soon_threadsafe(woken.set_result, spare)))
            thread.start()
            assert await asyncio.wait_for(woken, 5) is spare
            thread.join()
        return "woken"

    print(loop.run_until_complete(main()))
    loop.close()
    """
    assert run_program(loop_factory, source) == (0, "woken\n", "")
