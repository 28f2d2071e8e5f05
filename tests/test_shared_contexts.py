"""Callbacks scheduled while a loop runs: veloop copies contexts late and seldom, and nobody can tell."""

import asyncio
import contextvars
import gc
import socket
import threading
import weakref

import pytest

variable = contextvars.ContextVar("variable", default="unset")


def run_callback(loop, function):
    """Calls `function` in a run of the loop, which it ends by loop.stop()."""
    loop.call_soon(function)
    loop.run_forever()


def run_in_turns(loop, *functions):
    """Calls them in a run of the loop, each scheduled by the one before it."""
    steps = iter(functions)

    def step():
        following = next(steps, None)
        if following is None:
            loop.stop()
        else:
            following()
            loop.call_soon(step)

    run_callback(loop, step)


def test_what_a_callback_sets_stays_in_it_and_in_what_it_schedules(loop):
    seen = []

    def outer():
        for number in range(5):
            loop.call_soon(inner, number)
        loop.call_later(0.001, loop.stop)

    def inner(number):
        before = variable.get()
        variable.set(number)
        loop.call_soon(lambda: seen.append((number, before, variable.get())))

    run_callback(loop, outer)
    assert seen == [(number, "unset", number) for number in range(5)]


def test_values_that_are_set_between_calls_are_not_mixed_up(loop):
    seen = []

    def outer():
        for value in ("a", "a", "b", "unset again", "a"):
            token = variable.set(value)
            loop.call_soon(lambda value=value: seen.append((value, variable.get())))
            variable.reset(token)
            loop.call_soon(lambda: seen.append(variable.get()))
        loop.call_soon(loop.stop)

    run_callback(loop, outer)
    assert seen == [
        *(("a", "a"), "unset", ("a", "a"), "unset", ("b", "b"), "unset"),
        *(("unset again", "unset again"), "unset", ("a", "a"), "unset"),
    ]


def test_a_run_inside_other_values_gives_them_to_its_callbacks(loop):
    seen = []

    def outer():
        loop.call_soon(lambda: seen.append(variable.get()))
        loop.call_soon(loop.stop)

    for value in ("first", "second"):
        token = variable.set(value)
        run_callback(loop, outer)
        variable.reset(token)
    run_callback(loop, outer)
    assert seen == ["first", "second", "unset"]


def test_callbacks_that_outlive_the_run_keep_its_values(loop):
    seen = []

    def outer():
        loop.call_soon(lambda: seen.append(variable.get()))
        loop.stop()

    context = contextvars.copy_context()
    context.run(variable.set, "of the first run")
    context.run(run_callback, loop, outer)
    context.run(variable.set, "later")
    run_callback(loop, loop.stop)
    assert seen == ["of the first run"]


def test_every_handle_has_a_context_of_its_own(loop):
    handles = []

    def outer():
        handles.extend(loop.call_soon(int) for _ in range(3))
        handles.append(loop.call_later(60, int))
        handles.append(loop.call_soon(loop.stop))

    run_callback(loop, outer)
    contexts = [handle._context for handle in handles]
    assert len({id(context) for context in contexts}) == len(handles)
    assert [handle._context for handle in handles] == contexts
    contexts[0].run(variable.set, "in the first")
    assert [context.get(variable) for context in contexts] == ["in the first"] + [None] * 4
    handles[3].cancel()


def test_what_a_callback_has_set_is_in_the_context_of_its_handle(loop):
    handles = []

    def outer():
        handles.append(loop.call_soon(variable.set, "by the callback"))
        handles.append(loop.call_soon(loop.stop))

    run_callback(loop, outer)
    assert handles[0]._context[variable] == "by the callback"
    assert variable not in handles[1]._context


def test_a_context_that_was_looked_at_is_not_used_again(loop):
    looked_at = []

    def note_own(handles):
        looked_at.append(handles.pop()._context)

    def schedule_one():
        handles = []
        handles.append(loop.call_soon(note_own, handles))

    run_in_turns(loop, schedule_one, int, schedule_one, int, schedule_one, int)
    assert len({id(context) for context in looked_at}) == 3
    for context in looked_at:
        context.run(variable.set, "mine")


def test_a_context_that_was_looked_at_goes_with_its_handle(loop):
    looked_at, alive = [], []

    def note_own(handles):
        looked_at.append(weakref.ref(handles.pop()._context))

    def schedule_one():
        handles = []
        handles.append(loop.call_soon(note_own, handles))

    run_in_turns(loop, schedule_one, int, lambda: (gc.collect(), alive.append(looked_at[0]())), int)
    assert alive == [None]


def test_a_token_that_is_kept_belongs_to_its_callback_only(loop):
    tokens, errors = [], []

    def set_and_reset():
        token = variable.set("for a moment")
        variable.reset(token)
        tokens.append(variable.set("kept"))

    def reset_elsewhere():
        try:
            variable.reset(tokens[0])
        except ValueError as error:
            errors.append(str(error))

    run_in_turns(
        loop, lambda: loop.call_soon(set_and_reset), int, lambda: loop.call_soon(reset_elsewhere), int
    )
    assert len(errors) == 1
    assert "was created in a different Context" in errors[0]


@pytest.mark.skipif("sys.version_info < (3, 12)", reason="handlers run in the handle's context since 3.12")
def test_the_exception_handler_sees_what_the_callback_has_set(loop):
    seen = []
    loop.set_exception_handler(lambda loop, report: seen.append(variable.get()))

    def fail():
        variable.set("set by who failed")
        raise ZeroDivisionError

    run_in_turns(loop, lambda: loop.call_soon(fail), int, lambda: loop.call_soon(int), int)
    assert seen == ["set by who failed"]


def test_a_reader_keeps_its_context_from_call_to_call(loop):
    receiving, sending = socket.socketpair()
    receiving.setblocking(False)
    seen = []

    def on_readable():
        receiving.recv(1)
        seen.append(variable.get())
        variable.set(len(seen))
        if len(seen) == 3:
            loop.stop()
        else:
            sending.send(b"x")

    with receiving, sending:
        run_in = contextvars.copy_context()
        run_in.run(run_callback, loop, lambda: (loop.add_reader(receiving, on_readable), sending.send(b"x")))
        loop.remove_reader(receiving)
    assert seen == ["unset", 1, 2]


def test_a_handle_that_is_run_by_hand_and_by_the_loop_has_one_context(loop):
    seen = []

    def note():
        seen.append(variable.get())
        variable.set("by the first call")

    def outer():
        loop.call_soon(note)._run()
        loop.call_soon(loop.stop)

    run_callback(loop, outer)
    assert seen == ["unset", "by the first call"]


def test_other_threads_schedule_with_their_own_values(loop):
    seen = []

    def schedule():
        loop.call_soon_threadsafe(lambda: seen.append(variable.get()))
        variable.set("of the thread")
        loop.call_soon_threadsafe(lambda: seen.append(variable.get()))
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=schedule, daemon=True)
    run_callback(loop, thread.start)
    thread.join(timeout=10)
    assert seen == ["unset", "of the thread"]


def test_values_live_no_longer_than_the_callbacks_that_have_them(loop):
    class Value:
        pass

    alive = []

    def outer():
        value = Value()
        alive.append(weakref.ref(value))
        token = variable.set(value)
        loop.call_soon(int)
        variable.reset(token)
        del value, token

    run_in_turns(loop, outer, int, lambda: alive.append(alive[0]()), loop.stop)
    gc.collect()
    assert alive[1:] == [None]


def test_tasks_and_callbacks_of_one_run_do_not_mix(loop):
    async def set_and_look(value):
        variable.set(value)
        seen = []
        for _ in range(3):
            loop.call_soon(lambda: seen.append(variable.get()))
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        return seen

    async def main():
        loop.call_later(0.001, variable.set, "of a timer")
        return await asyncio.gather(*(set_and_look(value) for value in "abc"))

    assert loop.run_until_complete(main()) == [["a"] * 3, ["b"] * 3, ["c"] * 3]


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_soon_threadsafe"])
def test_the_context_of_a_handle_that_the_collector_finds_is_not_used_again(loop, method):
    """The handle has run and lies in a cycle: its context is cleared with it."""

    class Node:
        def act(self, *_others):
            pass

    def begin():
        node = Node()
        arguments = (0, node.act, node) if method == "call_later" else (node.act, node)
        node.handle = getattr(loop, method)(*arguments)
        loop.call_later(0.001, loop.stop)

    run_callback(loop, begin)
    loop.call_soon(begin)
    loop.run_forever()
    seen = []

    def collect():
        gc.collect()
        loop.call_soon(lambda: seen.append(contextvars.copy_context().get(variable)))
        loop.call_later(0.001, loop.stop)

    loop.call_soon(collect)
    loop.run_forever()
    assert seen == [None]
