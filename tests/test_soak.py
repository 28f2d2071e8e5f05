"""The soak's rows, a moment of each: nothing grows, and what was there at once goes back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc")
def test_nothing_grows():
    done = subprocess.run(
        [sys.executable, "-m", "tools.soak", "--short"], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert (done.returncode, done.stderr) == (0, "")
    table = done.stdout.partition("\n\n")[2].splitlines()
    assert table[0].startswith("| what | how many |")
    assert len(table) > 20
