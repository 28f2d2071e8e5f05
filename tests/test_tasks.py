"""Tasks and futures on the loop: creation, factories, order of steps, cancellation, bookkeeping."""

import asyncio
import contextvars
import sys

import pytest

from support.turns import run_once

variable = contextvars.ContextVar("variable", default="unset")
eager_tasks = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")


async def answer(value=42):
    await asyncio.sleep(0)
    return value


# creation


async def test_create_task_schedules_and_returns_a_task(loop):
    task = loop.create_task(answer())
    assert isinstance(task, asyncio.Task)
    assert task.get_loop() is loop
    assert not task.done()
    assert await task == 42


async def test_a_task_has_the_name_it_was_given(loop):
    named, unnamed = loop.create_task(answer(), name="mine"), loop.create_task(answer())
    assert named.get_name() == "mine"
    assert unnamed.get_name().startswith("Task-")
    await asyncio.gather(named, unnamed)


async def test_a_task_runs_in_the_context_it_was_given(loop):
    async def child():
        variable.set("child")

    context = contextvars.copy_context()
    await loop.create_task(child(), context=context)
    assert context[variable] == "child"
    assert variable.get() == "unset"


@pytest.mark.parametrize("value", [None, 42, answer, "text"], ids=repr)
def test_only_coroutines_become_tasks(loop, value):
    with pytest.raises(TypeError, match=r"^a coroutine was expected, got "):
        loop.create_task(value)
    run_once(loop)


def test_unknown_keywords_of_create_task_are_refused(loop):
    coroutine = answer()
    with pytest.raises(TypeError, match="unknown"):
        loop.create_task(coroutine, unknown=1)
    coroutine.close()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="eager_start is new in Python 3.14")
async def test_an_eager_start_runs_the_first_step_at_once(loop):
    events = []

    async def child():
        events.append("started")
        await asyncio.sleep(0)
        events.append("finished")

    task = loop.create_task(child(), eager_start=True, name="eager")
    assert events == ["started"]
    assert task.get_name() == "eager"
    lazy = loop.create_task(child(), eager_start=False)
    assert events == ["started"]
    await asyncio.gather(task, lazy)
    assert events.count("finished") == 2


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


# factories


def test_a_task_factory_can_be_set_read_and_reset(loop):
    def factory(loop, coro, **kwargs):
        return asyncio.Task(coro, loop=loop, **kwargs)

    assert loop.get_task_factory() is None
    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None


@pytest.mark.parametrize("factory", [42, "text", ()], ids=repr)
def test_a_task_factory_that_is_not_callable_is_refused(loop, factory):
    with pytest.raises(TypeError, match=r"^task factory must be a callable or None$"):
        loop.set_task_factory(factory)


def test_a_task_factory_makes_the_tasks(loop):
    class Task(asyncio.Task):
        pass

    def factory(loop, coro, **kwargs):
        return Task(coro, loop=loop, **kwargs)

    async def main():
        task = asyncio.create_task(answer(), name="mine")
        assert type(task) is Task
        assert task.get_name() == "mine"
        context = contextvars.copy_context()
        assert type(asyncio.create_task(answer(), context=context)) is Task
        return type(asyncio.current_task())

    loop.set_task_factory(factory)
    assert loop.run_until_complete(main()) is Task


@eager_tasks
def test_eager_tasks_run_at_once_until_they_block(loop):
    events = []

    async def child(name, block):
        events.append(f"{name} started")
        if block:
            await asyncio.sleep(0)
        events.append(f"{name} finished")

    async def main():
        done = asyncio.create_task(child("quick", False), name="quick")
        events.append("created")
        blocked = asyncio.create_task(child("slow", True), name="slow")
        assert (done.done(), blocked.done()) == (True, False)
        assert asyncio.current_task() not in (done, blocked)
        await blocked

    loop.set_task_factory(asyncio.eager_task_factory)
    loop.run_until_complete(main())
    assert events == ["quick started", "quick finished", "created", "slow started", "slow finished"]


@eager_tasks
def test_an_eager_task_that_fails_at_once_raises_when_awaited(loop):
    async def fail():
        raise LookupError

    async def main():
        task = asyncio.create_task(fail())
        assert task.done()
        with pytest.raises(LookupError):
            await task

    loop.set_task_factory(asyncio.eager_task_factory)
    loop.run_until_complete(main())


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
