"""Handles made while the loop runs: the collector finds them once something else than the loop holds them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import pytest

Schedule = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], asyncio.Handle]


class Owner:
    """Holds the handle of its own method: a cycle, as programs with a timer have it."""

    handle: asyncio.Handle
    runs = 0

    def method(self) -> None:
        self.runs += 1


def from_thread(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> asyncio.Handle:
    made: list[asyncio.Handle] = []
    thread = threading.Thread(target=lambda: made.append(loop.call_soon_threadsafe(callback)))
    thread.start()
    thread.join()
    return made[0]


SCHEDULES: dict[str, Schedule] = {
    "call_soon": lambda loop, callback: loop.call_soon(callback),
    "call_soon_threadsafe": lambda loop, callback: loop.call_soon_threadsafe(callback),
    "from a thread": from_thread,
    "call_later": lambda loop, callback: loop.call_later(0, callback),
    "call_at": lambda loop, callback: loop.call_at(loop.time(), callback),
}


@pytest.fixture(params=SCHEDULES, ids=lambda name: name.replace(" ", "_"))
def schedule(request: Any) -> Schedule:
    return SCHEDULES[request.param]


def collected(token: weakref.ref[Any]) -> bool:
    gc.collect()
    return token() is None


@pytest.mark.parametrize("ending", ["run", "cancelled", "cancelled by itself"])
def test_cycle_through_a_handle_that_is_done(loop, schedule, ending):
    async def main() -> weakref.ref[Owner]:
        owner = Owner()
        token = weakref.ref(owner)

        def cancel_itself() -> None:
            owner.method()
            owner.handle.cancel()

        owner.handle = schedule(loop, cancel_itself if ending == "cancelled by itself" else owner.method)
        if ending == "cancelled":
            owner.handle.cancel()
        else:
            while not owner.runs:
                gc.collect()  # sees neither too much nor too little while the handle waits
                await asyncio.sleep(0)
        return token

    assert collected(loop.run_until_complete(main()))


def test_context_that_holds_the_handle_of_its_timer(loop):
    async def main() -> weakref.ref[Owner]:
        variable: contextvars.ContextVar[Owner] = contextvars.ContextVar("variable")
        owner = Owner()
        context = contextvars.copy_context()
        context.run(variable.set, owner)
        owner.handle = loop.call_later(3600, print, context=context)
        owner.handle.cancel()
        return weakref.ref(owner)

    assert collected(loop.run_until_complete(main()))


def test_what_a_waiting_handle_holds_stays(loop, schedule):
    async def main() -> None:
        for _ in range(50):
            ran: list[int] = []
            argument = Owner()
            schedule(loop, lambda argument=argument, ran=ran: ran.append(argument.runs))
            token = weakref.ref(argument)
            del argument
            assert not collected(token)
            while not ran:
                await asyncio.sleep(0)

    loop.run_until_complete(main())


@pytest.mark.parametrize("delay", [None, 3600.0])
def test_a_forgotten_loop_with_what_its_last_run_left(loop_factory, delay):
    """Handles that waited when the run ended, in a cycle with the loop that nobody closed."""

    def run() -> weakref.ref[Owner]:
        loop = loop_factory()
        owner = Owner()
        owner.loop = loop  # type: ignore[attr-defined]

        def leave_something() -> None:
            loop.stop()
            if delay is None:
                owner.handle = loop.call_soon(owner.method)
            else:
                owner.handle = loop.call_later(delay, owner.method)

        loop.call_soon(leave_something)
        loop.run_forever()
        assert not owner.runs
        return weakref.ref(owner)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        token = run()
        gc.collect()
        assert collected(token)


def test_a_closed_loop_goes_with_its_last_reference(loop_factory):
    """Also one that has made a future after it was closed."""
    loop = loop_factory()
    loop.run_until_complete(asyncio.sleep(0))
    loop.create_future()
    loop.close()
    loop.create_future()
    token = weakref.ref(loop)
    gc.disable()
    try:
        del loop
        assert token() is None
    finally:
        gc.enable()
