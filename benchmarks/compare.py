"""Compares event loops: ``python benchmarks/compare.py [--loops asyncio,uvloop] [--only chain] [--quick]``.

Each measurement runs in a fresh process on its own core; loops take turns round by round. The table gives
the baseline in absolute figures and the other loops as ratios to it: the median of the rounds' ratios, and
their range.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from harness import catalogue, chart, loops, report, runner
from harness.catalogue import Workload
from harness.loops import LoopSpec
from harness.model import LIMIT
from harness.summary import Row


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    known = ",".join(loops.KNOWN)
    parser.add_argument("--loops", default=known, help=f"of {known}, or [name=]module:factory")
    parser.add_argument("--only", default="*", metavar="NAMES", help="workloads, with wildcards, by commas")
    parser.add_argument("--rounds", type=int, help="how often each loop is measured (default 5)")
    parser.add_argument("--seconds", type=float, help="how long one measurement lasts (default 1)")
    parser.add_argument("--quick", action="store_true", help="1 round of 0.1 seconds: an impression")
    parser.add_argument("--grid", action="store_true", help="all parameters of each workload")
    parser.add_argument("--no-limit", action="store_true", help="leave out the plain C server")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", action="append", default=[], help="draw an .svg or .png"
    )
    parser.add_argument("--from", type=Path, metavar="FILE", dest="source", help="show a --json file again")
    parser.add_argument("--list", action="store_true", help="list the workloads and stop")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.1 if options.quick else 1.0)
    return options


def choose_loops(names: str) -> list[LoopSpec]:
    """The installed ones, and a word about the others."""
    chosen = [loops.resolve(name) for name in names.split(",")]
    missing = [spec.name for spec in chosen if not spec.installed]
    if missing:
        print(f"not installed, left out: {', '.join(missing)}", file=sys.stderr)
    return [spec for spec in chosen if spec.installed]


def choose_workloads(patterns: str) -> list[Workload]:
    known = catalogue.load_all()
    chosen = []
    for pattern in patterns.split(","):
        matching = [workload for workload in known if fnmatchcase(workload.name, pattern)]
        if not matching:
            raise SystemExit(f"no workload is called {pattern!r}; --list shows them")
        chosen += [workload for workload in matching if workload not in chosen]
    return chosen


def machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def print_tables(rows: Sequence[Row], names: Sequence[str], baseline: str) -> None:
    shown = [*names, LIMIT] if any(LIMIT in row.results for row in rows) else list(names)
    notes = report.Footnotes()
    cpu_cell = partial(report.cpu_cell, baseline=baseline)
    report.print_table(report.result_table(rows, shown, baseline, notes))
    print()
    report.print_table(report.detail_table(rows, shown, "CPU time per operation", cpu_cell))
    print()
    latencies = report.detail_table(rows, shown, "latency p50 / p99 / p99.9 in µs", report.latency_cell)
    if len(latencies) > 1:
        report.print_table(latencies)
        print()
    growth = report.growth_table(rows, shown)
    if len(growth) > 1:
        report.print_table(growth)
        print()
    for line in notes.lines():
        print(line)


@dataclass
class Results:
    """What a run found: the content of the JSON file."""

    machine: dict[str, Any]
    loops: dict[str, str]  # versions by name
    rounds: int
    seconds: float
    baseline: str
    rows: list[Row]

    @classmethod
    def read(cls, path: Path) -> Results:
        data = json.loads(path.read_text())
        return cls(**{**data, "rows": [Row.from_json(row) for row in data["rows"]]})

    def write(self, path: Path) -> None:
        content = {**vars(self), "rows": [row.to_json(self.baseline) for row in self.rows]}
        path.write_text(json.dumps(content, indent=1) + "\n")

    def choose(self, workloads: Sequence[Workload]) -> Results:
        names = {workload.name for workload in workloads}
        return replace(self, rows=[row for row in self.rows if row.workload in names])

    @property
    def caption(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.loops.items() if name != "asyncio")
        how = f"medians of {self.rounds} rounds of {self.seconds:g} s, with their range"
        return f"CPython {self.machine['python']}, {versions}; {how}"

    def show(self, charts: Sequence[Path]) -> None:
        print_tables(self.rows, list(self.loops), self.baseline)
        for path in charts:
            chart.draw(self.rows, [*self.loops, LIMIT], self.baseline, path, self.caption)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    workloads = choose_workloads(options.only)
    if options.list:
        for workload in workloads:
            print(f"{workload.name:24} {workload.title()}  {workload.module.GRID}")
        return 0
    for path in options.chart:
        try:
            chart.check(path)
        except chart.CannotDraw as error:
            raise SystemExit(str(error)) from None
    if options.source:
        results = Results.read(options.source).choose(workloads)
    else:
        specs = choose_loops(options.loops)
        if not specs:
            raise SystemExit("none of these loops is installed")
        results = compare(options, workloads, specs)
    results.show(options.chart)
    if options.json:
        results.write(options.json)
    return 0


def compare(options: argparse.Namespace, workloads: Sequence[Workload], specs: Sequence[LoopSpec]) -> Results:
    versions = {spec.name: spec.version for spec in specs}
    baseline = "asyncio" if "asyncio" in versions else specs[0].name
    results = Results(machine(), versions, options.rounds, options.seconds, baseline, [])
    settings = runner.Settings(specs, options.rounds, options.seconds, options.grid, not options.no_limit)
    try:
        with report.progress(runner.count(settings, workloads)) as on_step:
            for row in runner.run(settings, workloads, on_step):
                results.rows.append(row)
    except KeyboardInterrupt:
        print("interrupted: the rows that were finished", file=sys.stderr)
    return results


if __name__ == "__main__":
    sys.exit(main())
