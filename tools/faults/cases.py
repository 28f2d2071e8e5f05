"""A case: one program, one fault, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from tools.faults.injection import ERRORS, Call
from tools.faults.run import Cancellation, Outcome


@dataclass
class Case:
    """One run: a call fails with ``error``, or ``task`` is cancelled at the moment that ``error`` names."""

    function: str = ""
    target: str = ""
    nth: int = 0
    error: str = ""
    task: str = ""
    happened: bool = True
    crashed: str = ""
    outcome: Outcome = field(default_factory=Outcome)
    calls: list[Call] = field(default_factory=list)

    @property
    def kind(self) -> tuple[str, ...]:
        """The same fault at the same object, whichever of its calls or awaits it is."""
        return (self.function, self.target, self.task, self.error)

    @property
    def name(self) -> str:
        if self.task:
            return f"cancel {self.task} at await {self.nth}, {self.error}"
        return f"{self.function}({self.target}) call {self.nth} {self.error}" if self.function else ""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Case:
        values = json.loads(text)
        outcome = Outcome(**values.pop("outcome"))
        return cls(**{**values, "outcome": outcome, "calls": [Call(**call) for call in values["calls"]]})


def cases_of(plain: Case) -> Iterator[Case]:
    """Every fault that a run without one has a place for."""
    for call in plain.calls:
        for error in ERRORS[call.function].split():
            if "eventfd" in call.target and error not in {"EINTR", "EAGAIN"}:
                continue  # There is no device behind it that could fail.
            if call.function == "write" and "socketpair" in call.target:
                continue  # Python itself writes there, in its signal handler, whatever the loop.
            yield Case(call.function, call.target, call.nth, error, calls=[call])
    for task, awaits in plain.outcome.awaits.items():
        for nth in range(1, awaits + 1):
            for moment in Cancellation.MOMENTS:
                yield Case(task=task, nth=nth, error=moment)
