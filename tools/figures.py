"""The figures of docs/CONFORMANCE.md: tables that a command printed, each between two marks.

A command makes a ``Table``, prints it, and with ``--record`` puts it into the document: a row replaces the
one with the same first cell, so that runs on several Pythons, or on several machines, fill one table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ALL = "all"  # the name of a row that sums up the others, which stands below them
DOCUMENT = Path(__file__).parent.parent / "docs" / "CONFORMANCE.md"


@dataclass
class Table:
    """Columns and rows of text. A column whose name ends in ``:`` is aligned to the right."""

    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """Adds a row; numbers get their thousands separated."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append([f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells])

    def __str__(self) -> str:
        names = [column.removesuffix(":") for column in self.columns]
        rules = ["---:" if column.endswith(":") else "---" for column in self.columns]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in [names, rules, *self.rows])


def record(section: str, table: Table, document: Path = DOCUMENT) -> None:
    """Merges a table into a section of the document. Raises ValueError if there is no such section."""
    text = document.read_text()
    marks = f"<!-- {section} -->", f"<!-- end of {section} -->"
    found = re.search(f"{re.escape(marks[0])}\n(.*?){re.escape(marks[1])}", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{document.name} has no section {section!r}")
    merged = Table(table.columns, _merge(_rows_of(found[1], table), table.rows))
    document.write_text(text[: found.start(1)] + f"{merged}\n" + text[found.end(1) :])


def _rows_of(text: str, like: Table) -> list[list[str]]:
    """The rows of a recorded table; none if its columns were others."""
    lines = text.strip().splitlines()
    if lines[:2] != str(Table(like.columns)).splitlines():
        return []
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _merge(old: list[list[str]], new: list[list[str]]) -> list[list[str]]:
    """Old rows in their order, the new ones in their places, a sum last; versions are sorted as such."""
    by_name = {row[0]: row for row in old} | {row[0]: row for row in new}
    versions = [re.match(r"(\d+)\.(\d+)", name) for name in by_name]
    if all(versions):
        return [by_name[name] for name in sorted(by_name, key=_version)]
    return sorted(by_name.values(), key=lambda row: row[0] == ALL)


def _version(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]
