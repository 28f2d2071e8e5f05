"""Signal handlers of the loop: what may be handled, when handlers run, and what is left afterwards."""

import asyncio
import contextlib
import contextvars
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from support.turns import run_once, run_turns

variable = contextvars.ContextVar("variable", default="unset")
LONG = 20


def nothing(*_args):
    pass


async def coroutine_function():
    pass


def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join(LONG)
    return results[0]


@pytest.fixture(autouse=True)
def signals_are_left_as_they_were():
    watched = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGCHLD, signal.SIGTERM)
    before = [signal.getsignal(number) for number in watched]
    yield
    after = [signal.getsignal(number) for number in watched]
    for number, handler in zip(watched, before, strict=True):
        signal.signal(number, handler)
    assert after == before
    assert signal.set_wakeup_fd(-1) == -1


# adding and removing


def test_adding_returns_none_and_removing_tells_whether_there_was_a_handler(loop):
    assert loop.remove_signal_handler(signal.SIGUSR1) is False
    assert loop.add_signal_handler(signal.SIGUSR1, nothing) is None
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


def test_removing_restores_the_default_action(loop):
    loop.add_signal_handler(signal.SIGUSR1, nothing)
    assert callable(signal.getsignal(signal.SIGUSR1))
    loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    loop.add_signal_handler(signal.SIGINT, nothing)
    loop.remove_signal_handler(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_closing_removes_all_handlers(loop):
    loop.add_signal_handler(signal.SIGUSR1, nothing)
    loop.add_signal_handler(signal.SIGINT, nothing)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.set_wakeup_fd(-1) == -1


def test_a_handler_may_be_removed_after_the_loop_was_closed(loop):
    loop.add_signal_handler(signal.SIGUSR1, nothing)
    loop.close()
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


@pytest.mark.parametrize("number", ["SIGINT", None, 1.5], ids=repr)
def test_a_signal_must_be_an_int(loop, number):
    for attempt in (
        lambda: loop.add_signal_handler(number, nothing),
        lambda: loop.remove_signal_handler(number),
    ):
        with pytest.raises(TypeError) as info:
            attempt()
        assert str(info.value) == f"sig must be an int, not {number!r}"


@pytest.mark.parametrize("number", [-1, 0, 1000, 10**30])
def test_a_signal_number_must_be_valid(loop, number):
    for attempt in (
        lambda: loop.add_signal_handler(number, nothing),
        lambda: loop.remove_signal_handler(number),
    ):
        with pytest.raises(ValueError, match=f"^invalid signal number {number}$"):
            attempt()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_signals_that_cannot_be_caught_are_refused(loop, number):
    with pytest.raises(RuntimeError) as info:
        loop.add_signal_handler(number, nothing)
    assert str(info.value) == f"sig {number} cannot be caught"
    assert signal.set_wakeup_fd(-1) == -1
    assert loop.remove_signal_handler(number) is False


def test_coroutines_are_refused_as_handlers(loop):
    text = r"^coroutines cannot be used with add_signal_handler\(\)$"
    with pytest.raises(TypeError, match=text):
        loop.add_signal_handler(signal.SIGUSR1, coroutine_function)
    coroutine = coroutine_function()
    with pytest.raises(TypeError, match=text):
        loop.add_signal_handler(signal.SIGUSR1, coroutine)
    coroutine.close()


def test_only_the_main_thread_may_add_a_handler(loop):
    def other():
        with pytest.raises(RuntimeError) as info:
            loop.add_signal_handler(signal.SIGUSR1, nothing)
        return str(info.value)

    assert in_thread(other) == "set_wakeup_fd only works in main thread of the main interpreter"


# running handlers


def test_a_handler_runs_in_the_loop_with_its_arguments(loop):
    seen = []

    def handler(*args):
        seen.append((args, asyncio.get_running_loop() is loop))
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, handler, 1, "two")
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    loop.run_forever()
    assert seen == [((1, "two"), True)]


def test_a_handler_does_not_run_inside_the_callback_that_was_interrupted(loop):
    events = []

    def callback():
        os.kill(os.getpid(), signal.SIGUSR1)
        events.append("callback goes on")

    loop.add_signal_handler(signal.SIGUSR1, lambda: (events.append("handler"), loop.stop()))
    loop.call_soon(callback)
    loop.run_forever()
    assert events == ["callback goes on", "handler"]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT, signal.SIGTERM])
def test_a_signal_wakes_an_idle_loop(loop, number):
    loop.add_signal_handler(number, loop.stop)
    sender = threading.Timer(0.02, os.kill, (os.getpid(), number))
    sender.start()
    loop.run_forever()
    sender.join()


def test_a_signal_that_came_before_the_run_is_handled_in_it(loop):
    events = []
    loop.add_signal_handler(signal.SIGUSR1, events.append, "handled")
    signal.raise_signal(signal.SIGUSR1)
    assert events == []
    run_turns(loop, 3)
    assert events == ["handled"]


def test_two_signals_at_once_are_both_handled(loop):
    events = []
    loop.add_signal_handler(signal.SIGUSR1, events.append, 1)
    loop.add_signal_handler(signal.SIGUSR2, events.append, 2)

    def raise_both():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2})
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGUSR2})

    loop.call_soon(raise_both)
    run_turns(loop, 4)
    assert sorted(events) == [1, 2]


def test_a_thousand_signals_are_handled(loop):
    counts = []
    loop.add_signal_handler(signal.SIGUSR1, counts.append, 1)

    async def main():
        for _ in range(1000):
            before = len(counts)
            signal.raise_signal(signal.SIGUSR1)
            while len(counts) == before:
                await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(main(), LONG))
    assert len(counts) == 1000


def test_a_second_handler_replaces_the_first(loop):
    events = []
    loop.add_signal_handler(signal.SIGUSR1, events.append, "first")
    loop.add_signal_handler(signal.SIGUSR1, lambda: (events.append("second"), loop.stop()))
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    loop.run_forever()
    assert events == ["second"]


def test_a_handler_runs_in_the_context_it_was_added_in(loop):
    seen = []
    token = variable.set("when added")
    loop.add_signal_handler(signal.SIGUSR1, lambda: (seen.append(variable.get()), loop.stop()))
    variable.reset(token)
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    loop.run_forever()
    assert seen == ["when added"]


def test_an_exception_in_a_handler_is_reported_and_the_loop_goes_on(loop, loop_errors):
    def handler():
        loop.call_soon(loop.stop)
        raise LookupError("in the handler")

    loop.add_signal_handler(signal.SIGUSR1, handler)
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    loop.run_forever()
    context = loop_errors.pop()
    assert str(context["exception"]) == "in the handler"
    assert context["message"].startswith("Exception in callback ")


@pytest.mark.parametrize("exit_type", [SystemExit, KeyboardInterrupt])
def test_an_exit_in_a_handler_leaves_the_run(loop, exit_type):
    def handler():
        raise exit_type("leave")

    loop.add_signal_handler(signal.SIGUSR1, handler)
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    with pytest.raises(exit_type, match="leave"):
        loop.run_forever()
    assert loop.run_until_complete(asyncio.sleep(0, "usable")) == "usable"


def test_a_handler_may_remove_itself(loop):
    events = []

    def handler():
        events.append(loop.remove_signal_handler(signal.SIGUSR1))
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, handler)
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    loop.run_forever()
    assert events == [True]


def test_a_handler_for_sigchld_hears_of_a_child(loop):
    loop.add_signal_handler(signal.SIGCHLD, loop.stop)
    child = subprocess.Popen([sys.executable, "-c", ""])
    loop.run_forever()
    assert child.wait(LONG) == 0


def test_handled_signals_restart_system_calls(loop):
    """SA_RESTART: a blocking read in foreign code is not cut short by a handled signal."""
    library = ctypes.CDLL(None, use_errno=True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_signal_handler(signal.SIGUSR1, nothing)
        main_thread = threading.main_thread().ident

        def other():
            signal.pthread_kill(main_thread, signal.SIGUSR1)
            timer.start()

        timer = threading.Timer(0.02, theirs.send, (b"x",))
        thread = threading.Timer(0.02, other)
        thread.start()
        buffer = ctypes.create_string_buffer(10)
        assert library.read(ours.fileno(), buffer, 10) == 1
        thread.join()
        timer.join()
    run_once(loop)


# the wake-up descriptor


def test_without_handlers_the_wakeup_descriptor_is_restored_after_a_run(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        assert signal.set_wakeup_fd(theirs.fileno()) == -1
        run_once(loop)
        loop.run_until_complete(asyncio.sleep(0.001))
        assert signal.set_wakeup_fd(-1) == theirs.fileno()


def test_a_wakeup_descriptor_of_the_program_works_during_a_run(loop):
    ours, theirs = socket.socketpair()
    signal.signal(signal.SIGUSR1, nothing)
    with ours, theirs, contextlib.ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGUSR1, signal.SIG_DFL)
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        stack.callback(signal.set_wakeup_fd, -1)
        loop.add_reader(ours, loop.stop)
        loop.call_soon(signal.raise_signal, signal.SIGUSR1)
        loop.run_forever()
        assert ours.recv(10) == bytes([signal.SIGUSR1])
        loop.remove_reader(ours)


def test_removing_the_last_handler_gives_the_wakeup_descriptor_up(loop):
    loop.add_signal_handler(signal.SIGUSR1, nothing)
    loop.add_signal_handler(signal.SIGUSR2, nothing)
    loop.remove_signal_handler(signal.SIGUSR1)
    run_once(loop)
    descriptor = signal.set_wakeup_fd(-1)
    assert descriptor != -1
    signal.set_wakeup_fd(descriptor)
    loop.remove_signal_handler(signal.SIGUSR2)
    assert signal.set_wakeup_fd(-1) == -1
