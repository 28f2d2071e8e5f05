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

from support.turns import run_once

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
eager_tasks = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")


async def answer(value: int = 42) -> int:
    return value


async def test_it_makes_a_task_of_this_loop(loop):
    task = loop.create_task(answer())
    assert type(task) is asyncio.Task
    assert task.get_loop() is loop
    assert task in asyncio.all_tasks()
    assert not task.done()
    assert await task == 42


async def test_names(loop):
    assert loop.create_task(answer(), name="a name").get_name() == "a name"
    assert loop.create_task(answer(), name=None).get_name().startswith("Task-")
    assert loop.create_task(answer()).get_name().startswith("Task-")
    assert loop.create_task(answer(), name=5).get_name() == "5"
    keyword = "".join(["na", "me"])  # not the interned one
    assert loop.create_task(answer(), **{keyword: "told"}).get_name() == "told"
    await asyncio.sleep(0)


async def test_context(loop):
    async def look() -> str:
        seen = VARIABLE.get()
        VARIABLE.set("child")
        return seen

    context = contextvars.copy_context()
    context.run(VARIABLE.set, "inner")
    assert await loop.create_task(look(), context=context, name="both") == "inner"
    assert context[VARIABLE] == "child"
    assert await loop.create_task(look(), name="both", context=None) == "unset"
    assert await loop.create_task(look()) == "unset"
    assert VARIABLE.get() == "unset"


@pytest.mark.skipif(sys.version_info < (3, 14), reason="eager_start is new in Python 3.14")
async def test_an_eager_start_runs_the_first_step_at_once(loop):
    events = []

    async def child():
        events.append("started")
        await asyncio.sleep(0)
        events.append("finished")

    assert loop.create_task(answer(), eager_start=True).done()
    task = loop.create_task(child(), eager_start=True, name="eager")
    assert events == ["started"]
    assert task.get_name() == "eager"
    lazy = loop.create_task(child(), eager_start=False, name="late")
    assert events == ["started"]
    assert not lazy.done()
    await asyncio.gather(task, lazy)
    assert events.count("finished") == 2


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


@pytest.mark.parametrize("value", [None, 42, answer, "text"], ids=repr)
def test_only_coroutines_become_tasks(loop, value):
    with pytest.raises(TypeError, match=r"^a coroutine was expected, got "):
        loop.create_task(value)
    run_once(loop)


def test_unknown_keywords_of_create_task_are_refused(loop):
    coroutine = answer()
    with pytest.raises(TypeError, match="unknown"):
        loop.create_task(coroutine, unknown=1)
    coroutine.close()


def test_the_coroutine_may_be_named(loop):
    assert loop.run_until_complete(loop.create_task(coro=answer(1))) == 1


def test_closed(loop):
    loop.close()
    coroutine = answer()
    assert refused(loop, coroutine) == "RuntimeError: Event loop is closed"
    coroutine.close()


async def test_a_task_factory_is_asked_until_it_is_taken_away(loop):
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
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None
    assert await loop.create_task(answer()) == 42
    assert len(made) == 3


@pytest.mark.parametrize("factory", [42, "text", ()], ids=repr)
def test_a_task_factory_that_is_not_callable_is_refused(loop, factory):
    with pytest.raises(TypeError, match=r"^task factory must be a callable or None$"):
        loop.set_task_factory(factory)


def test_a_task_factory_makes_the_tasks(loop):
    class Task(asyncio.Task):
        pass

    def factory(loop, coro, **kwargs):
        return Task(coro, loop=loop, **kwargs)

    async def main():
        task = asyncio.create_task(answer(), name="mine")
        assert type(task) is Task
        assert task.get_name() == "mine"
        context = contextvars.copy_context()
        assert type(asyncio.create_task(answer(), context=context)) is Task
        return type(asyncio.current_task())

    loop.set_task_factory(factory)
    assert loop.run_until_complete(main()) is Task


@eager_tasks
def test_eager_tasks_run_at_once_until_they_block(loop):
    events = []

    async def child(name, block):
        events.append(f"{name} started")
        if block:
            await asyncio.sleep(0)
        events.append(f"{name} finished")

    async def main():
        done = asyncio.create_task(child("quick", False), name="quick")
        events.append("created")
        blocked = asyncio.create_task(child("slow", True), name="slow")
        assert (done.done(), blocked.done()) == (True, False)
        assert asyncio.current_task() not in (done, blocked)
        await blocked

    loop.set_task_factory(asyncio.eager_task_factory)
    loop.run_until_complete(main())
    assert events == ["quick started", "quick finished", "created", "slow started", "slow finished"]


@eager_tasks
def test_an_eager_task_that_fails_at_once_raises_when_awaited(loop):
    async def fail():
        raise LookupError

    async def main():
        task = asyncio.create_task(fail())
        assert task.done()
        with pytest.raises(LookupError):
            await task

    loop.set_task_factory(asyncio.eager_task_factory)
    loop.run_until_complete(main())


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
