"""Runs the example programs, each unchanged by ``python -m veloop``, and looks at what they print."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from rich.table import Table

from support import example_world
from tools.demo.display import console, progress

# They sleep more than they work, so several at once make the demo short; many would disturb their timing.
AT_ONCE = 4


@dataclass(frozen=True)
class Result:
    program: example_world.Program
    outcome: example_world.Outcome

    @property
    def complaint(self) -> str:
        if self.outcome.status != 0 or self.outcome.errors:
            last_line = (self.outcome.errors.strip().splitlines() or [""])[-1]
            return f"exit status {self.outcome.status}: {last_line}"
        if self.outcome.output != self.program.expected:
            return "printed something else than expected"
        if not self.outcome.ran_only_on("veloop"):
            return f"did not run on veloop, but on {self.outcome.loops}"
        return ""

    @property
    def verdict(self) -> str:
        return self.complaint or "as expected"


def run() -> list[Result]:
    programs = example_world.programs()
    console.print(
        "Starting the servers that the examples talk to: PostgreSQL, and hosts that answer over HTTPS"
    )
    with (
        example_world.running() as world,
        ThreadPoolExecutor(AT_ONCE) as threads,
        progress("examples on veloop", len(programs)) as on_done,
    ):
        jobs = {threads.submit(world.run, program.path, "veloop"): program for program in programs}
        results = []
        for job in as_completed(jobs):
            result = Result(jobs[job], job.result())
            results.append(result)
            on_done(f"{result.program.name}: {result.verdict}")
    return sorted(results, key=lambda result: result.program.name)


def table(results: list[Result]) -> Table:
    shown = Table(title="Examples on veloop", title_justify="left")
    shown.add_column("program")
    shown.add_column("what it shows")
    shown.add_column("seconds", justify="right")
    shown.add_column("result")
    for result in results:
        style = "red" if result.complaint else "green"
        seconds = f"{result.outcome.seconds:.2f}"
        shown.add_row(
            result.program.name, result.program.title, seconds, f"[{style}]{result.verdict}[/{style}]"
        )
    return shown
