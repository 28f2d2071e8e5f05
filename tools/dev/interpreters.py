"""Which Pythons this machine has, and what each of them can do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tools.dev.steps import Failed

SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")

_PROBE = """
import importlib.util, json, os, sys, sysconfig
print(json.dumps({
    # Of an active virtual environment (it may be one of ours) the interpreter that it was made from.
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "version": "%d.%d" % sys.version_info[:2] + ("t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""),
    "full_version": sys.version.split()[0],
    "prefix": sys.base_prefix,
    "has_headers": os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")),
    "has_venv": importlib.util.find_spec("ensurepip") is not None,
    "has_own_tests": importlib.util.find_spec("test") is not None
        and importlib.util.find_spec("test.test_asyncio") is not None,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    executable: str
    version: str
    full_version: str
    prefix: str
    has_headers: bool
    has_venv: bool
    has_own_tests: bool

    @property
    def is_of_the_system(self) -> bool:
        """Whether the system's package manager made it, and can therefore complete it."""
        return self.prefix == "/usr"

    def __str__(self) -> str:
        return f"Python {self.full_version} ({self.executable})"


def probe(executable: str | Path) -> Interpreter | None:
    """What an interpreter says about itself; None if it does not run (as a pyenv shim may not)."""
    try:
        answer = subprocess.run(
            [executable, "-c", _PROBE], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Interpreter(**json.loads(answer.stdout)) if answer.returncode == 0 else None


@cache
def find(version: str) -> Interpreter | None:
    """The first interpreter of a version, as in "3.12": this one, then PATH, then pyenv's."""
    for candidate in _candidates(version):
        interpreter = probe(candidate)
        if interpreter is not None and interpreter.version == version:
            return interpreter
    return None


def choose(wanted: str | None) -> list[Interpreter]:
    """The interpreters that ``--python`` names; without it, the one that runs the task runner."""
    if wanted == "all":
        return [found for version in SUPPORTED if (found := find(version)) is not None]
    interpreter = find(wanted) if wanted else probe(sys.executable)
    if interpreter is None:
        raise Failed(f"there is no Python {wanted or ''} on PATH, nor under pyenv")
    return [interpreter]


def _candidates(version: str) -> Iterator[str | Path]:
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        yield sys.executable
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        for name in (f"python{version}", "python3"):
            candidate = Path(folder, name)
            if os.access(candidate, os.X_OK):
                yield candidate
    yield from sorted(_of_pyenv(version), key=_patch_level, reverse=True)


def _of_pyenv(version: str) -> list[Path]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    try:
        return list(root.glob(f"versions/{version}.*/bin/python{version}"))
    except PermissionError:  # Another user's.
        return []


def _patch_level(executable: Path) -> tuple[int, str]:
    name = executable.parent.parent.name
    patch = name.split(".")[2]
    return (int(patch) if patch.isdigit() else -1, name)
