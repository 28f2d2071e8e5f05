"""Floods of callbacks starve neither timers nor descriptors: the wait is counted in work, not in time."""

import asyncio
import threading

import pytest

from support.sockets import sockets

TURNS = 130  # veloop looks at descriptors at least every 64 turns; asyncio in each


@pytest.fixture
def flood(loop):
    """Callbacks that schedule themselves for ever; answers the number of turns so far."""
    turns = 0
    stopped = False

    def first():
        nonlocal turns
        turns += 1
        again(first)

    def other():
        again(other)

    def again(callback):
        if not stopped:
            loop.call_soon(callback)

    loop.call_soon(first)
    for _ in range(50):
        loop.call_soon(other)
    yield lambda: turns
    stopped = True
    loop.call_soon(loop.stop)
    loop.run_forever()


def run_until_noted(loop, noted):
    loop.call_later(60, loop.stop)
    loop.run_forever()
    assert noted
    return noted[0]


def test_a_flood_of_call_soon_does_not_starve_a_descriptor(loop, flood):
    noted = []
    with sockets("unix") as (near, far):

        def ready():
            noted.append(flood() - sent)
            loop.remove_reader(near)
            loop.stop()

        def send():
            nonlocal sent
            sent = flood()
            far.send(b"x")

        sent = 0
        loop.add_reader(near, ready)
        loop.call_soon(send)
        assert run_until_noted(loop, noted) <= TURNS


def test_a_flood_of_call_soon_does_not_starve_a_timer(loop, flood):
    noted = []

    def due():
        noted.append(flood() - armed)
        loop.stop()

    def arm():
        nonlocal armed
        armed = flood()
        loop.call_later(0, due)

    armed = 0
    loop.call_soon(arm)
    assert run_until_noted(loop, noted) <= 2


def test_a_flood_of_call_soon_does_not_starve_other_threads(loop, flood):
    noted = []

    def arrived():
        noted.append(flood())
        loop.stop()

    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(arrived,))
    loop.call_soon(thread.start)
    run_until_noted(loop, noted)
    thread.join()


def test_a_flood_of_timers_does_not_starve_a_descriptor(loop):
    noted, turns = [], 0
    with sockets("unix") as (near, far):

        def tick():
            nonlocal turns
            turns += 1
            if not noted:
                loop.call_later(0, tick)

        def ready():
            noted.append(turns)
            loop.remove_reader(near)
            loop.stop()

        for _ in range(50):
            loop.call_later(0, tick)
        loop.add_reader(near, ready)
        loop.call_soon(far.send, b"x")
        assert run_until_noted(loop, noted) <= TURNS * 50


def test_a_flood_of_ready_descriptors_does_not_starve_a_timer(loop):
    noted, calls = [], 0
    with sockets("unix") as (near, far):

        def ready():
            nonlocal calls
            calls += 1  # What came is never read: the descriptor stays ready.

        def due():
            noted.append(calls)
            loop.stop()

        far.send(b"x")
        loop.add_reader(near, ready)
        loop.call_later(0, due)
        assert run_until_noted(loop, noted) <= 2
        loop.remove_reader(near)


def test_a_flood_from_threads_delays_a_callback_by_what_came_before_it_only(loop):
    """Callbacks of several threads and of the loop itself are run in the order in which they came."""
    total, threads = 20_000, 4
    ran = [0] * threads
    late = []
    timers = descriptors = 0

    def from_thread(thread, number):
        if number != ran[thread]:
            late.append((thread, number))
        ran[thread] += 1

    def flood(thread):
        for number in range(total // threads):
            loop.call_soon_threadsafe(from_thread, thread, number)

    async def main():
        nonlocal timers, descriptors
        workers = [threading.Thread(target=flood, args=(thread,)) for thread in range(threads)]
        for worker in workers:
            worker.start()
        with sockets("unix") as (near, far):
            while sum(ran) < total:
                await asyncio.sleep(0)
                await asyncio.sleep(0.0001)
                timers += 1
                await loop.sock_sendall(far, b"x")
                assert await loop.sock_recv(near, 1) == b"x"
                descriptors += 1
        for worker in workers:
            worker.join()

    loop.run_until_complete(main())
    assert ran == [total // threads] * threads
    assert not late
    assert timers > 0
    assert descriptors > 0
