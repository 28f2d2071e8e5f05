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
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from harness import catalogue, loops, report, runner
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
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.3 seconds: an impression")
    parser.add_argument("--grid", action="store_true", help="all parameters of each workload")
    parser.add_argument("--no-limit", action="store_true", help="leave out the plain C server")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--list", action="store_true", help="list the workloads and stop")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = options.seconds or (0.3 if options.quick else 1.0)
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


def machine() -> dict[str, object]:
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
    for line in notes.lines():
        print(line)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    workloads = choose_workloads(options.only)
    if options.list:
        for workload in workloads:
            print(f"{workload.name:24} {workload.title()}  {workload.module.GRID}")
        return 0
    specs = choose_loops(options.loops)
    if not specs:
        raise SystemExit("none of these loops is installed")
    return compare(options, workloads, specs)


def compare(options: argparse.Namespace, workloads: Sequence[Workload], specs: Sequence[LoopSpec]) -> int:
    about = machine()
    names = [spec.name for spec in specs]
    baseline = "asyncio" if "asyncio" in names else names[0]
    settings = runner.Settings(specs, options.rounds, options.seconds, options.grid, not options.no_limit)
    rows: list[Row] = []
    try:
        with report.progress(runner.count(settings, workloads)) as on_step:
            for row in runner.run(settings, workloads, on_step):
                rows.append(row)
    except KeyboardInterrupt:
        print("interrupted: the rows that were finished", file=sys.stderr)
    print_tables(rows, names, baseline)
    if options.json:
        versions = {spec.name: spec.version for spec in specs}
        content = {
            "machine": about,
            "loops": versions,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "baseline": baseline,
            "rows": [row.to_json(baseline) for row in rows],
        }
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
