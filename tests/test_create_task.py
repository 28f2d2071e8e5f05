"""create_task() does what asyncio's own does, whatever is patched, given or asked for."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import sys
import warnings
import weakref
from typing import Any

import pytest

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def answer(value: int = 42) -> int:
    return value


async def test_it_makes_a_task_of_this_loop(loop):
    task = loop.create_task(answer())
    assert type(task) is asyncio.Task
    assert task.get_loop() is loop
    assert task in asyncio.all_tasks()
    assert await task == 42


async def test_names(loop):
    assert loop.create_task(answer(), name="a name").get_name() == "a name"
    assert loop.create_task(answer(), name=None).get_name().startswith("Task-")
    assert loop.create_task(answer(), name=5).get_name() == "5"
    keyword = "".join(["na", "me"])  # not the interned one
    assert loop.create_task(answer(), **{keyword: "told"}).get_name() == "told"
    await asyncio.sleep(0)


async def test_context(loop):
    async def look() -> str:
        return VARIABLE.get()

    context = contextvars.copy_context()
    context.run(VARIABLE.set, "inner")
    assert await loop.create_task(look(), context=context, name="both") == "inner"
    assert await loop.create_task(look(), name="both", context=None) == "unset"
    assert await loop.create_task(look()) == "unset"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="new in Python 3.14")
async def test_eager_start(loop):
    task = loop.create_task(answer(), eager_start=True)
    assert task.done()
    assert not loop.create_task(answer(), eager_start=False, name="late").done()
    await asyncio.sleep(0)


def refused(loop: Any, *args: Any, **keywords: Any) -> str:
    with pytest.raises((TypeError, RuntimeError)) as caught:
        loop.create_task(*args, **keywords)
    return f"{caught.type.__name__}: {caught.value}".replace("BaseEventLoop.", "")


@pytest.mark.parametrize(
    ("args", "keywords"),
    [
        ((), {}),
        ((1,), {}),
        ((None,), {"name": "x"}),
        ((answer, 2), {}),
        ((1,), {"nonsense": 1}),
        ((), {"name": 1}),
    ],
    ids=str,
)
def test_what_is_refused(loop, args, keywords):
    spec = asyncio.SelectorEventLoop()
    try:
        assert refused(loop, *args, **keywords) == refused(spec, *args, **keywords)
    finally:
        spec.close()


def test_the_coroutine_may_be_named(loop):
    assert loop.run_until_complete(loop.create_task(coro=answer(1))) == 1


def test_closed(loop):
    loop.close()
    coroutine = answer()
    assert refused(loop, coroutine) == "RuntimeError: Event loop is closed"
    coroutine.close()


async def test_factory(loop):
    made: list[dict[str, Any]] = []

    def factory(loop: Any, coro: Any, **keywords: Any) -> asyncio.Task[Any]:
        made.append(keywords)
        return asyncio.Task(coro, loop=loop)

    assert loop.get_task_factory() is None
    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    assert await loop.create_task(answer(7)) == 7
    assert await asyncio.create_task(answer(8)) == 8
    context = contextvars.copy_context()
    assert await loop.create_task(answer(9), context=context) == 9
    assert len(made) == 3
    assert made[2]["context"] is context
    with pytest.raises(TypeError):
        loop.set_task_factory("nothing to call")
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None
    assert await loop.create_task(answer()) == 42
    assert len(made) == 3


def test_a_closed_loop_still_tells_its_factory(loop_factory):
    def factory(loop: Any, coro: Any, **keywords: Any) -> asyncio.Task[Any]:
        raise AssertionError

    loop = loop_factory()
    loop.set_task_factory(factory)
    loop.close()
    assert loop.get_task_factory() is factory


def test_a_factory_that_refers_to_its_loop_is_collected(loop_factory):
    class Factory:
        loop: Any

        def __call__(self, *_args: Any, **_keywords: Any) -> Any:
            raise AssertionError

    factory = Factory()
    factory.loop = loop_factory()
    factory.loop.set_task_factory(factory)
    token = weakref.ref(factory)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del factory
        gc.collect()
        gc.collect()
    assert token() is None


@pytest.mark.parametrize("where", [asyncio.BaseEventLoop, asyncio.SelectorEventLoop])
def test_what_replaces_asyncios_own_is_called(loop, monkeypatch, where):
    """As tracing tools do it."""
    assert loop.run_until_complete(loop.create_task(answer())) == 42
    seen: list[tuple[Any, Any]] = []
    original = asyncio.BaseEventLoop.create_task

    def wrapper(self: Any, coro: Any, **keywords: Any) -> asyncio.Task[Any]:
        seen.append((self, keywords))
        return original(self, coro, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(where, "create_task", wrapper)
        assert loop.run_until_complete(loop.create_task(answer(), name="traced")) == 42
        assert seen == [(loop, {"name": "traced"})]
    assert loop.run_until_complete(loop.create_task(answer())) == 42
    assert len(seen) == 1


def test_another_class_of_tasks_is_used(loop, monkeypatch):
    class OtherTask(asyncio.Task):  # type: ignore[type-arg]
        pass

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.tasks, "Task", OtherTask)
        task = loop.create_task(answer())
        assert type(task) is OtherTask
    assert loop.run_until_complete(task) == 42


def test_debug_mode_tells_where_it_was_made(loop):
    loop.set_debug(True)
    task = loop.create_task(answer())
    assert task._source_traceback[-1].name == "test_debug_mode_tells_where_it_was_made"
    assert loop.run_until_complete(task) == 42


def test_its_signature_is_asyncios(loop):
    ours = inspect.signature(loop.create_task)
    assert list(ours.parameters) == list(inspect.signature(asyncio.BaseEventLoop.create_task).parameters)[1:]
