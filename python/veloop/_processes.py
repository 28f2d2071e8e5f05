"""Subprocesses: asyncio's own plumbing, with real pipes and children reaped by pidfd on every version."""

from __future__ import annotations

from ._hooks import Hooks


class Processes(Hooks):
    """The subprocess hooks of the loop."""
