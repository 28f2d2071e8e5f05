"""Counting the descriptors of this process."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
from collections.abc import Iterator


def open_descriptors() -> set[int]:
    """The descriptors that are open now."""
    return {number for name in os.listdir("/proc/self/fd") if is_open(number := int(name))}


def is_open(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_GETFD)
    except OSError as exc:
        if exc.errno != errno.EBADF:
            raise
        return False
    return True


@contextlib.contextmanager
def none_leaked() -> Iterator[None]:
    """Fails if the body leaves descriptors open, or closes some that it did not open."""
    gc.collect()
    before = open_descriptors()
    yield
    gc.collect()
    after = open_descriptors()
    assert after == before, f"opened and left open: {after - before}, closed: {before - after}"


def is_blocking(descriptor: int) -> bool:
    return os.get_blocking(descriptor)
