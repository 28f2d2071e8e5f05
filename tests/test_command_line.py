"""``python -m veloop`` runs a program as ``python`` does: same output, same complaints, same exit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import veloop

PLAIN = [sys.executable]
ON_VELOOP = [sys.executable, "-m", "veloop"]


@dataclass(frozen=True)
class Finish:
    """How a child ended; a negative status is the signal that ended it."""

    output: str
    complaints: str
    status: int


def run(command: list[str], folder: Path, *, text: str = "", **variables: str) -> Finish:
    finished = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"} | variables,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Finish(finished.stdout, finished.stderr, finished.returncode)


def check_same(arguments: list[str], folder: Path, *, text: str = "", **variables: str) -> Finish:
    plain = run([*PLAIN, *arguments], folder, text=text, **variables)
    ours = run([*ON_VELOOP, *arguments], folder, text=text, **variables)
    assert ours == plain
    return ours


def write(folder: Path, **files: str) -> None:
    """``app="..."`` writes app.py, ``package_in_tool="..."`` package/tool.py."""
    for name, code in files.items():
        path = folder / f"{name.replace('_in_', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))


SHOW_SURROUNDINGS = """
    import sys
    names = {
        name: value if isinstance(value, (str, type(None))) else type(value).__name__
        for name, value in globals().items()
    }
    print(sorted(names.items(), key=str), sys.argv, sys.path, sys.modules["__main__"].__dict__ is globals())
"""

ENDINGS = {
    "falls off its end": "print('done')",
    "exits with a number": "import sys; sys.exit(3)",
    "exits with a message": "import sys; sys.exit('no such luck')",
    "exits with None": "import sys; sys.exit(None)",
    "exits with a large number": "import sys; sys.exit(2 ** 40)",
    "raises": "def fail():\n    return 1 / 0\nfail()",
    "raises after another error": "try:\n    1 / 0\nexcept ArithmeticError:\n    raise ValueError(2)",
    "raises a group": "raise ExceptionGroup('several', [ValueError(1), OSError(2, 'two')])",
    "cannot be compiled": "def broken(:\n    pass",
    "is interrupted": "raise KeyboardInterrupt",
    "recurses too deeply": "import sys\nsys.tracebacklimit = 2\ndef down():\n    down()\ndown()",
    "has its own excepthook": "import sys\nsys.excepthook = lambda *a: print(a[0], a[2].tb_lineno)\n1 / 0",
    "says goodbye": "import atexit\natexit.register(print, 'bye')\nraise ValueError('then atexit runs')",
    "leaves a thread": (
        "import threading, time\nthreading.Thread(target=lambda: print(time.sleep(0.1))).start()\n1 / 0"
    ),
    "warns": "import warnings\nwarnings.warn('careful')",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_ends_as_under_plain_python(ending: str, tmp_path: Path) -> None:
    write(tmp_path, app=ENDINGS[ending])
    check_same(["app.py"], tmp_path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_module_ends_as_under_plain_python(ending: str, tmp_path: Path) -> None:
    write(tmp_path, package_in___init__="", package_in___main__=ENDINGS[ending])
    check_same(["-m", "package"], tmp_path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_code_ends_as_under_plain_python(ending: str, tmp_path: Path) -> None:
    check_same(["-c", ENDINGS[ending]], tmp_path)


def test_an_error_inside_the_loop_is_shown_from_the_program_to_its_cause(tmp_path: Path) -> None:
    write(tmp_path, app="import asyncio\nasync def main():\n    1 / 0\nasyncio.run(main())")
    plain, ours = (run([*start, "app.py"], tmp_path) for start in (PLAIN, ON_VELOOP))
    assert (ours.status, ours.output) == (plain.status, plain.output)
    assert ours.complaints.splitlines()[:3] == plain.complaints.splitlines()[:3]
    assert ours.complaints.splitlines()[-1] == plain.complaints.splitlines()[-1]


def test_interruption_is_a_death_by_signal(tmp_path: Path) -> None:
    write(tmp_path, app="import os, signal\nos.kill(os.getpid(), signal.SIGINT)")
    assert check_same(["app.py"], tmp_path).status == -signal.SIGINT


def test_a_script_sees_the_same_surroundings(tmp_path: Path) -> None:
    write(tmp_path, scripts_in_app=SHOW_SURROUNDINGS)
    check_same(["scripts/app.py", "one", "--two", "-m"], tmp_path)
    check_same([str(tmp_path / "scripts" / "app.py")], tmp_path)


def test_a_script_behind_a_link_finds_the_modules_beside_it(tmp_path: Path) -> None:
    write(tmp_path, scripts_in_app=SHOW_SURROUNDINGS + "    import other", scripts_in_other="print('beside')")
    (tmp_path / "link.py").symlink_to(tmp_path / "scripts" / "app.py")
    assert "beside" in check_same(["link.py"], tmp_path).output


def test_a_module_sees_the_same_surroundings(tmp_path: Path) -> None:
    write(tmp_path, package_in___init__="", package_in_tool=SHOW_SURROUNDINGS, alone=SHOW_SURROUNDINGS)
    check_same(["-m", "package.tool", "one", "-c"], tmp_path)
    check_same(["-m", "alone"], tmp_path)


def test_code_sees_the_same_surroundings(tmp_path: Path) -> None:
    check_same(["-c", textwrap.dedent(SHOW_SURROUNDINGS), "one", "-m"], tmp_path)


def test_standard_input_sees_the_same_surroundings(tmp_path: Path) -> None:
    check_same(["-", "one"], tmp_path, text=textwrap.dedent(SHOW_SURROUNDINGS))


def test_a_folder_and_an_archive_are_run_by_their_main(tmp_path: Path) -> None:
    write(
        tmp_path,
        program_in___main__=SHOW_SURROUNDINGS + "    import other",
        program_in_other="print('beside')",
    )
    assert "beside" in check_same(["program", "one"], tmp_path).output
    with zipfile.ZipFile(tmp_path / "program.zip", "w") as archive:
        for name in ("__main__.py", "other.py"):
            archive.write(tmp_path / "program" / name, name)
    assert "beside" in check_same(["program.zip", "one"], tmp_path).output


def test_what_cannot_be_found_is_refused_alike(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments in (["nowhere.py"], ["-m", "nowhere"], ["-m", "nowhere.module"], ["empty"]):
        finish = check_same(arguments, tmp_path)
        assert finish.status != 0
        assert finish.complaints


def test_the_safe_path_stays_safe(tmp_path: Path) -> None:
    write(tmp_path, app=SHOW_SURROUNDINGS)
    check_same(["app.py"], tmp_path, PYTHONSAFEPATH="1")


def test_spawned_processes_find_the_program_again(tmp_path: Path) -> None:
    write(
        tmp_path,
        app="""
            import concurrent.futures, multiprocessing, pickle

            class Point:
                def __init__(self, x):
                    self.x = x

            def double(point):
                return Point(2 * point.x)

            if __name__ == "__main__":
                spawn = multiprocessing.get_context("spawn")
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
                    print(pool.submit(double, Point(21)).result().x)
                print(pickle.loads(pickle.dumps(Point(7))).x)
        """,
    )
    assert check_same(["app.py"], tmp_path).output == "42\n7\n"
    assert check_same(["-m", "app"], tmp_path).output == "42\n7\n"


NAME_THE_LOOPS = """
    import asyncio, warnings
    warnings.simplefilter("error")

    async def name():
        return type(asyncio.get_running_loop()).__module__.split(".")[0]

    with asyncio.Runner() as runner:
        by_runner = runner.run(name())
    loop = asyncio.new_event_loop()
    print(asyncio.run(name()), by_runner, loop.run_until_complete(name()))
    loop.close()
"""


def test_the_program_runs_on_veloop(tmp_path: Path) -> None:
    write(tmp_path, app=NAME_THE_LOOPS)
    for arguments in (["app.py"], ["-m", "app"], ["-c", textwrap.dedent(NAME_THE_LOOPS)]):
        finish = run([*ON_VELOOP, *arguments], tmp_path)
        assert finish == Finish("veloop veloop veloop\n", "", 0)


def test_help_version_and_misuse(tmp_path: Path) -> None:
    help_text = run([*ON_VELOOP, "--help"], tmp_path)
    assert help_text.status == 0
    assert help_text.output.startswith("usage: python -m veloop")
    assert run(ON_VELOOP, tmp_path) == help_text
    assert run([*ON_VELOOP, "--version"], tmp_path) == Finish(f"veloop {veloop.__version__}\n", "", 0)
    for misuse in (["-m"], ["-c"], ["--no-such-option"]):
        assert run([*ON_VELOOP, *misuse], tmp_path).status == 2
