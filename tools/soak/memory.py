"""What the process holds, measured so that two figures can be compared."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

MIB = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATM = Path("/proc/self/statm")


def resident() -> float:
    """MiB of memory in use; what is free is given back to the system first, so that it does not count."""
    for _ in range(3):  # What a finaliser lets go belongs to the next round.
        gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others have no such thing.
    if trim is not None:
        trim(0)
    return now()


def now() -> float:
    """MiB of memory in use, as it is."""
    return int(_STATM.read_text().split()[1]) * _PAGE / MIB


def native_objects() -> int:
    """How many objects of veloop's types there are."""
    return sum(type(each).__module__.partition(".")[0] == "veloop" for each in gc.get_objects())
