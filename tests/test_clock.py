"""The loop's clock: what time() returns, how replacing it moves the scheduler, what idling costs."""

import asyncio
import math
import socket
import threading
import time

from support.turns import idles, run_once, run_turns


class StandingClock:
    """Replaces the clock of a loop by one that moves only when it is told."""

    def __init__(self, loop):
        self.now = loop.time()
        loop.time = lambda: self.now


def test_time_is_the_monotonic_clock(loop):
    for _ in range(100):
        before = time.monotonic()
        now = loop.time()
        after = time.monotonic()
        assert type(now) is float
        assert before <= now <= after


def test_time_never_goes_back_within_and_between_turns(loop):
    seen = []
    for _ in range(100):
        loop.call_soon(lambda: seen.extend(loop.time() for _ in range(10)))
        run_once(loop)
    assert seen == sorted(seen)


def test_time_moves_within_a_callback(loop):
    async def main():
        started = loop.time()
        while loop.time() == started:
            pass
        return loop.time() - started

    assert 0 < loop.run_until_complete(main()) < 1


def test_time_has_steps_below_a_microsecond(loop):
    nanoseconds = {round(loop.time() % 1e-3 * 1e9) % 1000 for _ in range(1000)}
    assert len(nanoseconds) > 10  # a clock of microseconds would show only 0 (and a rounding neighbour)


def test_a_replaced_clock_moves_the_scheduler(loop):
    clock = StandingClock(loop)
    events = []
    timer = loop.call_later(100, events.append, "later")
    loop.call_at(clock.now + 50, events.append, "at")
    assert timer.when() == clock.now + 100
    run_turns(loop, 3)
    assert events == []
    clock.now += 50
    run_once(loop)
    assert events == ["at"]
    clock.now += 49.999
    run_once(loop)
    assert events == ["at"]
    clock.now += 0.001
    run_once(loop)
    assert events == ["at", "later"]


def test_a_standing_clock_stops_timers_whatever_the_real_time(loop):
    StandingClock(loop)
    events = []
    loop.call_later(0.0001, events.append, "never")
    thread = threading.Timer(0.02, loop.call_soon_threadsafe, (loop.stop,))
    thread.start()
    loop.run_forever()
    thread.join()
    assert events == []


def test_a_clock_that_jumps_in_a_callback_makes_timers_due_in_the_next_turn(loop):
    clock = StandingClock(loop)
    events = []

    def jump():
        clock.now += 3600
        events.append("jump")

    loop.call_later(3600, events.append, "timer")
    loop.call_later(7200, events.append, "later timer")
    loop.call_soon(jump)
    run_turns(loop, 2)
    assert events == ["jump", "timer"]


def test_a_clock_overridden_in_a_subclass_moves_the_scheduler(loop):
    class Loop(type(loop)):
        offset = 0

        def time(self):
            return super().time() + self.offset

    moved = Loop()
    events = []
    moved.call_later(1000, events.append, "timer")
    run_once(moved)
    assert events == []
    moved.offset = 1001
    run_once(moved)
    assert events == ["timer"]
    moved.close()


def test_a_clock_replaced_on_the_class_moves_the_scheduler(loop, monkeypatch):
    now = loop.time()
    monkeypatch.setattr(type(loop), "time", lambda _loop: now)
    events = []
    loop.call_later(1000, events.append, "timer")
    run_once(loop)
    now += 1001
    run_turns(loop, 2)
    assert events == ["timer"]
    monkeypatch.undo()
    assert abs(loop.time() - time.monotonic()) < 100


def test_an_idle_loop_uses_no_processor_time(loop):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, lambda: None)
        far = loop.call_later(3600, lambda: None)
        infinite = loop.call_at(math.inf, lambda: None)
        idle = loop.run_until_complete(idles(0.3))
        loop.remove_reader(ours)
        far.cancel()
        infinite.cancel()
    assert idle


def test_sleeps_below_a_millisecond_do_not_spin(loop):
    async def main():
        for _ in range(300):
            await asyncio.sleep(0.0008)

    used, elapsed = time.process_time(), time.monotonic()
    loop.run_until_complete(main())
    used, elapsed = time.process_time() - used, time.monotonic() - elapsed
    assert used < elapsed / 2
