"""The sock_* methods: made-up programs do the same on veloop and on asyncio."""

from __future__ import annotations

from hypothesis import given

from differential.families.sockets import SOCKETS
from differential.quick import quick


@quick
@given(SOCKETS.programs)
def test_sockets(program):
    SOCKETS.check(program)
