"""Runs a whole program in a child process, on the kind of loop under test."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LONG = 30  # seconds after which a child counts as hanging
ON_ASYNCIO = "from asyncio import SelectorEventLoop as new_event_loop\n"
ON_VELOOP = "from veloop import new_event_loop\n"
RUN = """
import asyncio

def run(coroutine, **options):
    with asyncio.Runner(loop_factory=new_event_loop, **options) as runner:
        return runner.run(coroutine)

"""


def program_text(loop_factory: Callable[[], Any], source: str) -> str:
    """``source`` after definitions of ``new_event_loop()`` and ``run(coroutine)`` for the loop under test."""
    imports = ON_ASYNCIO if loop_factory is asyncio.SelectorEventLoop else ON_VELOOP
    return imports + RUN + textwrap.dedent(source)


@contextmanager
def started_program(
    loop_factory: Callable[[], Any], source: str, *options: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A running program with pipes; killed if the block leaves it running."""
    process = subprocess.Popen(
        [sys.executable, *options, "-c", program_text(loop_factory, source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
    finally:
        process.wait(LONG)


def run_program(
    loop_factory: Callable[[], Any], source: str, *options: str, **environment: str
) -> tuple[int, str, str]:
    """Run a program to its end: its exit status, its output and its error output."""
    with started_program(loop_factory, source, *options, **environment) as process:
        output, errors = process.communicate(timeout=LONG)
    return process.returncode, output, errors
