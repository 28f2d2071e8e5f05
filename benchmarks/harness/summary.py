"""From measurements to medians, spreads and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model import Measurement, Parameters


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Row:
    """One workload at one point of its grid: all rounds of all loops."""

    workload: str
    title: str
    parameters: Parameters
    results: dict[str, list[Measurement]]

    def error(self, loop: str) -> str:
        """Why there is no figure; empty when there is one."""
        return next((result.error for result in self.results.get(loop, []) if result.error), "")

    def measured(self, loop: str) -> bool:
        return bool(self.results.get(loop)) and not self.error(loop)

    def value(self, loop: str) -> Spread:
        return Spread.of([result.value for result in self.results[loop]])

    def cpu_us(self, loop: str) -> Spread:
        return Spread.of([result.cpu_us_per_op for result in self.results[loop]])

    def latency_us(self, loop: str, percentile: str) -> float | None:
        known = [result.latency_us[percentile] for result in self.results[loop] if result.latency_us]
        return statistics.median(known) if known else None

    def early_us(self, loop: str) -> float:
        return max(result.early_us for result in self.results[loop])

    def ratio(self, loop: str, baseline: str) -> Spread | None:
        """How many times better than the baseline, from pairs of the same round: more is always better.

        None when one of them has no figure, or one that is not positive, or timers that fire early.
        """

        def gain(ours: Measurement, theirs: Measurement) -> float:
            if ours.value <= 0 or theirs.value <= 0 or ours.early_us or theirs.early_us:
                return 0.0
            return ours.value / theirs.value if ours.higher_is_better else theirs.value / ours.value

        return self._paired(loop, baseline, gain)

    def cpu_ratio(self, loop: str, baseline: str) -> Spread | None:
        """How many times less CPU time an operation takes than on the baseline."""

        def gain(ours: Measurement, theirs: Measurement) -> float:
            return theirs.cpu_us_per_op / ours.cpu_us_per_op if ours.cpu_us_per_op else 0.0

        return self._paired(loop, baseline, gain)

    def _paired(
        self, loop: str, baseline: str, gain: Callable[[Measurement, Measurement], float]
    ) -> Spread | None:
        if not (self.measured(loop) and self.measured(baseline)):
            return None
        gains = [gain(*pair) for pair in zip(self.results[loop], self.results[baseline], strict=False)]
        return Spread.of(gains) if all(gains) else None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Row:
        """The rounds are what counts; medians and ratios are computed anew."""
        results = {
            loop: [Measurement.from_json(one) for one in entry["rounds"]]
            for loop, entry in data["loops"].items()
        }
        return cls(data["workload"], data["title"], data["parameters"], results)

    def to_json(self, baseline: str) -> dict[str, Any]:
        loops: dict[str, Any] = {}
        for loop, results in self.results.items():
            entry: dict[str, Any] = {"error": self.error(loop), "rounds": [one.to_json() for one in results]}
            if self.measured(loop):
                value, ratio, cpu = (
                    self.value(loop),
                    self.ratio(loop, baseline),
                    self.cpu_ratio(loop, baseline),
                )
                entry |= {"median": value.median, "min": value.low, "max": value.high}
                entry |= {"unit": results[0].unit, "higher_is_better": results[0].higher_is_better}
                entry |= {"cpu_us_per_op": self.cpu_us(loop).median}
                if ratio:
                    entry |= {"ratio": ratio.median, "ratio_min": ratio.low, "ratio_max": ratio.high}
                if cpu:
                    entry["cpu_ratio"] = cpu.median
            loops[loop] = entry
        return {
            "workload": self.workload,
            "title": self.title,
            "parameters": self.parameters,
            "loops": loops,
        }
