"""The rules that the sources keep, as functions from a source tree to the places that break them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

LONGEST_FILE = 600
CODE = {".cpp", ".hpp", ".c", ".h", ".py", ".pyi"}
TEXT = CODE | {"", ".md", ".toml", ".txt", ".cmake", ".yml", ".yaml", ".sh", ".cfg"}
FOLDERS = (".ci", ".github", "benchmarks", "cmake", "cpp", "docs", "python", "tests", "tools")

# Each layer of cpp/ and the layers that it may include; module.cpp sees everything.
LAYERS = {
    "base": set[str](),
    "py": {"base"},
    "uv": {"base"},
    "core": {"base", "py", "uv"},
    "net": {"base", "py", "uv", "core"},
    "io": {"base", "py", "uv", "core", "net"},
    "tls": {"base", "py", "uv", "core", "net", "io"},
}

# The only files outside base/ and uv/ that may ask which platform they are compiled for.
PLATFORM_FILES: tuple[str, ...] = ()


@dataclass(frozen=True)
class Offence:
    """One place that breaks a rule; str() is what a failing test shows."""

    rule: str
    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.text.strip()}"


@dataclass(frozen=True)
class Confined:
    """A pattern that may appear in some files of cpp/ only."""

    rule: str
    pattern: re.Pattern[str]
    allowed: tuple[str, ...]

    def offences(self, root: Path) -> Iterator[Offence]:
        cpp = root / "cpp"
        for file in files(cpp, {".cpp", ".hpp"}):
            if any(fnmatch(str(file.relative_to(cpp)), place) for place in self.allowed):
                continue
            for number, line in enumerate(without_comments(file.read_text()).splitlines(), 1):
                if self.pattern.search(line):
                    yield Offence(self.rule, file.relative_to(root), number, line)


CONFINED = (
    Confined(
        "references are counted only in py/ref.hpp, py/type.hpp and py/free_list.hpp",
        re.compile(r"\b(Py_(X?INCREF|X?DECREF|X?SETREF|CLEAR|SET_REFCNT)|_Py_NewReference)\b"),
        ("py/ref.hpp", "py/type.hpp", "py/free_list.hpp"),
    ),
    Confined("handles are closed only in uv/handle.hpp", re.compile(r"\buv_close\b"), ("uv/handle.hpp",)),
    Confined(
        "thread states are touched only in py/gil.hpp",
        re.compile(
            r"\b(PyEval_(Save|Restore|Acquire|Release)Thread|PyGILState_\w+|Py_\w+_(ALLOW_)?THREADS"
            r"|gil_scoped_(acquire|release))\b"
        ),
        ("py/gil.hpp",),
    ),
    Confined(
        "descriptors are closed only in base/owned_fd.hpp",
        re.compile(r"(?<![\w>])::close\s*\("),
        ("base/owned_fd.hpp",),
    ),
    Confined(
        # A daemon thread that runs Python code may end there: py/thread_end.hpp.
        "calls into Python are made only in py/call.hpp",
        re.compile(r"\b(PyObject_(Call|Vectorcall|VectorcallMethod|CallOneArg|CallNoArgs)|PyIter_Send)\s*\("),
        ("py/call.hpp",),
    ),
    Confined(
        "the platform is asked for only in base/, uv/ and the platform files",
        re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif)\b.*\b(__linux__|__APPLE__|__\w+BSD__|_WIN32)\b"),
        ("base/*", "uv/*", *PLATFORM_FILES),
    ),
)


def long_files(root: Path) -> Iterator[Offence]:
    for file in project_files(root, CODE):
        count = len(file.read_text().splitlines())
        if count > LONGEST_FILE:
            yield Offence(f"a file has at most {LONGEST_FILE} lines", file.relative_to(root), count, "")


def todos_without_kind(root: Path) -> Iterator[Offence]:
    pattern = re.compile(r"\bTO[D]O\b(?!\(\w+\): )")
    yield from _lines_that_match(root, CODE, "a note of work to do says its kind, as in (perf): ", pattern)


def machine_paths(root: Path) -> Iterator[Offence]:
    pattern = re.compile(r"(?<![\w.~*}\])])/(?:work|farm|root|home/\w+|Users/\w+)/")
    yield from _lines_that_match(root, TEXT, "no path of one machine", pattern)


def _lines_that_match(
    root: Path, suffixes: set[str], rule: str, pattern: re.Pattern[str]
) -> Iterator[Offence]:
    for file in project_files(root, suffixes):
        if file.name == "test_source_rules.py":
            continue  # It shows what breaks the rules.
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if pattern.search(line):
                yield Offence(rule, file.relative_to(root), number, line)


def project_files(root: Path, suffixes: set[str]) -> Iterator[Path]:
    yield from (file for file in sorted(root.iterdir()) if file.is_file() and file.suffix in suffixes)
    for folder in FOLDERS:
        yield from files(root / folder, suffixes)


def files(folder: Path, suffixes: set[str]) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if file.suffix in suffixes and file.is_file() and "__pycache__" not in file.parts:
            yield file


def without_comments(code: str) -> str:
    """C++ without its comments and the insides of its strings, line by line as before."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
    return token.sub(_blank, code)


def _blank(match: re.Match[str]) -> str:
    text = match[0]
    return '""' if text.startswith('"') else "\n" * text.count("\n")
