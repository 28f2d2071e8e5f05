"""What a burst of callbacks took goes back: at once when its loop is closed, soon when it is idle."""

import asyncio
import tracemalloc

import pytest

COUNT = 20_000
PER_HANDLE = 100  # bytes: less than any handle has


@pytest.fixture
def traced():
    """Bytes in use by Python, above those at the time of the first call."""
    tracemalloc.start()
    try:
        begin = tracemalloc.get_traced_memory()[0]
        yield lambda: tracemalloc.get_traced_memory()[0] - begin
    finally:
        tracemalloc.stop()


def burst(loop):
    for _ in range(COUNT):
        loop.call_soon(int)


async def when_idle(is_so):
    """Waits, without giving the loop anything else to do for a while at a time, until it is so."""
    for _ in range(20):
        if is_so():
            return
        await asyncio.sleep(0.3)


def test_an_idle_loop_gives_back_what_a_burst_took(loop, traced):
    async def main():
        burst(loop)
        most = traced()
        await asyncio.sleep(0)
        await when_idle(lambda: traced() < COUNT * PER_HANDLE / 10)
        return most

    most = loop.run_until_complete(main())
    assert most > COUNT * PER_HANDLE
    assert traced() < COUNT * PER_HANDLE / 10


def test_a_closed_loop_keeps_nothing_of_a_burst(loop_factory, traced):
    loop = loop_factory()
    burst(loop)
    most = traced()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    del loop
    assert most > COUNT * PER_HANDLE
    assert traced() < COUNT * PER_HANDLE / 10
