"""Fixtures for real servers, one of each for the whole run; a module asks for them by ``pytest_plugins``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from support import example_world, postgres, redis_server
from support.leftovers import kept_for_the_run


@pytest.fixture(scope="session")
def world() -> Iterator[example_world.World]:
    with contextlib.ExitStack() as stack:
        with kept_for_the_run():
            world = stack.enter_context(example_world.running())
        yield world


@pytest.fixture(scope="session")
def database(world: example_world.World) -> postgres.Postgres:
    return world.database


@pytest.fixture(scope="session")
def redis() -> Iterator[redis_server.RedisServer]:
    with contextlib.ExitStack() as stack:
        with kept_for_the_run():
            server = stack.enter_context(redis_server.running())
        yield server
