"""Asynchronous generators: the hooks of a run, finalisation of dropped ones, and their shutdown."""

import asyncio
import gc
import sys
import threading

import pytest

from support.turns import run_once, run_turns


def make_generator(events, name="generator"):
    async def generator():
        try:
            while True:
                yield name
        finally:
            await asyncio.sleep(0)
            events.append(f"{name} closed")

    return generator()


async def step(generator):
    """A generator belongs to the loop that runs when it is first iterated."""
    return await anext(generator)


def test_the_hooks_are_set_during_a_run_and_restored_after_it(loop):
    before = sys.get_asyncgen_hooks()
    seen = []
    loop.call_soon(lambda: seen.append(sys.get_asyncgen_hooks()))
    run_once(loop)
    assert seen[0].firstiter is not None
    assert seen[0].finalizer is not None
    assert seen[0] != before
    assert sys.get_asyncgen_hooks() == before


def test_hooks_that_were_there_before_are_restored(loop):
    def firstiter(_generator):
        pass

    def finalizer(_generator):
        pass

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter, finalizer)
    try:
        run_once(loop)
        assert sys.get_asyncgen_hooks() == (firstiter, finalizer)
    finally:
        sys.set_asyncgen_hooks(*before)


def test_hooks_are_restored_after_a_run_that_raises(loop):
    before = sys.get_asyncgen_hooks()

    def leave():
        raise SystemExit

    loop.call_soon(leave)
    with pytest.raises(SystemExit):
        loop.run_forever()
    assert sys.get_asyncgen_hooks() == before


def test_shutdown_closes_generators_that_are_still_open(loop):
    events = []
    generators = [make_generator(events, name) for name in ("one", "two")]

    for generator in generators:
        loop.run_until_complete(step(generator))
    assert events == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert sorted(events) == ["one closed", "two closed"]


def test_shutdown_without_generators_is_harmless(loop):
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_asyncgens())


def test_a_dropped_generator_is_closed_by_the_loop(loop):
    events = []

    async def main():
        generator = make_generator(events)
        await anext(generator)
        del generator
        gc.collect()
        while not events:
            await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(main(), 20))
    assert events == ["generator closed"]


def test_a_loop_left_early_leaves_its_generator_to_the_loop(loop):
    events = []

    async def main():
        async for _item in make_generator(events):
            break
        while not events:
            await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(main(), 20))
    assert events == ["generator closed"]


def test_a_generator_dropped_in_another_thread_is_closed_in_the_loop(loop):
    closed_in = []

    async def generator():
        try:
            yield
        finally:
            closed_in.append((threading.get_ident(), asyncio.get_running_loop()))

    async def main():
        holder = [generator()]
        await anext(holder[0])
        await asyncio.to_thread(holder.clear)
        gc.collect()
        while not closed_in:
            await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(main(), 20))
    assert closed_in == [(threading.get_ident(), loop)]


def test_a_generator_dropped_between_two_runs_is_closed_in_the_next(loop):
    events = []
    holder = [make_generator(events)]

    loop.run_until_complete(step(holder[0]))
    holder.clear()
    gc.collect()
    assert events == []
    run_turns(loop, 4)
    assert events == ["generator closed"]


def test_a_generator_dropped_after_the_loop_was_closed_is_harmless(loop_factory):
    async def plain():
        yield 1
        yield 2

    loop = loop_factory()
    holder = [plain()]
    loop.run_until_complete(step(holder[0]))
    loop.close()
    holder.clear()
    gc.collect()


def test_an_error_while_closing_is_reported(loop, loop_errors):
    async def generator():
        try:
            yield
        finally:
            raise LookupError("while closing")

    opened = generator()
    loop.run_until_complete(step(opened))
    loop.run_until_complete(loop.shutdown_asyncgens())
    context = loop_errors.pop()
    assert context["message"] == f"an error occurred during closing of asynchronous generator {opened!r}"
    assert context["asyncgen"] is opened
    assert str(context["exception"]) == "while closing"


def test_a_generator_started_after_the_shutdown_warns(loop):
    async def generator():
        yield 1

    async def main():
        await loop.shutdown_asyncgens()
        late = generator()
        with pytest.warns(ResourceWarning) as caught:
            assert await anext(late) == 1
        await late.aclose()
        return [str(warning.message) for warning in caught], repr(late)

    texts, name = loop.run_until_complete(main())
    assert texts == [f"asynchronous generator {name} was scheduled after loop.shutdown_asyncgens() call"]
