"""Marks for tests that the asyncio of an older Python fails."""

from __future__ import annotations

import sys

import pytest


def since_3_11_7(what: str) -> pytest.MarkDecorator:
    """For a test that fails because an older asyncio does `what`: Debian's debug build is a 3.11.2."""
    return pytest.mark.skipif(sys.version_info < (3, 11, 7), reason=f"older asyncio {what}")


quiet_broken_pipes = since_3_11_7("logs the broken pipe of a child, too (gh-104340)")
