"""Every test that names a loop runs twice: on veloop, and on asyncio's own loop as the specification.

``async def`` tests, and tests that ask for ``loop_factory`` or ``loop``, are parametrised over both loops.
A test fails when its loop reported an error that the test did not take from ``loop_errors``: nothing goes
unnoticed into a log.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support import leftovers

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def _veloop_factory() -> asyncio.AbstractEventLoop:
    import veloop

    return veloop.new_event_loop()


LOOP_FACTORIES: dict[str, LoopFactory] = {
    "veloop": _veloop_factory,
    "asyncio": asyncio.SelectorEventLoop,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    wanted = os.environ.get("VELOOP_TEST_LOOPS", "veloop,asyncio").split(",")
    if metafunc.definition.get_closest_marker("native_only"):
        wanted = [name for name in wanted if name == "veloop"]
    if "loop_factory" in metafunc.fixturenames:
        metafunc.parametrize("loop_factory", wanted, indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """pytest would keep a test's fixtures until the file is done with: then they count as left behind."""
    if isinstance(item, pytest.Function):
        item.addfinalizer(lambda: _forget_fixtures(item))


def _forget_fixtures(item: pytest.Function) -> None:
    if "caplog" in item.funcargs:  # A record's exception has a traceback, which refers to the loop.
        for phase in ("setup", "call"):
            item.funcargs["caplog"].get_records(phase).clear()
    item.funcargs.clear()


@pytest.fixture(scope="session")
def waited_once() -> None:
    """libuv opens two descriptors for the whole process when the first loop waits."""
    loop = _veloop_factory()
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()


@pytest.fixture(scope="module", autouse=True)
def nothing_left(request: pytest.FixtureRequest, waited_once: None) -> Iterator[None]:
    """Each test ends with a garbage collection; what was there before its file began is kept out of it."""
    with leftovers.nothing_left(request.session):
        yield


def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> None:
    """An ``async def`` test uses the ``loop`` fixture without naming it."""
    if collector.istestfunction(obj, name) and inspect.iscoroutinefunction(obj):
        pytest.mark.usefixtures("loop")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    loop = pyfuncitem.funcargs["loop"]
    loop.run_until_complete(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """Makes a new event loop of the kind under test."""
    return LOOP_FACTORIES[request.param]


@pytest.fixture
def on_veloop(request: pytest.FixtureRequest) -> bool:
    """Whether the loop under test is veloop (for the rare expectation that differs)."""
    return bool(request.node.callspec.params.get("loop_factory") == "veloop")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A plain socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def loop_errors() -> list[dict[str, Any]]:
    """Contexts given to the loop's exception handler; a test takes what it expects out of the list."""
    return []


@pytest.fixture
def loop(loop_factory: LoopFactory, loop_errors: list[dict[str, Any]]) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop of the kind under test, cleaned up and closed as ``asyncio.Runner`` does it."""
    loop = loop_factory()
    loop.set_exception_handler(lambda _loop, context: loop_errors.append(context))
    asyncio.set_event_loop(loop)
    # A loop opens what wakes it when it first waits: tests that count descriptors want it open.
    loop.run_until_complete(asyncio.sleep(0.0001))
    try:
        yield loop
        _cancel_all_tasks(loop)
        if not loop.is_closed():
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    gc.collect()
    assert not loop_errors, f"the loop reported errors that the test did not expect: {loop_errors}"


def _cancel_all_tasks(loop: asyncio.AbstractEventLoop) -> None:
    if loop.is_closed():
        return
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
