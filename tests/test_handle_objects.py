"""Handles as objects: classes, attributes, repr, equality, and reports of errors, all as asyncio's own."""

import asyncio
import contextvars
import functools
import logging
import sys
import threading
import weakref

import pytest

from support.turns import run_once


def function(*_args):
    pass


def boom(*_args):
    raise ValueError("boom")


class Callable:
    def __call__(self):
        pass

    def method(self):
        pass

    def __repr__(self):
        return "<a callable>"


@functools.wraps(function)
def wrapped(*_args):
    pass


CALLBACKS = {
    "function": (function, ()),
    "function with arguments": (function, (1, "two", [3])),
    "function with long arguments": (function, ("x" * 1000, list(range(1000)))),
    "lambda": (lambda: None, ()),
    "builtin": (print, ("text",)),
    "method": (Callable().method, ()),
    "builtin method": ([].append, (1,)),
    "callable object": (Callable(), ()),
    "partial": (functools.partial(function, 1, key=2), (3,)),
    "partial of partial": (functools.partial(functools.partial(function, 1), 2), ()),
    "wrapped": (wrapped, ()),
    "class": (Callable, ()),
}
DEBUG = pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])


def test_a_handle_is_an_asyncio_handle(loop):
    handle = loop.call_soon(function)
    assert isinstance(handle, asyncio.Handle)
    assert not isinstance(handle, asyncio.TimerHandle)
    assert isinstance(loop.call_soon_threadsafe(function), asyncio.Handle)


def test_a_timer_is_an_asyncio_timer_handle(loop):
    for timer in (loop.call_later(0, function), loop.call_at(0, function), loop.call_later(-1, function)):
        assert isinstance(timer, asyncio.TimerHandle)
        assert isinstance(timer, asyncio.Handle)


def test_attributes_are_those_of_asyncio(loop):
    loop.set_debug(False)
    context = contextvars.copy_context()
    for handle in (
        loop.call_soon(function, 1, 2, context=context),
        loop.call_soon_threadsafe(function, 1, 2, context=context),
        loop.call_later(9, function, 1, 2, context=context),
    ):
        assert handle._callback is function
        assert handle._args == (1, 2)
        assert handle._context is context
        assert handle._loop is loop
        assert handle._cancelled is False
        assert handle._source_traceback is None
        handle.cancel()
        assert handle._cancelled is True
        assert handle._callback is None
        assert handle._args is None
        assert handle._context is context


def test_without_a_context_the_handle_has_a_copy_of_the_current_one(loop):
    marker = contextvars.ContextVar("marker")
    marker.set(1)
    for handle in (loop.call_soon(function), loop.call_later(9, function)):
        assert isinstance(handle._context, contextvars.Context)
        assert handle._context[marker] == 1
        assert handle._context is handle._context


@pytest.mark.skipif(sys.version_info < (3, 12), reason="get_context is new in Python 3.12")
def test_get_context_returns_the_context_also_after_cancel(loop):
    context = contextvars.copy_context()
    for handle in (loop.call_soon(function, context=context), loop.call_later(9, function, context=context)):
        assert handle.get_context() is context
        handle.cancel()
        assert handle.get_context() is context


@pytest.mark.parametrize("end", ["run", "cancelled", "closed"])
@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_weak_references_to_a_handle_end_with_it(loop, method, end):
    ended = []
    when = (0,) if method == "call_later" else ()
    handle = getattr(loop, method)(*when, function)
    references = [weakref.ref(handle, ended.append) for _ in range(2)]
    assert [reference() for reference in references] == [handle, handle]
    if end == "cancelled":
        handle.cancel()
    del handle
    if end == "closed":
        loop.close()
    else:
        run_once(loop)
    assert [reference() for reference in references] == [None, None]
    assert sorted(map(id, ended)) == sorted(map(id, references))


def test_handles_are_compared_by_identity_and_hashable(loop):
    one, other = loop.call_soon(function), loop.call_soon(function)
    assert one == one
    assert one != other
    assert {one, one, other} == {other, one}


@DEBUG
@pytest.mark.parametrize("kind", CALLBACKS)
def test_repr_is_that_of_an_asyncio_handle(loop, kind, debug):
    callback, args = CALLBACKS[kind]
    loop.set_debug(debug)
    ours, spec = loop.call_soon(callback, *args), asyncio.Handle(callback, args, loop)
    assert repr(ours) == repr(spec)
    ours.cancel()
    spec.cancel()
    assert repr(ours) == repr(spec)
    assert "cancelled" in repr(ours)


@DEBUG
@pytest.mark.parametrize("kind", CALLBACKS)
def test_repr_of_a_timer_is_that_of_an_asyncio_timer_handle(loop, kind, debug):
    callback, args = CALLBACKS[kind]
    loop.set_debug(debug)
    when = loop.time() + 100.25
    ours, spec = loop.call_at(when, callback, *args), asyncio.TimerHandle(when, callback, args, loop)
    assert repr(ours) == repr(spec)
    ours.cancel()
    spec.cancel()
    assert repr(ours) == repr(spec)
    assert "cancelled" in repr(ours)


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def test_the_source_traceback_ends_where_the_callback_was_scheduled(loop, method):
    loop.set_debug(True)
    when = {"call_later": (100,), "call_at": (loop.time() + 100,)}.get(method, ())
    handle = getattr(loop, method)(*when, function)
    frame = handle._source_traceback[-1]
    assert (frame.filename, frame.name) == (__file__, sys._getframe().f_code.co_name)
    assert f"created at {__file__}:{frame.lineno}" in repr(handle)
    handle.cancel()


def test_run_can_be_called_by_hand(loop, loop_errors):
    events = []
    loop.call_soon(events.append, "by hand")._run()
    assert events == ["by hand"]
    loop.call_soon(boom)._run()
    assert str(loop_errors.pop()["exception"]) == "boom"
    run_once(loop)  # Running by hand does not take the callbacks from the queue.
    assert events == ["by hand"] * 2
    loop_errors.pop()


def test_a_handle_may_be_run_and_cancelled_within_itself(loop):
    class Counts:
        def __iter__(self):
            return self

        def __next__(self):
            handle._run()
            handle.cancel()
            events.append(sys.getrefcount(self) > 1)
            return 1

    events, errors = [], []
    loop.call_exception_handler = errors.append
    handle = loop.call_soon(next, Counts())  # next() relies on the handle to keep its argument
    run_once(loop)
    assert events == [True]
    assert "cannot enter context" in str(errors.pop()["exception"])
    assert errors == []


def test_the_loop_runs_handles_through_asyncios_run_method(loop, monkeypatch):
    """Profilers replace Handle._run to time every callback."""
    seen = []
    original = asyncio.Handle._run

    def timed_run(handle):
        seen.append(handle)
        return original(handle)

    monkeypatch.setattr(asyncio.Handle, "_run", timed_run)
    events = []
    handle = loop.call_soon(events.append, "ran")
    run_once(loop)
    assert handle in seen
    assert events == ["ran"]


# errors in callbacks


@DEBUG
@pytest.mark.parametrize("args", [(), (1,), (1, "two", 3, 4, 5)], ids=len)
def test_an_exception_is_reported_as_an_asyncio_handle_reports_it(loop, loop_errors, debug, args):
    loop.set_debug(debug)
    ours, spec = loop.call_soon(boom, *args), asyncio.Handle(boom, args, loop)
    run_once(loop)
    spec._run()
    reported, expected = loop_errors
    loop_errors.clear()
    assert reported.keys() == expected.keys()
    assert reported["message"] == expected["message"]
    assert reported["message"].startswith("Exception in callback boom(")
    assert reported["handle"] is ours
    assert isinstance(reported["exception"], ValueError)
    assert reported.get("source_traceback") == (ours._source_traceback if debug else None)


@pytest.mark.parametrize("schedule", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_an_exception_does_not_stop_the_batch_or_the_loop(loop, loop_errors, schedule):
    events = []
    delay = (0,) if schedule == "call_later" else ()
    getattr(loop, schedule)(*delay, boom)
    getattr(loop, schedule)(*delay, events.append, "next")
    run_once(loop)
    assert events == ["next"]
    assert [str(context["exception"]) for context in loop_errors] == ["boom"]
    loop_errors.clear()


def test_the_traceback_of_the_exception_ends_in_the_callback(loop, loop_errors):
    loop.call_soon(boom)
    run_once(loop)
    traceback = loop_errors.pop()["exception"].__traceback__
    while traceback.tb_next:
        traceback = traceback.tb_next
    assert traceback.tb_frame.f_code is boom.__code__


def test_an_exception_without_a_handler_is_logged(loop, caplog):
    loop.set_debug(False)
    loop.set_exception_handler(None)
    handle = loop.call_soon(boom, 1)
    run_once(loop)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("asyncio", logging.ERROR)
    assert record.exc_info[0] is ValueError
    first, second = record.getMessage().split("\n")
    assert first.startswith("Exception in callback boom(")
    assert second == f"handle: {handle!r}"


# coroutines and other mistakes, in debug mode


async def coroutine_function():
    pass


METHODS = {
    "call_soon": ("call_soon", ()),
    "call_soon_threadsafe": ("call_soon_threadsafe", ()),
    "call_later": ("call_at", (0,)),  # asyncio's message names the method that call_later uses
    "call_at": ("call_at", (0,)),
    "run_in_executor": ("run_in_executor", (None,)),
}


@pytest.mark.parametrize("method", METHODS)
def test_debug_mode_refuses_coroutine_functions(loop, method):
    loop.set_debug(True)
    name, args = METHODS[method]
    with pytest.raises(TypeError, match=rf"^coroutines cannot be used with {name}\(\)$"):
        getattr(loop, method)(*args, coroutine_function)


@pytest.mark.parametrize("method", METHODS)
def test_debug_mode_refuses_coroutines(loop, method):
    loop.set_debug(True)
    name, args = METHODS[method]
    coroutine = coroutine_function()
    with pytest.raises(TypeError, match=rf"^coroutines cannot be used with {name}\(\)$"):
        getattr(loop, method)(*args, coroutine)
    coroutine.close()


@pytest.mark.parametrize("method", METHODS)
def test_debug_mode_refuses_what_is_not_callable(loop, method):
    loop.set_debug(True)
    name, args = METHODS[method]
    with pytest.raises(TypeError, match=rf"^a callable object was expected by {name}\(\), got 42$"):
        getattr(loop, method)(*args, 42)


@pytest.mark.parametrize("method", ["cancel", "cancelled"])
@pytest.mark.parametrize("schedule", ["call_soon", "call_soon_threadsafe"])
def test_another_thread_waits_for_a_running_thread_safe_handle(loop, schedule, method):
    events = []
    running, looked = threading.Event(), threading.Event()
    waits = schedule == "call_soon_threadsafe" and sys.version_info >= (3, 14)

    def run():
        running.set()
        # With a handle that waits, the thread gets no further before the end of this.
        looked.wait(0.05 if waits else 20)
        events.append("ran")

    def look():
        running.wait()
        getattr(handle, method)()
        events.append("looked")
        looked.set()

    handle = getattr(loop, schedule)(run)
    thread = threading.Thread(target=look)
    thread.start()
    run_once(loop)
    thread.join()
    assert events == (["ran", "looked"] if waits else ["looked", "ran"])
    assert handle.cancelled() is (method == "cancel")


@pytest.mark.skipif(sys.version_info < (3, 14), reason="a type of asyncio from 3.14 on")
def test_a_handle_of_call_soon_threadsafe_is_a_thread_safe_one(loop):
    assert isinstance(loop.call_soon_threadsafe(function), asyncio.events._ThreadSafeHandle)
