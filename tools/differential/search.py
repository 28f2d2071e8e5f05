"""Runs a family's programs: all of a product, or new ones until the time is over."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky

from differential.frame import Different, Family

AT_ONCE = 250  # programs of one search; the next one starts from another seed
MOST_SHOWN = 20  # differences of a product


def search(family: Family, seconds: float, first_seed: int) -> Iterator[Different]:
    """The differences found: at most one by random programs (the shortest), many by a product."""
    found = by_chance(family, seconds, first_seed) if family.cases is None else one_by_one(family)
    for number, difference in enumerate(found):
        if number < MOST_SHOWN:
            yield difference


def one_by_one(family: Family) -> Iterator[Different]:
    for case in family.cases() if family.cases else ():
        try:
            family.check(case)
        except Different as difference:
            yield difference


def by_chance(family: Family, seconds: float, first_seed: int) -> Iterator[Different]:
    end = time.monotonic() + seconds
    number = first_seed
    while time.monotonic() < end:
        number += 1
        difference = one_search(family, number, end)
        gc.collect()
        if difference is not None:
            family.count.differences = 1  # however often the search for the shortest program met it
            yield difference
            return


def one_search(family: Family, number: int, end: float) -> Different | None:
    """One search from one seed; the difference that the shortest program shows."""

    @seed(number)
    @settings(
        max_examples=AT_ONCE,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(family.programs)
    def programs(program: object) -> None:
        if time.monotonic() < end or family.count.differences:
            family.check(program)

    try:
        programs()
    except Different as difference:
        return difference
    except Flaky as unsteady:
        for each in getattr(unsteady, "exceptions", ()):
            if isinstance(each, Different):
                return each
        raise
    return None
