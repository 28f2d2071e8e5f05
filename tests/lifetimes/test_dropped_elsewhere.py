"""The last reference to a native object goes in another thread, while the loop runs or when it is closed."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
import weakref

import pytest

from support import specimens
from support.descriptors import none_leaked
from support.leftovers import native_objects


def in_thread(function):
    """Runs it in another thread, to the end."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def drop(things):
    """As the last one to hold what is in the list; a cycle in it is found by the collector of this thread."""
    things.clear()
    gc.collect()


@pytest.fixture
def unclosed_is_fine():
    """What is dropped without being closed warns, which is looked at elsewhere (test_cycles.py)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


@pytest.mark.usefixtures("unclosed_is_fine")
@pytest.mark.parametrize("in_a_cycle", [False, True], ids=["alone", "in a cycle"])
@pytest.mark.parametrize("make", specimens.KINDS, ids=lambda make: make.__name__)
def test_an_object_is_dropped_while_the_loop_runs(loop_factory, make, in_a_cycle):
    before = native_objects()
    with none_leaked():
        loop = loop_factory()
        specimen, token = make(loop)
        token.specimen = specimen if in_a_cycle else None
        gone = weakref.ref(token)
        held = [specimen, token]
        del specimen, token
        loop.run_until_complete(loop.run_in_executor(None, drop, held))
        loop.run_until_complete(loop.shutdown_default_executor())
        assert gone() is None
        loop.close()
    del loop
    gc.collect()
    assert native_objects() == before


@pytest.mark.usefixtures("unclosed_is_fine")
@pytest.mark.parametrize("make", specimens.KINDS, ids=lambda make: make.__name__)
def test_an_object_is_dropped_after_its_loop_was_closed(loop_factory, make):
    before = native_objects()
    with none_leaked():
        loop = loop_factory()
        specimen, token = make(loop)
        token.specimen = specimen
        gone = weakref.ref(token)
        held = [specimen, token]
        loop.close()
        del specimen, token, loop
        in_thread(lambda: drop(held))
        gc.collect()
        assert gone() is None
    assert native_objects() == before


@pytest.mark.usefixtures("unclosed_is_fine")
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("held_by_it", specimens.HELD_BY_A_LOOP)
def test_a_loop_is_dropped_with_what_it_holds(loop_factory, held_by_it, closed):
    before = native_objects()
    with none_leaked():
        loop = loop_factory()
        asyncio.set_event_loop(loop)
        gone = specimens.HELD_BY_A_LOOP[held_by_it](loop)
        asyncio.set_event_loop(None)
        if closed:
            loop.close()
        held = [loop]
        del loop
        in_thread(lambda: drop(held))
        gc.collect()
        gc.collect()
        assert gone() is None
    assert native_objects() == before


def test_the_collector_runs_in_other_threads_while_the_loop_works(loop):
    """Finalisers, and visits of the loop's own queues, at any moment that another thread is given."""
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            gc.collect()

    def work() -> None:
        for _ in range(20):
            handle = loop.call_later(1000, print)
            handle.cancel()
            cycle = [loop.call_soon(list), loop.call_soon_threadsafe(list)]
            cycle.append(cycle)

    threads = [threading.Thread(target=collect) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        work()
        specimens.turn(loop)
    stop.set()
    for thread in threads:
        thread.join()
