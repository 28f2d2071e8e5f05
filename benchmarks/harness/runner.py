"""Runs measurements in child processes, one loop after the other, round by round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.catalogue import Workload
from harness.loops import LoopSpec
from harness.model import LIMIT, Measurement, Parameters, Task
from harness.services import Services
from harness.summary import Row

HOME = Path(__file__).parent.parent
PATIENCE = 90.0  # seconds a child may take beyond what it was asked to measure


@dataclass(frozen=True)
class Settings:
    loops: Sequence[LoopSpec]
    rounds: int
    seconds: float
    whole_grid: bool = False
    with_limit: bool = True


@dataclass(frozen=True)
class Step:
    """One finished measurement, for whoever shows progress."""

    row: Row
    loop: str
    round: int
    result: Measurement


def cores() -> tuple[int | None, int | None]:
    """One core for the loop and one for the load; none where the system cannot pin."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else (None, None)


def measure_in_child(task: Task) -> Measurement:
    command = [sys.executable, "-m", "harness.child", json.dumps(asdict(task))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HOME), *_inherited_path()])}
    try:
        done = subprocess.run(
            command,
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=task.seconds + PATIENCE,
        )
    except subprocess.TimeoutExpired as expired:
        return Measurement(error=f"no answer in {expired.timeout:.0f} s")
    if done.returncode < 0:
        return Measurement(error=f"killed by signal {-done.returncode}")
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return Measurement(error=reason[0])
    return Measurement.from_json(json.loads(lines[-1]))


def _inherited_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def make_task(
    workload: Workload,
    parameters: Parameters,
    loop: str,
    seconds: float,
    services: Mapping[str, str] | None = None,
) -> Task:
    server_core, load_core = cores()
    if workload.uses_threads:
        server_core = None
    return Task(loop, workload.name, parameters, seconds, server_core, load_core, dict(services or {}))


def contestants(settings: Settings, workload: Workload, parameters: Parameters) -> dict[str, str]:
    """By name, what the child is told."""
    told = {spec.name: spec.text for spec in settings.loops}
    limited = settings.with_limit and workload.limit(parameters) is not None
    return {**told, LIMIT: LIMIT} if limited else told


def count(settings: Settings, workloads: Sequence[Workload]) -> int:
    return sum(
        min(settings.rounds, workload.rounds) * len(contestants(settings, workload, point))
        for workload in workloads
        for point in workload.points(settings.whole_grid)
    )


def run(settings: Settings, workloads: Sequence[Workload], on_step: Callable[[Step], None]) -> Iterator[Row]:
    """Row by row. Within a row the loops take turns, and each round starts with another loop, so that a slow
    spell of the machine falls on all of them."""
    with Services(cores()[1]) as services:
        for workload in workloads:
            for parameters in workload.points(settings.whole_grid):
                yield _run_row(settings, workload, parameters, services, on_step)


def _run_row(
    settings: Settings,
    workload: Workload,
    parameters: Parameters,
    services: Services,
    on_step: Callable[[Step], None],
) -> Row:
    told = contestants(settings, workload, parameters)
    names = list(told)
    row = Row(workload.name, workload.title(parameters), parameters, {name: [] for name in names})
    urls, unavailable = services.urls(workload.services)
    for number in range(min(settings.rounds, workload.rounds)):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            if number and row.error(name):
                continue  # it failed before, it would fail again
            task = make_task(workload, parameters, told[name], settings.seconds, urls)
            result = Measurement(error=unavailable) if unavailable else measure_in_child(task)
            row.results[name].append(result)
            on_step(Step(row, name, number, result))
    return row
