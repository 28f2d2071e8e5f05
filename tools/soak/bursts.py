"""Much at once, and then nothing: what a burst took goes back. A burst calls ``at_the_peak()`` on the way."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable
from typing import Any

from tools.soak.workloads import RESET, Loop, turn, until

Burst = Callable[[Loop, int, Callable[[], None]], None]

PIECE = 1 << 20


def rest(loop: Loop) -> None:
    """Nothing to do: what a loop keeps for the next burst it gives back bit by bit, ten times in a second."""
    loop.run_until_complete(asyncio.sleep(0.8))


def pending_callbacks(loop: Loop, count: int, at_the_peak: Callable[[], None]) -> None:
    for number in range(count):
        loop.call_soon(abs, number)
    at_the_peak()
    turn(loop)
    turn(loop)


def pending_timers(loop: Loop, count: int, at_the_peak: Callable[[], None]) -> None:
    now = loop.time()
    for number in range(count):
        loop.call_at(now, abs, number)
    at_the_peak()
    turn(loop)
    turn(loop)


def timers_to_cancel(loop: Loop, count: int, at_the_peak: Callable[[], None]) -> None:
    timers = [loop.call_later(1000, abs, number) for number in range(count)]
    at_the_peak()
    for timer in timers:
        timer.cancel()
    turn(loop)


def pending_threadsafe_calls(loop: Loop, count: int, at_the_peak: Callable[[], None]) -> None:
    for number in range(count):
        loop.call_soon_threadsafe(abs, number)
    at_the_peak()
    turn(loop)
    turn(loop)


def backlog(loop: Loop, count: int, at_the_peak: Callable[[], None], piece: int = PIECE) -> None:
    """``count`` MiB wait for a peer that does not read, and then does."""
    near, far = socket.socketpair()
    far.setblocking(False)
    transport, _ = loop.run_until_complete(loop.create_connection(asyncio.Protocol, sock=near))
    for number in range(count * PIECE // piece):
        transport.write(bytes([number % 256]) * piece)
    at_the_peak()
    with far:
        while transport.get_write_buffer_size() > 0:
            try:
                far.recv(PIECE)
            except BlockingIOError:
                turn(loop)
        turn(loop)
        at_the_peak()
        transport.abort()
        turn(loop)


def backlog_of_small_pieces(loop: Loop, count: int, at_the_peak: Callable[[], None]) -> None:
    backlog(loop, count, at_the_peak, 256)


class _Idle(asyncio.Protocol):
    open = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        _Idle.open += 1

    def connection_lost(self, exc: BaseException | None) -> None:
        _Idle.open -= 1


def open_connections(loop: Loop, count: int, at_the_peak: Callable[[], None]) -> None:
    """Both ends are in this process: the far ones as plain sockets."""
    _allow_descriptors(2 * count + 100)
    server = loop.run_until_complete(loop.create_server(_Idle, "127.0.0.1", 0, backlog=100))
    address: Any = server.sockets[0].getsockname()
    clients: list[socket.socket] = []
    while len(clients) < count:
        for _ in range(min(100, count - len(clients))):
            clients.append(socket.create_connection(address))
            clients[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        until(loop, lambda: _Idle.open == len(clients))
    at_the_peak()
    for client in clients:
        client.close()
    until(loop, lambda: _Idle.open == 0)
    server.close()
    turn(loop)


def _allow_descriptors(wanted: int) -> None:
    """Raises the limits; ValueError where the hard one is too low and we are not root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        enough = hard if hard == resource.RLIM_INFINITY else max(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, enough))
