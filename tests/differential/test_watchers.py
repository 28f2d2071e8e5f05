"""Readers and writers: made-up programs do the same on veloop and on asyncio."""

from __future__ import annotations

from hypothesis import example, given

from differential.families.watchers import WATCHERS
from differential.quick import quick


@quick
@given(WATCHERS.programs)
@example((False, ("unix",), ((("add_writer", 1, 1, ()), ("close", 1)),)))
def test_watchers(program):
    WATCHERS.check(program)
