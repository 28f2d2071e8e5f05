"""Instructions per operation: counted twice the same, recorded, and held."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import instructions
from harness import catalogue, counting, loops

needs_valgrind = pytest.mark.skipif(
    not Path("/usr/include/valgrind/callgrind.h").exists() or shutil.which("valgrind") is None,
    reason="valgrind and its headers count the instructions",
)
LOOPS = [name for name in ("asyncio", "veloop") if loops.resolve(name).installed]

SMALL_ROWS = {
    "chain": {"links": 500},
    "add_reader": {"callbacks": 100},
    "gather": {"tasks": "not a number"},
}


@pytest.fixture(scope="module")
def profiles(tmp_path_factory):
    return tmp_path_factory.mktemp("profiles")


@pytest.fixture(scope="module")
def counted(profiles):
    return counting.count(LOOPS[-1], SMALL_ROWS, profiles)


@needs_valgrind
def test_instructions_are_counted_by_row(counted, profiles):
    assert 100 < counted["chain"] < 100_000
    assert 100 < counted["add_reader"] < 100_000
    assert counted["gather"].startswith("TypeError")
    assert {path.name for path in profiles.iterdir()} == {f"{LOOPS[-1]}-chain", f"{LOOPS[-1]}-add_reader"}


@needs_valgrind
def test_a_count_is_the_same_each_time(counted):
    again = counting.count(LOOPS[-1], {name: SMALL_ROWS[name] for name in ("chain", "add_reader")})
    for name, value in again.items():
        assert value == pytest.approx(counted[name], rel=0.01)


def test_the_check_holds_what_was_recorded(tmp_path):
    path = tmp_path / "recorded.json"
    instructions.record({"chain": 100.0, "gather": 50.0, "wait_for": "it crashed"}, path)
    assert instructions.why_not_comparable(path) == ""
    assert instructions.complaints({"chain": 102.9, "gather": 20.0}, path) == []
    (complaint,) = instructions.complaints({"chain": 103.1, "gather": 50.0}, path)
    assert complaint == "chain: 103 instructions, recorded 100 (+3.1%)"
    (complaint,) = instructions.complaints({"chain": "it crashed"}, path)
    assert complaint == "chain: it crashed"
    (complaint,) = instructions.complaints({"wait_for": 10.0}, path)
    assert complaint.startswith("wait_for: nothing is recorded")


def test_a_record_of_some_rows_leaves_the_others_and_other_versions(tmp_path):
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps({"3.0": {"python": "3.0.1", "rows": {"chain": 7.0}}}))
    instructions.record({"chain": 100.0, "gather": 50.0}, path)
    instructions.record({"chain": 90.0}, path)
    recorded = json.loads(path.read_text())
    assert recorded["3.0"]["rows"] == {"chain": 7.0}
    assert recorded[instructions.version()]["rows"] == {"chain": 90.0, "gather": 50.0}


def test_counts_of_another_interpreter_are_not_compared(tmp_path, monkeypatch):
    path = tmp_path / "recorded.json"
    assert "nothing is recorded" in instructions.why_not_comparable(path)
    instructions.record({"chain": 100.0}, path)
    monkeypatch.setattr(instructions, "interpreter", lambda: "another build")
    assert "this is another build" in instructions.why_not_comparable(path)
    assert instructions.complaints({"chain": 1000.0}, path) == []
    assert instructions.complaints({"chain": "it crashed"}, path) == ["chain: it crashed"]


def test_the_table_gives_the_baseline_and_how_many_times_fewer():
    counted = {"asyncio": {"chain": 1000.0, "gather": "broken"}, "veloop": {"chain": 250.0, "gather": 10.0}}
    header, chain, gather = instructions.table(counted, {"chain": 200.0})
    assert header[1:] == ["asyncio", "veloop", "recorded"]
    assert chain[1:] == ["1,000", "250 (4.00x)", "200 (+25.0%)"]
    assert gather[1:] == ["fails", "10", ""]


def test_every_counted_row_is_a_workload_with_these_parameters():
    for name, parameters in counting.ROWS.items():
        assert set(parameters) == set(catalogue.load(name).module.GRID)
