"""``python -m tools.soak [--short] [--record] [NAME ...]``: rows of docs/CONFORMANCE.md's table "soak".

Each row is warmed up, measured, run, and measured again. The run fails if one grew by more than a little: a
leak grows each time, so a row that did is tried again. What was there all at once may leave a little more
behind, once: Python's allocator gives back whole arenas of 1 MiB, and keeps one or two.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass

import veloop
from tools.figures import Table, record
from tools.soak import bursts, memory, workloads

MOST_GROWTH = 1.0  # MiB; a leak of one byte for each callback would be ten times that
MOST_KEPT_OF_A_BURST = 3.0  # MiB; the queue of a million callbacks alone takes eight
ATTEMPTS = 3


@dataclass(frozen=True)
class Row:
    """Exactly one of ``run``, ``held`` (a workload on something that lives all the time) and ``burst``."""

    name: str
    count: int
    short: int
    run: workloads.Workload | None = None
    held: Callable[[asyncio.AbstractEventLoop], AbstractContextManager[workloads.Workload]] | None = None
    burst: bursts.Burst | None = None
    unit: str = ""


@dataclass(frozen=True)
class Result:
    before: float
    peak: float | None
    after: float
    left: int  # native objects

    @property
    def growth(self) -> float:
        return self.after - self.before

    @property
    def is_fine(self) -> bool:
        return self.growth < (MOST_GROWTH if self.peak is None else MOST_KEPT_OF_A_BURST) and self.left <= 0


ROWS = [
    Row("callbacks", 10_000_000, 100_000, workloads.callbacks),
    Row("timers that fire", 1_000_000, 20_000, workloads.timers_that_fire),
    Row("timers, cancelled", 1_100_000, 50_000, workloads.cancelled_timers),
    Row("call_soon_threadsafe()", 1_000_000, 20_000, workloads.threadsafe_calls),
    Row("readers and writers, added and removed", 1_000_000, 10_000, workloads.watched_descriptors),
    Row("connections accepted, with an echo each", 1_000_000, 1_000, workloads.connections),
    Row("connections by create_connection()", 50_000, 200, workloads.outgoing_connections),
    Row(
        "writes on a connection that is never idle",
        2_000_000,
        100_000,
        held=workloads.a_connection_that_is_never_idle,
    ),
    Row("sock_*() calls", 1_000_000, 4_000, workloads.sock_calls),
    Row("datagrams", 1_000_000, 5_000, workloads.datagrams),
    Row("getaddrinfo() of literals", 500_000, 2_000, workloads.lookups),
    Row("TLS connections", 5_000, 20, workloads.tls_connections),
    Row("child processes", 1_000, 10, workloads.child_processes),
    Row("event loops", 20_000, 200, workloads.loops),
    Row("at once: callbacks", 1_000_000, 300_000, burst=bursts.pending_callbacks),
    Row("at once: timers that fire", 1_000_000, 150_000, burst=bursts.pending_timers),
    Row("at once: timers, cancelled", 1_000_000, 150_000, burst=bursts.timers_to_cancel),
    Row("at once: call_soon_threadsafe()", 1_000_000, 300_000, burst=bursts.pending_threadsafe_calls),
    Row("at once: bytes to be sent", 256, 32, burst=bursts.backlog, unit=" MiB"),
    Row("at once: bytes in small pieces", 64, 8, burst=bursts.backlog_of_small_pieces, unit=" MiB"),
    # Both ends are here: 20,000 descriptors are as many as some systems allow.
    Row("at once: connections", 9_900, 200, burst=bursts.open_connections),
]


def measure(row: Row, count: int) -> Result:
    loop = veloop.new_event_loop()
    peak: list[float] = []
    with closing(loop), _workload(row, loop, lambda: peak.append(memory.now())) as run:
        # Of a burst only a little: what it keeps is the question.
        for part in (100, 100) if row.burst else (5, 100):
            run(loop, max(1, count // part))
        peak.clear()
        before = memory.resident()
        natives = memory.native_objects()
        run(loop, count)
        after = memory.resident()
        return Result(before, max(peak, default=None), after, memory.native_objects() - natives)


def _workload(
    row: Row, loop: asyncio.AbstractEventLoop, at_the_peak: Callable[[], None]
) -> AbstractContextManager[workloads.Workload]:
    if row.held is not None:
        return row.held(loop)
    if row.run is not None:
        return nullcontext(row.run)
    burst = row.burst
    assert burst is not None

    def burst_and_rest(loop: asyncio.AbstractEventLoop, count: int) -> None:
        burst(loop, count, at_the_peak)
        bursts.rest(loop)

    return nullcontext(burst_and_rest)


def measure_until_fine(row: Row, count: int) -> Result:
    for _ in range(1 if row.burst else ATTEMPTS):
        result = measure(row, count)
        if result.is_fine:
            break
    return result


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only rows whose name contains it")
    parser.add_argument("--short", action="store_true", help="a moment of each")
    parser.add_argument("--record", action="store_true", help="put the figures into docs/CONFORMANCE.md")
    options = parser.parse_args(arguments)
    table = Table(["what", "how many:", "MiB before:", "at the peak:", "after:", "growth:"])
    bad = []
    for row in ROWS:
        if options.names and not any(name in row.name for name in options.names):
            continue
        count = row.short if options.short else row.count
        started = time.monotonic()
        result = measure_until_fine(row, count)
        if not result.is_fine:
            bad.append(f"{row.name}: {result.growth:.2f} MiB more, {result.left} native objects left")
        peak = "" if result.peak is None else f"{result.peak:.1f}"
        figures = [f"{result.before:.1f}", peak, f"{result.after:.1f}", f"{result.growth:+.2f}"]
        table.add(row.name, f"{count:,}{row.unit}", *figures)
        print(f"{' | '.join(table.rows[-1])}   ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"\n{table}")
    if options.record and not options.short:
        record("soak", table)
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
