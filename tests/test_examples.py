"""Each example program prints what is stored beside it: under ``python -m veloop`` and under ``python``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from support import example_world
from support.run_ahead import run_ahead, selected_parameters

pytest_plugins = ["support.services"]

PROGRAMS = {program.name: program for program in example_world.programs()}

Outcomes = Callable[[tuple[str, str]], example_world.Outcome]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, world: example_world.World) -> Iterator[Outcomes]:
    selected = {(p["name"], p["loop_factory"]) for p in selected_parameters(request)}
    jobs = {(name, loop): partial(world.run, PROGRAMS[name].path, loop) for name, loop in sorted(selected)}
    with run_ahead(jobs) as outcome_of:
        yield outcome_of


@pytest.mark.usefixtures("loop_factory")
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_prints_what_it_should(name: str, on_veloop: bool, outcomes: Outcomes) -> None:
    loop = "veloop" if on_veloop else "asyncio"
    outcome = outcomes((name, loop))
    assert (outcome.errors, outcome.status) == ("", 0)
    assert outcome.output == PROGRAMS[name].expected
    assert outcome.ran_only_on(loop), outcome.loops


def test_no_topic_is_missing() -> None:
    topics = ["gather", "wait", "as_completed", "timeouts", "tasks", "futures", "context_managers"]
    topics += ["error_handling", "executor", "to_thread", "pipeline"]
    topics += ["http_requests", "database_pool", "files"]
    topics += ["exercise_1", "exercise_2", "exercise_3", "exercise_4"]
    assert [topic for topic in topics if not any(name.startswith(topic) for name in PROGRAMS)] == []
