"""Coroutines submitted to a running loop from other threads."""

import asyncio
import threading

import pytest

LONG = 20


def run_beside(loop, function, *args):
    """Run a function in a thread while the loop runs in this one."""

    async def main():
        return await asyncio.to_thread(function, *args)

    return loop.run_until_complete(main())


def test_a_coroutine_submitted_from_a_thread_returns_its_result(loop):
    async def add(one, two):
        await asyncio.sleep(0.001)
        return one + two, threading.get_ident()

    future = run_beside(loop, lambda: asyncio.run_coroutine_threadsafe(add(1, 2), loop).result(LONG))
    assert future == (3, threading.get_ident())


def test_a_coroutine_submitted_from_a_thread_raises_its_exception(loop):
    async def fail():
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        run_beside(loop, lambda: asyncio.run_coroutine_threadsafe(fail(), loop).result(LONG))


def test_cancelling_the_outer_future_cancels_the_task(loop):
    cancelled = threading.Event()
    running = threading.Event()

    async def forever():
        running.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def other():
        future = asyncio.run_coroutine_threadsafe(forever(), loop)
        assert running.wait(LONG)
        future.cancel()
        return cancelled.wait(LONG)

    assert run_beside(loop, other)


def test_only_coroutines_can_be_submitted(loop):
    with pytest.raises(TypeError, match=r"^A coroutine object is required$"):
        asyncio.run_coroutine_threadsafe(print, loop)


def test_a_timeout_in_the_thread_leaves_the_task_to_be_cancelled(loop):
    tasks = []

    async def forever():
        tasks.append(asyncio.current_task())
        await asyncio.Event().wait()

    def other():
        future = asyncio.run_coroutine_threadsafe(forever(), loop)
        with pytest.raises(TimeoutError):
            future.result(0.005)
        return future

    future = run_beside(loop, other)
    assert not future.done()
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(tasks[0])


def test_many_coroutines_from_many_threads_all_finish(loop):
    async def double(number):
        await asyncio.sleep(0)
        return number * 2

    def other(offset):
        futures = [asyncio.run_coroutine_threadsafe(double(offset + number), loop) for number in range(200)]
        return [future.result(LONG) for future in futures]

    async def main():
        return await asyncio.gather(*(asyncio.to_thread(other, offset) for offset in (0, 1000, 2000)))

    results = loop.run_until_complete(main())
    expected = [[2 * (offset + number) for number in range(200)] for offset in (0, 1000, 2000)]
    assert results == expected
