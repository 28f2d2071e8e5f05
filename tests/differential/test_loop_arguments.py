"""Odd arguments in every state of the loop: the same errors on veloop and on asyncio."""

from __future__ import annotations

import sys

import pytest
from hypothesis import example, given, settings

from differential.families.loop_arguments import LOOP_ARGUMENTS
from differential.quick import quick


@pytest.mark.skipif(
    sys.version_info < (3, 13), reason="older asyncio asks selectors in a way that errors show"
)
@settings(quick, max_examples=400)
@given(LOOP_ARGUMENTS.programs)
@example(("idle", "call_soon", ("function",), (("context", "True"),)))
@example(("idle", "call_later", (), ()))
@example(("closed", "call_at", ("text", "function"), ()))
@example(("closed", "add_reader", ("-1", "function"), ()))
@example(("idle", "add_reader", ("None", "function"), ()))
@example(("idle", "add_writer", ("10**30", "function"), ()))
@example(("idle", "add_reader", (), (("callback", "function"), ("fd", "socket"))))
@example(("idle", "remove_reader", ("10**30",), ()))
@example(("closed", "remove_writer", ("-1",), ()))
@example(("idle", "remove_reader", (), (("fd", "socket"),)))
@example(("idle", "connect_write_pipe", ("type", "text"), ()))
@example(("idle", "sock_accept", ("address",), ()))
@example(("closed", "connect_write_pipe", ("type", "text"), ()))
def test_arguments_of_the_loop(case):
    LOOP_ARGUMENTS.check(case)
