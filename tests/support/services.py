"""Fixtures for real servers, one of each for the whole run; a module asks for them by ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support import example_world, postgres, redis_server


@pytest.fixture(scope="session")
def world() -> Iterator[example_world.World]:
    with example_world.running() as world:
        yield world


@pytest.fixture(scope="session")
def database(world: example_world.World) -> postgres.Postgres:
    return world.database


@pytest.fixture(scope="session")
def redis() -> Iterator[redis_server.RedisServer]:
    with redis_server.running() as server:
        yield server
