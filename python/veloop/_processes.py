"""Subprocesses: asyncio's own plumbing, with real pipes and children reaped by pidfd on every version.

From Python 3.14 on asyncio does just that, and everything here is inherited. Before, a policy decides how
children are watched: a watcher that somebody set there, or a policy that brings its own, is respected; but
the default (a thread per child on 3.11) is not used where the kernel offers process descriptors.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from asyncio import base_subprocess, unix_events
from asyncio.log import logger
from functools import cache

from ._hooks import Hooks

TYPE_CHECKING = False  # importing typing takes a tenth of a program's start
if TYPE_CHECKING:
    from typing import Any


class SubprocessTransport(base_subprocess.BaseSubprocessTransport):
    """asyncio's, with a pipe for stdin (early 3.11 uses a socket pair, which children can tell)."""

    def _start(
        self, args: Any, shell: bool, stdin: Any, stdout: Any, stderr: Any, bufsize: int, **kwargs: Any
    ) -> None:
        self._proc = subprocess.Popen(
            args, shell=shell, stdin=stdin, stdout=stdout, stderr=stderr, bufsize=bufsize, **kwargs
        )


DEFAULT_WATCHER = getattr(
    unix_events, "ThreadedChildWatcher" if sys.version_info < (3, 12) else "PidfdChildWatcher", None
)


@cache
def has_pidfd() -> bool:
    """Whether the kernel, and whatever guards it, lets us watch processes by descriptor."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def somebody_chose_a_watcher() -> bool:
    """Whether the policy has a child watcher that asyncio would not have made by itself."""
    default = asyncio.DefaultEventLoopPolicy
    policy = asyncio.get_event_loop_policy()
    if not isinstance(policy, default) or type(policy).get_child_watcher is not default.get_child_watcher:
        return True
    # Looked at, not asked for: asking makes the default one, and warns.
    watcher = policy._watcher  # type: ignore[attr-defined]
    return watcher is not None and type(watcher) is not DEFAULT_WATCHER


class Processes(Hooks):
    """The subprocess hooks of the loop."""

    if sys.version_info < (3, 14):

        def __init__(self, *arguments: Any) -> None:
            self._pidfds: set[int] = set()  # of the children that are watched
            super().__init__(*arguments)

        async def _make_subprocess_transport(
            self,
            protocol: Any,
            args: Any,
            shell: bool,
            stdin: Any,
            stdout: Any,
            stderr: Any,
            bufsize: int,
            extra: Any = None,
            **kwargs: Any,
        ) -> Any:
            if somebody_chose_a_watcher() or not has_pidfd():
                return await super()._make_subprocess_transport(  # type: ignore[misc]
                    protocol, args, shell, stdin, stdout, stderr, bufsize, extra, **kwargs
                )
            waiter = self.create_future()
            transport: Any = SubprocessTransport(
                self, protocol, args, shell, stdin, stdout, stderr, bufsize, waiter, extra, **kwargs
            )
            try:
                self._watch_child(transport)
            except BaseException:
                # Nobody would hear of the child's end: it ends now.
                transport.close()
                transport._proc.wait()
                raise
            try:
                await waiter
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException:
                transport.close()
                await transport._wait()
                raise
            return transport

        def _watch_child(self, transport: Any) -> None:
            pid = transport.get_pid()
            pidfd = os.pidfd_open(pid)
            try:
                self._add_reader(pidfd, self._reap, pid, pidfd, transport)  # type: ignore[attr-defined]
            except BaseException:
                os.close(pidfd)
                raise
            self._pidfds.add(pidfd)

        def _reap(self, pid: int, pidfd: int, transport: Any) -> None:
            self._remove_reader(pidfd)  # type: ignore[attr-defined]
            self._pidfds.discard(pidfd)
            try:
                returncode = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            except ChildProcessError:
                returncode = 255  # As asyncio: somebody else waited for it.
                logger.warning(
                    "child process pid %d exit status already read:  will report returncode 255", pid
                )
            self.call_soon_threadsafe(transport._process_exited, returncode)  # A turn later, as asyncio.
            os.close(pidfd)

        def close(self) -> None:
            super().close()
            while self._pidfds:  # of children that live on
                os.close(self._pidfds.pop())
