"""How many programs the test suite runs: few, and the same in every run (``./dev differential``: more)."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
