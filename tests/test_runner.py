"""asyncio.Runner on the loop: results, contexts, clean-up, and what it refuses."""

import asyncio
import contextvars
import sys
import threading
import time

import pytest

variable = contextvars.ContextVar("variable", default="unset")


async def answer(value=42):
    await asyncio.sleep(0)
    return value


def test_it_runs_a_coroutine_on_a_new_loop_and_closes_it(loop_factory):
    async def main():
        return asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.run(main())
        assert runner.get_loop() is loop
        assert not loop.is_closed()
    assert loop.is_closed()


def test_it_runs_several_coroutines_on_one_loop(loop_factory):
    async def main():
        return asyncio.get_running_loop()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) is runner.run(main())
        assert runner.run(answer(1)) == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="loop_factory is new in Python 3.12")
def test_asyncio_run_takes_the_loop_factory(loop_factory):
    async def main():
        return type(asyncio.get_running_loop()), asyncio.get_running_loop().get_debug()

    loop = loop_factory()
    loop.close()
    assert asyncio.run(main(), loop_factory=loop_factory, debug=True) == (type(loop), True)


def test_contextvars_are_kept_from_one_run_to_the_next(loop_factory):
    async def set_to(value):
        before = variable.get()
        variable.set(value)
        return before

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(set_to(1)) == "unset"
        assert runner.run(set_to(2)) == 1
        context = contextvars.copy_context()
        assert runner.run(set_to(3), context=context) == "unset"
        assert context[variable] == 3
        assert runner.run(set_to(4)) == 2
    assert variable.get() == "unset"


def test_an_exception_leaves_run_and_the_runner_stays_usable(loop_factory):
    async def fail():
        raise LookupError("inside")

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        with pytest.raises(LookupError, match="inside"):
            runner.run(fail())
        assert runner.run(answer()) == 42


@pytest.mark.parametrize("exit_type", [SystemExit, KeyboardInterrupt])
def test_an_exit_leaves_run_and_the_runner_cleans_up(loop_factory, exit_type):
    events = []

    async def background():
        try:
            await asyncio.sleep(3600)
        finally:
            events.append("cleaned up")

    async def main():
        tasks.append(asyncio.create_task(background()))
        await asyncio.sleep(0)
        raise exit_type("leave")

    tasks = []
    with pytest.raises(exit_type, match="leave"), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert events == ["cleaned up"]


def test_closing_cancels_tasks_closes_generators_and_joins_the_executor(loop_factory):
    events = []

    async def background():
        try:
            await asyncio.sleep(3600)
        finally:
            events.append("task cancelled")

    async def generator():
        try:
            yield
        finally:
            events.append("generator closed")
            release.set()

    def function():
        release.wait(20)
        time.sleep(0.01)  # Long enough for a runner that does not wait to be noticed.
        events.append("function finished")

    async def main():
        asyncio.get_running_loop().run_in_executor(None, function)
        asyncio.create_task(background(), name="background")
        await anext(opened)
        await asyncio.sleep(0)

    release = threading.Event()
    opened = generator()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
        assert events == []
    assert events == ["task cancelled", "generator closed", "function finished"]


def test_an_error_of_a_cancelled_task_is_reported(loop_factory):
    contexts = []

    async def stubborn():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise LookupError("instead") from None

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: contexts.append(context))
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        return task

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        task = runner.run(main())
    (context,) = contexts
    assert context["message"] == "unhandled exception during asyncio.run() shutdown"
    assert context["task"] is task
    assert str(context["exception"]) == "instead"


def test_what_is_not_awaitable_is_refused(loop_factory):
    expected = (ValueError, "a coroutine was expected, got 42")
    if sys.version_info >= (3, 14):
        expected = (TypeError, "An asyncio.Future, a coroutine or an awaitable is required")
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        with pytest.raises(expected[0]) as info:
            runner.run(42)
        assert str(info.value) == expected[1]


def test_it_refuses_to_run_inside_a_running_loop(loop_factory):
    async def main():
        coroutine = answer()
        with pytest.raises(RuntimeError) as info:
            inner.run(coroutine)
        coroutine.close()
        return str(info.value)

    with (
        asyncio.Runner(loop_factory=loop_factory) as inner,
        asyncio.Runner(loop_factory=loop_factory) as outer,
    ):
        assert outer.run(main()) == "Runner.run() cannot be called from a running event loop"


def test_a_closed_runner_refuses(loop_factory):
    runner = asyncio.Runner(loop_factory=loop_factory)
    runner.run(answer())  # It may be used without `with`.
    runner.close()
    runner.close()
    coroutine = answer()
    with pytest.raises(RuntimeError, match=r"^Runner is closed$"):
        runner.run(coroutine)
    coroutine.close()


@pytest.mark.parametrize("debug", [False, True])
def test_debug_is_passed_to_the_loop(loop_factory, debug):
    with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
        assert runner.get_loop().get_debug() is debug


def test_it_works_in_another_thread(loop_factory):
    results = []

    def other():
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            results.append(runner.run(answer("from a thread")))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(20)
    assert results == ["from a thread"]


def test_many_runners_one_after_another(loop_factory):
    for number in range(30):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            assert runner.run(answer(number)) == number
