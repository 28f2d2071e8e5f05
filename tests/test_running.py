"""Running and stopping a loop: what one run executes, what it refuses, and what it leaves behind."""

import asyncio
import socket
import sys
import threading
import weakref

import pytest

from support.turns import run_once

NESTED_RUN_BREAKS_ASYNCIO = sys.version_info[:2] == (3, 13)  # some 3.13.x: a refused run resets the outer one


def test_stop_ends_run_forever_and_a_second_run_continues(loop):
    events = []
    for number in (1, 2):
        loop.call_soon(events.append, number)
        loop.call_soon(loop.stop)
        loop.run_forever()
    assert events == [1, 2]


def test_stop_does_not_cut_a_batch_short(loop):
    events = []
    loop.call_soon(events.append, "before")
    loop.call_soon(loop.stop)
    loop.call_soon(events.append, "after")
    loop.run_forever()
    assert events == ["before", "after"]


def test_callbacks_scheduled_after_stop_wait_for_the_next_run(loop):
    events = []

    def stop_and_schedule():
        loop.stop()
        loop.call_soon(events.append, "late")

    loop.call_soon(stop_and_schedule)
    loop.run_forever()
    assert events == []
    run_once(loop)
    assert events == ["late"]


def test_a_turn_runs_only_what_was_ready_when_it_began(loop):
    events = []

    def first():
        events.append("first")
        loop.call_soon(events.append, "next turn")

    loop.call_soon(first)
    run_once(loop)
    assert events == ["first"]
    run_once(loop)
    assert events == ["first", "next turn"]


def test_stop_before_run_forever_makes_it_one_turn(loop):
    events = []
    loop.call_later(3600, events.append, "timer")
    loop.call_soon(events.append, "ready")
    loop.stop()
    loop.run_forever()
    assert events == ["ready"]


def test_stop_before_run_forever_returns_even_when_nothing_is_ready(loop):
    loop.stop()
    loop.run_forever()
    assert not loop.is_running()


def test_one_turn_includes_due_timers(loop):
    events = []
    loop.call_at(loop.time() - 1, events.append, "due")
    loop.stop()
    loop.run_forever()
    assert events == ["due"]


def test_one_turn_includes_readable_descriptors(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        events = []
        theirs.send(b"x")
        loop.add_reader(ours, events.append, "readable")
        loop.stop()
        loop.run_forever()
        loop.remove_reader(ours)
    assert events == ["readable"]


def test_two_stops_end_one_run_only(loop):
    loop.call_soon(loop.stop)
    loop.call_soon(loop.stop)
    loop.run_forever()
    events = []
    loop.call_soon(lambda: loop.call_soon(lambda: (events.append("second turn"), loop.stop())))
    loop.run_forever()
    assert events == ["second turn"]


def test_stop_from_a_timer_ends_the_run(loop):
    started = loop.time()
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert loop.time() >= started + 0.01 - 1e-9


def test_stop_from_a_task_leaves_the_task_suspended(loop):
    async def stopper():
        loop.stop()
        await asyncio.sleep(0)
        return "done"

    task = loop.create_task(stopper())
    loop.run_forever()
    assert not task.done()
    assert loop.run_until_complete(task) == "done"


def test_is_running_is_true_only_during_a_run(loop):
    seen = []
    loop.call_soon(lambda: seen.append(loop.is_running()))
    assert loop.is_running() is False
    run_once(loop)
    assert seen == [True]
    assert loop.is_running() is False


def test_the_running_loop_is_set_during_a_run_only(loop):
    seen = []
    loop.call_soon(lambda: seen.append((asyncio.get_running_loop(), asyncio.get_event_loop())))
    run_once(loop)
    assert seen == [(loop, loop)]
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_a_running_loop_is_not_the_running_loop_of_other_threads(loop):
    async def main():
        return await asyncio.to_thread(asyncio._get_running_loop)

    assert loop.run_until_complete(main()) is None


async def test_running_a_running_loop_is_refused(loop):
    coroutine = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match=r"^This event loop is already running$"):
        loop.run_until_complete(coroutine)
    coroutine.close()
    await asyncio.sleep(0)
    assert loop.is_running()


def test_run_forever_inside_a_run_is_refused_and_the_outer_run_goes_on(loop, on_veloop):
    errors = []

    def nested():
        with pytest.raises(RuntimeError) as info:
            loop.run_forever()
        errors.append((str(info.value), loop.is_running(), asyncio._get_running_loop() is loop))

    loop.call_soon(nested)
    run_once(loop)
    survived = on_veloop or not NESTED_RUN_BREAKS_ASYNCIO
    expected = ("This event loop is already running", True, True)
    assert errors == [expected if survived else (expected[0], errors[0][1], errors[0][2])]


def test_running_a_second_loop_inside_a_run_is_refused(loop, loop_factory):
    inner = loop_factory()
    errors = []

    def nested():
        coroutine = asyncio.sleep(0)
        with pytest.raises(RuntimeError) as info:
            inner.run_until_complete(coroutine)
        coroutine.close()
        errors.append(str(info.value))

    loop.call_soon(nested)
    run_once(loop)
    inner.close()
    assert errors == ["Cannot run the event loop while another loop is running"]


def test_a_loop_may_run_in_one_thread_after_another(loop):
    seen = []
    run_once(loop)

    def in_thread():
        loop.call_soon(lambda: seen.append(threading.get_ident()))
        run_once(loop)

    threads = [threading.Thread(target=in_thread) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    run_once(loop)
    assert len(seen) == 2
    assert threading.get_ident() not in seen


def test_two_loops_run_at_once_in_two_threads(loop, loop_factory):
    other = loop_factory()
    thread = threading.Thread(target=other.run_forever)
    thread.start()

    async def main():
        async def where():
            return asyncio.get_running_loop(), threading.get_ident()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(where(), other))

    assert loop.run_until_complete(main()) == (other, thread.ident)
    assert other.is_running()
    other.call_soon_threadsafe(other.stop)
    thread.join(10)
    assert not thread.is_alive()
    other.close()


# the loop as an object


def test_repr_tells_the_state(loop):
    loop.set_debug(False)
    name = type(loop).__name__
    seen = []
    loop.call_soon(lambda: seen.append(repr(loop)))
    run_once(loop)
    assert seen == [f"<{name} running=True closed=False debug=False>"]
    loop.set_debug(True)
    assert repr(loop) == f"<{name} running=False closed=False debug=True>"
    loop.close()
    assert repr(loop) == f"<{name} running=False closed=True debug=True>"


def test_the_loop_is_an_instance_of_asyncios_classes(loop):
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(loop, asyncio.BaseEventLoop)


def test_the_loop_is_hashable_weakly_referable_and_takes_attributes(loop):
    loop.application = "mine"
    assert loop.application == "mine"
    assert {loop: 1}[loop] == 1
    assert weakref.ref(loop)() is loop


def test_methods_replaced_on_the_instance_are_used_by_tasks(loop):
    calls = []
    original = loop.call_soon

    def counting_call_soon(callback, *args, context=None):
        calls.append(callback)
        return original(callback, *args, context=context)

    loop.call_soon = counting_call_soon
    loop.run_until_complete(asyncio.sleep(0))
    assert len(calls) >= 2


def test_methods_overridden_in_a_subclass_are_used_by_tasks(loop):
    class Counting(type(loop)):
        calls = 0

        def call_soon(self, callback, *args, context=None):
            self.calls += 1
            return super().call_soon(callback, *args, context=context)

    counting = Counting()
    try:
        counting.run_until_complete(asyncio.sleep(0))
        assert counting.calls >= 2
    finally:
        counting.close()


def test_call_later_uses_an_overridden_call_at(loop):
    class Recording(type(loop)):
        def call_at(self, when, callback, *args, context=None):
            deadlines.append(when)
            return super().call_at(when, callback, *args, context=context)

    deadlines, recording = [], Recording()
    timer = recording.call_later(1000, print)
    recording.close()
    assert deadlines == [timer.when()]


def test_call_later_uses_a_replaced_call_at(loop):
    deadlines = []
    original = loop.call_at

    def call_at(when, callback, *args, context=None):
        deadlines.append(when)
        return original(when, callback, *args, context=context)

    loop.call_at = call_at
    timer = loop.call_later(1000, print)
    assert deadlines == [timer.when()]


def test_asyncios_own_call_soon_called_by_name_schedules_on_the_loop(loop):
    """A subclass with several bases may call it so."""
    events = []
    asyncio.BaseEventLoop.call_soon(loop, events.append, "soon")
    run_once(loop)
    assert events == ["soon"]
