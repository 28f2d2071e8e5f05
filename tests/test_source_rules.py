"""The sources keep their rules, and each rule notices when they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from support import source_rules
from support.include_rules import IncludeGraph
from support.source_rules import Offence

ROOT = Path(__file__).parent.parent

Rule = Callable[[Path], Iterable[Offence]]

RULES: dict[str, Rule] = {
    "layers": lambda root: IncludeGraph(root).outside_layers(),
    "paths from cpp/": lambda root: IncludeGraph(root).not_from_the_root(),
    "own header first": lambda root: IncludeGraph(root).own_header_not_first(),
    "no cycles": lambda root: IncludeGraph(root).cycles(),
    "length": source_rules.long_files,
    "TODO": source_rules.todos_without_kind,
    "machine paths": source_rules.machine_paths,
    **{confined.rule: confined.offences for confined in source_rules.CONFINED},
}


@pytest.mark.parametrize("name", RULES)
def test_the_sources_keep_the_rule(name: str) -> None:
    offences = [str(offence) for offence in RULES[name](ROOT)]
    assert not offences, "\n" + "\n".join(offences)


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def broken_by(root: Path) -> Iterator[tuple[str, str, int]]:
    """Which rule each offence in a tree breaks, and where; every rule is asked."""
    for name, rule in RULES.items():
        for offence in rule(root):
            yield name, str(offence.file), offence.line


INCLUDE_OFFENCES = {
    "layers": [
        {"cpp/py/a.hpp": '#include "uv/b.hpp"', "cpp/uv/b.hpp": ""},
        {"cpp/uv/a.hpp": '#include "py/b.hpp"', "cpp/py/b.hpp": ""},
        {"cpp/base/a.hpp": '#include "py/b.hpp"', "cpp/py/b.hpp": ""},
        {"cpp/core/a.cpp": '#include "io/b.hpp"', "cpp/io/b.hpp": ""},
        {"cpp/net/a.cpp": '#include "io/b.hpp"', "cpp/io/b.hpp": ""},
        {"cpp/io/a.cpp": '#include "tls/b.hpp"', "cpp/tls/b.hpp": ""},
        {"cpp/new_folder/a.cpp": '#include "base/b.hpp"', "cpp/base/b.hpp": ""},
    ],
    "paths from cpp/": [
        {"cpp/base/a.hpp": '#include "b.hpp"', "cpp/base/b.hpp": ""},
        {"cpp/base/a.hpp": "#include <base/b.hpp>", "cpp/base/b.hpp": ""},
    ],
    "own header first": [
        {"cpp/base/a.cpp": '#include <vector>\n#include "base/a.hpp"', "cpp/base/a.hpp": ""},
    ],
    "no cycles": [
        {"cpp/base/a.hpp": '#include "base/b.hpp"', "cpp/base/b.hpp": '#include "base/a.hpp"'},
        {
            "cpp/io/a.hpp": '#include "io/b.hpp"',
            "cpp/io/b.hpp": '#include "io/c.hpp"',
            "cpp/io/c.hpp": '#include "io/a.hpp"',
        },
    ],
}


@pytest.mark.parametrize(
    ("name", "files"), [(name, files) for name, trees in INCLUDE_OFFENCES.items() for files in trees]
)
def test_a_wrong_include_is_noticed(name: str, files: dict[str, str], tmp_path: Path) -> None:
    root = tree(tmp_path, files)
    assert name in {rule for rule, _file, _line in broken_by(root)}


CONFINED_CODE = {
    "references": "  Py_XDECREF(object);",
    "handles": "  uv_close(handle, nullptr);",
    "thread states": "  PyGILState_STATE state = PyGILState_Ensure();",
    "descriptors": "  if (::close(fd) != 0) return;",
    "calls into Python": "  return PyObject_Call(function, arguments, nullptr);",
    "the platform": "#if defined(__linux__) && defined(SPLICE_F_MOVE)",
}


@pytest.mark.parametrize("start", CONFINED_CODE)
def test_code_in_the_wrong_file_is_noticed(start: str, tmp_path: Path) -> None:
    root = tree(tmp_path, {"cpp/io/stream.cpp": f"// A file.\n{CONFINED_CODE[start]}\n"})
    ((rule, file, line),) = broken_by(root)
    assert rule.startswith(start)
    assert (file, line) == ("cpp/io/stream.cpp", 2)


@pytest.mark.parametrize(
    "code",
    ["PyEval_SaveThread()", "Py_BEGIN_ALLOW_THREADS", "py::gil_scoped_release gil;", "Py_UNBLOCK_THREADS"],
)
def test_each_way_to_touch_a_thread_state_is_noticed(code: str, tmp_path: Path) -> None:
    assert len(list(broken_by(tree(tmp_path, {"cpp/core/loop.cpp": code})))) == 1


@pytest.mark.parametrize("start", CONFINED_CODE)
def test_the_same_code_in_its_place_is_fine(start: str, tmp_path: Path) -> None:
    places = [
        "cpp/py/ref.hpp",
        "cpp/uv/handle.hpp",
        "cpp/py/gil.hpp",
        "cpp/base/owned_fd.hpp",
        "cpp/py/call.hpp",
        "cpp/uv/poll.hpp",
    ]
    place = dict(zip(CONFINED_CODE, places, strict=True))[start]
    assert not list(broken_by(tree(tmp_path, {place: CONFINED_CODE[start]})))


def test_comments_strings_and_other_names_are_no_code(tmp_path: Path) -> None:
    code = """
        // uv_close( is called by the deleter.
        /* Py_INCREF(x)
           ::close(fd) */
        const char* text = "uv_close Py_DECREF //";
        std::string::close(); my_uv_close_count(); owner_->close(); Stream::close();
    """
    assert not list(broken_by(tree(tmp_path, {"cpp/io/stream.cpp": code})))


def test_a_long_file_is_noticed(tmp_path: Path) -> None:
    root = tree(
        tmp_path, {"cpp/io/a.cpp": "\n" * 601, "tests/test_b.py": "\n" * 601, "docs/c.md": "\n" * 601}
    )
    assert [file for _rule, file, _line in broken_by(root)] == ["cpp/io/a.cpp", "tests/test_b.py"]
    assert not list(broken_by(tree(tmp_path / "fine", {"cpp/io/a.cpp": "\n" * 600})))


def test_a_todo_without_a_kind_is_noticed(tmp_path: Path) -> None:
    root = tree(
        tmp_path, {"cpp/io/a.cpp": "// TODO: later\n// TODO(perf): use sendfile\n# TODO(perf) later\n"}
    )
    assert [(rule, line) for rule, _file, line in broken_by(root)] == [("TODO", 1), ("TODO", 3)]


@pytest.mark.parametrize("folder", ["work", "root", "home/ada", "Users/ada", "farm"])
def test_a_machine_path_is_noticed(folder: str, tmp_path: Path) -> None:
    path = f"/{folder}/x"
    fine = f"https://example.org{path} ..{path} $HOME{path} /usr/bin/env\n"
    root = tree(tmp_path, {"README.md": fine + f"see {path}\n", "tools/run": f"cd {path}\n"})
    assert [(rule, line) for rule, _file, line in broken_by(root)] == [
        ("machine paths", 2),
        ("machine paths", 1),
    ]
