"""The vocabulary shared by workloads, the child that measures one of them, and the runner that compares.

A workload is a module in ``workloads/``. Its docstring's first line is the row's title; ``GRID`` maps each
parameter to its values, of which the first make the row shown by default; ``prepare(loop, **parameters)``
returns one of the four kinds of work below. Parameters of ``prepare`` with these names are offered:

- ``new_loop``: the factory of the loop under test, ``loop_spec``: its module and name;
- ``echo_server``, ``http_server``, ``https_server``: the address of a C server on the other core;
- ``postgres``, ``redis``: the URL of a real server, started once for the whole run.

Optional are ``ORDER`` (the row's place), ``THREADS`` (do not pin), ``SHOWN`` (of a parameter, how many of its
values are rows by default), ``ROUNDS`` (at most so many, for a figure that does not vary) and
``limit(**parameters)``, the load under which the C server is the row's limit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

Address = tuple[str, int] | str  # a host and a port, or a path
Parameters = dict[str, Any]


def nothing_to_close() -> None:
    """The default for work that holds no resources."""


@dataclass(frozen=True)
class Timed:
    """Work of the loop under test alone: ``run`` does one batch and returns how many operations that was."""

    run: Callable[[], int]
    close: Callable[[], None] = nothing_to_close
    unit: str = "op/s"


@dataclass(frozen=True)
class Sampled:
    """A distribution rather than a rate: ``run`` returns seconds, one value per sample; less is better.

    The table shows the percentiles ``shown`` and compares the 99th; without any, it is the median for both.
    """

    run: Callable[[], Sequence[float]]
    close: Callable[[], None] = nothing_to_close
    unit: str = "µs"
    shown: tuple[str, ...] = ()
    counts_cpu: bool = True  # whether the CPU time of this process is that of the work


@dataclass(frozen=True)
class Load:
    """What the C load generator does to a server, and which of its figures is the row's result."""

    mode: Literal["echo", "http", "websocket", "connect", "sink", "source", "idle"]
    connections: int = 10
    size: int = 1024
    tls: bool = False
    socket: Literal["tcp", "udp", "unix"] = "tcp"
    result: Literal["rounds", "bytes", "server_cpu", "latency", "server_memory"] = "rounds"


@dataclass(frozen=True)
class Served:
    """The loop under test serves at ``address``; ``load`` comes from another process on another core."""

    address: Address
    load: Load
    close: Callable[[], None] = nothing_to_close


@dataclass(frozen=True)
class Weighed:
    """What ``run`` leaves behind in memory. It returns how many things that is; the size of one is told."""

    run: Callable[[], int]
    close: Callable[[], None] = nothing_to_close


Work = Timed | Sampled | Served | Weighed
CLOCK_TOLERANCE_US = 1.0


@dataclass(frozen=True)
class Measurement:
    """One child's answer. ``value`` is in ``unit``; ``error`` says why there is none."""

    value: float = 0.0
    unit: str = "op/s"
    higher_is_better: bool = True
    operations: int = 0
    seconds: float = 0.0
    cpu_us_per_op: float = 0.0
    latency_us: dict[str, float] = field(default_factory=dict)
    shown: Sequence[str] = ()  # of the latencies, those that the table shows instead of the value
    error: str = ""

    @property
    def early_us(self) -> float:
        """By how much a timer fired too early at worst; the clocks' own differences do not count."""
        earliest = -self.latency_us.get("min", 0.0)
        return earliest if earliest > CLOCK_TOLERANCE_US else 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Measurement:
        known = {member.name for member in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


@dataclass(frozen=True)
class Task:
    """What the runner asks a child to measure."""

    loop: str  # a name or specification that loops.resolve() understands, or LIMIT
    workload: str
    parameters: Parameters
    seconds: float
    server_core: int | None = None
    load_core: int | None = None
    services: dict[str, str] = field(default_factory=dict)  # URLs by name


LIMIT = "C"  # the pseudo-loop: a plain C server under the same load
