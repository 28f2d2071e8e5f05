"""What the two lists of tests are made of (left_out.py, differences.py), and how names are matched.

A name is ``module``, ``module.Class`` or ``module.Class.test``, in which ``*`` stands for anything; it covers
whatever is below it. On every Python that an entry is meant for, it has to name a test that exists.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

Version = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """Tests by name, and why they are listed; ``since`` to ``until``: the Pythons that have them."""

    name: str
    reason: str
    since: Version = (3, 11)
    until: Version = (3, 99)

    def covers(self, test: str) -> bool:
        return fnmatchcase(test, self.name) or fnmatchcase(test, f"{self.name}.*")

    def is_for(self, python: Version = sys.version_info[:3]) -> bool:
        return self.since <= python and python[: len(self.until)] <= self.until


def entries(
    reason: str, *names: str, since: Version = (3, 11), until: Version = (3, 99)
) -> tuple[Entry, ...]:
    """Several entries with one reason."""
    return tuple(Entry(name, reason, since, until) for name in names)


def find(test: str, listed: Iterable[Entry]) -> Entry | None:
    """The entry that covers a test on this Python."""
    return next((entry for entry in listed if entry.is_for() and entry.covers(test)), None)


def without_a_test(listed: Iterable[Entry], tests: Sequence[str]) -> list[Entry]:
    """Entries meant for this Python that name no test it has."""
    return [entry for entry in listed if entry.is_for() and not any(map(entry.covers, tests))]
