"""Waiting for several things at once: gather, wait, wait_for, timeout, TaskGroup, shield, as_completed."""

import asyncio

import pytest


async def answer(value, delay=0.0):
    await asyncio.sleep(delay)
    return value


async def fail(delay=0.0):
    await asyncio.sleep(delay)
    raise LookupError("failed")


async def test_gather_returns_results_in_order():
    assert await asyncio.gather(answer(1, 0.002), answer(2), answer(3, 0.001)) == [1, 2, 3]


async def test_gather_raises_the_first_exception_and_the_others_go_on():
    slow = asyncio.create_task(answer("slow", 0.002))
    with pytest.raises(LookupError):
        await asyncio.gather(slow, fail())
    assert await slow == "slow"


async def test_gather_returns_exceptions_when_asked():
    one, error = await asyncio.gather(answer(1), fail(), return_exceptions=True)
    assert one == 1
    assert isinstance(error, LookupError)


async def test_cancelling_a_gather_cancels_its_children():
    children = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(3)]
    gathering = asyncio.gather(*children)
    await asyncio.sleep(0)
    gathering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gathering
    assert all(child.cancelled() for child in children)


async def test_wait_stops_at_the_first_that_is_done():
    quick, slow = asyncio.create_task(answer(1)), asyncio.create_task(asyncio.sleep(3600))
    done, pending = await asyncio.wait([quick, slow], return_when=asyncio.FIRST_COMPLETED)
    assert (done, pending) == ({quick}, {slow})
    slow.cancel()


async def test_wait_stops_at_the_first_exception():
    bad, slow = asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(3600))
    done, pending = await asyncio.wait([bad, slow], return_when=asyncio.FIRST_EXCEPTION)
    assert (done, pending) == ({bad}, {slow})
    assert isinstance(bad.exception(), LookupError)
    slow.cancel()


async def test_wait_returns_at_its_timeout(loop):
    slow = asyncio.create_task(asyncio.sleep(3600))
    started = loop.time()
    done, pending = await asyncio.wait([slow], timeout=0.002)
    assert loop.time() - started >= 0.002 - 1e-9
    assert (done, pending) == (set(), {slow})
    slow.cancel()


@pytest.mark.parametrize("timeout", [None, 100, 0.5])
async def test_wait_for_returns_the_result(timeout):
    assert await asyncio.wait_for(answer(1, 0.001), timeout) == 1


@pytest.mark.parametrize("timeout", [-1, 0, 0.002])
async def test_wait_for_cancels_and_raises_at_its_timeout(timeout):
    task = asyncio.create_task(asyncio.sleep(3600))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, timeout)
    assert task.cancelled()


async def test_timeout_cancels_its_body_only(loop):
    started = loop.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.002) as scope:
            await asyncio.sleep(3600)
    assert scope.expired()
    assert loop.time() - started >= 0.002 - 1e-9
    await asyncio.sleep(0)


async def test_timeout_that_does_not_expire_leaves_nothing(loop):
    async with asyncio.timeout(0.002) as scope:
        assert await answer("in time") == "in time"
    await asyncio.sleep(0.004)
    assert not scope.expired()


async def test_timeout_can_be_rescheduled_and_told_a_deadline(loop):
    async with asyncio.timeout(None) as scope:
        scope.reschedule(loop.time() + 100)
        assert scope.when() > loop.time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout_at(loop.time() - 1):
            await asyncio.sleep(3600)


async def test_nested_timeouts_expire_from_the_outside():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.002):
            async with asyncio.timeout(100) as inner:
                await asyncio.sleep(3600)
    assert not inner.expired()


async def test_a_task_group_waits_for_its_tasks():
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(answer(number, 0.0005 * (3 - number))) for number in range(3)]
    assert [task.result() for task in tasks] == [0, 1, 2]


async def test_a_failure_in_a_task_group_cancels_the_others():
    with pytest.raises(ExceptionGroup) as info:
        async with asyncio.TaskGroup() as group:
            slow = group.create_task(asyncio.sleep(3600))
            group.create_task(fail())
    assert slow.cancelled()
    assert [type(error) for error in info.value.exceptions] == [LookupError]


async def test_a_shielded_task_survives_the_cancellation_of_its_waiter():
    task = asyncio.create_task(answer("survived", 0.002))
    waiter = asyncio.ensure_future(asyncio.shield(task))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert await task == "survived"


async def test_as_completed_yields_in_order_of_completion():
    slow_may_end = asyncio.Event()

    async def slow():
        await slow_may_end.wait()
        return "slow"

    results = []
    for next_result in asyncio.as_completed([slow(), answer("quick")]):
        results.append(await next_result)
        slow_may_end.set()
    assert results == ["quick", "slow"]


async def test_as_completed_raises_at_its_timeout():
    tasks = [asyncio.create_task(asyncio.sleep(3600))]
    with pytest.raises(TimeoutError):
        for next_result in asyncio.as_completed(tasks, timeout=0.002):
            await next_result
    tasks[0].cancel()


async def test_a_thousand_timeouts_at_once():
    async def child(number):
        if number % 2:
            return await asyncio.wait_for(answer(number), 100)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(3600), 0.001)
        return number

    assert await asyncio.gather(*map(child, range(1000))) == list(range(1000))


async def test_a_result_that_comes_late_but_before_its_timeout_is_noticed_counts(loop):
    """A callback blocks past the deadline, then sets the result: what is ready runs before due timers."""
    now = loop.time()
    loop.time = lambda: now
    future = loop.create_future()

    def block_and_answer():
        nonlocal now
        now += 10
        future.set_result("result")

    loop.call_soon(block_and_answer)
    assert await asyncio.wait_for(future, 5) == "result"
