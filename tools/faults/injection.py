"""The library that makes system calls fail (``inject.c``): compiled on demand, and called from Python.

Only a process that was started with ``environment()`` has it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("inject.c")
BUILD = Path(__file__).parents[2] / "build" / "faults"

# In the order of the enumeration in inject.c.
FUNCTIONS = """
    socket socketpair accept pipe epoll_create eventfd timerfd open dup pidfd_open
    connect bind listen recv send read write sendfile shutdown close fcntl
    getsockopt setsockopt getsockname getpeername epoll_add epoll_ctl epoll_wait fork waitpid
""".split()  # noqa: SIM905
SECOND = 512  # Added to the kind of the second descriptor of a pair.
OF_THE_LOOP = 1024  # Added to the kind of what a loop makes for itself.
MOST_CALLS = 8192

# What each function is made to fail with: what Linux can say there.
ERRORS = {
    "socket": "EMFILE ENFILE ENOBUFS ENOMEM",
    "socketpair": "EMFILE ENFILE ENOMEM",
    "accept": "EMFILE ENFILE ENOBUFS ENOMEM ECONNABORTED EINTR EAGAIN EPROTO EPERM",
    "pipe": "EMFILE ENFILE",
    "epoll_create": "EMFILE ENFILE ENOMEM",
    "eventfd": "EMFILE ENFILE ENOMEM",
    "timerfd": "EMFILE ENFILE ENOMEM",
    "open": "EMFILE ENFILE ENOMEM EINTR",
    "dup": "EMFILE",
    "pidfd_open": "EMFILE ENFILE ENOMEM ENOSYS",
    "connect": "ECONNREFUSED ETIMEDOUT ENETUNREACH EADDRNOTAVAIL EINTR",
    "bind": "EADDRINUSE EACCES ENOMEM",
    "listen": "EADDRINUSE",
    "recv": "ECONNRESET ETIMEDOUT EINTR EAGAIN ENOMEM EBADF",
    "send": "ECONNRESET EPIPE EINTR EAGAIN ENOBUFS ENOMEM EBADF",
    "read": "EIO EINTR EAGAIN EBADF",
    "write": "EIO EPIPE ENOSPC EINTR EAGAIN EBADF",
    "sendfile": "EIO EPIPE EINTR EAGAIN ENOSYS EINVAL ENOMEM",
    "shutdown": "ENOTCONN",
    "close": "EIO EINTR",
    "fcntl": "EINVAL EBADF",
    "getsockopt": "ENOBUFS EINVAL",
    "setsockopt": "ENOMEM EINVAL",
    "getsockname": "ENOBUFS EINVAL",
    "getpeername": "ENOTCONN ENOBUFS",
    "epoll_add": "ENOMEM ENOSPC",
    "epoll_ctl": "",
    "epoll_wait": "EINTR",
    "fork": "EAGAIN ENOMEM",
    "waitpid": "ECHILD",
}


class Missing(Exception):
    """The library cannot be made or used here; the argument says why."""


@dataclass(frozen=True)
class Call:
    """One system call of a program."""

    function: str
    kind: int
    which: int
    nth: int
    error: int = 0

    @property
    def target(self) -> str:
        """What it was made on, in words that are the same on every loop."""
        return name_of(self.kind, self.which)

    def __str__(self) -> str:
        number = f" (call {self.nth})" if self.nth > 1 else ""
        return f"{self.function}({self.target}){number}"


def name_of(kind: int, which: int) -> str:
    """A descriptor's name."""
    if kind >= OF_THE_LOOP:
        return f"the loop's {name_of(kind - OF_THE_LOOP, which)}"
    if which == 0:
        return ""
    function = FUNCTIONS[kind % 32]
    if kind >= SECOND:
        return f"{function} {which}, second end"
    family = kind // 32 - 1
    return f"{socket.AddressFamily(family).name if family >= 0 else function} {which}"


class _CallRecord(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("function", "kind", "which", "nth", "error", "injected")]


def library() -> Path:
    """The compiled library. Raises Missing."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not sysconfig.get_platform().startswith("linux") or compiler is None:
        raise Missing("it takes Linux and a C compiler")
    BUILD.mkdir(parents=True, exist_ok=True)
    made = BUILD / "inject.so"
    if not made.exists() or made.stat().st_mtime < SOURCE.stat().st_mtime:
        with tempfile.TemporaryDirectory(dir=BUILD) as folder:
            fresh = Path(folder) / "inject.so"
            command = [
                compiler,
                "-shared",
                "-fPIC",
                "-O2",
                "-Wall",
                "-Wextra",
                "-o",
                str(fresh),
                str(SOURCE),
                "-ldl",
            ]
            subprocess.run(command, check=True)
            fresh.replace(made)
    return made


def environment() -> dict[str, str]:
    """Variables for a process that has the library. Raises Missing."""
    if os.environ.get("LD_PRELOAD"):
        raise Missing(f"LD_PRELOAD is taken: {os.environ['LD_PRELOAD']}")
    return dict(os.environ, LD_PRELOAD=str(library()))


class Injector:
    """The library, in a process that has it."""

    def __init__(self) -> None:
        self._functions = ctypes.CDLL(os.environ["LD_PRELOAD"])

    def prepare(self) -> None:
        """From now on descriptors have names."""
        self._functions.faults_prepare()

    def begin(self, call: Call | None, error: str) -> None:
        """From now on calls are written down; the one given fails."""
        if call is None:
            self._functions.faults_begin(-1, 0, 0, 0, 0)
        else:
            number = getattr(errno, error)
            function = FUNCTIONS.index(call.function)
            self._functions.faults_begin(function, call.kind, call.which, call.nth, number)

    def loop_made(self) -> None:
        """The loop is made: what comes now is the program's."""
        self._functions.faults_loop_made()

    def end(self) -> None:
        self._functions.faults_end()

    def calls(self) -> tuple[list[Call], bool]:
        """The calls that were written down, and whether one of them was made to fail."""
        records = (_CallRecord * MOST_CALLS)()
        count = self._functions.faults_calls(records, MOST_CALLS)
        calls = [
            Call(FUNCTIONS[one.function], one.kind, one.which, one.nth, one.error) for one in records[:count]
        ]
        return calls, any(one.injected for one in records[:count])

    def name_of(self, descriptor: int) -> str:
        """What an open descriptor is."""
        return name_of(self._functions.faults_kind(descriptor), self._functions.faults_which(descriptor))
