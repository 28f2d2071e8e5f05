"""Virtual environments, one for each Python, under .venvs/: made once, refreshed when their inputs change."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.dev.interpreters import Interpreter
from tools.dev.steps import ROOT, Failed, run_quietly, step

ENVIRONMENTS = ROOT / ".venvs"


class Environment:
    """The virtual environment of one interpreter, and the stamps that tell what it was made from.

    A variant, such as "sanitized", is an environment of its own, with veloop built by other CMake options.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        variant: str = "",
        build_type: str = "Release",
        cmake_options: Mapping[str, str] | None = None,
    ) -> None:
        self.interpreter = interpreter
        self.name = f"python{interpreter.version}" + (f"-{variant}" if variant else "")
        self.build_type = build_type
        self.cmake_options = dict(cmake_options or {})
        self.directory = ENVIRONMENTS / self.name
        self.python = self.directory / "bin" / "python"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One task runner at a time changes an environment; a second one waits."""
        ENVIRONMENTS.mkdir(exist_ok=True)
        with (ENVIRONMENTS / f"{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def provide(self) -> None:
        key = digest([self.interpreter.executable, self.interpreter.full_version])
        if self.is_stamped("environment", key) and self._runs():
            return
        with step(f"making {self.directory.relative_to(ROOT)}, a virtual environment of {self.interpreter}"):
            if self.directory.exists():
                shutil.rmtree(self.directory)
            run_quietly(
                [self.interpreter.executable, "-m", "venv", self.directory], f"{self.name}-environment"
            )
            run_quietly([*self.pip, "install", "--upgrade", "pip"], f"{self.name}-pip")
            self.stamp("environment", key)

    def install(self, group: str) -> None:
        """Installs one of pyproject.toml's dependency groups ("build": what its build-system requires)."""
        requirements = requirements_of(group)
        key = digest(requirements)
        if self.is_stamped(group, key):
            return
        with step(f"installing what '{group}' needs from PyPI into {self.directory.relative_to(ROOT)}"):
            run_quietly([*self.pip, "install", *requirements], f"{self.name}-{group}")
            self.stamp(group, key)

    def install_what_can_be(self, group: str) -> None:
        """As install(), but one by one: what has no wheel for this Python is left out."""
        for requirement in requirements_of(group):
            name = f"{group}-{re.split(r'[^A-Za-z0-9_-]', requirement)[0]}"
            key = digest([requirement])
            if self.is_stamped(name, key) or self.is_stamped(name, _left_out(key)):
                continue
            with step(
                f"installing {requirement} from PyPI into {self.directory.relative_to(ROOT)}"
            ) as outcome:
                try:
                    run_quietly(
                        [*self.pip, "install", "--only-binary=:all:", requirement], f"{self.name}-{name}"
                    )
                except Failed:
                    outcome.text = "left out: it cannot be installed here"
                    self.stamp(name, _left_out(key))
                else:
                    self.stamp(name, key)

    @property
    def pip(self) -> list[str | Path]:
        return [self.python, "-m", "pip", "--disable-pip-version-check", "--no-input"]

    @property
    def variables(self) -> dict[str, str]:
        """The process environment of a program that runs in here: its commands first on PATH."""
        foreign = {"PYTHONPATH", "PYTHONHOME"}
        clean = {name: value for name, value in os.environ.items() if name not in foreign}
        path = f"{self.directory / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return clean | {"VIRTUAL_ENV": str(self.directory), "PATH": path}

    def is_stamped(self, name: str, key: str) -> bool:
        try:
            return self._stamp_file(name).read_text() == key
        except FileNotFoundError:
            return False

    def stamp(self, name: str, key: str) -> None:
        self._stamp_file(name).write_text(key)

    def _stamp_file(self, name: str) -> Path:
        return self.directory / f".stamp-{name}"

    def _runs(self) -> bool:
        """False, for instance, if the interpreter that it was made from is gone."""
        try:
            return subprocess.run([self.python, "-c", ""], check=False, capture_output=True).returncode == 0
        except OSError:
            return False


def _left_out(key: str) -> str:
    """The stamp of a requirement that is not tried again."""
    return f"left out: {key}"


def requirements_of(group: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = _expand(group, project.get("dependency-groups", {}))
    return [*project["build-system"]["requires"], *listed] if group == "build" else listed


def _expand(group: str, groups: dict[str, list[Any]]) -> list[str]:
    requirements: list[str] = []
    for entry in groups[group]:
        if isinstance(entry, str):
            requirements.append(entry)
        else:
            requirements += _expand(entry["include-group"], groups)
    return requirements


def digest(parts: Sequence[str | bytes]) -> str:
    """A key that changes when any part changes."""
    combined = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        combined.update(f"{len(data)}:".encode() + data)
    return combined.hexdigest()
