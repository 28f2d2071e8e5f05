"""Callbacks and timers: made-up programs do the same on veloop and on asyncio."""

from __future__ import annotations

from hypothesis import given

from differential.families.schedules import SCHEDULES
from differential.quick import quick


@quick
@given(SCHEDULES.programs)
def test_schedules(program):
    SCHEDULES.check(program)
