"""Random schedules: callbacks, timers, cancellations and stops run in the very order of asyncio's loop."""

import asyncio
import random

import pytest


class Schedule:
    """One random program. What it does depends on the seed and on the order in which callbacks run."""

    def __init__(self, loop, seed):
        self.loop, self.random = loop, random.Random(seed)
        self.now = 1000.0
        loop.time = lambda: self.now
        loop.set_exception_handler(lambda _loop, context: self.trace.append(type(context["exception"])))
        self.trace, self.handles, self.count = [], [], 0

    def callback(self, number, depth):
        self.trace.append(number)
        for _ in range(self.random.randrange(3) if depth else 0):
            self.schedule_something(depth - 1)
        if self.random.random() < 0.05:
            raise ValueError

    def schedule_something(self, depth=3):
        self.count += 1
        arguments = (self.callback, self.count, depth)
        kind = self.random.choice(["soon", "soon", "threadsafe", "later", "at", "future", "cancel"])
        if kind == "soon":
            self.handles.append(self.loop.call_soon(*arguments))
        elif kind == "threadsafe":
            self.handles.append(self.loop.call_soon_threadsafe(*arguments))
        elif kind == "later":  # Equal deadlines have no order on asyncio's loop: none are equal.
            delay = self.random.choice([-1, 0, 0.5, 1, 3.25]) + self.count * 1e-6
            self.handles.append(self.loop.call_later(delay, *arguments))
        elif kind == "at":
            self.handles.append(self.loop.call_at(self.now + self.random.random() * 5, *arguments))
        elif kind == "future":
            future = self.loop.create_future()
            future.add_done_callback(lambda _future, number=self.count: self.trace.append(-number))
            self.loop.call_soon(future.set_result, None)
        elif self.handles:
            self.random.choice(self.handles).cancel()

    def run(self):
        for _ in range(40):
            for _ in range(self.random.randrange(6)):
                self.schedule_something()
            self.loop.stop() if self.random.random() < 0.2 else self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            self.trace.append("turn")
            self.now += self.random.choice([0, 0.1, 0.7, 2])
        return self.trace


def trace_of(make_loop, seed, debug):
    loop = make_loop()
    loop.set_debug(debug)
    try:
        return Schedule(loop, seed).run()
    finally:
        loop.close()


@pytest.mark.native_only
@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_random_schedules_run_in_the_order_of_asyncios_loop(loop_factory, debug):
    for seed in range(20 if debug else 150):
        expected = trace_of(asyncio.SelectorEventLoop, seed, debug)
        assert len(expected) > 50
        assert (seed, trace_of(loop_factory, seed, debug)) == (seed, expected)
