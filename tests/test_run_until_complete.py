"""run_until_complete: what it takes, what it returns or raises, and what it leaves behind."""

import asyncio
import concurrent.futures

import pytest

from support.turns import run_once


def test_run_until_complete_returns_the_result(loop):
    async def main():
        await asyncio.sleep(0)
        return 42

    assert loop.run_until_complete(main()) == 42


def test_run_until_complete_raises_the_exception(loop):
    async def main():
        await asyncio.sleep(0)
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        loop.run_until_complete(main())


def test_run_until_complete_takes_an_awaitable_object(loop):
    class Answer:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return "awaited"

    assert loop.run_until_complete(Answer()) == "awaited"


def test_run_until_complete_takes_a_finished_future(loop):
    future = loop.create_future()
    future.set_result("old")
    assert loop.run_until_complete(future) == "old"


def test_run_until_complete_runs_what_is_ready_before_a_finished_future_ends_it(loop):
    events = []
    future = loop.create_future()
    future.set_result(None)
    loop.call_soon(events.append, "ready")
    loop.run_until_complete(future)
    assert events == ["ready"]


def test_run_until_complete_of_a_cancelled_future_raises_cancelled_error(loop):
    future = loop.create_future()
    future.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(future)


@pytest.mark.parametrize("value", [None, 42, "text", print, concurrent.futures.Future()], ids=repr)
def test_run_until_complete_refuses_what_is_not_awaitable(loop, value):
    with pytest.raises(TypeError, match=r"^An asyncio.Future, a coroutine or an awaitable is required$"):
        loop.run_until_complete(value)
    run_once(loop)


def test_run_until_complete_refuses_a_future_of_another_loop(loop, loop_factory):
    other = loop_factory()
    future = other.create_future()
    text = "The future belongs to a different loop than the one specified as the loop argument"
    with pytest.raises(ValueError, match=f"^{text}$"):
        loop.run_until_complete(future)
    other.close()


def test_run_until_complete_complains_when_the_loop_stops_first(loop):
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match=r"^Event loop stopped before Future completed\.$"):
        loop.run_until_complete(future)
    loop.call_soon(future.set_result, 1)
    assert loop.run_until_complete(future) == 1


def test_run_until_complete_leaves_no_done_callback_behind(loop):
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError):
        loop.run_until_complete(future)
    future.set_result(None)  # A callback left behind would stop the next run.
    events = []
    loop.call_soon(lambda: loop.call_soon(lambda: loop.call_soon(events.append, "third turn")))
    loop.run_until_complete(asyncio.sleep(0.001))
    assert events == ["third turn"]
