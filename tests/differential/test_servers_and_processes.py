"""Servers and child processes: made-up programs do the same on veloop and on asyncio."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings

from differential.families.processes import PROCESSES
from differential.families.servers import SERVERS
from differential.quick import quick

pytestmark = pytest.mark.timeout(120)


@quick
@given(SERVERS.programs)
def test_servers(program):
    SERVERS.check(program)


@settings(quick, max_examples=30)
@given(PROCESSES.programs)
@example(("streams", "cat", "communicate much"))
@example(("streams", "not there", "read"))
@example(("transport", "sleep", "exec", (("connection_made", (("call", "close"),)),), ()))
def test_processes(program):
    PROCESSES.check(program)
