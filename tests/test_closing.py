"""Closing a loop: what it refuses afterwards, what it forgets, and who is told."""

import asyncio
import gc
import os
import signal
import threading
import warnings
import weakref

import pytest

from support.turns import run_once


async def some_coroutine():
    pass


def nothing(*_args):
    pass


CLOSED_LOOP_REFUSES = {
    "call_soon": lambda loop: loop.call_soon(nothing),
    "call_soon with arguments": lambda loop: loop.call_soon(nothing, 1, 2),
    "call_soon_threadsafe": lambda loop: loop.call_soon_threadsafe(nothing),
    "call_later": lambda loop: loop.call_later(1, nothing),
    "call_at": lambda loop: loop.call_at(1, nothing),
    "run_forever": lambda loop: loop.run_forever(),
    "run_in_executor": lambda loop: loop.run_in_executor(None, nothing),
    "add_signal_handler": lambda loop: loop.add_signal_handler(10, nothing),
}


@pytest.mark.parametrize("method", CLOSED_LOOP_REFUSES)
@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_a_closed_loop_refuses(loop, method, debug):
    loop.set_debug(debug)
    loop.close()
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        CLOSED_LOOP_REFUSES[method](loop)


@pytest.mark.parametrize("method", ["create_task", "run_until_complete"])
def test_a_closed_loop_refuses_coroutines(loop, method):
    loop.close()
    coroutine = some_coroutine()
    with pytest.raises(RuntimeError, match=r"^Event loop is closed$"):
        getattr(loop, method)(coroutine)
    coroutine.close()


def test_a_closed_loop_refuses_callbacks_from_other_threads(loop):
    loop.close()
    errors = []

    def schedule():
        with pytest.raises(RuntimeError) as info:
            loop.call_soon_threadsafe(nothing)
        errors.append(str(info.value))

    thread = threading.Thread(target=schedule)
    thread.start()
    thread.join()
    assert errors == ["Event loop is closed"]


def test_a_closed_loop_still_answers_questions(loop):
    loop.set_debug(False)
    before = loop.time()
    loop.close()
    assert loop.is_closed()
    assert not loop.is_running()
    assert loop.time() >= before
    assert loop.get_debug() is False
    assert loop.create_future().get_loop() is loop
    loop.stop()


def test_closing_twice_is_harmless(loop):
    assert loop.is_closed() is False
    loop.close()
    loop.close()
    assert loop.is_closed() is True


def test_a_running_loop_cannot_be_closed(loop):
    errors = []

    def close():
        with pytest.raises(RuntimeError) as info:
            loop.close()
        errors.append(str(info.value))

    loop.call_soon(close)
    run_once(loop)
    assert errors == ["Cannot close a running event loop"]
    assert not loop.is_closed()
    run_once(loop)


def test_closing_forgets_callbacks_and_timers_without_running_them(loop):
    class Callback:
        def __call__(self):
            raise AssertionError("a callback ran although its loop was closed")

    soon, later, threadsafe = Callback(), Callback(), Callback()
    references = [weakref.ref(callback) for callback in (soon, later, threadsafe)]
    loop.call_soon(soon)
    loop.call_later(0, later)
    loop.call_soon_threadsafe(threadsafe)
    del soon, later, threadsafe
    loop.close()
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


def test_handles_outlive_their_closed_loop(loop):
    soon, later = loop.call_soon(nothing), loop.call_later(1, nothing)
    loop.close()
    assert "nothing" in repr(soon)
    assert "nothing" in repr(later)
    soon.cancel()
    later.cancel()
    assert soon.cancelled()
    assert later.cancelled()


def test_a_closed_loop_is_freed_although_callbacks_referred_to_it(loop_factory):
    loop = loop_factory()
    loop.call_soon(nothing, loop)
    loop.call_later(100, nothing, loop)
    loop.run_until_complete(some_coroutine())
    loop.call_soon(nothing, loop)
    reference = weakref.ref(loop)
    loop.close()
    del loop
    gc.collect()
    assert reference() is None


def test_a_loop_that_is_dropped_unclosed_warns_and_closes(loop_factory):
    loop = loop_factory()
    text = f"unclosed event loop {loop!r}"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del loop
        gc.collect()
    ours = [(warning.category, str(warning.message)) for warning in caught]
    assert ours == [(ResourceWarning, text)]
    caught[0].source.close()


def test_a_loop_that_was_closed_is_dropped_silently(loop_factory):
    loop = loop_factory()
    loop.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del loop
        gc.collect()
    assert caught == []


def test_many_loops_come_and_go_without_leaving_descriptors(loop_factory):
    def come_and_go():
        loop = loop_factory()
        loop.add_signal_handler(signal.SIGUSR1, nothing)
        loop.call_soon_threadsafe(nothing)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    come_and_go()
    before = os.listdir("/dev/fd")
    for _ in range(50):
        come_and_go()
    assert os.listdir("/dev/fd") == before


def test_a_subclass_may_extend_close(loop):
    class Closing(type(loop)):
        closes = 0

        def close(self):
            self.closes += 1
            super().close()

    closing = Closing()
    closing.run_until_complete(asyncio.sleep(0))
    closing.close()
    assert closing.closes == 1
    assert closing.is_closed()
