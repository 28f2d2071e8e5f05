"""What the runner shows: progress while it runs, tables at the end. Needs neither a terminal nor rich."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from harness.model import Measurement
from harness.runner import Step
from harness.summary import Row

Cells = list[str]


def quantity(value: float, unit: str) -> str:
    """A figure in the unit that reads well: 3.07 M/s, 44.0 k/s, 3.66 GiB/s, 60.1 µs."""
    if unit == "B/s":
        return f"{value / 2**30:.2f} GiB/s"
    if unit == "B":
        return f"{value / 1024:.2f} KiB" if value >= 1024 else f"{value:.0f} B"
    if unit.startswith("µs"):
        return f"{value / 1e3:.2f} ms" if abs(value) >= 1e3 else f"{value:.1f} µs"
    for factor, prefix in ((1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{prefix}/s"
    return f"{value:.3g}/s"


def _spread_cell(row: Row, loop: str, baseline: str) -> str:
    ratio = row.ratio(loop, baseline)
    if ratio is None or loop == baseline:
        value = row.value(loop)
        deviation = max(value.high - value.median, value.median - value.low) / value.median
        return f"{quantity(value.median, row.results[loop][0].unit)} ±{deviation:.0%}"
    return f"{ratio.median:.2f}x ({ratio.low:.2f}..{ratio.high:.2f})"


def _percentiles_cell(row: Row, loop: str, baseline: str) -> str:
    """Absolute for every loop; the ratio is that of the 99th percentile."""
    values = [row.latency_us(loop, name) or 0.0 for name in row.results[loop][0].shown]
    cell = " / ".join(f"{value:.0f}" for value in values) + " µs"
    if early := row.early_us(loop):
        return f"{cell}, early by {early:.0f} µs"
    ratio = row.ratio(loop, baseline)
    return cell if ratio is None or loop == baseline else f"{cell} ({ratio.median:.2f}x)"


class Footnotes:
    """Reasons for failures, each told once."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"

    def lines(self) -> Iterator[str]:
        for number, text in enumerate(self.texts, 1):
            yield f"[{number}] {text}"


def result_table(rows: Sequence[Row], loops: Sequence[str], baseline: str, notes: Footnotes) -> list[Cells]:
    """The baseline in absolute figures, the others as ratios to it."""
    table = [["workload", *loops]]
    for row in rows:
        cells = [row.title]
        for loop in loops:
            if loop not in row.results:
                cells.append("")
            elif error := row.error(loop):
                everywhere = all(row.error(other) == error for other in row.results)
                cells.append(f"fails {notes.mark(error if everywhere else f'{loop}: {error}')}")
            elif row.results[loop][0].shown:
                cells.append(_percentiles_cell(row, loop, baseline))
            else:
                cells.append(_spread_cell(row, loop, baseline))
        table.append(cells)
    return table


def detail_table(
    rows: Sequence[Row], loops: Sequence[str], kind: str, cell: Callable[[Row, str], str]
) -> list[Cells]:
    table = [[kind, *loops]]
    for row in rows:
        cells = [cell(row, loop) if row.measured(loop) else "" for loop in loops]
        if any(cells):
            table.append([row.title, *cells])
    return table


def growth_table(rows: Sequence[Row], loops: Sequence[str]) -> list[Cells]:
    """What an operation costs in CPU time with the least and with the most of something."""
    table = [["CPU time as work grows", *loops]]
    for name, points in _in_sizes(rows):
        least, most = points[0], points[-1]
        cells = []
        for loop in loops:
            if least.measured(loop) and most.measured(loop) and least.cpu_us(loop).median:
                before, after = least.cpu_us(loop).median, most.cpu_us(loop).median
                cells.append(f"{before:.3g} .. {after:.3g} µs ({after / before:.2f}x)")
            else:
                cells.append("")
        table.append([f"{least.title} .. {most.parameters[name]:,}", *cells])
    return table


def _in_sizes(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of a workload that differ in one number only, three or more of them, by that number."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        for name, value in row.parameters.items():
            if isinstance(value, int) and not isinstance(value, bool):
                others = sorted((key, other) for key, other in row.parameters.items() if key != name)
                found.setdefault((row.workload, name, str(others)), []).append(row)
    for (_, name, _), points in found.items():
        if len(points) >= 3:
            yield name, sorted(points, key=lambda row: int(row.parameters[name]))


def cpu_cell(row: Row, loop: str, baseline: str) -> str:
    """CPU time, and how many times less it is than the baseline's: steadier than a rate on a busy machine."""
    if not row.cpu_us(loop).median:
        return ""
    used = f"{row.cpu_us(loop).median:.3g} µs"
    ratio = row.cpu_ratio(loop, baseline)
    return used if ratio is None or loop == baseline else f"{used} ({ratio.median:.2f}x)"


def latency_cell(row: Row, loop: str) -> str:
    if row.results[loop][0].shown:
        return ""  # they are in the row itself
    latencies = [row.latency_us(loop, name) for name in ("p50", "p99", "p999")]
    return " / ".join(f"{value:.0f}" for value in latencies if value is not None)


def print_table(table: Sequence[Cells]) -> None:
    """Markdown that also lines up in a terminal."""
    widths = [max(3, *(len(row[column]) for row in table)) for column in range(len(table[0]))]

    def line(cells: Cells) -> str:
        first, *rest = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return "| " + " | ".join([first, *(cell.strip().rjust(len(cell)) for cell in rest)]) + " |"

    print(line(table[0]))
    print("| " + " | ".join(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]) + " |")
    for cells in table[1:]:
        print(line(cells))


def _describe(result: Measurement) -> str:
    return f"fails: {result.error}" if result.error else quantity(result.value, result.unit)


@contextmanager
def progress(total: int) -> Iterator[Callable[[Step], None]]:
    """A bar where stderr is a terminal and rich is at hand, else one line per measurement."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        rich_console = None
    else:
        rich_console = Console(stderr=True)
    if rich_console is None or not rich_console.is_terminal:
        done = 0

        def print_line(step: Step) -> None:
            nonlocal done
            done += 1
            name = f"{step.row.workload} round {step.round + 1} {step.loop}"
            print(f"[{done}/{total}] {name}: {_describe(step.result)}", file=sys.stderr, flush=True)

        yield print_line
        return

    columns = [BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}")]
    with Progress(*columns, console=rich_console, transient=True) as bar:
        task = bar.add_task("", total=total)

        def advance(step: Step) -> None:
            text = f"{step.row.title} | {step.loop}: {_describe(step.result)}"
            bar.update(task, advance=1, description=text)

        yield advance
