"""``./dev lint``: every static check, each named, all run even if one fails."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.dev import package_build
from tools.dev.environment import Environment
from tools.dev.steps import ROOT, say

# What the stubs leave out on purpose, one name on each line.
STUBTEST_ALLOWED = ROOT / "tools" / "stubtest-allowed.txt"

# More would not help on the two cores of a CI machine, and clang-tidy takes much memory.
TIDY_PROCESSES = 2


@dataclass(frozen=True)
class Check:
    name: str
    commands: list[list[str | Path]]
    at_once: int = 1


def run(environment: Environment, *, fix: bool) -> int:
    failed = [check.name for check in _checks(environment, fix) if not _passes(check, environment)]
    say(f"lint: {'failed: ' + ', '.join(failed) if failed else 'all checks passed'}")
    return 1 if failed else 0


def _checks(environment: Environment, fix: bool) -> Iterator[Check]:
    tool = environment.directory / "bin"
    cpp = sorted(path for path in (ROOT / "cpp").rglob("*") if path.suffix in {".cpp", ".hpp"})
    compiled = [path for path in cpp if path.suffix == ".cpp"]
    build = package_build.build_directory(environment)
    format_mode: list[str | Path] = ["-i"] if fix else ["--dry-run", "-Werror"]
    yield Check("ruff check", [[tool / "ruff", "check", *(["--fix"] if fix else []), "."]])
    yield Check("ruff format", [[tool / "ruff", "format", *([] if fix else ["--check"]), "."]])
    yield Check("mypy", [[tool / "mypy"], [tool / "mypy", "--package", "tools"]])
    yield Check("stubtest", [[tool / "stubtest", "veloop._native", "--allowlist", STUBTEST_ALLOWED]])
    yield Check("clang-format", [[tool / "clang-format", *format_mode, *cpp]] if cpp else [])
    yield Check("headers compile alone", [["cmake", "--build", build, "--target", "checkheaders"]])
    tidy: list[str | Path] = [tool / "clang-tidy", "--quiet", "-p", build]
    sources = [path for path in compiled if _is_compiled(path, build)]
    yield Check("clang-tidy", [[*tidy, path] for path in sources], at_once=TIDY_PROCESSES)


def _is_compiled(path: Path, build: Path) -> bool:
    """Another platform's file is in no compile command, and clang-tidy would only guess."""
    commands = build / "compile_commands.json"
    return f'"{path}"' in commands.read_text()


def _passes(check: Check, environment: Environment) -> bool:
    started = time.monotonic()
    print(f"[dev] {check.name} ... ", end="", flush=True)
    with ThreadPoolExecutor(check.at_once) as threads:
        results = list(threads.map(lambda command: _run(command, environment), check.commands))
    complaints = [output for code, output in results if code != 0]
    print(f"{'failed' if complaints else 'passed'} ({time.monotonic() - started:.1f} s)", flush=True)
    for output in complaints:
        print(output.rstrip(), flush=True)
    return not complaints


def _run(command: list[str | Path], environment: Environment) -> tuple[int, str]:
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=environment.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout
