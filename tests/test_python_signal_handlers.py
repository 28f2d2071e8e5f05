"""Handlers set with signal.signal: they run promptly, wherever the loop is, and may raise."""

import asyncio
import os
import signal
import threading
import time

import pytest

LONG = 20


class Stop(Exception):
    """Raised by the handlers of these tests."""


@pytest.fixture(autouse=True)
def signals_are_left_as_they_were():
    before = [signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGINT)]
    yield
    signal.signal(signal.SIGUSR1, before[0])
    interrupt = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, before[1])
    assert interrupt is before[1]
    assert signal.set_wakeup_fd(-1) == -1


@pytest.fixture
def send_later():
    """Sends a signal to the main thread when the loop has had time to block."""
    threads = []

    def send(number, delay=0.02):
        thread = threading.Timer(delay, signal.pthread_kill, (threading.main_thread().ident, number))
        threads.append(thread)
        thread.start()

    yield send
    for thread in threads:
        thread.join()


def test_a_handler_runs_while_the_loop_is_idle(loop, send_later):
    events = []

    def handler(number, frame):
        events.append((number, threading.current_thread() is threading.main_thread()))
        loop.call_soon_threadsafe(loop.stop)

    signal.signal(signal.SIGUSR1, handler)
    send_later(signal.SIGUSR1)
    started = time.monotonic()
    loop.run_forever()
    assert events == [(signal.SIGUSR1, True)]
    assert time.monotonic() - started < LONG


def test_a_handler_runs_while_the_loop_waits_for_a_far_timer(loop, send_later):
    signal.signal(signal.SIGUSR1, lambda *_args: loop.call_soon_threadsafe(future.set_result, "woken"))
    future = loop.create_future()
    send_later(signal.SIGUSR1)
    assert loop.run_until_complete(asyncio.wait_for(future, LONG)) == "woken"


def test_a_signal_without_effect_on_the_loop_does_not_end_a_sleep_early(loop, send_later):
    events = []
    signal.signal(signal.SIGUSR1, lambda *_args: events.append("handled"))
    send_later(signal.SIGUSR1, 0.01)
    started = loop.time()
    loop.run_until_complete(asyncio.sleep(0.05))
    assert loop.time() - started >= 0.05 - 1e-9
    assert events == ["handled"]


def test_a_handler_runs_while_callbacks_run(loop):
    events = []
    signal.signal(signal.SIGUSR1, lambda *_args: events.append("handled"))

    def callback():
        signal.raise_signal(signal.SIGUSR1)
        events.append("callback")
        loop.stop()

    loop.call_soon(callback)
    loop.run_forever()
    assert events == ["handled", "callback"]


def test_a_handler_runs_between_callbacks_of_a_busy_loop(loop, send_later):
    def again():
        loop.call_soon(again)

    signal.signal(signal.SIGUSR1, lambda *_args: loop.stop())
    loop.call_soon(again)
    send_later(signal.SIGUSR1)
    loop.run_forever()


@pytest.mark.parametrize("exception", [Stop, SystemExit, KeyboardInterrupt])
def test_a_handler_that_raises_while_the_loop_is_idle_leaves_the_run(loop, send_later, exception):
    def handler(_number, _frame):
        raise exception("from the handler")

    signal.signal(signal.SIGUSR1, handler)
    with pytest.raises(exception, match="from the handler"):
        send_later(signal.SIGUSR1)
        loop.run_forever()
    assert not loop.is_running()
    assert loop.run_until_complete(asyncio.sleep(0.001, "usable")) == "usable"


def test_a_handler_that_raises_in_a_callback_is_that_callbacks_error(loop, loop_errors):
    def handler(_number, _frame):
        raise Stop

    def callback():
        loop.call_soon(loop.stop)
        signal.raise_signal(signal.SIGUSR1)

    signal.signal(signal.SIGUSR1, handler)
    loop.call_soon(callback)
    loop.run_forever()
    assert isinstance(loop_errors.pop()["exception"], Stop)


def test_a_handler_that_raises_in_a_task_is_raised_in_the_task(loop):
    def handler(_number, _frame):
        raise Stop

    async def main():
        with pytest.raises(Stop):
            signal.raise_signal(signal.SIGUSR1)
        await asyncio.sleep(0)
        return "went on"

    signal.signal(signal.SIGUSR1, handler)
    assert loop.run_until_complete(main()) == "went on"


# SIGINT


def test_an_interrupt_leaves_an_idle_run(loop, send_later):
    with pytest.raises(KeyboardInterrupt):
        send_later(signal.SIGINT)
        loop.run_forever()
    assert loop.run_until_complete(asyncio.sleep(0.001, "usable")) == "usable"


def test_an_interrupt_leaves_a_busy_run(loop, send_later):
    def again():
        loop.call_soon(again)

    handle = loop.call_soon(again)
    with pytest.raises(KeyboardInterrupt):
        send_later(signal.SIGINT)
        loop.run_forever()
    handle.cancel()


def test_an_interrupt_in_a_callback_leaves_the_run(loop):
    loop.call_soon(signal.raise_signal, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert not loop.is_running()


def test_an_interrupt_cancels_the_main_task_of_a_runner(loop_factory, send_later):
    events = []

    async def main():
        try:
            send_later(signal.SIGINT)
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        with pytest.raises(KeyboardInterrupt):
            runner.run(main())
        assert events == ["cancelled"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert runner.run(asyncio.sleep(0, "usable")) == "usable"


def test_an_interrupt_that_the_main_task_survives_is_forgotten(loop_factory):
    async def main():
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "survived"

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == "survived"


def test_a_second_interrupt_is_raised_at_once(loop_factory):
    async def main():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(3600)
        return "both seen"

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == "both seen"


# loops in other threads


def test_a_signal_leaves_the_loops_of_other_threads_alone(loop_factory):
    ready, finish = threading.Event(), threading.Event()
    results = []

    async def main():
        ready.set()
        while not finish.is_set():
            await asyncio.sleep(0.001)
        return "undisturbed"

    def other():
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            results.append(runner.run(main()))

    events = []
    signal.signal(signal.SIGUSR1, lambda *_args: events.append("handled"))
    thread = threading.Thread(target=other)
    thread.start()
    assert ready.wait(LONG)
    for _ in range(5):
        signal.raise_signal(signal.SIGUSR1)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    finish.set()
    thread.join(LONG)
    assert results == ["undisturbed"]
    assert events == ["handled"] * 5


def test_a_handler_of_the_main_loop_runs_while_another_thread_runs_a_loop(loop, loop_factory):
    other_loop = loop_factory()
    thread = threading.Thread(target=other_loop.run_forever)
    thread.start()
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    sender = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
    sender.start()
    loop.run_forever()
    sender.join()
    assert thread.is_alive()
    other_loop.call_soon_threadsafe(other_loop.stop)
    thread.join(LONG)
    other_loop.close()
    loop.remove_signal_handler(signal.SIGUSR1)
