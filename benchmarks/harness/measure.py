"""Timing: how each kind of work becomes one Measurement."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import programs
from harness.model import Load, Measurement, Sampled, Served, Task, Timed, Weighed

PERCENTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}
COMPARED = "p99"  # of the rows that show percentiles


def measure_timed(work: Timed, seconds: float) -> Measurement:
    work.run()  # warm caches, free lists and specialised bytecode
    gc.collect()
    operations = 0
    cpu, start = time.process_time(), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not operations:
        operations += work.run()
    cpu = time.process_time() - cpu
    return Measurement(
        value=operations / elapsed,
        unit=work.unit,
        operations=operations,
        seconds=elapsed,
        cpu_us_per_op=cpu / operations * 1e6,
    )


def _percentile(ordered: Sequence[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def measure_sampled(work: Sampled, seconds: float) -> Measurement:
    samples: list[float] = []
    cpu, start = time.process_time(), time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not samples:
        samples.extend(work.run())
    cpu = time.process_time() - cpu
    ordered = sorted(sample * 1e6 for sample in samples)
    latency = {name: _percentile(ordered, percent) for name, percent in PERCENTILES.items()}
    return Measurement(
        value=latency[COMPARED if work.shown else "p50"],
        unit=work.unit,
        higher_is_better=False,
        operations=len(samples),
        seconds=elapsed,
        cpu_us_per_op=cpu / len(samples) * 1e6 if work.counts_cpu else 0.0,
        latency_us={**latency, "min": ordered[0]} if work.shown else {},
        shown=work.shown,
    )


def own_memory() -> int:
    """Bytes that this process holds for itself: its resident pages without those of files."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def measure_weighed(work: Weighed) -> Measurement:
    gc.collect()
    memory, cpu, start = own_memory(), time.process_time(), time.perf_counter()
    things = work.run()
    cpu, elapsed = time.process_time() - cpu, time.perf_counter() - start
    gc.collect()
    return Measurement(
        value=(own_memory() - memory) / things,
        unit="B",
        higher_is_better=False,
        operations=things,
        seconds=elapsed,
        cpu_us_per_op=cpu / things * 1e6,
    )


def from_load_report(load: Load, report: dict[str, Any]) -> Measurement:
    """Chooses the row's figure among those the load generator gives."""
    bulk = load.mode in {"sink", "source"}
    rated = not bulk and load.result != "server_memory"
    operations = report["bytes"] // load.size if bulk else report["rounds"]
    if not operations:
        raise RuntimeError("no round trip was completed in the measured time")
    cpu_us = report["server_cpu_seconds"] / operations * 1e6
    value, unit = {
        "rounds": (operations / report["seconds"], "op/s"),
        "bytes": (report["bytes"] / report["seconds"], "B/s"),
        "server_cpu": (cpu_us, "µs CPU"),
        "latency": (report[f"{COMPARED}_us"], "µs"),
        "server_memory": (report["server_memory_growth"] / load.connections, "B"),
    }[load.result]
    return Measurement(
        value=value,
        unit=unit,
        higher_is_better=load.result in {"rounds", "bytes"},
        operations=operations,
        seconds=report["seconds"],
        cpu_us_per_op=cpu_us,
        latency_us={name: report[f"{name}_us"] for name in PERCENTILES} if rated else {},
        shown=tuple(PERCENTILES) if load.result == "latency" else (),
    )


def measure_served(loop: asyncio.AbstractEventLoop, work: Served, task: Task) -> Measurement:
    """Runs the loop for as long as the load lasts.

    A thread that sleeps in ``wait`` ends it: that works on every loop, subprocess support does not.
    """
    running = programs.RunningLoad(work.load, work.address, task.seconds, task.load_core, os.getpid())

    def stop_when_done() -> None:
        running.wait()
        loop.call_soon_threadsafe(loop.stop)

    gc.collect()
    threading.Thread(target=stop_when_done, daemon=True).start()
    loop.run_forever()
    return from_load_report(work.load, running.finish())


def measure_limit(load: Load, task: Task) -> Measurement:
    kind = {"sink": f"source:{load.size}", "source": "sink"}.get(load.mode, load.socket)
    with programs.limit_server(task.server_core, kind, load.tls) as (address, pid):
        running = programs.RunningLoad(load, address, task.seconds, task.load_core, pid)
        running.wait()
        return from_load_report(load, running.finish())
