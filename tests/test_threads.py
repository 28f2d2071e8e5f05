"""Other threads: call_soon_threadsafe, misuse of call_soon, and debug mode's thread check."""

import asyncio
import concurrent.futures
import contextvars
import socket
import sys
import threading
import time
import weakref

import pytest

from support.turns import run_once

variable = contextvars.ContextVar("variable", default="unset")
LONG = 20  # seconds that something may take on a loaded machine before it counts as lost


def nothing(*_args):
    pass


def in_thread(function, *args):
    """Run a function in a new thread to its end and return its result."""
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(function, *args).result(LONG)


# call_soon_threadsafe


def test_a_callback_from_another_thread_runs_in_the_loops_thread(loop):
    seen = []

    def callback(*args):
        seen.append((args, threading.get_ident()))
        loop.stop()

    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(callback, 1, 2))
    thread.start()
    loop.run_forever()
    thread.join()
    assert seen == [((1, 2), threading.get_ident())]


def test_callbacks_from_another_thread_before_the_run_are_kept(loop):
    events = []
    in_thread(lambda: [loop.call_soon_threadsafe(events.append, number) for number in range(100)])
    run_once(loop)
    assert events == list(range(100))


def test_a_blocked_loop_is_woken_every_time(loop):
    """Each round begins with the loop blocked in its poll: one lost wake-up ends the test."""
    answered = threading.Event()
    rounds = []

    def other():
        for number in range(300):
            answered.clear()
            loop.call_soon_threadsafe(lambda: (rounds.append(number), answered.set()))
            if not answered.wait(LONG):
                break
        loop.call_soon_threadsafe(loop.stop)

    far = loop.call_later(3600, nothing)
    thread = threading.Thread(target=other)
    started = time.monotonic()
    thread.start()
    loop.run_forever()
    thread.join()
    far.cancel()
    assert rounds == list(range(300))
    assert time.monotonic() - started < LONG


def test_no_callback_of_many_threads_is_lost_and_each_thread_keeps_its_order(loop):
    thread_count, callback_count = 8, 12_500
    received = [[] for _ in range(thread_count)]
    barrier = threading.Barrier(thread_count)
    finished = []

    def other(index):
        barrier.wait(LONG)
        for number in range(callback_count):
            loop.call_soon_threadsafe(received[index].append, number)
        loop.call_soon_threadsafe(finish)

    def finish():
        finished.append(True)
        if len(finished) == thread_count:
            loop.stop()

    threads = [threading.Thread(target=other, args=(index,)) for index in range(thread_count)]
    for thread in threads:
        thread.start()
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert received == [list(range(callback_count))] * thread_count


def test_callbacks_of_a_thread_that_races_with_stop_run_in_a_later_run(loop):
    events = []
    total = 2000

    def other():
        for number in range(total):
            loop.call_soon_threadsafe(events.append, number)

    thread = threading.Thread(target=other)
    thread.start()
    while thread.is_alive():
        run_once(loop)
    run_once(loop)
    assert events == list(range(total))


def test_a_flood_from_threads_starves_neither_timers_nor_io(loop):
    stop_flood = threading.Event()

    def flood():
        while not stop_flood.is_set():
            loop.call_soon_threadsafe(nothing)

    async def main():
        for _ in range(5):
            await asyncio.sleep(0.001)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            for _ in range(5):
                received = asyncio.ensure_future(loop.sock_recv(ours, 10))
                await asyncio.sleep(0)
                await loop.sock_sendall(theirs, b"x")
                assert await received == b"x"
        return "done"

    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert loop.run_until_complete(asyncio.wait_for(main(), LONG)) == "done"
    finally:
        stop_flood.set()
        for thread in threads:
            thread.join()


def test_a_callback_may_schedule_threadsafe_from_the_loops_own_thread(loop):
    events = []

    def again(left):
        events.append(left)
        if left:
            loop.call_soon_threadsafe(again, left - 1)
        else:
            loop.stop()

    loop.call_soon_threadsafe(again, 100)
    loop.run_forever()
    assert events == list(range(100, -1, -1))


def test_a_threadsafe_callback_of_a_callback_waits_for_the_next_turn(loop):
    events = []
    loop.call_soon(lambda: loop.call_soon_threadsafe(events.append, "next turn"))
    run_once(loop)
    assert events == []
    run_once(loop)
    assert events == ["next turn"]


def test_a_callback_from_another_thread_runs_in_that_threads_context(loop):
    seen = []

    def other():
        variable.set("of the thread")
        loop.call_soon_threadsafe(lambda: seen.append(variable.get()))
        given = contextvars.Context()
        given.run(variable.set, "given")
        loop.call_soon_threadsafe(lambda: seen.append(variable.get()), context=given)

    in_thread(other)
    run_once(loop)
    assert seen == ["of the thread", "given"]


def test_a_callback_can_be_cancelled_from_the_thread_that_scheduled_it(loop):
    events = []

    def other():
        handles = [loop.call_soon_threadsafe(events.append, number) for number in range(100)]
        for handle in handles[::2]:
            handle.cancel()
            assert handle.cancelled()
            assert "cancelled" in repr(handle)

    in_thread(other)
    run_once(loop)
    assert events == list(range(1, 100, 2))


def test_cancelling_from_another_thread_while_the_loop_runs_never_hangs(loop):
    ran, cancelled = [], []

    def other():
        for number in range(3000):
            handle = loop.call_soon_threadsafe(ran.append, number)
            if number % 2:
                handle.cancel()
                cancelled.append(number)
                repr(handle)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=other)
    thread.start()
    loop.run_forever()
    thread.join(LONG)
    assert not thread.is_alive()
    assert [number for number in ran if number % 2 == 0] == list(range(0, 3000, 2))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="from 3.14 on cancelling waits, on asyncio as well")
def test_cancelling_what_runs_in_another_thread_does_not_wait_for_it(loop):
    lock, started, outcomes = threading.Lock(), threading.Event(), []

    def callback():
        started.set()
        outcomes.append(lock.acquire(timeout=LONG))
        loop.stop()

    def other():
        with lock:
            handle = loop.call_soon_threadsafe(callback)
            assert started.wait(LONG)
            handle.cancel()

    thread = threading.Thread(target=other)
    thread.start()
    loop.run_forever()
    thread.join(LONG)
    assert outcomes == [True]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="such handles have a lock since 3.14")
@pytest.mark.parametrize("method", ["cancel", "cancelled"])
def test_asking_a_handle_that_runs_in_another_thread_waits_until_it_is_done(loop, loop_errors, method):
    started, asked, events = threading.Event(), threading.Event(), []

    def callback():
        started.set()
        assert asked.wait(LONG)
        raise ValueError("reported while it still runs")

    def report(_loop, context):
        events.append("reported")

    def other():
        handle = loop.call_soon_threadsafe(callback)
        assert started.wait(LONG)
        asked.set()
        getattr(handle, method)()
        events.append("answered")
        loop.call_soon_threadsafe(loop.stop)

    loop.set_exception_handler(report)
    thread = threading.Thread(target=other)
    thread.start()
    loop.run_forever()
    thread.join(LONG)
    assert events == ["reported", "answered"]


def test_objects_of_callbacks_may_be_freed_by_another_thread(loop):
    class Payload:
        pass

    references = []

    def other():
        for _ in range(200):
            payload = Payload()
            references.append(weakref.ref(payload))
            loop.call_soon_threadsafe(nothing, payload).cancel()

    in_thread(other)
    run_once(loop)
    assert [reference() for reference in references] == [None] * 200


def test_an_exception_in_a_callback_from_another_thread_is_reported(loop, loop_errors):
    def boom():
        raise ValueError("boom")

    in_thread(loop.call_soon_threadsafe, boom)
    run_once(loop)
    assert str(loop_errors.pop()["exception"]) == "boom"


def test_closing_a_loop_while_threads_schedule_gives_each_a_clear_error(loop_factory):
    for _ in range(20):
        loop = loop_factory()
        outcomes = []
        started = threading.Event()

        def other(loop=loop, outcomes=outcomes, started=started):
            try:
                while True:
                    loop.call_soon_threadsafe(nothing)
                    started.set()
            except RuntimeError as error:
                outcomes.append(str(error))

        threads = [threading.Thread(target=other) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert started.wait(LONG)
        run_once(loop)
        loop.close()
        for thread in threads:
            thread.join(LONG)
        assert outcomes == ["Event loop is closed"] * 2


# misuse, and debug mode's check


def run_beside(loop, function, *args):
    """Run a function in a thread while the loop runs in this one."""

    async def main():
        return await asyncio.to_thread(function, *args)

    return loop.run_until_complete(main())


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at"])
def test_debug_mode_refuses_other_threads(loop, method):
    loop.set_debug(True)
    args = () if method == "call_soon" else (0,)

    def other():
        with pytest.raises(RuntimeError) as info:
            getattr(loop, method)(*args, nothing)
        return str(info.value)

    text = "Non-thread-safe operation invoked on an event loop other than the current one"
    assert run_beside(loop, other) == text


def test_debug_mode_allows_other_threads_while_the_loop_does_not_run(loop):
    loop.set_debug(True)
    events = []
    in_thread(loop.call_soon, events.append, 1)
    in_thread(loop.call_later, 0, events.append, 2)
    run_once(loop)
    assert events == [1, 2]


def test_debug_mode_allows_call_soon_threadsafe(loop):
    loop.set_debug(True)
    events = []
    run_beside(loop, loop.call_soon_threadsafe, events.append, 1)
    run_once(loop)
    assert events == [1]


def test_a_misused_call_soon_from_another_thread_breaks_nothing(loop):
    """Without debug mode asyncio lets it pass; callbacks may come late, but none may be lost."""
    loop.set_debug(False)
    events = []

    def other():
        for number in range(1000):
            loop.call_soon(events.append, number)

    run_beside(loop, other)
    run_once(loop)
    assert events == list(range(1000))
