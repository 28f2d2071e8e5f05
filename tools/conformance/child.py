"""One test module in a process of its own: ``python -m tools.conformance.child PACKAGE MODULE REPORT LOOP``.

Reads from standard input, as JSON: patterns of the tests to run (none: all), the names of those that have
run already, and for how many seconds a test may run. Writes a line of JSON for each thing that happens to the
file REPORT, at once, so that a crash or a hang leaves on record which test it was. A test that takes too long
ends the process, with every thread's stack on standard error.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import sys
import traceback
import unittest
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from tools.conformance import suite_loop
from tools.conformance.left_out import LEFT_OUT
from tools.conformance.lists import Entry, find


class Report(unittest.TestResult):
    """Writes down each test's outcome, and what loops it made."""

    def __init__(self, file: TextIO, package: str, seconds: float) -> None:
        super().__init__()
        self._file = file
        self._package = package
        self._seconds = seconds
        self._outcome = ""
        self._detail = ""

    def write(self, what: str, test: str, **more: object) -> None:
        self._file.write(json.dumps({"what": what, "test": test, **more}) + "\n")
        self._file.flush()

    def name_of(self, test: unittest.TestCase) -> str:
        return test.id().removeprefix(f"{self._package}.")

    def startTest(self, test: unittest.TestCase) -> None:
        faulthandler.dump_traceback_later(self._seconds, exit=True)
        self._outcome, self._detail = "passed", ""
        suite_loop.made.clear()
        self.write("started", self.name_of(test))

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        self.write(
            self._outcome,
            self.name_of(test),
            detail=self._detail,
            veloop=suite_loop.made["veloop"],
            other=suite_loop.made["other"],
        )

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        detail = "".join(traceback.format_exception(*err))
        if isinstance(test, unittest.TestCase):
            self._fail(detail)
        else:  # What stands for a class or a module whose preparation failed.
            self.write("failed", str(test), detail=detail)

    addFailure = addError

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._fail(f"{subtest}\n" + "".join(traceback.format_exception(*err)))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        if not isinstance(test, unittest.TestCase):
            self.write("skipped", str(test), detail=reason)
        elif self._outcome == "passed":
            self._outcome, self._detail = "skipped", reason

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._fail("passed, which CPython does not expect")

    def _fail(self, detail: str) -> None:
        self._outcome, self._detail = "failed", self._detail + detail


def tests_of(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test


def main(package: str, module: str, report_file: str, loop: str) -> None:
    faulthandler.enable()
    patterns, done, seconds = json.load(sys.stdin)
    suite_loop.count_loops()
    if loop == "veloop":
        suite_loop.take_over(module)
    with open(report_file, "a", encoding="utf-8") as file:
        report = Report(file, package, seconds)
        try:
            imported = importlib.import_module(f"{package}.{module}")
        except unittest.SkipTest as reason:
            report.write("left out" if find(module, LEFT_OUT) else "skipped", module, detail=str(reason))
        else:
            suite = unittest.defaultTestLoader.loadTestsFromModule(imported)
            tests = {report.name_of(test): test for test in tests_of(suite)}
            report.write("found", module, tests=list(tests))
            run(report, tests, [Entry(pattern, "asked for") for pattern in patterns], set(done))
        report.write("finished", module)


def run(report: Report, tests: dict[str, unittest.TestCase], patterns: list[Entry], done: set[str]) -> None:
    suite = unittest.TestSuite()
    for name, test in tests.items():
        if name in done or (patterns and not find(name, patterns)):
            continue
        if find(name, LEFT_OUT):
            report.write("left out", name)
        else:
            suite.addTest(test)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        # Run by the suite, which also prepares and tidies up classes and modules.
        suite.run(report)


if __name__ == "__main__":
    main(*sys.argv[1:])
