"""Which file of cpp/ may include which: layers, no cycles, own header first, paths from cpp/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from support.source_rules import LAYERS, Offence, files

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


@dataclass(frozen=True)
class Include:
    file: Path  # Relative to cpp/, as is the target.
    line: int
    target: str
    is_ours: bool
    text: str


class IncludeGraph:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._cpp = root / "cpp"

    @cached_property
    def includes(self) -> list[Include]:
        found = []
        for file in files(self._cpp, {".cpp", ".hpp"}):
            for number, line in enumerate(file.read_text().splitlines(), 1):
                if match := INCLUDE.match(line):
                    own = file.relative_to(self._cpp)
                    found.append(Include(own, number, match[2], match[1] == '"', line))
        return found

    def outside_layers(self) -> Iterator[Offence]:
        rule = "a file includes only its own layer and layers below it"
        for include in self.includes:
            layer, other = _layer(include.file), _layer(Path(include.target))
            if not include.is_ours or layer is None:
                continue
            if layer not in LAYERS:
                yield self._offence(f"{layer}/ is no layer", include)
            elif other != layer and other not in LAYERS[layer]:
                yield self._offence(rule, include)

    def not_from_the_root(self) -> Iterator[Offence]:
        for include in self.includes:
            if include.is_ours and not (self._cpp / include.target).is_file():
                yield self._offence("paths in #include start at cpp/", include)
            if not include.is_ours and (self._cpp / include.target).is_file():
                yield self._offence('our own headers are included with ""', include)

    def own_header_not_first(self) -> Iterator[Offence]:
        first: dict[Path, Include] = {}
        for include in self.includes:
            first.setdefault(include.file, include)
        for file, include in first.items():
            own = file.with_suffix(".hpp")
            if file.suffix == ".cpp" and (self._cpp / own).is_file() and include.target != str(own):
                yield self._offence("a file includes its own header first", include)

    def cycles(self) -> Iterator[Offence]:
        """No header needs itself, by whatever way; a .cpp may include whatever its layer allows."""
        graph: dict[str, dict[str, Include]] = {}
        for include in self.includes:
            if include.is_ours:
                graph.setdefault(str(include.file), {}).setdefault(include.target, include)
        for file, others in graph.items():
            for other, include in others.items():
                if path := _path(graph, other, file):
                    yield self._offence(f"no cycles ({' -> '.join([file, *path])})", include)

    def _offence(self, rule: str, include: Include) -> Offence:
        return Offence(rule, Path("cpp") / include.file, include.line, include.text)


def _layer(file: Path) -> str | None:
    """The folder below cpp/; None for module.cpp, which may see everything."""
    return file.parts[0] if len(file.parts) > 1 else None


def _path(graph: dict[str, dict[str, Include]], start: str, goal: str) -> list[str] | None:
    """Some way from start to goal along the includes."""
    came_from: dict[str, str | None] = {start: None}
    reached = [start]
    while reached:
        here = reached.pop()
        if here == goal:
            path: list[str] = []
            step: str | None = here
            while step is not None:
                path.insert(0, step)
                step = came_from[step]
            return path
        for following in graph.get(here, {}):
            if following not in came_from:
                came_from[following] = here
                reached.append(following)
    return None
