"""Locks, events, conditions, semaphores, barriers and queues, as far as they depend on the loop's order."""

import asyncio

import pytest


async def test_a_lock_is_passed_on_in_order():
    lock = asyncio.Lock()
    events = []

    async def child(number):
        async with lock:
            events.append(number)
            await asyncio.sleep(0)
            events.append(number)

    await asyncio.gather(*map(child, range(10)))
    assert events == [number for number in range(10) for _ in range(2)]


async def test_a_cancelled_waiter_does_not_keep_the_lock():
    lock = asyncio.Lock()
    await lock.acquire()
    first, second = (asyncio.create_task(lock.acquire()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    lock.release()
    assert await second is True
    assert first.cancelled()
    lock.release()


async def test_an_event_wakes_every_waiter_in_order():
    event = asyncio.Event()
    woken = []

    async def child(number):
        await event.wait()
        woken.append(number)

    tasks = [asyncio.create_task(child(number)) for number in range(10)]
    await asyncio.sleep(0)
    event.set()
    await asyncio.wait(tasks)
    assert woken == list(range(10))


async def test_a_condition_wakes_as_many_as_it_is_told():
    condition = asyncio.Condition()
    woken = []

    async def child(number):
        async with condition:
            await condition.wait()
            woken.append(number)

    tasks = [asyncio.create_task(child(number)) for number in range(5)]
    await asyncio.sleep(0)
    async with condition:
        condition.notify(2)
    await asyncio.wait(tasks[:2])
    assert woken == [0, 1]
    async with condition:
        condition.notify_all()
    await asyncio.wait(tasks)
    assert woken == [0, 1, 2, 3, 4]


async def test_a_semaphore_bounds_how_many_run():
    semaphore = asyncio.Semaphore(3)
    running, most = 0, 0

    async def child():
        nonlocal running, most
        async with semaphore:
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.0005)
            running -= 1

    await asyncio.gather(*(child() for _ in range(12)))
    assert (running, most) == (0, 3)


async def test_a_barrier_opens_when_all_have_come():
    barrier = asyncio.Barrier(3)
    positions = await asyncio.gather(*(barrier.wait() for _ in range(3)))
    assert sorted(positions) == [0, 1, 2]


async def test_a_queue_keeps_its_order_and_its_bound():
    queue = asyncio.Queue(maxsize=2)
    received = []

    async def producer():
        for number in range(20):
            await queue.put(number)
            assert queue.qsize() <= 2

    async def consumer():
        while len(received) < 20:
            received.append(await queue.get())
            queue.task_done()

    await asyncio.gather(producer(), consumer())
    await queue.join()
    assert received == list(range(20))


async def test_getters_of_a_queue_are_served_in_order():
    queue = asyncio.Queue()
    getters = [asyncio.create_task(queue.get()) for _ in range(5)]
    await asyncio.sleep(0)
    for number in range(5):
        queue.put_nowait(number)
    assert await asyncio.gather(*getters) == [0, 1, 2, 3, 4]


async def test_ping_pong_between_two_tasks():
    there, back = asyncio.Queue(), asyncio.Queue()

    async def echo():
        for _ in range(500):
            back.put_nowait(await there.get())

    async def ping():
        for number in range(500):
            there.put_nowait(number)
            assert await back.get() == number

    await asyncio.gather(echo(), ping())


@pytest.mark.parametrize(
    "make", [asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore, asyncio.Queue]
)
def test_a_primitive_made_before_the_run_works_on_the_loop(loop, make):
    primitive = make()

    async def main():
        if isinstance(primitive, asyncio.Queue):
            getter = asyncio.create_task(primitive.get())
            await asyncio.sleep(0)
            primitive.put_nowait("item")
            return await getter
        if isinstance(primitive, asyncio.Event):
            asyncio.get_running_loop().call_later(0.001, primitive.set)
            return await primitive.wait()
        async with primitive:
            return True

    assert loop.run_until_complete(main()) in (True, "item")
