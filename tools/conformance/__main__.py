"""The command line: which tests to run, what is printed, and what counts as failed."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tools.conformance.differences import DIFFERENCES
from tools.conformance.left_out import LEFT_OUT
from tools.conformance.lists import Entry, find, without_a_test
from tools.conformance.modules import Module, all_modules, run_module
from tools.figures import Table, record

COLUMNS = [
    "Python",
    "passed:",
    "on a veloop loop:",
    "failed:",
    "differences:",
    "fail on asyncio too:",
    "skipped:",
    "left out:",
]
# Modules whose tests need no loop; in every other one veloop must have been used.
WITHOUT_LOOPS = {"test_protocols", "test_transports", "test_tools"}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev conformance", description=__doc__)
    parser.add_argument("tests", nargs="*", help="module, module.Class or module.Class.test; * is anything")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="modules at a time")
    parser.add_argument("--record", action="store_true", help="put the figures into docs/CONFORMANCE.md")
    options = parser.parse_args(arguments)
    if options.record and options.tests:
        parser.error("only a run of everything is recorded")
    names = [
        name for name in all_modules() if not options.tests or any(touches(p, name) for p in options.tests)
    ]
    modules = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for module in pool.map(lambda name: judged(Module(name), options.tests), names):
            modules.append(module)
            print(line(module), flush=True)
            for test in [*module.with_outcome("failed"), *module.with_outcome("fails on asyncio too")]:
                print(f"\n{test.outcome}: {test.name}\n{test.detail}", flush=True)
    complaints = stale(modules) + ([] if options.tests else not_on_veloop(modules))
    print(f"\n{summary(modules)}")
    for complaint in complaints:
        print(f"error: {complaint}")
    if options.record and not complaints:
        record("suite", summary(modules))
    failed = any(module.with_outcome("failed") for module in modules)
    return 1 if failed or complaints or not modules else 0


def touches(pattern: str, module: str) -> bool:
    return Entry(pattern.partition(".")[0], "").covers(module)


def judged(module: Module, patterns: list[str]) -> Module:
    """Run a module, and tell veloop's failures from expected ones and from those of asyncio's own loop."""
    run_module(module, patterns)
    for test in module.tests.values():
        expected = find(test.name, DIFFERENCES)
        if expected and test.outcome == "failed":
            test.outcome = "difference"
        elif expected and test.outcome == "passed":
            test.outcome, test.detail = "failed", f"passes, though listed as a difference: {expected.reason}"
        elif test.outcome == "passed" and test.other and not test.veloop:
            test.outcome, test.detail = "failed", "passed, but on asyncio's own loop"
    doubtful = [test.name for test in module.tests.values() if test.outcome in {"failed", "skipped"}]
    if doubtful:
        compare(module, run_module(replace(module, names=[], tests={}), doubtful, loop="asyncio"))
    return module


def compare(module: Module, on_asyncio: Module) -> None:
    """Look at what did not pass in the light of what asyncio's own loop makes of it.

    What has the module's own name is no test: the module could not even be imported.
    """
    for name, test in module.tests.items():
        if name not in on_asyncio.tests:
            continue
        there = on_asyncio.tests[name].outcome
        if test.outcome == "failed" and there == "failed" and name != module.name:
            test.outcome = "fails on asyncio too"
        elif test.outcome == "skipped" and there != "skipped":
            test.outcome, test.detail = "failed", f"skipped, though asyncio's loop can run it: {test.detail}"


def line(module: Module) -> str:
    counts = module.count()
    parts = [f"{counts[outcome]:,} {outcome}" for outcome in sorted(counts)]
    parts.append(f"{sum(1 for test in module.tests.values() if test.veloop):,} on a veloop loop")
    return f"{module.name}: {', '.join(parts)}"


def summary(modules: Sequence[Module]) -> Table:
    counts = sum((module.count() for module in modules), start=Module("").count())
    table = Table(COLUMNS)
    on_veloop = sum(1 for module in modules for test in module.with_outcome("passed") if test.veloop)
    others = ["failed", "difference", "fails on asyncio too", "skipped", "left out"]
    table.add(
        platform.python_version(), counts["passed"], on_veloop, *(counts[outcome] for outcome in others)
    )
    return table


def stale(modules: list[Module]) -> list[str]:
    """Listed names that no test has."""
    names = [name for module in modules for name in (module.names or [module.name])]
    listed = [
        entry for entry in (*LEFT_OUT, *DIFFERENCES) if any(touches(entry.name, m.name) for m in modules)
    ]
    return [f"listed, but there is no such test: {entry.name}" for entry in without_a_test(listed, names)]


def not_on_veloop(modules: list[Module]) -> list[str]:
    """Modules that passed something without having made a single loop of veloop's."""
    return [
        f"{module.name} never used veloop"
        for module in modules
        if module.name not in WITHOUT_LOOPS
        and module.with_outcome("passed")
        and not any(test.veloop for test in module.tests.values())
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
