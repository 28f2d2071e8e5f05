"""What the task runner says: one line for each step, with how it ended and how long it took.

A step's own output goes to a log file and is shown only when the step fails.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LOGS = ROOT / "build" / "logs"
LINES_SHOWN_OF_A_LOG = 80


class Failed(Exception):
    """A step failed, and what is worth knowing about it is the message."""


class Outcome:
    """How a step ended, in a few words; ``done`` unless the step says otherwise."""

    def __init__(self) -> None:
        self.text = "done"


@contextmanager
def step(what: str) -> Iterator[Outcome]:
    print(f"[dev] {what} ... ", end="", flush=True)
    outcome = Outcome()
    started = time.monotonic()
    try:
        yield outcome
    except BaseException:
        print(f"failed ({time.monotonic() - started:.1f} s)", flush=True)
        raise
    print(f"{outcome.text} ({time.monotonic() - started:.1f} s)", flush=True)


def say(text: str) -> None:
    print(f"[dev] {text}", flush=True)


def run_quietly(
    command: Sequence[str | Path], log_name: str, environment: Mapping[str, str] | None = None
) -> None:
    """Runs a command with its output in a log file; a failure carries the end of that file."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{log_name}.log"
    with log.open("wb") as stream:
        result = subprocess.run(
            list(command),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode != 0:
        raise Failed(
            f"{_readable(command)}\nended with {result.returncode}; the end of {log.relative_to(ROOT)}:\n"
            + "\n".join(log.read_text(errors="replace").splitlines()[-LINES_SHOWN_OF_A_LOG:])
        )


def run_in_view(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> int:
    """Runs a command whose output is the point; gives its exit code."""
    sys.stdout.flush()
    return subprocess.run(list(command), cwd=ROOT, env=environment, check=False).returncode


def _readable(command: Sequence[str | Path]) -> str:
    return " ".join(str(part) for part in command)
