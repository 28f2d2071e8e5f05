"""Executors: run_in_executor, to_thread, the default executor and its shutdown."""

import asyncio
import concurrent.futures
import contextvars
import sys
import threading
import time
import warnings

import pytest

variable = contextvars.ContextVar("variable", default="unset")
LONG = 20


async def test_a_function_runs_in_another_thread_and_returns_its_result(loop):
    def where(*args):
        return args, threading.current_thread()

    args, thread = await loop.run_in_executor(None, where, 1, 2)
    assert args == (1, 2)
    assert thread is not threading.current_thread()
    assert thread.name.startswith("asyncio_")


async def test_run_in_executor_returns_a_future_of_the_loop(loop):
    future = loop.run_in_executor(None, int)
    assert isinstance(future, asyncio.Future)
    assert future.get_loop() is loop
    assert await future == 0


async def test_an_exception_arrives(loop):
    with pytest.raises(ZeroDivisionError):
        await loop.run_in_executor(None, lambda: 1 / 0)


async def test_many_functions_run_at_once(loop):
    barrier = threading.Barrier(3)  # All three must run at the same time for any to end.
    await asyncio.gather(*(loop.run_in_executor(None, barrier.wait, LONG) for _ in range(3)))


async def test_the_loop_runs_while_a_function_blocks(loop):
    event = threading.Event()
    future = loop.run_in_executor(None, event.wait, LONG)
    await asyncio.sleep(0.005)
    assert not future.done()
    event.set()
    assert await future is True


async def test_an_executor_may_be_given(loop):
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        thread = await loop.run_in_executor(executor, threading.current_thread)
    assert thread.name.startswith("mine")


async def test_an_executor_that_was_shut_down_refuses(loop):
    executor = concurrent.futures.ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        loop.run_in_executor(executor, int)


async def test_the_default_executor_can_be_set(loop):
    executor = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="default")
    loop.set_default_executor(executor)
    assert (await loop.run_in_executor(None, threading.current_thread)).name.startswith("default")
    assert (await asyncio.to_thread(threading.current_thread)).name.startswith("default")


@pytest.mark.parametrize(
    "executor", [None, 42, concurrent.futures.Executor()], ids=lambda v: type(v).__name__
)
def test_the_default_executor_must_be_a_thread_pool(loop, executor):
    with pytest.raises(TypeError, match=r"^executor must be ThreadPoolExecutor instance$"):
        loop.set_default_executor(executor)


async def test_to_thread_runs_in_a_copy_of_the_context():
    def function(*args, **kwargs):
        seen = variable.get()
        variable.set("thread")
        return seen, args, kwargs

    variable.set("task")
    assert await asyncio.to_thread(function, 1, key=2) == ("task", (1,), {"key": 2})
    assert variable.get() == "task"


async def test_a_cancelled_wait_leaves_the_function_running_and_the_loop_usable(loop):
    event, finished = threading.Event(), threading.Event()
    future = loop.run_in_executor(None, lambda: (event.wait(LONG), finished.set()))
    task = asyncio.ensure_future(asyncio.wait_for(future, 0.005))
    with pytest.raises(asyncio.TimeoutError):
        await task
    event.set()
    assert await loop.run_in_executor(None, finished.wait, LONG)


async def test_the_functions_exception_is_not_reported_twice(loop):
    future = loop.run_in_executor(None, lambda: 1 / 0)
    await asyncio.wait([future])
    assert isinstance(future.exception(), ZeroDivisionError)


# shutdown


def test_shutdown_without_an_executor_is_harmless(loop):
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.run_until_complete(loop.shutdown_default_executor())


def test_shutdown_waits_for_running_functions(loop):
    finished = []

    async def main():
        loop.run_in_executor(None, lambda: (time.sleep(0.02), finished.append(True)))
        await loop.shutdown_default_executor()
        assert finished == [True]

    loop.run_until_complete(main())


def test_after_shutdown_only_the_default_executor_refuses(loop):
    async def main():
        await loop.run_in_executor(None, int)
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match=r"^Executor shutdown has been called$"):
            loop.run_in_executor(None, int)
        with pytest.raises(RuntimeError, match=r"^Executor shutdown has been called$"):
            await asyncio.to_thread(int)
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            assert await loop.run_in_executor(executor, int) == 0

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the timeout is new in Python 3.12")
def test_shutdown_takes_a_timeout(loop):
    async def main():
        await loop.run_in_executor(None, int)
        await loop.shutdown_default_executor(timeout=LONG)

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python 3.12 does not keep to the timeout")
def test_shutdown_warns_when_the_timeout_is_over(loop):
    release, running = threading.Event(), threading.Event()

    async def main():
        future = loop.run_in_executor(None, lambda: (running.set(), release.wait(LONG)))
        while not running.is_set():
            await asyncio.sleep(0.001)
        with pytest.warns(RuntimeWarning) as caught:
            await loop.shutdown_default_executor(0.01)
        release.set()
        await future
        return [str(warning.message) for warning in caught]

    text = "The executor did not finishing joining its threads within 0.01 seconds."
    assert loop.run_until_complete(main()) == [text]


def test_closing_the_loop_shuts_the_executor_without_waiting(loop_factory):
    loop = loop_factory()
    release = threading.Event()

    async def main():
        loop.run_in_executor(None, release.wait, LONG)

    executor = concurrent.futures.ThreadPoolExecutor(1)
    loop.set_default_executor(executor)
    loop.run_until_complete(main())
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop.close()
    assert time.monotonic() - started < LONG / 2
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(int)
    release.set()
    executor.shutdown(wait=True)
