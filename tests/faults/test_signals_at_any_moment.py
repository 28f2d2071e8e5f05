"""Signals that arrive while the loop waits, right before it does, and together with other events."""

import asyncio
import os
import signal
import socket
import sys
import threading

import pytest

from support.sockets import sockets

LATE = 20  # seconds after which a signal counts as unnoticed


@pytest.fixture(autouse=True)
def alarms():
    """The alarm clock is ours during a test; nobody's wake-up descriptor is left."""
    before = signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGINT)
    others = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before[0])
    signal.signal(signal.SIGINT, before[1])
    signal.setitimer(signal.ITIMER_REAL, *others)
    assert signal.set_wakeup_fd(-1) == -1


def alarm_after(microseconds):
    signal.setitimer(signal.ITIMER_REAL, microseconds * 1e-6)


@pytest.mark.native_only  # asyncio notices about one in twenty only when something else wakes its selector
def test_no_signal_is_late_however_close_to_the_wait_it_comes(loop):
    late = []
    signal.signal(signal.SIGALRM, lambda *_args: loop.stop())
    watchdog = threading.Event()

    def watch():
        rounds = -1
        while not watchdog.wait(LATE):
            if rounds == done:
                late.append(rounds)
                loop.call_soon_threadsafe(loop.stop)
            rounds = done

    done = 0
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for done in range(20_000):
            loop.call_soon(alarm_after, 1 + done % 50)
            loop.run_forever()
            if late:
                break
    finally:
        watchdog.set()
        thread.join()
    assert not late


@pytest.mark.native_only
def test_handlers_of_the_loop_are_prompt_too(loop):
    loop.add_signal_handler(signal.SIGALRM, loop.stop)
    for round_number in range(2_000):
        loop.call_soon(alarm_after, 1 + round_number % 50)
        loop.run_forever()
    loop.remove_signal_handler(signal.SIGALRM)


@pytest.mark.native_only
def test_interrupts_are_prompt_and_the_loop_goes_on(loop):
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for round_number in range(2_000):
        loop.call_soon(alarm_after, 20 + round_number % 50)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        assert not loop.is_running()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before, a descriptor is lent for the whole run")
def test_a_wait_leaves_no_wakeup_descriptor_behind(loop):
    seen = []

    def look(*_args):
        seen.append(signal.set_wakeup_fd(-1))
        loop.call_soon_threadsafe(loop.stop)

    signal.signal(signal.SIGALRM, look)
    loop.call_later(0.001, look)
    loop.run_forever()
    loop.call_soon(alarm_after, 2000)
    loop.run_forever()
    assert seen == [-1, -1]


def test_a_wakeup_descriptor_of_the_program_hears_of_signals_that_come_during_a_wait(loop):
    signal.signal(signal.SIGALRM, lambda *_args: None)
    with sockets("unix") as (ours, theirs):
        assert signal.set_wakeup_fd(theirs.fileno()) == -1
        try:
            loop.add_reader(ours, loop.stop)
            loop.call_soon(alarm_after, 5000)
            loop.run_forever()
            assert ours.recv(10) == bytes([signal.SIGALRM])
        finally:
            assert signal.set_wakeup_fd(-1) == theirs.fileno()
            loop.remove_reader(ours)


def test_a_loop_inside_a_callback_of_another_hears_of_signals(loop_factory):
    """A loop that runs within another loop's callback, as programs do that hide the running loop."""
    outer, inner = loop_factory(), loop_factory()
    signal.signal(signal.SIGALRM, lambda *_args: inner.call_soon_threadsafe(inner.stop))

    def run_inner():
        asyncio._set_running_loop(None)
        alarm_after(5000)
        inner.run_forever()
        asyncio._set_running_loop(outer)
        outer.stop()

    outer.call_soon(run_inner)
    outer.run_forever()
    signal.signal(signal.SIGALRM, lambda *_args: outer.call_soon_threadsafe(outer.stop))
    outer.call_soon(alarm_after, 5000)
    outer.run_forever()
    inner.close()
    outer.close()


class Counts(asyncio.Protocol):
    def __init__(self):
        self.received = bytearray()
        self.data_received = self.received.extend  # No Python code that an interrupt could hit.


@pytest.mark.native_only  # asyncio may be interrupted between reading bytes and handing them over
def test_no_event_is_lost_to_an_interrupt(loop):
    """What a wait has found at the moment of an interrupt is delivered when the loop runs again."""
    near, far = socket.socketpair()
    transport, protocol = loop.run_until_complete(loop.create_connection(Counts, sock=near))
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    total = 0
    with far:
        for round_number in range(500):

            def both():
                # The byte and the signal are there before the wait begins, which finds both.
                far.send(b"x")
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
                os.kill(os.getpid(), signal.SIGALRM)
                loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, {signal.SIGALRM})

            def other():
                far.send(b"x")
                alarm_after(1 + round_number % 40)

            total += 1
            loop.call_soon(both if round_number % 5 == 0 else other)
            with pytest.raises(KeyboardInterrupt):
                loop.run_forever()
        while len(protocol.received) < total:
            loop.run_until_complete(asyncio.sleep(0.001))
        assert protocol.received == b"x" * total
        transport.close()
        loop.run_until_complete(asyncio.sleep(0))


# SIGTERM and SIGINT as programs handle them


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_an_orderly_end_on_a_signal(loop, number):
    events = []

    async def main():
        stop = asyncio.Event()
        loop.add_signal_handler(number, stop.set)
        worker = asyncio.ensure_future(asyncio.sleep(3600))
        os.kill(os.getpid(), number)
        await stop.wait()
        events.append("asked to stop")
        worker.cancel()
        with pytest.raises(asyncio.CancelledError):
            await worker
        events.append("stopped")
        assert loop.remove_signal_handler(number)

    loop.run_until_complete(main())
    assert events == ["asked to stop", "stopped"]
