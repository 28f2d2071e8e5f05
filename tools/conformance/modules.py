"""Running a test module in a child process, as often as it takes until every test has an outcome."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "test.test_asyncio"
ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS_FOR_A_TEST = 60
SECONDS_FOR_A_MODULE = 600
CHARACTERS_SHOWN = 6000


@dataclass
class Test:
    """A test's outcome: passed, failed, skipped or left out."""

    name: str
    outcome: str
    detail: str = ""
    veloop: int = 0
    other: int = 0


@dataclass
class Module:
    """What came of a test module: its tests' names, and the outcomes of those that were asked for."""

    name: str
    package: str = PACKAGE
    seconds_for_a_test: float = SECONDS_FOR_A_TEST
    names: list[str] = field(default_factory=list)
    tests: dict[str, Test] = field(default_factory=dict)

    def count(self) -> Counter[str]:
        return Counter(test.outcome for test in self.tests.values())

    def with_outcome(self, outcome: str) -> list[Test]:
        return [test for test in self.tests.values() if test.outcome == outcome]


def run_module(module: Module, patterns: Collection[str] = (), loop: str = "veloop") -> Module:
    """Run the tests of a module that match one of the patterns (none: all of them)."""
    finished = False
    while not finished:
        before = len(module.tests)
        finished = run_child(module, patterns, loop)
        if not finished and len(module.tests) == before:
            raise RuntimeError(f"{module.name}: a child process ended without having run a test")
    return module


def run_child(module: Module, patterns: Collection[str], loop: str) -> bool:
    """Run what has no outcome yet. False if the process ended early: the test it was running has failed."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        report, output = Path(folder, "report"), Path(folder, "output")
        report.touch()
        ended = start(module, patterns, loop, report, output)
        events = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
        said = output.read_text(encoding="utf-8", errors="replace")[-CHARACTERS_SHOWN:]
    running = None
    for event in events:
        what, name = event.pop("what"), event.pop("test")
        if what == "found":
            module.names = event["tests"]
        elif what == "started":
            running = name
        elif what == "finished":
            return True
        else:
            module.tests[name] = Test(name, what, **event)
            running = None
    where = running or module.name
    module.tests[where] = Test(where, "failed", f"{ended}\n{said}")
    return running is None


def start(module: Module, patterns: Collection[str], loop: str, report: Path, output: Path) -> str:
    """Start a child, wait for its end, and say how it ended."""
    arguments = [module.package, module.name, str(report), loop]
    asked = [list(patterns), list(module.tests), module.seconds_for_a_test]
    with output.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "tools.conformance.child", *arguments],
            cwd=report.parent,
            env=os.environ | {"PYTHONPATH": search_path()},
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            child.communicate(json.dumps(asked).encode(), SECONDS_FOR_A_MODULE)
        except subprocess.TimeoutExpired:
            return f"the process did not end within {SECONDS_FOR_A_MODULE} seconds"
        finally:
            try:  # With whatever it has left behind.
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
    if child.returncode < 0:
        return f"the process died of {signal.Signals(-child.returncode).name}"
    return f"the process ended with code {child.returncode}"


def search_path() -> str:
    """Where children find this package, and the veloop that this process would import."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(ROOT), *([given] if given else [])])


def all_modules(package_name: str = PACKAGE) -> list[str]:
    """The names of the test modules in a package."""
    package = importlib.import_module(package_name)
    return sorted(path.stem for path in Path(package.__path__[0]).glob("test_*.py"))
