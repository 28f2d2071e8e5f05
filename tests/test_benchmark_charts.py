"""The chart of a benchmark run: what it shows, and that results survive their file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import compare  # noqa: E402
from harness import chart  # noqa: E402
from harness.model import LIMIT, Measurement  # noqa: E402
from harness.summary import Row  # noqa: E402
from support.leftovers import kept_for_the_run  # noqa: E402


def measured(*values, **attributes):
    return [Measurement(value=value, cpu_us_per_op=1.0, **attributes) for value in values]


def lateness(*values, least=0.0):
    return measured(
        *values, higher_is_better=False, unit="µs", latency_us={"min": least}, shown=["p50", "p99"]
    )


ROWS = [
    Row("echo", "echo of something", {}, {
        "asyncio": measured(10.0, 10.0), "uvloop": measured(20.0, 22.0), "veloop": measured(4_000.0, 4_000.0),
        LIMIT: measured(50.0, 50.0),
    }),
    Row("late", "lateness, p50 / p99", {}, {
        "asyncio": lateness(900.0), "uvloop": lateness(100.0, least=-500.0), "veloop": lateness(90.0),
    }),
    Row("broken", "a row that fails", {}, {
        "asyncio": measured(1.0), "uvloop": [Measurement(error="killed")], "veloop": measured(1.0),
    }),
]  # fmt: skip
LOOPS = {"asyncio": "3.13.0", "uvloop": "0.23.0", "veloop": "0.1.0"}


def results():
    return compare.Results({"python": "3.13.0"}, LOOPS, 2, 0.1, "asyncio", ROWS)


def drawn(path):
    chart.draw(ROWS, [*LOOPS, LIMIT], "asyncio", path, "what was measured")
    return path


@pytest.fixture(scope="module", autouse=True)
def open_fonts(tmp_path_factory):
    """matplotlib keeps the fonts that it has used open."""
    path = tmp_path_factory.mktemp("charts") / "first.svg"
    with kept_for_the_run():
        try:
            chart.check(path)
        except chart.CannotDraw:
            return
        drawn(path)
        drawn(path.with_suffix(".png"))


def test_the_chart_shows_each_row_and_loop(tmp_path):
    pytest.importorskip("matplotlib")
    text = drawn(tmp_path / "chart.svg").read_text()
    for shown in ("echo of something   10/s", "lateness, p99   900.0 µs", "400\N{MULTIPLICATION SIGN}"):
        assert shown in text
    assert "uvloop fires early" in text
    assert "uvloop fails" in text
    assert "the limit" in text
    assert "what was measured" in text


def test_the_same_results_give_the_same_chart(tmp_path):
    pytest.importorskip("matplotlib")
    assert drawn(tmp_path / "one.svg").read_bytes() == drawn(tmp_path / "two.svg").read_bytes()
    assert drawn(tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_a_chart_that_cannot_be_drawn_is_refused_before_anything_is_measured(tmp_path):
    command = [
        sys.executable,
        BENCHMARKS / "compare.py",
        "--only",
        "chain",
        "--chart",
        tmp_path / "chart.txt",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "chart.txt: a chart is an .svg or a .png\n"
    assert done.stdout == ""


def test_results_survive_their_file(tmp_path):
    path = tmp_path / "results.json"
    results().write(path)
    again = compare.Results.read(path)
    assert json.loads(json.dumps(vars(again), default=vars)) == json.loads(
        json.dumps(vars(results()), default=vars)
    )
    assert again.rows[0].ratio("veloop", "asyncio").median == 400.0
    assert again.rows[1].early_us("uvloop") == 500.0


def test_results_from_a_file_are_shown_again(tmp_path):
    path = tmp_path / "results.json"
    results().write(path)
    data = json.loads(path.read_text())
    data["rows"][0]["workload"] = "chain"  # names of rows that exist
    path.write_text(json.dumps(data))
    command = [sys.executable, BENCHMARKS / "compare.py", "--only", "chain", "--from", path]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert "echo of something" in done.stdout
    assert "a row that fails" not in done.stdout
