"""What the two lists of tests are made of (left_out.py, differences.py), and how names are matched.

A name is ``module``, ``module.Class`` or ``module.Class.test``, in which ``*`` stands for anything; it covers
whatever is below it. The Pythons from ``since`` to ``until`` must have such a test; others may have it, too,
when CPython's developers have brought it to an older version.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

Version = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """Tests by name, and why they are listed; ``since`` and ``until`` are inclusive."""

    name: str
    reason: str
    since: Version = (3, 11)
    until: Version = (3, 99)

    def covers(self, test: str) -> bool:
        return fnmatchcase(test, self.name) or fnmatchcase(test, f"{self.name}.*")

    def must_exist(self, python: Version = sys.version_info[:3]) -> bool:
        return self.since <= python and python[: len(self.until)] <= self.until


def entries(
    reason: str, *names: str, since: Version = (3, 11), until: Version = (3, 99)
) -> tuple[Entry, ...]:
    """Several entries with one reason."""
    return tuple(Entry(name, reason, since, until) for name in names)


def find(test: str, listed: Iterable[Entry]) -> Entry | None:
    """The entry that covers a test."""
    return next((entry for entry in listed if entry.covers(test)), None)


def without_a_test(listed: Iterable[Entry], tests: Sequence[str]) -> list[Entry]:
    """Entries meant for this Python that name no test it has."""
    return [entry for entry in listed if entry.must_exist() and not any(map(entry.covers, tests))]
