"""Builds veloop and installs it into an environment, if anything that it is made from has changed."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tools.dev import system_packages
from tools.dev.environment import Environment, digest
from tools.dev.steps import ROOT, run_quietly, step

_SOURCES = ("cpp", "cmake", "python")
_NOT_SOURCES = {"__pycache__", ".mypy_cache", ".ruff_cache"}

# A developer's build refuses warnings, and tells clang-tidy how each file is compiled.
CMAKE_OPTIONS = {"VELOOP_WERROR": "ON", "CMAKE_EXPORT_COMPILE_COMMANDS": "ON"}


def build_directory(environment: Environment) -> Path:
    return ROOT / "build" / f"dev-{environment.name}"


def provide(environment: Environment) -> None:
    """The build's tools, then the build: quick if nothing changed. The system's part must be there."""
    environment.provide()
    environment.install("build")
    toolchain = digest([system_packages.compiler_version() or "", system_packages.libuv_version() or ""])
    options = CMAKE_OPTIONS | environment.cmake_options
    key = digest([toolchain, environment.build_type, json.dumps(options), *_inputs()])
    if environment.is_stamped("veloop", key):
        return
    directory = build_directory(environment)
    if not environment.is_stamped("toolchain", toolchain) and directory.exists():
        shutil.rmtree(directory)  # CMake keeps what it found out about another compiler or libuv.
    with step(f"building veloop and installing it for Python {environment.interpreter.version}"):
        settings = {"build-dir": str(directory), "cmake.build-type": environment.build_type}
        settings |= {f"cmake.define.{name}": value for name, value in options.items()}
        run_quietly(
            [
                *environment.pip,
                "install",
                "--verbose",
                "--no-build-isolation",  # The tools are in the environment: the build directory stays valid.
                "--no-deps",
                "--force-reinstall",
                *(f"--config-settings={name}={value}" for name, value in settings.items()),
                ROOT,
            ],
            f"{environment.name}-veloop",
            environment.variables,
        )
        environment.stamp("toolchain", toolchain)
        environment.stamp("veloop", key)


def _inputs() -> Iterator[str | bytes]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    relevant = [project["build-system"], project["project"], project.get("tool", {}).get("scikit-build")]
    yield json.dumps(relevant, sort_keys=True)
    for file in _source_files():
        yield str(file.relative_to(ROOT))
        yield file.read_bytes()


def _source_files() -> Iterator[Path]:
    yield ROOT / "CMakeLists.txt"
    for folder in _SOURCES:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.is_file() and not _NOT_SOURCES.intersection(file.parts):
                yield file
