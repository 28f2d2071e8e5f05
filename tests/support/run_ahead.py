"""Tests whose programs mostly sleep run them side by side, and take the outcomes one by one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

# More at once would disturb each other's timing on a machine with few cores.
CHILDREN_AT_ONCE = 8


@contextmanager
def run_ahead(jobs: Mapping[Key, Callable[[], Result]]) -> Iterator[Callable[[Key], Result]]:
    """Runs the jobs side by side while tests take the results one after the other."""
    with ThreadPoolExecutor(CHILDREN_AT_ONCE) as threads:
        started = {key: threads.submit(job) for key, job in jobs.items()}
        try:
            yield lambda key: started[key].result(timeout=100)
        finally:
            threads.shutdown(cancel_futures=True)


def selected_parameters(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The parameters of each selected test of the fixture's module."""
    items = [item for item in request.session.items if getattr(item, "module", None) is request.module]
    return [item.callspec.params for item in items if hasattr(item, "callspec")]
