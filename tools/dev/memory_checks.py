"""``./dev sanitize`` and ``./dev debug``: veloop's half of the test suite under what finds errors of memory.

The sanitizers' library has to be in the process before the interpreter, so it is preloaded; what it reports
goes to files, so that the report of a child process counts too, even if the test did not look at its end.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tools.dev import system_packages
from tools.dev.environment import Environment
from tools.dev.interpreters import Interpreter, probe
from tools.dev.steps import Failed, run_in_view, say
from tools.dev.system_packages import Need
from tools.figures import Table, record

# Of the whole suite these say nothing about memory: they start no loop, or measure.
LEFT_OUT = {
    "tests/test_benchmark_charts.py": "the tools",
    "tests/test_benchmarks.py": "speed",
    "tests/test_conformance.py": "the tools",
    "tests/test_figures.py": "the tools",
    "tests/test_instruction_counts.py": "speed",
    "tests/test_soak.py": "how much memory an ordinary build takes",
    "tests/test_source_rules.py": "the sources",
    "tests/test_task_runner.py": "the tools",
}
# Tests that cannot run with the sanitizers' library in the process, each with the reason.
NOT_SANITIZED: dict[str, str] = {}

# Libraries whose extension modules were compiled for a release build of CPython, and crash a debug build (on
# asyncio's loop as well), do without them.
WITHOUT_EXTENSIONS = ("AIOHTTP_NO_EXTENSIONS", "MULTIDICT_NO_EXTENSIONS", "YARL_NO_EXTENSIONS")

_SECONDS_PER_TEST = 300
_LINES_OF_A_REPORT = 60
# Leaks: the interpreter itself keeps memory at its end. Memory that cannot be had is Python's MemoryError.
_ADDRESS = "detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=64:exitcode=99"
_UNDEFINED = "print_stacktrace=1:halt_on_error=0"


@dataclass(frozen=True)
class Outcome:
    """What pytest counted."""

    passed: int
    failed: int
    skipped: int


def sanitized(interpreter: Interpreter) -> Environment:
    return Environment(interpreter, "sanitized", "Debug", {"VELOOP_SANITIZE": "ON"})


def with_assertions() -> Environment:
    """The environment of a debug build of the system's Python, installed if need be."""
    system = probe("/usr/bin/python3")
    if system is None:
        raise Failed("a debug build of CPython is Debian's, and there is no /usr/bin/python3")
    name = f"python{system.version}d"
    system_packages.provide(
        [
            Need(
                f"a debug build of Python {system.version}",
                lambda: shutil.which(name) is not None,
                (f"python{system.version}-dbg", f"python{system.version}-dev"),
            )
        ]
    )
    interpreter = probe(shutil.which(name) or name)
    if interpreter is None:
        raise Failed(f"{name} does not run")
    return Environment(interpreter, "debug", "Debug")


def run_sanitized(environment: Environment, arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="veloop-sanitize-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # A child may run as another user.
        variables = {
            "LD_PRELOAD": " ".join(_libraries()),
            "PYTHONMALLOC": "malloc",
            "ASAN_OPTIONS": f"{_ADDRESS}:log_path={folder / 'address'}",
            "UBSAN_OPTIONS": f"{_UNDEFINED}:log_path={folder / 'undefined'}",
        }
        deselected = [f"--deselect={test}" for test in NOT_SANITIZED]
        # The sanitizers' handlers say more than Python's at a fault.
        outcome = _run_tests(environment, ["-p", "no:faulthandler", *deselected], arguments, variables)
        reports = sorted(file for file in folder.iterdir() if file.name.startswith(("address", "undefined")))
        for report in reports:
            lines = report.read_text(errors="replace").splitlines()
            print("\n".join([f"\n{report.name}:", *lines[:_LINES_OF_A_REPORT]]))
        return _tell(
            environment, "address and undefined-behaviour sanitizers", outcome, len(reports), arguments
        )


def run_with_assertions(environment: Environment, arguments: list[str]) -> int:
    # A debug build shows all warnings, but the tests look at what the programs that they start print.
    silent = "ignore::ResourceWarning,ignore::DeprecationWarning"
    variables = dict.fromkeys(WITHOUT_EXTENSIONS, "1") | {"PYTHONWARNINGS": silent}
    outcome = _run_tests(environment, [], arguments, variables)
    return _tell(environment, "debug build of CPython", outcome, None, arguments)


def _run_tests(
    environment: Environment,
    options: Sequence[str],
    arguments: Sequence[str],
    variables: Mapping[str, str],
) -> Outcome | None:
    """Counts of a run; None if it ended early, as at a failed assertion of the interpreter."""
    inherited = {name: value for name, value in environment.variables.items() if name != "PYTHONASYNCIODEBUG"}
    with tempfile.TemporaryDirectory(prefix="veloop-results-") as folder:
        results = Path(folder, "results.xml")
        say("running pytest")
        status = run_in_view(
            [
                environment.python,
                "-m",
                "pytest",
                "-q",
                f"--junitxml={results}",
                f"--timeout={_SECONDS_PER_TEST}",
                *(f"--ignore={file}" for file in LEFT_OUT),
                *options,
                *(argument for argument in arguments if argument != "--record"),
            ],
            {**inherited, **variables, "VELOOP_TEST_LOOPS": "veloop"},
        )
        # Another status than pytest's own: the interpreter crashed at its exit.
        return _counts(results) if results.exists() and status in range(6) else None


def _counts(results: Path) -> Outcome:
    suites = list(ElementTree.parse(results).getroot().iter("testsuite"))
    total, failures, errors, skipped = (
        sum(int(suite.get(name, "0")) for suite in suites)
        for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return Outcome(total - failed - skipped, failed, skipped)


def _tell(
    environment: Environment,
    what: str,
    outcome: Outcome | None,
    reports: int | None,
    arguments: Sequence[str],
) -> int:
    if outcome is None:
        say("the run ended early: see above")
        return exit_status(outcome, reports)
    table = Table(
        ["Python", "with", "compiler", "passed:", "failed:", "skipped:", "sanitizers' reports:"],
    )
    version = environment.interpreter.full_version + ("d" if reports is None else "")
    counts = (outcome.passed, outcome.failed, outcome.skipped, "" if reports is None else reports)
    table.add(version, what, _compiler(), *counts)
    print(f"\n{table}")
    if "--record" in arguments:
        record("memory", table)
    return exit_status(outcome, reports)


def exit_status(outcome: Outcome | None, reports: int | None) -> int:
    """1 says that the tests named as failed are all that is wrong: only then may a run of those decide."""
    if outcome is None or reports or not (outcome.passed or outcome.failed):
        return 2
    return 1 if outcome.failed else 0


def _compiler() -> str:
    """In short, such as "gcc 12.2"."""
    line = system_packages.compiler_version() or ""
    number = re.search(r"\d+\.\d+", line)
    return f"{'clang' if 'clang' in line.lower() else 'gcc'} {number[0] if number else ''}".strip()


def _libraries() -> list[str]:
    """What must be loaded first; libstdc++ too, whose exceptions the sanitizer looks for when it starts."""
    paths = []
    for name in ("libasan.so", "libubsan.so", "libstdc++.so"):
        answer = subprocess.run(
            [os.environ.get("CXX", "c++"), f"-print-file-name={name}"],
            capture_output=True,
            text=True,
            check=False,
        )
        path = Path(answer.stdout.strip())
        if not path.is_absolute() or not path.exists():
            raise Failed(f"the compiler has no {name}: ./dev sanitize works with gcc on Linux")
        paths.append(str(path.resolve()))
    return paths
