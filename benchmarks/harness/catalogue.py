"""The workloads on disk: found by file name, titled by docstring, expanded by grid."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from harness.model import Load, Parameters, Work

Offers = Mapping[str, Callable[[], object]]
FOLDER = Path(__file__).parent.parent / "workloads"
SERVICES = ("postgres", "redis")


def _readable(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    if name != "size":
        return f"{value:,}"
    for factor, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= factor and value % factor == 0:
            return f"{value // factor} {unit}"
    return f"{value} B"


@dataclass(frozen=True)
class Workload:
    name: str
    module: ModuleType

    def title(self, parameters: Parameters | None = None) -> str:
        """The docstring's first line, which may name parameters in braces; others are told if unusual."""
        usual = next(self.points())
        parameters = parameters or usual
        template = (self.module.__doc__ or self.name).strip().splitlines()[0]
        told = {name: _readable(name, value) for name, value in parameters.items()}
        unusual = [
            f"{name}={value}"
            for name, value in told.items()
            if parameters[name] != usual[name] and f"{{{name}}}" not in template
        ]
        return ", ".join([template.format_map(told), *unusual])

    @property
    def order(self) -> int:
        """Where the row stands in the table; rows of a kind stand together."""
        return int(getattr(self.module, "ORDER", 1000))

    @property
    def uses_threads(self) -> bool:
        """Whether threads share the work, so that pinning it to one core would measure something else."""
        return bool(getattr(self.module, "THREADS", False))

    @property
    def rounds(self) -> int:
        """How often it is measured at most; fewer where the figure hardly varies but takes long."""
        return int(getattr(self.module, "ROUNDS", 1000))

    @property
    def services(self) -> list[str]:
        """The real servers that it works with."""
        return [name for name in SERVICES if name in inspect.signature(self.module.prepare).parameters]

    def points(self, whole_grid: bool = False) -> Iterator[Parameters]:
        grid: dict[str, list[object]] = self.module.GRID
        shown: dict[str, int] = getattr(self.module, "SHOWN", {})
        values = [choices if whole_grid else choices[: shown.get(name, 1)] for name, choices in grid.items()]
        for combination in itertools.product(*values):
            yield dict(zip(grid, combination, strict=True))

    def limit(self, parameters: Parameters) -> Load | None:
        """The load under which the plain C echo server is this row's limit, if it is one."""
        describe = getattr(self.module, "limit", None)
        return describe(**parameters) if describe else None

    def prepare(self, loop: asyncio.AbstractEventLoop, offers: Offers, parameters: Parameters) -> Work:
        """``offers`` are made for a workload whose ``prepare`` has a parameter of that name."""
        prepare = self.module.prepare
        wanted = inspect.signature(prepare).parameters
        offered = {name: make() for name, make in offers.items() if name in wanted}
        work: Work = prepare(loop, **offered, **parameters)
        return work


def load(name: str) -> Workload:
    return Workload(name, importlib.import_module(f"workloads.{name}"))


def load_all() -> list[Workload]:
    names = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
    return sorted((load(name) for name in names), key=lambda workload: (workload.order, workload.name))
