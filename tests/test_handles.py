"""Scheduled callbacks: order, arguments, cancellation, and lifetime."""

import functools
import gc
import weakref

import pytest

from support.turns import run_once


@pytest.mark.parametrize("kind", ["handles", "timers", "by turns"])
def test_a_long_chain_of_handles_is_freed_without_a_deep_recursion(loop_factory, kind):
    class Object:
        pass

    loop, end = loop_factory(), Object()
    alive = weakref.ref(end)
    handle, end = end, None
    for number in range(100_000):
        if kind == "handles" or (kind == "by turns" and number % 2):
            handle = loop.call_soon(len, handle)
        else:
            handle = loop.call_later(1000, len, handle)
    loop.close()
    assert alive() is not None
    del handle
    assert alive() is None


def nothing(*_args):
    pass


class Callback:
    """A callable that can be weakly referenced."""

    def __init__(self):
        self.calls = []

    def __call__(self, *args):
        self.calls.append(args)

    def method(self, *args):
        self.calls.append(args)


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


# order and arguments


def test_callbacks_run_in_the_order_of_call_soon(loop):
    events = []
    for number in range(1000):
        loop.call_soon(events.append, number)
    run_once(loop)
    assert events == list(range(1000))


def test_call_soon_and_call_soon_threadsafe_share_one_order(loop):
    events = []
    for number in range(0, 100, 2):
        loop.call_soon(events.append, number)
        loop.call_soon_threadsafe(events.append, number + 1)
    run_once(loop)
    assert events == list(range(100))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7, 20])
def test_arguments_arrive(loop, schedule, count):
    callback = Callback()
    arguments = tuple(object() for _ in range(count))
    handle = schedule(callback, *arguments)
    assert handle._args == arguments
    run_once(loop)
    assert callback.calls == [arguments]


def test_the_same_callback_may_be_scheduled_many_times(loop, schedule):
    callback = Callback()
    for number in range(5):
        schedule(callback, number)
    run_once(loop)
    assert sorted(callback.calls) == [(0,), (1,), (2,), (3,), (4,)]


def test_the_callback_may_be_given_by_keyword(loop):
    callback = Callback()
    loop.call_soon(callback=callback)
    loop.call_soon_threadsafe(callback=callback)
    loop.call_later(delay=0, callback=callback)
    loop.call_at(when=0, callback=callback)
    run_once(loop)
    assert callback.calls == [()] * 4


def test_unknown_keywords_are_refused(schedule):
    with pytest.raises(TypeError, match="unknown"):
        schedule(nothing, unknown=1)


@pytest.mark.parametrize("method", ["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def test_a_missing_callback_is_refused(loop, method):
    missing = {
        "call_later": r"2 required positional arguments: 'delay' and 'callback'",
        "call_at": r"2 required positional arguments: 'when' and 'callback'",
    }.get(method, "1 required positional argument: 'callback'")
    with pytest.raises(TypeError, match=rf"^BaseEventLoop\.{method}\(\) missing {missing}$"):
        getattr(loop, method)()
    run_once(loop)


def test_a_callback_given_twice_is_refused(loop):
    with pytest.raises(TypeError):
        loop.call_soon(nothing, callback=nothing)


@pytest.mark.parametrize("make", [lambda c: c, lambda c: c.method, lambda c: functools.partial(c.method)])
def test_any_kind_of_callable_is_called(loop, schedule, make):
    callback = Callback()
    schedule(make(callback), 1, 2)
    run_once(loop)
    assert callback.calls == [(1, 2)]


def test_the_result_of_a_callback_is_ignored_and_freed(loop, schedule):
    results = []

    def callback():
        result = Callback()
        results.append(weakref.ref(result))
        return result

    schedule(callback)
    run_once(loop)
    assert results[0]() is None


def test_what_is_not_callable_is_reported_when_it_runs(loop, schedule, loop_errors):
    loop.set_debug(False)
    schedule(42, "argument")
    assert loop_errors == []
    run_once(loop)
    context = loop_errors.pop()
    assert isinstance(context["exception"], TypeError)
    assert str(context["exception"]) == "'int' object is not callable"
    assert context["message"].startswith("Exception in callback 42(")


def test_a_callback_may_schedule_a_long_chain(loop):
    counts = []

    def again(left):
        counts.append(left)
        if left:
            loop.call_soon(again, left - 1)
        else:
            loop.stop()

    loop.call_soon(again, 20_000)
    loop.run_forever()
    assert len(counts) == 20_001


# cancellation


def test_a_cancelled_callback_does_not_run(loop, schedule):
    callback = Callback()
    handle = schedule(callback)
    assert handle.cancelled() is False
    assert handle.cancel() is None
    assert handle.cancelled() is True
    run_once(loop)
    assert callback.calls == []


def test_cancelling_twice_is_harmless(schedule):
    handle = schedule(nothing)
    handle.cancel()
    handle.cancel()
    assert handle.cancelled()


def test_cancel_drops_callback_and_arguments_at_once(schedule):
    callback, argument = Callback(), Callback()
    references = [weakref.ref(callback), weakref.ref(argument)]
    handle = schedule(callback, argument)
    del callback, argument
    handle.cancel()
    assert [reference() for reference in references] == [None, None]
    assert handle._callback is None
    assert handle._args is None


def test_a_callback_cancels_another_one_of_its_batch(loop, schedule):
    callback = Callback()
    handles = []
    loop.call_soon(lambda: handles[0].cancel())
    handles.append(schedule(callback))
    run_once(loop)
    run_once(loop)
    assert callback.calls == []
    assert handles[0].cancelled()


def test_a_callback_may_cancel_itself_and_goes_on(loop, schedule):
    events = []

    class Owner:
        def callback(self, argument):
            handles.pop().cancel()
            gc.collect()
            events.append((type(self).__name__, argument.calls))

    handles = [schedule(Owner().callback, Callback())]
    run_once(loop)
    assert events == [("Owner", [])]


def test_an_exception_after_cancelling_itself_is_still_reported(loop, schedule, loop_errors):
    def callback():
        handles[0].cancel()
        raise ValueError("after cancel")

    handles = [schedule(callback)]
    run_once(loop)
    context = loop_errors.pop()
    assert str(context["exception"]) == "after cancel"
    assert context["handle"] is handles[0]


def test_cancelling_after_the_run_changes_only_the_handle(loop, schedule):
    callback = Callback()
    handle = schedule(callback)
    run_once(loop)
    assert not handle.cancelled()
    handle.cancel()
    assert handle.cancelled()
    assert callback.calls == [()]


def test_cancelling_an_early_part_of_a_long_queue_leaves_the_rest(loop):
    events = []
    handles = [loop.call_soon(events.append, number) for number in range(1000)]
    for handle in handles[::2]:
        handle.cancel()
    run_once(loop)
    assert events == list(range(1, 1000, 2))


# lifetime


def test_a_callback_is_freed_when_it_has_run(loop, schedule):
    callback, argument = Callback(), Callback()
    references = [weakref.ref(callback), weakref.ref(argument)]
    schedule(callback, argument)
    del callback, argument
    assert all(reference() for reference in references)
    run_once(loop)
    assert [reference() for reference in references] == [None, None]


def test_a_handle_that_is_kept_still_shows_its_callback_after_the_run(loop, schedule):
    callback = Callback()
    handle = schedule(callback, 1)
    before = repr(handle)
    run_once(loop)
    assert handle._callback is callback
    assert handle._args == (1,)
    assert repr(handle) == before


@pytest.mark.parametrize("outcome", ["run", "cancel", "pending"])
def test_a_handle_in_a_cycle_is_collected(loop_factory, outcome):
    loop = loop_factory()
    callback = Callback()
    callback.handle = loop.call_soon(callback.method, callback)
    callback.timer = loop.call_later(0, callback.method, callback)
    reference = weakref.ref(callback)
    if outcome == "run":
        run_once(loop)
    elif outcome == "cancel":
        callback.handle.cancel()
        callback.timer.cancel()
        run_once(loop)
    else:
        loop.close()
    del callback
    gc.collect()
    assert reference() is None
    loop.close()


def test_a_pending_handle_is_kept_alive_by_the_loop(loop, schedule):
    callback = Callback()
    schedule(callback, 1)
    gc.collect()
    run_once(loop)
    assert callback.calls == [(1,)]
