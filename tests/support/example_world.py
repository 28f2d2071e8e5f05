"""The world in which the example programs run: PostgreSQL, the hosts they name, and a child to run them in.

Usable without pytest::

    with example_world.running() as world:
        for program in example_world.programs():
            outcome = world.run(program.path, loop="veloop")
            assert outcome.output == program.expected
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from support import named_hosts, postgres

LoopName = Literal["veloop", "asyncio"]

EXAMPLES = Path(__file__).parent.parent / "examples"
CHILD_STARTUP = Path(__file__).parent / "child_startup"

PROGRAM_SECONDS = 40  # A bound for a program that hangs: the longest take seven.


@dataclass(frozen=True)
class Program:
    """One of our own example programs and what it must print."""

    path: Path
    expected: str

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def title(self) -> str:
        """The first line of the program's documentation."""
        return self.path.read_text().split('"""')[1].splitlines()[0]


def programs() -> list[Program]:
    """Each program in the examples folder; beside ``x.py`` lies ``x.expected.txt``."""
    return [
        Program(path, path.with_suffix(".expected.txt").read_text()) for path in sorted(EXAMPLES.glob("*.py"))
    ]


@dataclass(frozen=True)
class Outcome:
    """What a child did."""

    output: str
    errors: str
    status: int
    loops: list[str]  # The type of each loop that ran, such as "veloop.EventLoop".
    seconds: float  # Without the interpreter's start.

    def ran_only_on(self, loop: LoopName) -> bool:
        return {name.split(".")[0] for name in self.loops} == {loop}


@dataclass(frozen=True)
class World:
    database: postgres.Postgres
    hosts: named_hosts.NamedHosts
    folder: Path

    def run(self, program: Path, loop: LoopName, *, working_folder: Path | None = None) -> Outcome:
        """Runs ``python program``, or ``python -m veloop program``, to its end."""
        report = self.folder / f"report-{uuid.uuid4().hex}"
        report.touch()
        command = [sys.executable, *(["-m", "veloop"] if loop == "veloop" else []), str(program)]
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                cwd=working_folder or scratch,
                env=self.environment() | {"VELOOP_TEST_REPORT": str(report)},
            )
            output, errors = _communicate(child)
        lines = [line.split(" ", 1) for line in report.read_text().splitlines()]
        loops = [value for kind, value in lines if kind == "loop"]
        # A program's helper processes report too; the program itself is the last to end.
        seconds = [float(value) for kind, value in lines if kind == "seconds"]
        return Outcome(output, errors, child.returncode, loops, seconds[-1] if seconds else math.inf)

    def environment(self) -> dict[str, str]:
        """Variables that lead a child to the local servers; everything else is ours."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        python_path = [str(CHILD_STARTUP), *filter(None, [os.environ.get("PYTHONPATH")])]
        authority = str(self.hosts.authority_file)
        return inherited | {
            "PYTHONPATH": os.pathsep.join(python_path),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",  # A program that has to be killed has still told how far it came.
            "SSL_CERT_FILE": authority,
            "REQUESTS_CA_BUNDLE": authority,
            "VELOOP_TEST_NAMES": json.dumps(self._names()),
            "NO_PROXY": "*",
        }

    def _names(self) -> dict[str, str]:
        """The port of PostgreSQL that the documents' example leaves out, and the hosts that they name."""
        return self.hosts.names() | {"localhost:5432": f"{self.database.host}:{self.database.port}"}


def _communicate(child: subprocess.Popen[str]) -> tuple[str, str]:
    """What the child writes; one that hangs is killed, and what it wrote until then tells where."""
    try:
        return child.communicate(timeout=PROGRAM_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        output, errors = child.communicate(timeout=10)
        return output, f"{errors}\nkilled: it did not end within {PROGRAM_SECONDS} seconds"


@contextmanager
def running() -> Iterator[World]:
    """All servers, until the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="veloop-examples-") as folder,
        named_hosts.running(Path(folder)) as hosts,
        postgres.running() as database,
    ):
        yield World(database, hosts, Path(folder))
