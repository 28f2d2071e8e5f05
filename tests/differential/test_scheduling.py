"""Callbacks and timers: made-up programs do the same on veloop and on asyncio."""

from __future__ import annotations

from hypothesis import example, given

from differential.families.schedules import SCHEDULES
from differential.families.timers import TIMERS
from differential.quick import quick


@quick
@given(SCHEDULES.programs)
@example((False, ((("handler", "raising"), ("soon", (("raise", "odd"),))),)))
def test_schedules(program):
    SCHEDULES.check(program)


@quick
@given(TIMERS.programs)
@example((("later", 1e-10), ("turn", 0)))
def test_timers(program):
    TIMERS.check(program)
