"""A sample of ``./dev faults``: system calls fail, awaits are cancelled, and nothing is left behind."""

from __future__ import annotations

import sys

import pytest

from tools.faults import injection
from tools.faults.__main__ import examine

# Few of the programs, and few of their cases: all of them are the tool's.
PROGRAMS = ["tcp_echo", "half_close", "reset", "refused", "subprocess_exit", "loops"]


@pytest.fixture(autouse=True)
def _injection_is_possible() -> None:
    try:
        injection.environment()
    except injection.Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.native_only
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_fault_leaves_nothing_behind(program):
    if program == "subprocess_exit" and sys.version_info >= (3, 14):
        pytest.skip("asyncio's own code watches children there, and leaks what cannot be watched")
    result = examine(program, every=8, compare=False)
    assert result.cases > 0
    assert not result.wrong, "\n".join(result.wrong)
