"""The benchmarks run: every workload for a moment on both loops; that figures are positive is all we ask."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import million  # noqa: E402
from harness import catalogue, loops, programs, report, runner  # noqa: E402
from harness import services as services_module  # noqa: E402
from harness.model import LIMIT, Load, Measurement  # noqa: E402
from harness.services import Services  # noqa: E402
from harness.summary import Row  # noqa: E402

MOMENT = 0.02
LOOPS = [name for name in ("asyncio", "veloop") if loops.resolve(name).installed]
SMALLER = {
    "timers_fire": {"timers": 1_000},
    "idle_memory": {"connections": 3_000},
    "tls_idle_memory": {"connections": 200},
    "startup": {"processes": 1},
    "timer_memory": {"timers": 10_000},
}
LOADS = {"http": "http", "source:4096": "sink", "source:100000": "sink", "sink": "source"}  # by server

needs_load_generator = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="the load generator is C, on epoll"
)


@pytest.fixture(scope="module")
def services():
    with Services(None) as services:
        yield services


@needs_load_generator
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("workload", catalogue.load_all(), ids=lambda workload: workload.name)
def test_workload_gives_a_figure(workload, loop, services):
    parameters = {**next(workload.points()), **SMALLER.get(workload.name, {})}
    urls, unavailable = services.urls(workload.services)
    if unavailable:
        pytest.skip(unavailable)
    result = runner.measure_in_child(runner.make_task(workload, parameters, loop, MOMENT, urls))
    if result.error.endswith("is not installed"):
        pytest.skip(result.error)
    assert not result.error
    assert result.operations > 0
    assert result.seconds > 0
    assert result.value > 0
    assert result.early_us == 0
    assert result.cpu_us_per_op >= 0


@needs_load_generator
@pytest.mark.parametrize("kind", ["tcp", "udp", "unix", "http", "source:4096", "sink"])
def test_the_plain_c_server_answers_the_load_generator(kind):
    load = Load(LOADS.get(kind, "echo"), 2, 64, socket=kind if kind in {"udp", "unix"} else "tcp")
    assert bytes_moved(kind, load) > 0


@needs_load_generator
@pytest.mark.parametrize("size", [64, 100_000])  # bytes: within a record, and more than is received at once
@pytest.mark.parametrize("kind", ["tcp", "unix", "http", "source:4096", "source:100000", "sink"])
def test_the_plain_c_server_answers_over_tls(kind, size):
    load = Load(LOADS.get(kind, "echo"), 2, size, tls=True, socket="unix" if kind == "unix" else "tcp")
    assert bytes_moved(kind, load) > 0


def bytes_moved(kind, load):
    with programs.limit_server(None, kind, load.tls) as (address, pid):
        running = programs.RunningLoad(load, address, MOMENT, None, pid)
        running.wait()
        return running.finish()["bytes"]


@needs_load_generator
@pytest.mark.parametrize("workload", ["tls_echo", "tls_connect", "tls_bulk_send", "tls_bulk_receive"])
def test_rows_over_tls_have_a_limit(workload):
    parameters = next(catalogue.load(workload).points())
    result = runner.measure_in_child(runner.make_task(catalogue.load(workload), parameters, LIMIT, MOMENT))
    assert not result.error
    assert result.value > 0


@needs_load_generator
def test_the_server_s_memory_is_told_by_connection():
    workload = catalogue.load("idle_memory")
    result = runner.measure_in_child(runner.make_task(workload, {"connections": 2_000}, LIMIT, MOMENT))
    assert not result.error
    assert (result.unit, result.operations, result.higher_is_better) == ("B", 2_000, False)
    assert 100 < result.value < 10_000


@needs_load_generator
def test_connections_are_opened_before_any_of_them_is_measured():
    load = Load("echo", 600, 64)  # more than a batch
    with programs.limit_server(None) as (address, pid):
        running = programs.RunningLoad(load, address, MOMENT, None, pid)
        running.wait()
        assert running.finish()["rounds"] >= 1


def test_what_a_million_connections_need():
    costs = {"some": million.Costs(2_048, 50.0, 1_024, 8.0, 2.0)}
    lines = dict(million.table(costs, 4_096))
    assert lines["memory of the process, per idle connection"] == "2,048 B"
    assert lines["memory of the process"] == "2.86 GiB"
    assert lines["memory with the kernel's"] == "6.68 GiB"
    assert lines["CPU to accept them all"] == "50 s"
    assert lines["messages per second and core, at most"] == "100,000"
    assert lines["cores, at a message per connection every 60 s"] == "0.17"


def test_a_service_that_cannot_be_had_is_a_reason_and_not_an_end(monkeypatch):
    def unavailable():
        raise RuntimeError("no server here\nand more")

    monkeypatch.setitem(services_module.START, "redis", unavailable)
    settings = runner.Settings([loops.resolve("asyncio")], 2, MOMENT)
    (row,) = runner.run(settings, [catalogue.load("redis_pipeline")], lambda step: None)
    assert row.error("asyncio") == "no server here"
    notes = report.Footnotes()
    assert report.result_table([row], ["asyncio"], "asyncio", notes)[1][1:] == ["fails [1]"]
    assert list(notes.lines()) == ["[1] no server here"]


def test_a_loop_whose_timers_fire_early_has_no_ratio():
    on_time = Measurement(value=60.0, higher_is_better=False, latency_us={"min": 0.1}, shown=["p99"])
    early = Measurement(value=30.0, higher_is_better=False, latency_us={"min": -400.0}, shown=["p99"])
    row = Row("name", "title", {}, {"asyncio": [on_time], "early": [on_time, early]})
    assert row.ratio("early", "asyncio") is not None
    assert (row.early_us("early"), row.early_us("asyncio")) == (400.0, 0.0)
    row = Row("name", "title", {}, {"asyncio": [on_time], "early": [early]})
    assert row.ratio("early", "asyncio") is None


@needs_load_generator
def test_compare_prints_tables_and_writes_json(tmp_path):
    output = tmp_path / "results.json"
    command = [sys.executable, str(BENCHMARKS / "compare.py"), "--rounds", "2", "--seconds", str(MOMENT)]
    command += ["--loops", "asyncio,other=asyncio:SelectorEventLoop,absent=no_such_module:factory"]
    command += ["--only", "chain,protocol_ech?", "--json", str(output)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)

    assert "left out: absent" in done.stderr
    assert "chain: each callback schedules the next" in done.stdout
    results = json.loads(output.read_text())
    assert set(results["loops"]) == {"asyncio", "other"}
    chain, echo = results["rows"]
    assert set(chain["loops"]) == {"asyncio", "other"}
    assert set(echo["loops"]) == {"asyncio", "other", "C"}
    for loop in echo["loops"].values():
        assert not loop["error"]
        assert 0 < loop["min"] <= loop["median"] <= loop["max"]
        assert loop["ratio"] > 0
        assert loop["unit"] == "op/s"
        assert [set(one["latency_us"]) for one in loop["rounds"]] == [{"p50", "p99", "p999"}] * 2


def test_workload_that_fails_gives_its_reason():
    workload = catalogue.load("chain")
    task = runner.make_task(workload, {"links": "not a number"}, "asyncio", MOMENT)
    assert runner.measure_in_child(task).error.startswith("RuntimeError: the loop reported TypeError")


def test_ratio_compares_rounds_with_each_other_and_more_is_better():
    fast_then_slow = [Measurement(value=20.0), Measurement(value=2.0)]
    slow_then_slower = [Measurement(value=10.0), Measurement(value=1.0)]
    row = Row("name", "title", {}, {"asyncio": slow_then_slower, "other": fast_then_slow})
    ratio = row.ratio("other", "asyncio")
    assert (ratio.low, ratio.median, ratio.high) == (2.0, 2.0, 2.0)

    times = {"asyncio": [Measurement(value=60.0, higher_is_better=False)]}
    times["other"] = [Measurement(value=30.0, higher_is_better=False)]
    assert Row("name", "title", {}, times).ratio("other", "asyncio").median == 2.0


def test_row_without_a_figure_has_no_ratio_but_a_reason():
    results = {"asyncio": [Measurement(value=1.0)], "other": [Measurement(error="killed by signal 6")]}
    row = Row("name", "title", {}, results)
    assert row.ratio("other", "asyncio") is None
    assert row.error("other") == "killed by signal 6"


def test_growth_is_told_for_rows_in_several_sizes():
    def row(timers, cpu):
        results = {"asyncio": [Measurement(value=1.0, cpu_us_per_op=cpu)]}
        return Row("timers", f"{timers} timers", {"timers": timers, "kind": "any"}, results)

    one_size = Row("other", "other", {"timers": 1}, {"asyncio": [Measurement(value=1.0, cpu_us_per_op=1.0)]})
    _, line = report.growth_table([row(1_000, 3.0), row(10, 2.0), row(100, 2.5), one_size], ["asyncio", "C"])
    assert line == ["10 timers .. 1,000", "2 .. 3 µs (1.50x)", ""]


def test_a_loop_factory_may_come_from_a_call(monkeypatch):
    module = types.ModuleType("made_up_loops")
    module.loop_factory = lambda: asyncio.SelectorEventLoop
    monkeypatch.setitem(sys.modules, "made_up_loops", module)
    assert loops.resolve("made_up_loops:loop_factory()").load() is asyncio.SelectorEventLoop


def test_loop_is_found_by_name_or_by_specification():
    assert loops.resolve("uvloop").module == "uvloop"
    named = loops.resolve("mine=package.module:make")
    assert (named.name, named.module, named.factory) == ("mine", "package.module", "make")
    assert loops.resolve(named.text) == named
    with pytest.raises(ValueError, match="unknown loop"):
        loops.resolve("no_such_loop")


def test_every_row_has_a_title_of_its_own():
    titles = [workload.title(point) for workload in catalogue.load_all() for point in workload.points()]
    assert len(set(titles)) == len(titles)
