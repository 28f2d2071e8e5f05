"""Tasks and futures on the loop: order of steps, cancellation, bookkeeping."""

import asyncio

import pytest

from support.turns import run_once


async def answer(value=42):
    await asyncio.sleep(0)
    return value


# futures


async def test_create_future_belongs_to_the_loop(loop):
    future = loop.create_future()
    assert isinstance(future, asyncio.Future)
    assert future.get_loop() is loop
    loop.call_soon(future.set_result, "set")
    assert await future == "set"


async def test_a_replaced_create_future_is_used(loop):
    class Future(asyncio.Future):
        pass

    loop.create_future = lambda: Future(loop=loop)
    assert type(asyncio.ensure_future(answer()).get_loop().create_future()) is Future
    await asyncio.sleep(0.001)


# steps


async def test_sleep_zero_lets_every_other_task_take_one_step():
    events = []

    async def child(name):
        for step in range(3):
            events.append((step, name))
            await asyncio.sleep(0)

    await asyncio.gather(*(child(name) for name in "abc"))
    assert events == [(step, name) for step in range(3) for name in "abc"]


async def test_tasks_start_in_the_order_of_creation():
    events = []

    async def child(number):
        events.append(number)

    tasks = [asyncio.create_task(child(number)) for number in range(100)]
    assert events == []
    await asyncio.wait(tasks)
    assert events == list(range(100))


async def test_waiters_of_a_future_wake_in_order(loop):
    events = []
    future = loop.create_future()

    async def child(number):
        events.append((number, await future))

    tasks = [asyncio.create_task(child(number)) for number in range(10)]
    await asyncio.sleep(0)
    future.set_result("go")
    await asyncio.wait(tasks)
    assert events == [(number, "go") for number in range(10)]


async def test_sleep_returns_its_result_and_takes_its_time(loop):
    started = loop.time()
    assert await asyncio.sleep(0.002, "result") == "result"
    assert loop.time() - started >= 0.002 - 1e-9


async def test_current_task_and_all_tasks(loop):
    async def child():
        return asyncio.current_task(), asyncio.all_tasks()

    me = asyncio.current_task()
    task = asyncio.create_task(child(), name="child")
    assert asyncio.all_tasks() == {me, task}
    seen, everyone = await task
    assert seen is task
    assert everyone == {me, task}
    assert asyncio.all_tasks(loop) == {me}
    callback_seen = []
    loop.call_soon(lambda: callback_seen.append(asyncio.current_task()))
    await asyncio.sleep(0)
    assert callback_seen == [None]


# cancellation


async def test_a_cancelled_task_sees_the_error_where_it_waits():
    events = []

    async def child():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as error:
            events.append(error.args)
            raise

    task = asyncio.create_task(child())
    await asyncio.sleep(0)
    assert task.cancel("reason")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    assert events == [("reason",)]


async def test_a_task_cancelled_before_its_first_step_never_starts():
    events = []

    async def child():
        events.append("started")

    task = asyncio.create_task(child())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events == []


async def test_a_task_may_refuse_to_be_cancelled():
    async def child():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
            return "survived"

    task = asyncio.create_task(child())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "survived"
    assert task.cancelling() == 0


async def test_cancelling_a_sleep_removes_its_timer(loop):
    cancelled = []
    original = loop.call_later

    def call_later(*args, **kwargs):
        handle = original(*args, **kwargs)
        cancelled.append(handle)
        return handle

    loop.call_later = call_later
    task = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert [handle.cancelled() for handle in cancelled] == [True]


def test_tasks_left_pending_can_be_cancelled_in_a_later_run(loop):
    events = []

    async def child():
        try:
            await asyncio.sleep(3600)
        finally:
            events.append("cleaned up")

    task = loop.create_task(child())
    run_once(loop)
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    assert events == ["cleaned up"]
