"""``python -m veloop app.py`` runs a program as ``python app.py`` does, with veloop as asyncio's event loop.

The program gets a ``__main__`` module of its own, where it finds what plain Python would have put there and
nothing of ours. Uncaught exceptions, exit codes and signals are left to the interpreter; only our own frames
are taken out of a traceback first.
"""

from __future__ import annotations

import linecache
import os
import pkgutil
import runpy
import sys
import textwrap
import types
from collections.abc import Callable
from importlib.machinery import BuiltinImporter, SourceFileLoader
from typing import NoReturn

import veloop

USAGE = "usage: python -m veloop [-m MODULE | -c CODE | SCRIPT | FOLDER | ZIP | -] [argument ...]"
HELP = f"""{USAGE}

Runs a program as `python` itself would, with veloop as asyncio's event loop.

  SCRIPT, FOLDER, ZIP  a Python file, or a folder or archive that has a __main__.py
  -                    read the program from standard input
  -m MODULE            run a module or package
  -c CODE              run the code given
  -h, --help           this text
  -V, --version        veloop's version
"""


def main() -> None:
    what, *arguments = sys.argv[1:] or ["--help"]
    if what in {"-h", "--help"}:
        print(HELP, end="")
    elif what in {"-V", "--version"}:
        print(f"veloop {veloop.__version__}")
    elif what in {"-m", "-c"}:
        if not arguments:
            refuse(f"{what} needs an argument")
        (run_module if what == "-m" else run_code)(arguments[0], arguments[1:])
    elif what.startswith("-") and what != "-":
        refuse(f"there is no option {what}")
    else:
        run_path(what, arguments)


def refuse(complaint: str) -> NoReturn:
    print(f"{complaint}\n{USAGE}", file=sys.stderr)
    sys.exit(2)


def run_module(name: str, arguments: list[str]) -> None:
    sys.argv = ["-m", *arguments]
    start(lambda _main: runpy._run_module_as_main(name))  # type: ignore[attr-defined]


def run_code(code: str, arguments: list[str]) -> None:
    sys.argv = ["-c", *arguments]
    set_first_of_path("")
    if sys.version_info >= (3, 14):
        code = textwrap.dedent(code)
    start(lambda main: execute(code, "<string>", main))


def run_path(path: str, arguments: list[str]) -> None:
    sys.argv = [path, *arguments]
    if path == "-":
        set_first_of_path("")
        start(lambda main: execute_file(sys.stdin.buffer.read(), "<stdin>", main))
    elif pkgutil.get_importer(path) is not None:
        # A folder or an archive: what is in it can be imported, and its __main__ is the program.
        sys.path[: 0 if sys.flags.safe_path else 1] = [os.path.abspath(path)]
        start(lambda _main: runpy._run_module_as_main("__main__", alter_argv=False))  # type: ignore[attr-defined]
    else:
        run_file(path)


def run_file(path: str) -> None:
    file = os.path.abspath(path)
    try:
        with open(file, "rb") as stream:
            source = stream.read()
    except OSError as error:
        reason = f"[Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: can't open file {file!r}: {reason}", file=sys.stderr)
        sys.exit(2)
    set_first_of_path(os.path.dirname(os.path.realpath(path)))

    loader = SourceFileLoader("__main__", file)
    start(lambda main: execute_file(source, file, main), loader)


def set_first_of_path(folder: str) -> None:
    """``python -m`` has put the current folder there; with -P or -I, nothing."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def execute(source: str | bytes, name: str, main: types.ModuleType) -> None:
    code = compile(source, name, "exec", dont_inherit=True)
    if isinstance(source, str) and sys.version_info >= (3, 13):  # Tracebacks show the lines of -c.
        if hasattr(linecache, "_interactive_cache"):
            linecache._register_code(code, source, name)  # type: ignore[attr-defined]
        else:
            linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(code, main.__dict__)


def execute_file(source: bytes, file: str, main: types.ModuleType) -> None:
    main.__file__ = file
    if sys.version_info < (3, 15):
        main.__dict__["__cached__"] = None
    execute(source, file, main)


def start(program: Callable[[types.ModuleType], object], loader: object = BuiltinImporter) -> None:
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    main.__loader__ = loader  # type: ignore[assignment]
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    veloop.install()
    try:
        program(main)
    except SystemExit:
        raise
    except BaseException as error:
        sys.excepthook = without_our_frames(error, sys.excepthook)
        raise


def without_our_frames(error: BaseException, report: Callable[..., object]) -> Callable[..., object]:
    """An excepthook that shows only what happened in the program."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals is globals():
        traceback = traceback.tb_next
    return lambda kind, value, _traceback: report(kind, value.with_traceback(traceback), traceback)


if __name__ == "__main__":
    main()
