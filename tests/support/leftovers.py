"""What a test file leaves behind: native objects, descriptors, threads and child processes, counted.

``nothing_left`` surrounds each file. The garbage collector is frozen where the file begins, so that what it
tracks at the end was made by the file; the native objects among that are named. What the whole run keeps, a
server for instance, is started inside ``kept_for_the_run()``.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

PATIENCE = 20  # seconds for threads that are ending, and for what other processes have to let go of


@dataclass
class Belongings:
    """What a process has, besides memory."""

    descriptors: dict[int, str] = field(default_factory=dict)
    threads: set[threading.Thread] = field(default_factory=set)
    children: dict[int, str] = field(default_factory=dict)


_kept = Belongings()


def now() -> Belongings:
    return Belongings(dict(_descriptors()), set(threading.enumerate()), dict(_children()))


@contextmanager
def kept_for_the_run() -> Iterator[None]:
    """What is there at the end of the block, and was not before, counts as nobody's leftover."""
    before = now()
    yield
    after = now()
    _kept.descriptors |= after.descriptors.items() - before.descriptors.items()
    _kept.threads |= after.threads - before.threads
    _kept.children |= after.children.items() - before.children.items()


@contextmanager
def nothing_left(session: pytest.Session) -> Iterator[None]:
    """Fails if the block leaves something behind; one in which a test failed may (a traceback holds much)."""
    gc.collect()
    gc.freeze()
    before, failures = now(), session.testsfailed
    yield
    if session.testsfailed > failures:
        return
    deadline = time.monotonic() + PATIENCE
    while (left := _left_since(before)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, "this file leaves behind: " + "; ".join(left)


def _left_since(before: Belongings) -> list[str]:
    gc.collect()
    after = now()
    left = [f"{count} {name}" for name, count in sorted(native_objects().items())]
    for what, new, old, kept in (
        ("descriptor", after.descriptors, before.descriptors, _kept.descriptors),
        ("child process", after.children, before.children, _kept.children),
    ):
        left += [f"{what} {key} ({new[key]})" for key in new.keys() - old.keys() - kept.keys()]
    left += [f"thread {thread.name}" for thread in after.threads - before.threads - _kept.threads]
    return left


def native_objects() -> Counter[str]:
    """How many objects of each type of veloop the collector tracks, without what is frozen."""
    kinds = (type(each) for each in gc.get_objects())
    return Counter(kind.__qualname__ for kind in kinds if kind.__module__.partition(".")[0] == "veloop")


def _descriptors() -> Iterator[tuple[int, str]]:
    for name in os.listdir("/dev/fd"):
        try:
            yield int(name), os.readlink(f"/dev/fd/{name}")
        except OSError:  # The one that listed the folder; on macOS none can be read.
            continue


def _children() -> Iterator[tuple[int, str]]:
    """Children of this process, dead ones too; none where there is no /proc."""
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as stat:
                _, _, rest = stat.read().rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                with open(f"/proc/{name}/cmdline") as command:
                    yield int(name), command.read().replace("\0", " ")[:200].strip()
        except OSError:  # It has ended meanwhile.
            continue
