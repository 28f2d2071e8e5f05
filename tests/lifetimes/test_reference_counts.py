"""Doing a thing ten thousand times changes no reference count, whatever becomes of it."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Iterator

import pytest

from support import specimens
from support.leftovers import native_objects

TIMES = 10_000


def run(loop, count: int = 2) -> None:
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()


def call_soon(loop, watched):
    for _ in range(TIMES):
        loop.call_soon(watched.method, watched)
    run(loop)


def call_soon_and_cancel(loop, watched):
    for _ in range(TIMES):
        loop.call_soon(watched.method, watched).cancel()
    run(loop)


def call_soon_with_many_arguments(loop, watched):
    for _ in range(TIMES):
        loop.call_soon(watched.method, *[watched] * 8)
    run(loop)


def call_soon_threadsafe(loop, watched):
    for _ in range(TIMES):
        loop.call_soon_threadsafe(watched.method, watched)
    run(loop)


def call_later_and_cancel(loop, watched):
    for _ in range(TIMES):
        loop.call_later(1000, watched.method, watched).cancel()
    run(loop)


def call_at(loop, watched):
    for _ in range(TIMES):
        loop.call_at(0, watched.method, watched)
    run(loop)


def watch_and_forget(loop, watched):
    near, far = socket.socketpair()
    with near, far:
        for _ in range(TIMES // 10):
            loop.add_reader(near, watched.method, watched)
            loop.add_writer(near, watched.method, watched)
            loop.remove_writer(near)
            loop.add_reader(near, watched.method)
            loop.remove_reader(near)


def ask_for_what_is_wrong(loop, watched):
    """Errors on the way out of a method."""
    for _ in range(TIMES):
        for method, arguments in (
            (loop.call_soon, (watched.method,)),
            (loop.call_at, ("never", watched.method)),
            (loop.call_later, (None, watched.method)),
            (loop.add_reader, (watched, watched.method)),
            (loop.remove_writer, ("no descriptor",)),
        ):
            try:
                method(*arguments, context=watched, wrong=watched)
            except (TypeError, ValueError):
                continue
            pytest.fail(f"{method} took it")


def receive_and_send(loop, watched):
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)

        async def talk() -> None:
            buffer = bytearray(8)
            for _ in range(TIMES // 20):
                waiting = loop.create_task(loop.sock_recv(near, 8))
                await loop.sock_sendall(far, b"12345678")
                assert await waiting == b"12345678"
                await loop.sock_sendall(far, buffer)
                assert await loop.sock_recv_into(near, buffer) == 8
            watched.method(buffer)

        loop.run_until_complete(talk())


def connect_and_lose(loop, watched):
    class Protocol(asyncio.Protocol):
        def connection_lost(self, exc: BaseException | None) -> None:
            watched.method(exc)

    async def connect() -> None:
        near, far = socket.socketpair()
        with far:
            transport, _ = await loop.create_connection(Protocol, sock=near)
            transport.write(b"data")
            transport.writelines([b"more", bytearray(b"data")])
            transport.get_extra_info("peername")
            transport.abort()
            await asyncio.sleep(0)

    for _ in range(TIMES // 100):
        loop.run_until_complete(connect())


def look_up(loop, watched):
    async def ask() -> None:
        for _ in range(TIMES // 20):
            watched.method(await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM))

    loop.run_until_complete(ask())


REPEATED: list[Callable[..., None]] = [
    call_soon,
    call_soon_and_cancel,
    call_soon_with_many_arguments,
    call_soon_threadsafe,
    call_later_and_cancel,
    call_at,
    watch_and_forget,
    ask_for_what_is_wrong,
    receive_and_send,
    connect_and_lose,
    look_up,
]


def counts(*objects: object) -> list[int]:
    gc.collect()
    return [sys.getrefcount(each) for each in objects]


@pytest.fixture
def watched() -> Iterator[specimens.Token]:
    yield specimens.Token()


@pytest.mark.parametrize("repeat", REPEATED, ids=lambda repeat: repeat.__name__)
def test_reference_counts_stay(loop, watched, repeat):
    # Everything that a wrong count would hit: what was given, the loop, its types, and what is immortal
    # only in newer versions.
    objects = [watched, loop, type(loop), type(loop.call_soon(list)), None, True, b"", (), type(watched)]
    repeat(loop, watched)  # What is made once is there.
    before, natives = counts(*objects), native_objects()
    total = sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0
    repeat(loop, watched)
    after = counts(*objects)
    # Threads that are ending, and caches of the interpreter, move the counts of shared objects a little.
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) < 50, (before, after)
    assert before[0] == after[0]
    assert native_objects() == natives
    if total:
        assert sys.gettotalrefcount() - total < TIMES // 20
