"""Contexts of callbacks: each runs in the context it was scheduled in, or in the one it was given."""

import asyncio
import contextvars
import functools
import socket

import pytest

from support.turns import run_once

variable = contextvars.ContextVar("variable", default="unset")
SCHEDULERS = {
    "call_soon": lambda loop, *args, **kwargs: loop.call_soon(*args, **kwargs),
    "call_soon_threadsafe": lambda loop, *args, **kwargs: loop.call_soon_threadsafe(*args, **kwargs),
    "call_later": lambda loop, *args, **kwargs: loop.call_later(0, *args, **kwargs),
    "call_at": lambda loop, *args, **kwargs: loop.call_at(loop.time(), *args, **kwargs),
}


@pytest.fixture(params=SCHEDULERS)
def schedule(request, loop):
    """Schedules a callback for the next turn, by each method of the loop."""
    return functools.partial(SCHEDULERS[request.param], loop)


def test_a_callback_runs_in_a_copy_of_the_context_it_was_scheduled_in(loop, schedule):
    seen = []
    token = variable.set("when scheduled")
    schedule(lambda: (seen.append(variable.get()), variable.set("inside")))
    schedule(lambda: seen.append(variable.get()))
    variable.set("later")
    run_once(loop)
    assert seen == ["when scheduled", "when scheduled"]
    assert variable.get() == "later"
    variable.reset(token)


def test_a_given_context_is_used_and_shared(loop, schedule):
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    seen = []
    schedule(lambda: (seen.append(variable.get()), variable.set("changed")), context=context)
    loop.call_later(0.001, lambda: (seen.append(variable.get()), loop.stop()), context=context)
    loop.run_forever()
    assert seen == ["given", "changed"]
    assert context[variable] == "changed"


def test_none_as_context_means_the_current_one(loop, schedule):
    seen = []
    token = variable.set("current")
    schedule(lambda: seen.append(variable.get()), context=None)
    variable.reset(token)
    run_once(loop)
    assert seen == ["current"]


def test_a_callback_inherits_the_context_of_the_callback_that_scheduled_it(loop):
    seen = []

    def outer():
        variable.set("outer")
        loop.call_soon(lambda: seen.append(variable.get()))

    loop.call_soon(outer)
    run_once(loop)
    run_once(loop)
    assert seen == ["outer"]


def test_a_context_that_is_already_entered_is_reported_and_the_loop_goes_on(loop, schedule, caplog):
    loop.set_exception_handler(None)
    context = contextvars.copy_context()
    events = []
    schedule(events.append, "never", context=context)
    loop.call_soon(events.append, "other")
    context.run(run_once, loop)
    assert events == ["other"]
    (record,) = caplog.records
    assert record.message.startswith("Exception in callback ")
    assert isinstance(record.exc_info[1], RuntimeError)
    assert "is already entered" in str(record.exc_info[1])


def test_what_is_not_a_context_never_breaks_the_loop(loop, loop_errors):
    events = []
    try:
        loop.call_soon(print, context="not a context")
    except TypeError:  # Refused at once is as good as reported when it runs.
        events.append("refused")
    run_once(loop)
    events += ["reported" for _ in loop_errors]
    loop_errors.clear()
    assert events in (["refused"], ["reported"])


def test_the_context_of_the_runner_is_untouched_by_callbacks(loop):
    token = variable.set("outside")
    loop.call_soon(variable.set, "inside")
    run_once(loop)
    assert variable.get() == "outside"
    variable.reset(token)


def test_the_context_is_left_when_a_callback_raises(loop, loop_errors):
    context = contextvars.copy_context()
    events = []

    def boom():
        variable.set("inside")
        raise ValueError

    loop.call_soon(boom, context=context)
    loop.call_soon(lambda: events.append(variable.get()), context=context)
    loop.call_soon(lambda: events.append(variable.get()))
    run_once(loop)
    assert events == ["inside", "unset"]
    context.run(lambda: None)
    loop_errors.clear()


def test_the_context_is_left_when_a_callback_leaves_the_run(loop):
    context = contextvars.copy_context()

    def leave():
        variable.set("inside")
        raise KeyboardInterrupt

    loop.call_soon(leave, context=context)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert variable.get() == "unset"
    assert context.run(variable.get) == "inside"


def test_a_context_may_be_entered_by_a_callback_while_another_one_is_current(loop):
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    seen = []
    loop.call_soon(lambda: seen.append((context.run(variable.get), variable.get())))
    run_once(loop)
    assert seen == [("given", "unset")]


def test_done_callbacks_run_in_the_context_they_were_added_in(loop):
    seen = []
    future = loop.create_future()
    token = variable.set("when added")
    future.add_done_callback(lambda _future: seen.append(variable.get()))
    variable.reset(token)
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    future.add_done_callback(lambda _future: seen.append(variable.get()), context=context)
    future.set_result(None)
    run_once(loop)
    assert seen == ["when added", "given"]


def test_a_reader_runs_in_the_context_it_was_added_in(loop):
    seen = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        token = variable.set("when added")
        loop.add_reader(ours, lambda: (seen.append(variable.get()), loop.stop()))
        variable.reset(token)
        loop.run_forever()
        loop.remove_reader(ours)
    assert seen == ["when added"]


async def test_a_task_runs_in_a_copy_of_the_context_it_was_created_in():
    async def child():
        seen.append(variable.get())
        variable.set("child")
        await asyncio.sleep(0)
        seen.append(variable.get())

    seen = []
    variable.set("parent")
    task = asyncio.create_task(child())
    variable.set("later")
    await task
    assert seen == ["parent", "child"]
    assert variable.get() == "later"


async def test_a_task_runs_in_the_context_it_was_given():
    async def child():
        await asyncio.sleep(0.001)
        variable.set("child")

    context = contextvars.copy_context()
    await asyncio.create_task(child(), context=context)
    assert context[variable] == "child"
    assert variable.get() == "unset"


async def test_concurrent_tasks_do_not_mix_their_contexts():
    async def child(number):
        variable.set(number)
        for turn in range(20):
            await asyncio.sleep(0.0001 * (number % 3) if turn % 2 else 0)
            assert variable.get() == number
        return variable.get()

    assert await asyncio.gather(*map(child, range(30))) == list(range(30))
