"""The tables of docs/CONFORMANCE.md: what a row looks like, and which rows a new run replaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.figures import Table, record

DOCUMENT = "# Title\n\n<!-- suite -->\n<!-- end of suite -->\n\nMore text.\n"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "CONFORMANCE.md"
    path.write_text(DOCUMENT)
    return path


def table(*rows: tuple[object, ...]) -> Table:
    made = Table(["Python", "passed:"])
    for row in rows:
        made.add(*row)
    return made


def test_a_table_is_markdown_with_separated_thousands() -> None:
    assert str(table(("3.11.7", 1877))) == "| Python | passed |\n| --- | ---: |\n| 3.11.7 | 1,877 |"
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        table(("3.11.7",))


def test_a_run_replaces_its_own_row_and_keeps_the_others(document: Path) -> None:
    record("suite", table(("3.13.0", 1), ("3.9.1", 2)), document)
    record("suite", table(("3.11.7", 3), ("3.13.0", 4)), document)
    assert document.read_text() == DOCUMENT.replace(
        "<!-- suite -->\n", f"<!-- suite -->\n{table(('3.9.1', 2), ('3.11.7', 3), ('3.13.0', 4))}\n"
    )


def test_other_columns_start_the_table_anew(document: Path) -> None:
    record("suite", Table(["Python"], [["3.13.0"]]), document)
    record("suite", table(("3.11.7", 3)), document)
    assert "3.13.0" not in document.read_text()
    assert "3.11.7" in document.read_text()


def test_names_that_are_no_versions_keep_their_order(document: Path) -> None:
    record("suite", table(("sockets", 1), ("pipes", 2)), document)
    record("suite", table(("sockets", 3), ("timers", 4)), document)
    rows = [line for line in document.read_text().splitlines() if line.startswith("| ")][2:]
    assert rows == ["| sockets | 3 |", "| pipes | 2 |", "| timers | 4 |"]


def test_a_sum_stands_below_what_came_later(document: Path) -> None:
    record("suite", table(("sockets", 1), ("all", 1)), document)
    record("suite", table(("pipes", 2)), document)
    rows = [line for line in document.read_text().splitlines() if line.startswith("| ")][2:]
    assert rows == ["| sockets | 1 |", "| pipes | 2 |", "| all | 1 |"]


def test_an_unknown_section_is_an_error(document: Path) -> None:
    with pytest.raises(ValueError, match="no section 'soak'"):
        record("soak", table(), document)
