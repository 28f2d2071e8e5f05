"""A server that a test run starts must not outlive it, however the run ends: killed, crashed or timed out."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STOP_SECONDS = 60

# Standard input ends when we close it, or when we cease to exist. The folder goes with the server.
WAIT_THEN_STOP = 'folder=$1; shift; read -r _; "$@"; rm -rf "$folder"'


@contextmanager
def stopped_at_the_end(stop: Sequence[str | Path], folder: Path, **account: Any) -> Iterator[None]:
    """Runs the command and removes the folder when the block ends, or when this process does."""
    # In a session of its own: what interrupts us from the keyboard must not end the keeper first.
    keeper = subprocess.Popen(
        ["sh", "-c", WAIT_THEN_STOP, "keeper", folder, *stop],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        **account,
    )
    try:
        yield
    finally:
        keeper.communicate(timeout=STOP_SECONDS)
