"""run_in_executor() when a part of what it stands for was replaced: after the first call, or before it."""

import asyncio
import concurrent.futures
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.programs import LONG


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.mark.parametrize("where", [asyncio.BaseEventLoop, asyncio.SelectorEventLoop])
async def test_a_replaced_run_in_executor_is_called(loop, pool, monkeypatch, where):
    """As tracing tools do it."""
    loop.set_default_executor(pool)
    original, calls = asyncio.BaseEventLoop.run_in_executor, []

    def wrapper(self, executor, function, *args):
        calls.append(executor)
        return original(self, executor, function, *args)

    for replaced in (False, True, False):
        with monkeypatch.context() as patch:
            if replaced:
                patch.setattr(where, "run_in_executor", wrapper)
            for executor in (None, pool, None):
                assert await loop.run_in_executor(executor, int, "7") == 7
        assert calls == ([None, pool, None] if replaced else [])
        calls.clear()


@pytest.mark.parametrize("name", ["wrap_future", "_chain_future"])
async def test_what_makes_the_loops_future_may_be_replaced(loop, pool, monkeypatch, name):
    original, calls = getattr(asyncio.futures, name), []

    def wrapper(future, *args, **options):
        calls.append(type(future))
        return original(future, *args, **options)

    for replaced in (False, True, False):
        with monkeypatch.context() as patch:
            if replaced:
                patch.setattr(asyncio.futures, name, wrapper)
            assert await loop.run_in_executor(pool, int, "7") == 7
        assert calls == ([concurrent.futures.Future] if replaced else [])
        calls.clear()


# What somebody did before veloop came, or before the first call.
PATCHES = {
    "submit": """if True:
        owner, name = thread.ThreadPoolExecutor, "submit"
        def wrapper(self, function, /, *args, **kwargs):
            calls.append(function)
            return original(self, function, *args, **kwargs)
    """,
    "run of an item": """if True:
        owner, name = thread._WorkItem, "run"
        def wrapper(self, *context):
            calls.append(int)
            return original(self, *context)
    """,
    "class of items": """if True:
        owner, name = thread, "_WorkItem"
        class wrapper(thread._WorkItem):
            def __init__(self, *args):
                calls.append(int)
                super().__init__(*args)
    """,
    "run_in_executor": """if True:
        owner, name = asyncio.BaseEventLoop, "run_in_executor"
        def wrapper(self, executor, function, *args):
            calls.append(function)
            return original(self, executor, function, *args)
    """,
    "wrap_future": """if True:
        owner, name = asyncio.futures, "wrap_future"
        def wrapper(future, **options):
            calls.append(int)
            return original(future, **options)
    """,
}


@pytest.mark.native_only
@pytest.mark.usefixtures("loop_factory")
@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("order", ["before the import", "before the first call"])
def test_what_was_replaced_before_is_called(patch, order):
    program = f"""if True:
        import asyncio, sys
        from concurrent.futures import thread
        calls = []
        if {order == "before the first call"}:
            import veloop
        exec({PATCHES[patch]!r})
        original = getattr(owner, name)
        setattr(owner, name, wrapper)
        import veloop
        async def main():
            loop = asyncio.get_running_loop()
            return [await loop.run_in_executor(None, int, text) for text in "123"]
        print(veloop.run(main()), calls == [int] * 3)
    """
    # Not run_program(): that imports veloop first.
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=LONG
    )
    assert done.stdout.split() == ["[1,", "2,", "3]", "True"]
