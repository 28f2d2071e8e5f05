"""A short benchmark against asyncio's own loop, with the harness of ``./dev bench``."""

from __future__ import annotations

from rich.table import Table

from harness import catalogue, loops, report, runner
from harness.runner import Step
from harness.summary import Row
from tools.demo.display import progress

WORKLOADS = (
    "call_soon",
    "chain",
    "call_later_cancel",
    "call_soon_threadsafe",
    "gather",
    "protocol_echo",
    "streams_echo",
    "tls_echo",
    "uvicorn_plain",
)
BASELINE = "asyncio"
SETTINGS = runner.Settings([loops.resolve(name) for name in (BASELINE, "veloop")], 3, 0.3, with_limit=False)


def run() -> list[Row]:
    workloads = [catalogue.load(name) for name in WORKLOADS]
    with progress("benchmark", runner.count(SETTINGS, workloads)) as on_done:

        def on_step(step: Step) -> None:
            figure = step.result.error or report.quantity(step.result.value, step.result.unit)
            on_done(f"{step.row.workload} on {step.loop}: {figure}")

        return list(runner.run(SETTINGS, workloads, on_step))


def table(rows: list[Row]) -> Table:
    notes = report.Footnotes()
    header, *lines = report.result_table(rows, [BASELINE, "veloop"], BASELINE, notes)
    caption = "\n".join(["median (and range) of three short rounds: an impression", *notes.lines()])
    shown = Table(title="Side by side", title_justify="left", caption=caption, caption_justify="left")
    shown.add_column(header[0])
    for name in header[1:]:
        shown.add_column(name, justify="right")
    for line in lines:
        shown.add_row(*line)
    return shown


def failures(rows: list[Row]) -> list[str]:
    return [
        f"{row.workload} on {loop}: {error}"
        for row in rows
        for loop in row.results
        if (error := row.error(loop))
    ]
