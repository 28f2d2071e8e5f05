"""The commands of ``./dev``; what each needs is made, installed or built on the way."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable

from tools.dev import interpreters, lint, memory_checks, package_build, system_packages
from tools.dev.environment import ENVIRONMENTS, Environment
from tools.dev.steps import ROOT, Failed, run_in_view, say, step

Command = Callable[[Environment, list[str]], int]

HELP = """\
usage: ./dev COMMAND [--python X.Y] [arguments]

  demo                 run the documents' examples on veloop, then a short benchmark against asyncio
  test [pytest args]   build, install and run the whole test suite, with real services
  lint [--fix]         formatters, linters, type checks, clang-tidy
  bench [args]         the benchmarks (./dev bench --help lists what they take); --instructions and --million
  conformance [args]   CPython's own asyncio tests, with veloop as the loop
  differential [args]  made-up programs on veloop and on asyncio: the same events, errors and log records
  faults [args]        system calls fail in turn, awaits are cancelled: the same outcome as asyncio's
  soak [args]          millions of connections, callbacks and timers: no growth
  sanitize [args]      the test suite with the address and undefined-behaviour sanitizers
  debug [args]         the test suite with a debug build of CPython
  build                build veloop and install it into its virtual environment
  clean                remove what the other commands made
  help                 this text

--python X.Y takes that Python (from PATH or pyenv), --python all (test, build) each one that is found;
without it, the Python that ./dev itself found. conformance, differential, faults, soak, sanitize and debug
take --record, which puts their figures into docs/CONFORMANCE.md. Missing system packages are installed with
apt-get or brew.
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev", add_help=False, allow_abbrev=False)
    parser.add_argument("--python")
    command, *rest = arguments or ["help"]
    if command in {"help", "--help", "-h"}:
        print(HELP, end="")
        return 0
    if command == "clean":
        return clean()
    if command not in COMMANDS:
        print(f"./dev: there is no command {command!r}\n\n{HELP}", end="", file=sys.stderr)
        return 2
    options, rest = parser.parse_known_args(rest)
    started = time.monotonic()
    codes = []
    for interpreter in interpreters.choose(options.python):
        say(f"{command}: {interpreter}")
        codes.append(COMMANDS[command](Environment(interpreter), rest))
    say(f"{command}: {'failed' if any(codes) else 'finished'} after {time.monotonic() - started:.0f} s")
    return max(codes)


def prepare(environment: Environment, *groups: str, with_services: bool = False) -> None:
    """veloop built and installed, the dependency groups too, and what they need from the system."""
    needs = system_packages.build_needs(environment.interpreter)
    if with_services:
        needs += system_packages.test_needs(environment.interpreter)
    with environment.locked():
        system_packages.provide(needs)
        package_build.provide(environment)
        for group in groups:
            environment.install(group)


def build(environment: Environment, _arguments: list[str]) -> int:
    prepare(environment)
    return 0


def test(environment: Environment, arguments: list[str]) -> int:
    prepare(environment, "test", with_services=True)
    say("running pytest")
    return run_in_view([environment.python, "-m", "pytest", *arguments], environment.variables)


def run_lint(environment: Environment, arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev lint")
    parser.add_argument("--fix", action="store_true", help="mend what can be mended")
    options = parser.parse_args(arguments)
    prepare(environment, "lint")
    return lint.run(environment, fix=options.fix)


def bench(environment: Environment, arguments: list[str]) -> int:
    """Compares loops, or does what its first argument asks for instead."""
    program, needs = "compare.py", []
    if "--instructions" in arguments:
        program, needs = "instructions.py", [system_packages.VALGRIND]
    elif "--million" in arguments:
        program = "million.py"
    system_packages.provide(needs)
    prepare(environment, "bench", with_services=True)
    with environment.locked():
        environment.install_what_can_be("peers")
    return run_in_view([environment.python, f"benchmarks/{program}", *arguments], environment.variables)


def demo(environment: Environment, arguments: list[str]) -> int:
    prepare(environment, "demo", with_services=True)
    return run_in_view([environment.python, "-m", "tools.demo", *arguments], environment.variables)


def sanitize(environment: Environment, arguments: list[str]) -> int:
    environment = memory_checks.sanitized(environment.interpreter)
    prepare(environment, "test", with_services=True)
    return memory_checks.run_sanitized(environment, arguments)


def debug(_environment: Environment, arguments: list[str]) -> int:
    environment = memory_checks.with_assertions()
    prepare(environment, "test", with_services=True)
    return memory_checks.run_with_assertions(environment, arguments)


def tool(name: str) -> Command:
    """The command that runs ``tools/NAME`` in an environment that has what the tests need."""

    def command(environment: Environment, arguments: list[str]) -> int:
        prepare(environment, "test", with_services=True)
        return run_in_view([environment.python, "-m", f"tools.{name}", *arguments], environment.variables)

    return command


COMMANDS: dict[str, Command] = {
    "build": build,
    "test": test,
    "lint": run_lint,
    "bench": bench,
    "demo": demo,
    "conformance": tool("conformance"),
    "differential": tool("differential"),
    "faults": tool("faults"),
    "soak": tool("soak"),
    "sanitize": sanitize,
    "debug": debug,
}


def clean() -> int:
    for directory in (ENVIRONMENTS, ROOT / "build"):
        if directory.exists():
            with step(f"removing {directory.relative_to(ROOT)}"):
                shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as failure:
        print(f"\n{failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
