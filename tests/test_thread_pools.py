"""run_in_executor() on a thread pool's less usual days: errors, cancelling, shutting down, patching."""

import asyncio
import concurrent.futures
import contextvars
import gc
import logging
import random
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor, thread
from unittest import mock

import pytest

from support.programs import run_program
from support.turns import until

LONG = 20
variable = contextvars.ContextVar("variable", default="unset")


class Thing:
    """Something that weak references can point at."""


class Failure(Exception):
    """Weak references can point at it, too."""


@pytest.fixture
def pool():
    """A pool with one thread, which has started."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(int).result(LONG)
        yield executor


@pytest.fixture
def busy(pool):
    """The pool's thread waits for this event, and whatever comes next waits in the queue."""
    event, waiting = threading.Event(), threading.Event()
    pool.submit(lambda: (waiting.set(), event.wait(LONG)))
    assert waiting.wait(LONG)
    yield event
    event.set()


async def until_idle(pool):
    """The pool's only thread is done with what it had, and has dropped it."""
    await asyncio.wrap_future(pool.submit(int))


# errors


async def test_a_pool_is_refused_after_the_interpreters_shutdown(loop, pool, monkeypatch):
    monkeypatch.setattr(thread, "_shutdown", True)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after interpreter shutdown"):
        loop.run_in_executor(pool, int)


async def test_a_pool_whose_initializer_failed_is_broken(loop, caplog):
    release = threading.Event()

    def initializer():
        release.wait(LONG)
        raise ZeroDivisionError

    pool = ThreadPoolExecutor(1, initializer=initializer)
    waiting = [loop.run_in_executor(pool, int) for _ in range(4)]
    await asyncio.sleep(0)
    release.set()
    for future in waiting:
        with pytest.raises(thread.BrokenThreadPool, match="initializer failed"):
            await future
    with pytest.raises(thread.BrokenThreadPool, match="initializer failed"):
        loop.run_in_executor(pool, int)
    pool.shutdown()
    assert [record.getMessage() for record in caplog.records] == ["Exception in initializer:"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException, OSError])
async def test_every_exception_travels_to_the_future(loop, pool, kind):
    error = kind("words")

    def fail():
        raise error

    future = loop.run_in_executor(pool, fail)
    await asyncio.wait([future])
    assert future.exception() is error
    assert await loop.run_in_executor(pool, int) == 0


async def test_stop_iteration_meets_what_futures_do_with_it(loop, pool, loop_errors):
    plain = loop.create_future()
    try:
        plain.set_exception(StopIteration())
    except TypeError:  # Until some 3.12 a future refuses it: then it never ends.
        future = loop.run_in_executor(pool, next, iter(()))
        await until(lambda: loop_errors)
        assert isinstance(loop_errors.pop()["exception"], TypeError)
        assert not future.done()
    else:
        assert isinstance(plain.exception(), RuntimeError)
        with pytest.raises(RuntimeError, match="StopIteration interacts badly with generators") as caught:
            await loop.run_in_executor(pool, next, iter(()))
        assert isinstance(caught.value.__cause__, StopIteration)


@pytest.mark.parametrize("name", ["CancelledError", "InvalidStateError"])
async def test_concurrent_errors_become_those_of_asyncio(loop, pool, name):
    def fail():
        raise getattr(concurrent.futures, name)("words")

    future = loop.run_in_executor(pool, fail)
    await asyncio.wait([future])
    assert not future.cancelled()
    assert type(future.exception()) is getattr(asyncio, name)
    assert future.exception().args == ("words",)


async def test_an_exception_leaves_no_cycle(loop, pool):
    def fail(thing):
        raise Failure

    gc.disable()
    try:
        thing = Thing()
        watch = weakref.ref(thing)
        try:
            await loop.run_in_executor(pool, fail, thing)
        except Failure as error:
            seen = weakref.ref(error)
        await until_idle(pool)
        del thing
        assert seen() is None
        assert watch() is None
    finally:
        gc.enable()


async def test_a_result_nobody_takes_any_more_is_reported(loop, pool, loop_errors):
    future = loop.run_in_executor(pool, time.sleep, 0.005)
    future.set_result("mine")
    await until(lambda: loop_errors)
    assert "Exception in callback" in loop_errors.pop()["message"]
    assert future.result() == "mine"


async def test_an_exception_that_nobody_takes_is_reported(loop, pool, loop_errors):
    future = loop.run_in_executor(pool, lambda: 1 / 0)
    await asyncio.wait([future])
    await until_idle(pool)
    del future
    gc.collect()
    assert loop_errors.pop()["message"] == "Future exception was never retrieved"


# references and contexts


async def test_a_function_and_its_arguments_are_dropped_after_the_run(loop, pool):
    thing, function = Thing(), mock.Mock(return_value=Thing())
    watch, seen = weakref.ref(thing), weakref.ref(function.return_value)
    await loop.run_in_executor(pool, lambda function, thing: function(), function, thing)
    await until_idle(pool)
    del thing, function
    gc.collect()
    assert watch() is None
    assert seen() is None


async def test_the_context_is_the_threads_own(loop, pool):
    variable.set("task")
    first = await loop.run_in_executor(pool, variable.get)
    await loop.run_in_executor(pool, variable.set, "thread")
    assert await loop.run_in_executor(pool, variable.get) == "thread"
    with ThreadPoolExecutor(1) as other:
        assert first == other.submit(variable.get).result(LONG)
    assert variable.get() == "task"


# cancelling


async def test_what_is_cancelled_before_it_starts_never_runs(loop, pool, busy):
    ran = []
    futures = [loop.run_in_executor(pool, ran.append, number) for number in range(4)]
    futures[0].cancel()
    futures[2].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    busy.set()
    await asyncio.gather(futures[1], futures[3])
    await until_idle(pool)
    assert ran == [1, 3]


async def test_what_is_cancelled_while_it_runs_ends_unseen(loop, pool):
    started, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def work(fails):
        started.set()
        go_on.wait(LONG)
        done.set()
        return 1 // (not fails)

    for fails in (False, True):
        future = loop.run_in_executor(pool, work, fails)
        assert started.wait(LONG)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        go_on.set()
        await until_idle(pool)
        await asyncio.sleep(0)
        assert done.is_set()
        assert future.cancelled()
        for event in (started, go_on, done):
            event.clear()


async def test_a_cancelled_task_keeps_its_work_from_starting(loop, pool, busy):
    ran = []

    async def wait():
        await loop.run_in_executor(pool, ran.append, 1)

    task = loop.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    busy.set()
    await until_idle(pool)
    assert ran == []


async def test_any_mixture_of_cancelling_and_running_ends(loop):
    choice = random.Random(1)
    with ThreadPoolExecutor(3) as pool:
        futures = [loop.run_in_executor(pool, lambda number=number: number) for number in range(300)]
        for future in choice.sample(futures, 150):
            future.cancel()
            if choice.random() < 0.1:
                await asyncio.sleep(0)
        results = await asyncio.gather(*futures, return_exceptions=True)
    for number, (future, result) in enumerate(zip(futures, results, strict=True)):
        assert isinstance(result, asyncio.CancelledError) if future.cancelled() else result == number


# shutting down


async def test_shutdown_cancels_what_waits(loop, pool, busy):
    waiting = [loop.run_in_executor(pool, int) for _ in range(3)]
    pool.shutdown(wait=False, cancel_futures=True)
    for future in waiting:
        with pytest.raises(asyncio.CancelledError):
            await future
        assert future.cancelled()


async def test_shutdown_in_another_thread_cancels_what_waits(loop, pool, busy):
    waiting = [loop.run_in_executor(pool, int) for _ in range(3)]
    waiting[1].cancel()
    with ThreadPoolExecutor(1) as other:
        await loop.run_in_executor(other, lambda: pool.shutdown(wait=False, cancel_futures=True))
    await asyncio.wait(waiting)
    assert all(future.cancelled() for future in waiting)


def test_a_shutdown_in_the_loop_is_passed_on_as_asyncio_does_it(loop_factory):
    """From 3.14 on, and some 3.13, at once; before that by a callback."""

    async def is_cancelled_at_once():
        started, release = threading.Event(), threading.Event()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: (started.set(), release.wait(LONG)))
            assert started.wait(LONG)
            future = asyncio.get_running_loop().run_in_executor(pool, int)
            pool.shutdown(wait=False, cancel_futures=True)
            at_once = future.cancelled()
            release.set()
            with pytest.raises(asyncio.CancelledError):
                await future
        return at_once

    def seen(factory):
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(is_cancelled_at_once())

    assert seen(loop_factory) is seen(asyncio.SelectorEventLoop)


async def test_what_waits_runs_before_a_shutdown_ends(loop, pool, busy):
    waiting = [loop.run_in_executor(pool, int) for _ in range(3)]
    pool.shutdown(wait=False)
    busy.set()
    assert await asyncio.gather(*waiting) == [0, 0, 0]


@pytest.mark.parametrize("function", [int, lambda: 1 / 0, sys.exit], ids=["result", "error", "exit"])
def test_a_loop_that_is_closed_meanwhile_is_not_told(loop_factory, pool, busy, caplog, function):
    loop = loop_factory()

    async def start():
        return loop.run_in_executor(pool, function)

    future = loop.run_until_complete(start())
    loop.close()
    busy.set()
    assert pool.submit(int).result(LONG) == 0
    assert not future.done()
    assert caplog.records == []


def test_shutdown_of_a_closed_loops_pool_is_not_told(loop_factory, pool, busy, caplog):
    loop = loop_factory()
    future = loop.run_in_executor(pool, int)
    loop.close()
    pool.shutdown(wait=False, cancel_futures=True)
    busy.set()
    assert not future.done()
    assert caplog.records == []


def test_a_closed_loop_takes_no_work(loop_factory, pool):
    loop = loop_factory()
    loop.close()
    for executor in (pool, None):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            loop.run_in_executor(executor, int)


def test_work_may_be_given_before_the_loop_runs(loop, pool):
    future = loop.run_in_executor(pool, threading.get_ident)
    pool.submit(int).result(LONG)
    assert not future.done()
    assert loop.run_until_complete(future) != threading.get_ident()


async def test_a_thread_survives_a_loop_that_takes_nothing(loop, pool, caplog):
    with mock.patch.object(loop, "call_soon_threadsafe", side_effect=ZeroDivisionError):
        for function in (int, lambda: 1 / 0):
            future = loop.run_in_executor(pool, function)
            assert pool.submit(int).result(LONG) == 0
            assert not future.done()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert all("exception calling callback" in record.getMessage() for record in caplog.records)
    assert await loop.run_in_executor(pool, int) == 0


# who is asked


async def test_no_more_threads_than_the_pool_may_have(loop):
    names = set()

    def note():
        names.add(threading.current_thread().name)
        time.sleep(0.001)

    with ThreadPoolExecutor(2, thread_name_prefix="two") as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, note) for _ in range(20)))
    assert names == {"two_0", "two_1"}


async def test_the_function_starts_while_the_loop_blocks(loop, pool):
    started = threading.Event()
    future = loop.run_in_executor(pool, started.set)
    assert started.wait(LONG)
    assert not future.done()
    await future


async def test_a_subclass_submits_itself(loop):
    class Pool(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            return super().submit(lambda: ("submitted", fn(*args, **kwargs)))

    with Pool(1) as pool:
        assert await loop.run_in_executor(pool, int, "7") == ("submitted", 7)
        loop.set_default_executor(pool)
        assert await loop.run_in_executor(None, int, "7") == ("submitted", 7)


@pytest.mark.parametrize("where", ["instance", "class"])
async def test_a_patched_submit_is_called(loop, pool, where):
    await loop.run_in_executor(pool, int)
    done = concurrent.futures.Future()
    done.set_result("patched")
    target = pool if where == "instance" else ThreadPoolExecutor
    with mock.patch.object(target, "submit", return_value=done) as submit:
        assert await loop.run_in_executor(pool, int, "7") == "patched"
    submit.assert_called_once_with(int, "7")
    assert await loop.run_in_executor(pool, int, "7") == 7


async def test_a_patched_work_item_is_used(loop, pool):
    await loop.run_in_executor(pool, int)
    run, seen = thread._WorkItem.run, []

    def patched(self, *context):
        seen.append(self)
        run(self, *context)

    with mock.patch.object(thread._WorkItem, "run", patched):
        assert await loop.run_in_executor(pool, int, "7") == 7
        await until_idle(pool)
    assert len(seen) == 2

    class WorkItem(thread._WorkItem):
        def __init__(self, *args):
            super().__init__(*args)
            seen.append(self)

    with mock.patch.object(thread, "_WorkItem", WorkItem):
        assert await loop.run_in_executor(pool, int, "7") == 7
    assert isinstance(seen.pop(), WorkItem)


async def test_any_object_that_submits_will_do(loop):
    class Executor(concurrent.futures.Executor):
        def submit(self, fn, /, *args, **kwargs):
            future = concurrent.futures.Future()
            future.set_result(fn(*args, **kwargs))
            return future

    assert await loop.run_in_executor(Executor(), int, "7") == 7


def test_processes_work_too(loop_factory):
    # In a process of its own: what multiprocessing starts to make processes lives as long as that.
    program = """
        from concurrent.futures import ProcessPoolExecutor
        async def main():
            with ProcessPoolExecutor(1) as pool:
                return await asyncio.get_running_loop().run_in_executor(pool, pow, 2, 3)
        if __name__ == "__main__":
            print(run(main()))
    """
    assert run_program(loop_factory, program) == (0, "8\n", "")


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")
async def test_interpreters_work_too(loop):
    with concurrent.futures.InterpreterPoolExecutor(1) as pool:
        assert await loop.run_in_executor(pool, pow, 2, 3) == 8


async def test_the_future_is_made_by_the_loops_own_method(loop, pool):
    made = []

    def create_future():
        made.append(asyncio.Future(loop=loop))
        return made[-1]

    with mock.patch.object(loop, "create_future", create_future):
        future = loop.run_in_executor(pool, int)
    assert made == [future]
    await future


def test_debug_mode_looks_at_the_function(loop, pool):
    async def coroutine():
        pass

    loop.set_debug(True)
    with pytest.raises(TypeError, match="coroutines cannot be used with run_in_executor"):
        loop.run_in_executor(pool, coroutine)
    with pytest.raises(TypeError, match="a callable object was expected by run_in_executor"):
        loop.run_in_executor(pool, 42)
    assert loop.run_until_complete(loop.run_in_executor(pool, int)) == 0


@pytest.mark.native_only
async def test_a_plain_pool_is_given_items_of_our_own(loop, pool, busy):
    from veloop._thread_pools import WorkItem

    future = loop.run_in_executor(pool, int)
    item = pool._work_queue.get_nowait()
    assert type(item) is WorkItem
    pool._work_queue.put(item)
    busy.set()
    assert await future == 0
