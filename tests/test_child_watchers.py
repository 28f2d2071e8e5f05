"""Who reaps children before Python 3.14: descriptors of processes, unless somebody chose a watcher."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import warnings

import pytest

pytestmark = [
    pytest.mark.timeout(30),
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="there are no child watchers any more"),
]


async def run_true() -> int:
    process = await asyncio.create_subprocess_exec("true")
    return await process.wait()


@pytest.fixture
def policy():
    """A fresh default policy, which is in force."""
    before = asyncio.get_event_loop_policy()
    policy = asyncio.DefaultEventLoopPolicy()
    asyncio.set_event_loop_policy(policy)
    yield policy
    asyncio.set_event_loop_policy(before)


def counting(base):
    """A watcher that counts, made without the warning for deriving from one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)

        class Counting(base):
            count = 0

            def add_child_handler(self, pid, callback, *args):
                self.count += 1
                super().add_child_handler(pid, callback, *args)

        return Counting()


def test_a_watcher_that_was_set_is_used(policy, loop_factory):
    watcher = counting(asyncio.ThreadedChildWatcher)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy.set_child_watcher(watcher)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(run_true()) == 0
    assert watcher.count == 1


def test_a_policy_with_a_watcher_of_its_own_is_asked(policy, loop_factory):
    watcher = counting(asyncio.ThreadedChildWatcher)

    class Policy(asyncio.DefaultEventLoopPolicy):
        def get_child_watcher(self):
            return watcher

    asyncio.set_event_loop_policy(Policy())
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(run_true()) == 0
    assert watcher.count == 1


@pytest.mark.native_only
@pytest.mark.parametrize("asked", [False, True])
def test_no_thread_watches_a_child(policy, loop_factory, asked):
    """Neither without a watcher nor with the one that asyncio makes when somebody asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if asked:
            policy.get_child_watcher()

    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
        threads = threading.active_count()
        process.stdin.close()
        await process.wait()
        return threads

    before = threading.active_count()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == before


@pytest.mark.native_only
def test_nothing_is_deprecated(policy, loop_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            assert runner.run(run_true()) == 0
    assert policy._watcher is None
