"""The package's front door: loops, the policy, install, run, and what importing it does (and does not do)."""

import asyncio
import importlib.metadata
import subprocess
import sys
import threading
import tomllib
import warnings
from pathlib import Path

import pytest

pytestmark = pytest.mark.native_only

PROJECT_FILE = Path(__file__).parents[1] / "pyproject.toml"
needs_policies = pytest.mark.skipif(sys.version_info >= (3, 16), reason="policies are gone in Python 3.16")


@pytest.fixture(autouse=True)
def veloop(loop_factory):
    import veloop

    return veloop


@pytest.fixture
def policy_is_restored():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
        asyncio.set_event_loop_policy(None)


def current_policy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return asyncio.get_event_loop_policy()


async def running_loop():
    return asyncio.get_running_loop()


def python(source, *options):
    """Run a line of Python in a child: its exit status, its output with its error output."""
    command = [sys.executable, *options, "-c", source]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return result.returncode, result.stdout + result.stderr


def test_new_event_loop_makes_a_loop(veloop):
    loop = veloop.new_event_loop()
    assert type(loop) is veloop.EventLoop
    assert isinstance(loop, asyncio.SelectorEventLoop)
    assert repr(loop).startswith("<EventLoop running=False closed=False debug=")
    loop.close()


def test_the_class_can_be_instantiated_and_subclassed(veloop):
    class Loop(veloop.EventLoop):
        def __init__(self, extra):
            super().__init__()
            self.extra = extra

    loop = Loop("extra")
    assert loop.run_until_complete(running_loop()) is loop
    assert loop.extra == "extra"
    loop.close()


def test_the_version_is_that_of_the_distribution(veloop):
    try:
        expected = importlib.metadata.version("veloop")
    except importlib.metadata.PackageNotFoundError:  # imported from a build directory
        expected = tomllib.loads(PROJECT_FILE.read_text())["project"]["version"]
    assert veloop.__version__ == expected


def test_public_names_are_listed_and_exist(veloop):
    names = {"EventLoop", "EventLoopPolicy", "install", "new_event_loop", "run"}
    assert names <= set(veloop.__all__)
    for name in veloop.__all__:
        assert getattr(veloop, name) is not None


def test_importing_changes_nothing_and_warns_of_nothing():
    source = """
import asyncio, sys
before = sys.get_asyncgen_hooks()
import veloop
assert sys.get_asyncgen_hooks() == before
loop = asyncio.Runner().get_loop()
assert type(loop) is not veloop.EventLoop
loop.close()
"""
    assert python(source, "-W", "error") == (0, "")


def test_using_it_warns_of_nothing():
    source = """
import asyncio, veloop
async def main():
    await asyncio.sleep(0)
veloop.run(main())
asyncio.Runner(loop_factory=veloop.new_event_loop).run(main())
"""
    assert python(source, "-W", "error::DeprecationWarning") == (0, "")


@needs_policies
def test_the_policy_itself_warns_of_nothing():
    source = "import veloop; veloop.EventLoopPolicy(); veloop.install()"
    assert python(source, "-W", "error") == (0, "")


@needs_policies
def test_the_policy_makes_loops_and_keeps_one_per_thread(veloop):
    policy = veloop.EventLoopPolicy()
    loop = policy.new_event_loop()
    assert type(loop) is veloop.EventLoop
    policy.set_event_loop(loop)
    assert policy.get_event_loop() is loop
    errors = []

    def other():
        with pytest.raises(RuntimeError) as info:
            policy.get_event_loop()
        errors.append(str(info.value))

    thread = threading.Thread(target=other, name="other")
    thread.start()
    thread.join()
    assert errors == ["There is no current event loop in thread 'other'."]
    policy.set_event_loop(None)
    loop.close()


@needs_policies
def test_the_policy_derives_from_asyncios(veloop):
    from asyncio.unix_events import _UnixDefaultEventLoopPolicy

    assert issubclass(veloop.EventLoopPolicy, _UnixDefaultEventLoopPolicy)


@needs_policies
def test_a_policy_that_is_set_makes_asyncio_use_the_loop(veloop, policy_is_restored):
    asyncio.set_event_loop_policy(veloop.EventLoopPolicy())
    assert type(asyncio.run(running_loop())) is veloop.EventLoop
    loop = asyncio.new_event_loop()
    assert type(loop) is veloop.EventLoop
    loop.close()
    with asyncio.Runner() as runner:
        assert type(runner.get_loop()) is veloop.EventLoop


@needs_policies
def test_install_sets_the_policy(veloop, policy_is_restored):
    assert veloop.install() is None
    assert isinstance(current_policy(), veloop.EventLoopPolicy)
    assert type(asyncio.run(running_loop())) is veloop.EventLoop
    veloop.install()
    assert type(asyncio.run(running_loop())) is veloop.EventLoop


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="child watchers are gone in Python 3.14")
def test_processes_can_be_started_under_the_policy(veloop, policy_is_restored):
    async def main():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('from the child')", stdout=-1
        )
        output, _ = await process.communicate()
        return process.returncode, output

    veloop.install()
    assert asyncio.run(main()) == (0, b"from the child\n")


# run


def test_run_returns_the_result_and_closes_the_loop(veloop):
    loop = veloop.run(running_loop())
    assert type(loop) is veloop.EventLoop
    assert loop.is_closed()


def test_run_leaves_the_policy_alone(veloop):
    before = current_policy()
    veloop.run(running_loop())
    assert current_policy() is before


@pytest.mark.parametrize("debug", [False, True])
def test_run_takes_debug(veloop, debug):
    async def main():
        return asyncio.get_running_loop().get_debug()

    assert veloop.run(main(), debug=debug) is debug


def test_run_raises_the_exception(veloop):
    async def main():
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        veloop.run(main())


@pytest.mark.parametrize("value", [42, None, running_loop], ids=repr)
def test_run_refuses_what_asyncio_run_refuses(veloop, value):
    with pytest.raises((TypeError, ValueError)) as expected:
        asyncio.run(value)
    with pytest.raises(type(expected.value)) as info:
        veloop.run(value)
    assert str(info.value) == str(expected.value)


def test_run_refuses_to_run_inside_a_running_loop(veloop):
    async def main(run):
        coroutine = running_loop()
        with pytest.raises(RuntimeError) as info:
            run(coroutine)
        coroutine.close()
        return str(info.value)

    expected = asyncio.run(main(asyncio.run))
    assert expected.endswith("cannot be called from a running event loop")
    text = veloop.run(main(veloop.run))
    assert text.endswith("cannot be called from a running event loop")


def test_a_runner_takes_the_loop_factory(veloop):
    with asyncio.Runner(loop_factory=veloop.new_event_loop) as runner:
        assert type(runner.run(running_loop())) is veloop.EventLoop
    with asyncio.Runner(loop_factory=veloop.EventLoop) as runner:
        assert type(runner.run(running_loop())) is veloop.EventLoop


def test_run_cancels_tasks_that_are_left(veloop):
    events = []

    async def background():
        try:
            await asyncio.sleep(3600)
        finally:
            events.append("cancelled")

    async def main():
        tasks.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    tasks = []
    veloop.run(main())
    assert events == ["cancelled"]
