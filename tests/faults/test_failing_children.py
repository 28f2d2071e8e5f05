"""A child process that cannot be watched."""

from __future__ import annotations

import asyncio
import errno
import os
import sys

import pytest

from support.descriptors import none_leaked


@pytest.mark.native_only  # asyncio leaves the child to itself
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="all asyncio's own from Python 3.14 on")
@pytest.mark.parametrize("failing", ["pidfd_open", "_add_reader"])
async def test_a_child_that_cannot_be_watched_is_ended_and_reaped(loop, monkeypatch, failing):
    first = await asyncio.create_subprocess_exec("true")  # whatever is made once
    await first.wait()
    pids = []
    real_pidfd_open = os.pidfd_open

    def fail(*_arguments):
        raise OSError(errno.ENOSPC, "no space left on device")

    def pidfd_open(pid):
        pids.append(pid)
        return real_pidfd_open(pid) if failing == "_add_reader" else fail()

    with none_leaked():
        with monkeypatch.context() as patched:
            patched.setattr(os, "pidfd_open", pidfd_open)
            if failing == "_add_reader":
                patched.setattr(loop, "_add_reader", fail)
            with pytest.raises(OSError, match="no space left"):
                await asyncio.create_subprocess_exec("sleep", "60")
        with pytest.raises(ChildProcessError):
            os.waitpid(pids[0], os.WNOHANG)
        await asyncio.sleep(0)


@pytest.mark.native_only  # asyncio has no descriptor for it, or leaves it open
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="all asyncio's own from Python 3.14 on")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_loop_that_is_closed_leaves_no_descriptor_of_a_child_that_lives_on(loop_factory):
    with none_leaked():
        loop = loop_factory()
        transport, _ = loop.run_until_complete(
            loop.subprocess_exec(
                asyncio.SubprocessProtocol, "sleep", "60", stdin=None, stdout=None, stderr=None
            )
        )
        loop.close()
        transport._proc.kill()
        transport._proc.wait()
        transport._closed = True
