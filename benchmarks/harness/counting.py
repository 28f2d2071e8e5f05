"""User-space instructions per operation, counted by valgrind's callgrind: the same in every run.

One process per loop, started with a clock that runs by itself (``load/steady.c``); each row runs in a fork of
it, so that no row sees what another one left behind. Only rows that need no other process can be counted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import programs
from harness.model import Parameters

HOME = Path(__file__).parent.parent
PATIENCE = 900.0  # seconds; valgrind is slow, and so are some loops

# Fewer operations than in the table where they are slow: a count needs no repetition.
ROWS: dict[str, Parameters] = {
    "call_soon": {"burst": 1_000},
    "call_soon_argument": {"burst": 1_000},
    "chain": {"links": 5_000},
    "call_later_cancel": {"timers": 5_000, "delay": 60.0},
    "timers_fire": {"timers": 5_000},
    "timeout_reset": {"timers": 1_000},
    "sleep_zero": {"tasks": 1},
    "gather": {"tasks": 1_000},
    "wait_for": {"waits": 1_000},
    "call_soon_threadsafe": {"from_thread": False, "burst": 1_000},
    "sock_ping_pong": {"size": 64},
    "add_reader": {"callbacks": 2_000},
    "pair_echo": {"size": 1_024},
}


@dataclass(frozen=True)
class Order:
    """What the process under valgrind is asked for."""

    loop: str
    rows: dict[str, Parameters]


@dataclass(frozen=True)
class Counted:
    """A fork's answer; the count itself is in callgrind's file of that process."""

    process: int
    operations: int
    error: str = ""


class CannotCount(Exception):
    """valgrind is missing or does not run here; the text says which."""


def count(loop: str, rows: Mapping[str, Parameters], profiles: Path | None = None) -> dict[str, float | str]:
    """Instructions per operation by row; a text where it failed. ``profiles`` gets callgrind's files."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CannotCount("valgrind is not installed")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            valgrind,
            "--tool=callgrind",
            "--instr-atstart=no",
            "--dump-line=no",
            "--compress-strings=no",
        ]
        command += [f"--callgrind-out-file={folder}/%p", f"--log-file={folder}/log-%p"]
        order = json.dumps(asdict(Order(loop, dict(rows))))
        done = subprocess.run(
            [*command, sys.executable, "-m", "harness.counted_child", order],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=_environment(),
        )
        if done.returncode or not done.stdout:
            reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            return dict.fromkeys(rows, reason[0])
        answers = {
            name: Counted(**answer) for name, answer in json.loads(done.stdout.splitlines()[-1]).items()
        }
        if profiles is not None:
            profiles.mkdir(parents=True, exist_ok=True)
            for name, counted in answers.items():
                for dump in _dumps(counted, Path(folder)):
                    shutil.copy(dump, profiles / f"{loop.partition('=')[0]}-{name}")
        return {name: _figure(counted, Path(folder)) for name, counted in answers.items()}


def _environment() -> dict[str, str]:
    """The same for everybody: even the length of a variable moves the stack."""
    path = os.pathsep.join([str(HOME), os.environ.get("PYTHONPATH", "")])
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LD_PRELOAD": str(programs.steady_library()),
        "BENCHMARK_STEADY": str(programs.steady_library()),
    }


def _dumps(counted: Counted, folder: Path) -> list[Path]:
    return list(folder.glob(f"{counted.process}.*"))


def _figure(counted: Counted, folder: Path) -> float | str:
    if counted.error:
        return counted.error
    for dump in _dumps(counted, folder):
        if found := re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE):
            return int(found[1]) / counted.operations
    return "callgrind counted nothing"
