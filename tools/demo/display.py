"""Progress while the demo runs: a bar on a terminal, else a line for each thing done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# Where there is no terminal, nobody tells how wide it is.
console = Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "120")))

OnDone = Callable[[str], None]


@contextmanager
def progress(what: str, total: int) -> Iterator[OnDone]:
    """Gives a function to be called with a few words for each of ``total`` things done."""
    if not console.is_terminal:
        done = 0

        def print_line(text: str) -> None:
            nonlocal done
            done += 1
            print(f"[{what} {done}/{total}] {text}", flush=True)

        yield print_line
        return

    columns = (
        TextColumn("{task.fields[what]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total, what=what)
        yield lambda text: bar.update(task, advance=1, description=text)
