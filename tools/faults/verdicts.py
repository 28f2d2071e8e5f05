"""What to think of a case: veloop's outcome, beside asyncio's."""

from __future__ import annotations

import enum
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tools.faults.cases import Case
from tools.faults.run import Outcome

# Where veloop does something else than asyncio with an error, knowingly: function, object, and why.
EXPECTED = (
    (
        "epoll_add",
        r"AF_|accept|socketpair",
        "asyncio reports it and leaves the connection deaf; veloop ends the connection with this error",
    ),
    (
        "getsockname",
        r"accept",
        "asyncio's first such call checks a number that it knows; veloop's tells a TLS connection what it is",
    ),
)


class Verdict(enum.Enum):
    """Everything but the first two is wrong."""

    AS_ASYNCIO = "as asyncio"
    CLEAN = "clean"
    DIFFERENT = "different"
    CRASH = "crashes"
    HANG = "hangs"
    LEAK = "leaks"
    CLOSED_TWICE = "closed twice"
    STALE_USE = "stale uses"

    @property
    def is_good(self) -> bool:
        return self in {Verdict.AS_ASYNCIO, Verdict.CLEAN}


def is_unraisable(outcome: Outcome) -> bool:
    """Whether something was raised where nobody could catch it."""
    return any(report.startswith("unraisable") for report in outcome.reports)


def without_data(outcome: Outcome) -> dict[str, list[str]]:
    """The events of an outcome, however much data came."""
    return {
        actor: [event for event in events if not event.startswith("data")]
        for actor, events in outcome.events.items()
    }


def is_expected(case: Case) -> bool:
    return any(
        case.function == function and re.match(target, case.target) for function, target, _ in EXPECTED
    )


@dataclass
class Wrong:
    """What the standard library does wrong with descriptors, on asyncio's loop, too."""

    leaks: set[str] = field(default_factory=set)
    closed_twice: set[str] = field(default_factory=set)
    stale_uses: set[str] = field(default_factory=set)

    def add(self, outcome: Outcome) -> None:
        self.leaks.update(outcome.leaks)
        self.closed_twice.update(outcome.closed_twice)
        self.stale_uses.update(outcome.stale_uses)


class Oracle:
    """What asyncio does in every case of a program."""

    def __init__(self, plain: Case, cases: list[Case]) -> None:
        self.plain = plain
        self._outcomes: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self._all: dict[tuple[str, ...], list[Outcome]] = defaultdict(list)
        self._wrong: dict[tuple[str, ...], Wrong] = defaultdict(Wrong)
        self._broken: set[tuple[str, ...]] = set()
        for case in cases:
            if case.happened:
                self._outcomes[case.kind].add(repr(case.outcome.seen))
                self._all[case.kind].append(case.outcome)
                self._wrong[case.kind].add(case.outcome)
                if case.outcome.is_stuck or case.crashed or is_unraisable(case.outcome):
                    self._broken.add(case.kind)

    def verdict(self, case: Case) -> Verdict:
        """What to think of veloop's outcome.

        The loops need not make the same number of calls: it is enough that asyncio does the same when this
        error comes of any such call on this object. Where asyncio makes no such call or breaks down, where it
        is known to do something else, and where veloop goes on as if nothing had happened, the outcome has to
        be a clean one: nothing left open, nothing waiting, nothing unraisable.
        """
        outcome = case.outcome
        own = self._wrong[case.kind]
        wrong = (
            (bool(case.crashed), Verdict.CRASH),
            (bool(set(outcome.closed_twice) - own.closed_twice), Verdict.CLOSED_TWICE),
            (bool(set(outcome.stale_uses) - own.stale_uses), Verdict.STALE_USE),
            (bool(set(outcome.leaks) - own.leaks), Verdict.LEAK),
        )
        for is_so, verdict in wrong:
            if is_so:
                return verdict
        known = self._outcomes.get(case.kind, set())
        if repr(outcome.seen) in known:
            return Verdict.AS_ASYNCIO
        if outcome.is_stuck:
            is_asyncios = any(other.is_stuck for other in self._all[case.kind])
            return Verdict.AS_ASYNCIO if is_asyncios else Verdict.HANG
        is_told_otherwise = (
            bool(known)
            and not is_expected(case)
            and case.kind not in self._broken
            and not self._is_told_less(case)
        )
        went_on = outcome.seen == self.plain.outcome.seen
        return (
            Verdict.CLEAN
            if went_on or not (is_told_otherwise or is_unraisable(outcome))
            else Verdict.DIFFERENT
        )

    def _is_told_less(self, case: Case) -> bool:
        """Whether the difference is only that veloop reports less.

        How much data came before an error does not count either, nor, after a cancellation, how far the
        others got: that depends on the number of turns that something takes.
        """
        outcome = case.outcome
        for other in self._all[case.kind]:
            same = outcome.error == other.error and (
                bool(case.task) or without_data(outcome) == without_data(other)
            )
            if same and not Counter(outcome.reports) - Counter(other.reports):
                return True
        return False

    def outcomes(self, case: Case) -> list[str]:
        """What asyncio does with this fault, to show it."""
        return sorted(self._outcomes.get(case.kind, set()))
