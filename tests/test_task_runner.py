"""The task runner: what it finds, what it says, and how it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev import environment, interpreters, memory_checks, steps, system_packages
from tools.dev.__main__ import COMMANDS
from tools.dev.memory_checks import Outcome
from tools.dev.system_packages import Need

ROOT = Path(__file__).parent.parent
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# The interpreter itself, when the tests run in a virtual environment.
OUTSIDE = getattr(sys, "_base_executable", None) or sys.executable


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "dev", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


@pytest.fixture
def make_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a shell script first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return make


def test_help_names_every_command() -> None:
    answer = dev("help")
    assert (answer.returncode, answer.stderr) == (0, "")
    for command in [*COMMANDS, "clean", "help"]:
        assert f"\n  {command} " in answer.stdout
    assert dev().stdout == answer.stdout


def test_what_it_does_not_know_is_refused() -> None:
    assert dev("no-such-command").returncode == 2
    answer = dev("build", "--python", "9.99")
    assert answer.returncode == 1
    assert "there is no Python 9.99" in answer.stderr


def test_it_runs_from_any_folder(tmp_path: Path) -> None:
    answer = subprocess.run([ROOT / "dev", "help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("usage: ./dev")


def test_an_interpreter_that_does_not_run_is_passed_over(
    make_program: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_program("python9.99", "echo no such version >&2; exit 127")
    interpreters.find.cache_clear()
    assert interpreters.find("9.99") is None
    monkeypatch.setattr(interpreters, "_candidates", lambda _version: ["/nonexistent/python", sys.executable])
    found = interpreters.find(HERE)
    interpreters.find.cache_clear()
    assert found is not None
    assert found.executable == OUTSIDE


def test_an_interpreter_says_what_it_is_and_what_an_environment_was_made_from() -> None:
    here = interpreters.probe(sys.executable)
    assert here is not None
    assert (here.version.rstrip("t"), here.executable) == (HERE, OUTSIDE)
    assert here.has_own_tests


@pytest.mark.parametrize("group", ["build", "test", "bench", "peers", "demo", "lint"])
def test_dependency_groups_are_lists_of_requirements(group: str) -> None:
    requirements = environment.requirements_of(group)
    assert all(isinstance(requirement, str) for requirement in requirements)
    assert len(requirements) >= 2


def test_a_peer_that_cannot_be_installed_is_left_out_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = interpreters.probe(sys.executable)
    assert here is not None
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "requirements_of", lambda _group: ["bad", "good>=2; sys_platform"])
    tried = []

    def install(command: list[str | Path], _log: str) -> None:
        tried.append(command[-1])
        if command[-1] == "bad":
            raise steps.Failed("no wheel")

    monkeypatch.setattr(environment, "run_quietly", install)
    made = environment.Environment(here)
    made.directory = tmp_path / "made"
    made.directory.mkdir()
    for _ in range(2):
        made.install_what_can_be("peers")
    assert tried == ["bad", "good>=2; sys_platform"]
    assert "left out: it cannot be installed here" in capsys.readouterr().out


def test_a_digest_tells_where_its_parts_end() -> None:
    assert environment.digest(["ab", "c"]) == environment.digest([b"ab", b"c"])
    assert environment.digest(["ab", "c"]) != environment.digest(["a", "bc"])


def test_a_failed_step_shows_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "LOGS", tmp_path / "logs")
    with pytest.raises(steps.Failed, match=r"ended with 3(?s:.*)the reason"), steps.step("doing it"):
        steps.run_quietly(["sh", "-c", "echo the reason; exit 3"], "it")
    assert capsys.readouterr().out.startswith("[dev] doing it ... failed (")


def test_what_is_missing_is_installed_and_looked_for_again(
    make_program: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "installed"
    make_program("apt-get", "exit 99 # The script beside system_packages.py is a fake too.")
    monkeypatch.setattr(system_packages, "_as_root", list)
    monkeypatch.setattr(system_packages, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(steps, "LOGS", tmp_path / "logs")
    script = tmp_path / "tools" / "dev" / "apt-install"
    script.parent.mkdir(parents=True)

    script.write_text(f'[ "$*" = "one two" ] && touch {mark}')
    system_packages.provide([Need("there", lambda: True, ("zero",)), Need("it", mark.exists, ("one", "two"))])
    assert mark.exists()

    with pytest.raises(steps.Failed, match="by hand: that"):
        system_packages.provide([Need("that", lambda: False, ())])
    script.write_text("true")
    with pytest.raises(steps.Failed, match="still missing after the install: this"):
        system_packages.provide([Need("this", lambda: False, ("one",))])


def test_shell_scripts_are_well_formed() -> None:
    subprocess.run(["sh", "-n", ROOT / "dev"], check=True)
    subprocess.run(["sh", "-n", ROOT / "tools" / "dev" / "apt-install"], check=True)
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


@pytest.mark.parametrize(
    ("outcome", "reports", "status"),
    [
        (Outcome(passed=2, failed=0, skipped=1), 0, 0),
        (Outcome(passed=2, failed=0, skipped=1), None, 0),
        (Outcome(passed=2, failed=1, skipped=0), 0, 1),
        (Outcome(passed=0, failed=1, skipped=0), None, 1),
        (Outcome(passed=2, failed=1, skipped=0), 1, 2),
        (Outcome(passed=2, failed=0, skipped=0), 1, 2),
        (Outcome(passed=0, failed=0, skipped=2), 0, 2),
        (None, 0, 2),
        (None, None, 2),
    ],
)
def test_only_failed_tests_are_worth_running_again(
    outcome: Outcome | None, reports: int | None, status: int
) -> None:
    """Continuous integration does that after a 1."""
    assert memory_checks.exit_status(outcome, reports) == status
