"""What a million connections on one machine need, worked out from measured costs: ``./dev bench --million``.

Memory and CPU time per connection, timer and message are measured with as many of them as a benchmark can
open; the rest is arithmetic. Every connection has one timer, as servers have that drop clients that fall
silent. What an application keeps for a connection comes on top.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import catalogue, loops, programs, report, runner
from harness.model import Load, Measurement, Parameters

MILLION = 1_000_000
INTERVAL = 60.0  # seconds between two messages of a connection


@dataclass(frozen=True)
class Costs:
    """Of one loop; memory in bytes, CPU time in microseconds."""

    connection_memory: float
    connection_cpu: float
    timer_memory: float
    message_cpu: float
    reset_cpu: float


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--million", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--loops", default="asyncio,uvloop,veloop", help="as for the benchmarks")
    parser.add_argument(
        "--sample", type=int, default=10_000, help="connections to measure with (default 10,000)"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each measurement lasts")
    return parser.parse_args(arguments)


def measure(loop: str, sample: int, seconds: float) -> Costs:
    def result(workload: str, parameters: Parameters) -> Measurement:
        print(f"{loop.partition('=')[0]}: {workload}", file=sys.stderr, flush=True)
        measured = runner.measure_in_child(
            runner.make_task(catalogue.load(workload), parameters, loop, seconds)
        )
        if measured.error:
            raise SystemExit(f"{loop}, {workload}: {measured.error}")
        return measured

    idle = result("idle_memory", {"connections": sample})
    return Costs(
        connection_memory=idle.value,
        connection_cpu=idle.cpu_us_per_op,
        timer_memory=result("timer_memory", {"timers": MILLION}).value,
        message_cpu=result("echo_latency", {"connections": sample, "size": 64}).cpu_us_per_op,
        reset_cpu=result("timeout_reset", {"timers": MILLION}).cpu_us_per_op,
    )


def measure_kernel_memory(sample: int) -> float:
    """Bytes that the kernel keeps for one end of an idle connection; both ends are on this machine."""
    with programs.limit_server(None) as (address, pid):
        before = _slab()
        load = programs.RunningLoad(Load("idle", sample, 64), address, 0.1, None, pid)
        load.wait()
        after = _slab()
        load.finish()
    return max(0, after - before) / sample / 2


def _slab() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, value, *_ = line.split()
        if name == "Slab:":
            return int(value) * 1024
    return 0


def table(costs: Mapping[str, Costs], kernel_memory: float) -> list[list[str]]:
    def row(title: str, cell: str, of: Sequence[float]) -> list[str]:
        return [title, *(cell.format(value) for value in of)]

    each = list(costs.values())
    memory = [(cost.connection_memory + cost.timer_memory) * MILLION / 2**30 for cost in each]
    served = [cost.message_cpu + cost.reset_cpu for cost in each]
    return [
        ["measured", *costs],
        row(
            "memory of the process, per idle connection",
            "{:,.0f} B",
            [cost.connection_memory for cost in each],
        ),
        row("memory of the process, per timer", "{:,.0f} B", [cost.timer_memory for cost in each]),
        row("memory of the kernel, per connection", "{:,.0f} B", [kernel_memory] * len(each)),
        row("CPU to accept one and answer once", "{:.1f} µs", [cost.connection_cpu for cost in each]),
        row("CPU per message", "{:.1f} µs", [cost.message_cpu for cost in each]),
        row("CPU to reset a timeout among a million", "{:.2f} µs", [cost.reset_cpu for cost in each]),
        row("**a million connections, a timer each**", "", served),
        row("memory of the process", "{:.2f} GiB", memory),
        row(
            "memory with the kernel's",
            "{:.2f} GiB",
            [one + kernel_memory * MILLION / 2**30 for one in memory],
        ),
        row("CPU to accept them all", "{:.0f} s", [cost.connection_cpu * MILLION / 1e6 for cost in each]),
        row("messages per second and core, at most", "{:,.0f}", [1e6 / one for one in served]),
        row(
            f"cores, at a message per connection every {INTERVAL:.0f} s",
            "{:.2f}",
            [MILLION / INTERVAL * one / 1e6 for one in served],
        ),
    ]


def limits() -> list[str]:
    """What has to be raised on this machine, and to what."""
    wanted = MILLION + 1_000
    found = [
        ("ulimit -n", resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        ("fs.nr_open", _setting("fs/nr_open")),
        ("fs.file-max", _setting("fs/file-max")),
        ("net.core.somaxconn", _setting("net/core/somaxconn")),
    ]
    least = {"net.core.somaxconn": 4_096}
    return [
        f"{name} is {value:,}"
        + (
            f", and has to be at least {least.get(name, wanted):,}"
            if 0 <= value < least.get(name, wanted)
            else ": enough"
        )
        for name, value in found
    ]


def _setting(name: str) -> int:
    return int((Path("/proc/sys") / name).read_text())


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    specs = [spec for spec in map(loops.resolve, options.loops.split(",")) if spec.installed]
    costs = {spec.name: measure(spec.text, options.sample, options.seconds) for spec in specs}
    report.print_table(table(costs, measure_kernel_memory(options.sample)))
    print()
    for line in limits():
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
