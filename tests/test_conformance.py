"""``./dev conformance``: that no outcome of CPython's tests is lost, and that they run on veloop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tools.conformance import __main__ as command
from tools.conformance.differences import DIFFERENCES
from tools.conformance.left_out import LEFT_OUT
from tools.conformance.lists import Entry, entries, find, without_a_test
from tools.conformance.modules import Module, run_module

pytestmark = [pytest.mark.native_only, pytest.mark.timeout(60)]

BEGINNING = """
import asyncio, os, time, unittest

class Tests(unittest.TestCase):
"""
USES_A_LOOP = "asyncio.run(asyncio.sleep(0))"
FAILS_ON_VELOOP = "self.assertNotIn('veloop', type(asyncio.new_event_loop()).__mro__[1].__module__)"


@pytest.fixture
def make_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Module]:
    """A module of a package like ``test.test_asyncio``, with a test for each body given."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    package = tmp_path / "made_up_tests"
    package.mkdir()
    (package / "__init__.py").touch()

    def make(name: str = "test_made_up", seconds_for_a_test: float = 30, **bodies: str) -> Module:
        tests = [f"    def test_{test}(self):\n        {body}\n" for test, body in bodies.items()]
        (package / f"{name}.py").write_text(BEGINNING + "".join(tests))
        return Module(name, package.name, seconds_for_a_test)

    return make


def outcomes(module: Module) -> dict[str, str]:
    return {name.rpartition("test_")[2]: test.outcome for name, test in module.tests.items()}


def test_each_outcome_is_counted(make_module):
    module = make_module(fine=USES_A_LOOP, skips="self.skipTest('because')", wrong="self.fail('because')")
    assert outcomes(run_module(module)) == {"fine": "passed", "skips": "skipped", "wrong": "failed"}
    assert module.tests["test_made_up.Tests.test_fine"].veloop == 1
    assert "self.fail('because')" in module.tests["test_made_up.Tests.test_wrong"].detail


def test_a_crash_is_a_failure_and_the_other_tests_still_run(make_module):
    module = make_module(a="os.abort()", b=USES_A_LOOP, c="os._exit(3)", d=USES_A_LOOP)
    assert outcomes(run_module(module)) == {"a": "failed", "b": "passed", "c": "failed", "d": "passed"}
    details = [test.detail for test in module.with_outcome("failed")]
    assert "died of SIGABRT" in details[0]
    assert "ended with code 3" in details[1]


def test_a_hang_is_a_failure_and_the_other_tests_still_run(make_module):
    module = make_module(a="time.sleep(300)", b="pass", seconds_for_a_test=1)
    assert outcomes(run_module(module)) == {"a": "failed", "b": "passed"}
    assert "in test_a" in module.with_outcome("failed")[0].detail


def test_only_the_tests_asked_for_run(make_module):
    module = make_module(first="pass", second="self.fail()", third="pass")
    asked = ["test_made_up.Tests.test_first", "test_made_up.*.test_t*"]
    assert outcomes(run_module(module, asked)) == {"first": "passed", "third": "passed"}
    assert len(module.names) == 3


def test_a_module_that_cannot_be_imported_is_a_failure(make_module):
    module = make_module(fine="pass")
    module.name = "test_missing"
    assert [test.name for test in command.judged(module, []).with_outcome("failed")] == ["test_missing"]


def test_a_test_that_went_round_veloop_has_failed(make_module):
    own_loop = "from asyncio.selector_events import BaseSelectorEventLoop as Loop; Loop().close()"
    module = command.judged(make_module(own=own_loop), [])
    assert module.tests["test_made_up.Tests.test_own"].detail == "passed, but on asyncio's own loop"


def test_failures_and_skips_are_compared_with_asyncio(make_module):
    skips = "self.skipTest('no') if 'Suite' in asyncio.SelectorEventLoop.__name__ else None"
    module = make_module(
        both="self.fail()", ours=FAILS_ON_VELOOP, skips=skips, skips_both="self.skipTest('no')"
    )
    assert outcomes(command.judged(module, [])) == {
        "both": "fails on asyncio too",
        "ours": "failed",
        "skips": "failed",
        "skips_both": "skipped",
    }


def test_what_is_left_out_does_not_run(make_module):
    module = make_module("test_selector_events", any="self.fail()")
    assert outcomes(run_module(module)) == {"any": "left out"}


def test_a_listed_difference_must_fail(make_module, monkeypatch):
    monkeypatch.setattr(command, "DIFFERENCES", entries("because", "test_made_up"))
    module = command.judged(make_module(wrong=FAILS_ON_VELOOP, fine="pass"), [])
    assert outcomes(module) == {"wrong": "difference", "fine": "failed"}
    assert "listed as a difference" in module.tests["test_made_up.Tests.test_fine"].detail


def test_names_cover_what_is_below_them():
    test = "test_locks.LockTests.test_repr"
    covering = ["test_locks", "test_locks.LockTests", test, "*.LockTests", "test_locks.*.test_repr"]
    assert all(Entry(name, "").covers(test) for name in covering)
    assert not any(Entry(name, "").covers(test) for name in ["test_lock", "test_locks.Lock", "LockTests"])


def test_a_name_must_exist_in_the_pythons_given():
    entry = Entry("test_x", "", since=(3, 12), until=(3, 13))
    versions = [(3, 11, 7), (3, 12, 0), (3, 13, 9), (3, 14, 0)]
    assert [entry.must_exist(version) for version in versions] == [False, True, True, False]


def test_a_listed_name_without_a_test_is_found():
    listed = [Entry("test_x.A", ""), Entry("test_x.B", ""), Entry("test_x.C", "", since=(9, 9))]
    assert without_a_test(listed, ["test_x.A.test_1"]) == [listed[1]]
    assert find("test_x.C.test_1", listed) is listed[2]
    assert find("test_x.D.test_1", listed) is None


def test_each_listed_name_has_a_reason_and_stands_once():
    listed = [*LEFT_OUT, *DIFFERENCES]
    assert all(entry.reason for entry in listed)
    assert len({(entry.name, entry.since) for entry in listed}) == len(listed)


def test_a_module_of_the_real_suite_passes(capsys):
    pytest.importorskip("test.test_asyncio", reason="this Python came without its test suite")
    assert command.main(["test_context", "test_sock_lowlevel.SelectEventLoopTests.test_sock_accept"]) == 0
    printed = capsys.readouterr().out
    assert "test_context: 1 passed, 1 on a veloop loop" in printed
    assert "| 2 | 2 | 0 | 0 | 0 | 0 | 0 |" in printed
