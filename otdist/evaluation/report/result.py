"""MetricResult: one figure of a report, with everything that a reader must know to believe it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

from otdist.core.number import AsNumber
from otdist.inference.permutation import TestResult


@dataclass(frozen=True)
class MetricResult(AsNumber):
    """One metric of one sample.

    Attributes:
        name: Key in the report.
        convention: What the figure is, in words.
        estimate: The figure, or None with the reason in `note`.
        higher_is_better: Direction.
        floor: The same metric between two disjoint halves of the real sample, at `floor_size`
            rows each; the mean over 20 random halves.
        floor_spread: Standard deviation of the floor over random halves.
        at_floor: The metric between these halves and as many fake rows: compare with floor.
        floor_size: Rows of each side behind the last two; 0 where there are none.
        lower: Certified bound of the estimate, where one exists.
        upper: Certified bound.
        spread: Standard deviation over draws of rows; not an interval.
        interval: Confidence interval, or None for the reason in `no_interval`.
        target: What the interval covers, in words.
        centre: The estimate without its bias, where the interval is around that.
        no_interval: Why there is no interval.
        effect: The estimate free of units, where it has such a form.
        pvalue: Of a permutation test, where one was asked for and is valid.
        labellings: Random labellings behind the p-value.
        size: Most rows of a side that were used.
        converged: Whether every solver reached its tolerance.
        note: What else a reader must know.
        seconds: Wall-clock time, the floor's left out.
        test: The permutation test behind the p-value, for its picture; not in records.

    >>> MetricResult("w1", "exact W_1", 0.5, floor=0.4).with_(pvalue=0.03).pvalue
    0.03
    """

    name: str
    convention: str
    estimate: float | None
    higher_is_better: bool = False
    floor: float | None = None
    floor_spread: float | None = None
    at_floor: float | None = None
    floor_size: int = 0
    lower: float | None = None
    upper: float | None = None
    spread: float | None = None
    interval: tuple[float, float] | None = None
    target: str = ""
    centre: float | None = None
    no_interval: str = ""
    effect: float | None = None
    pvalue: float | None = None
    labellings: int = 0
    size: int = 0
    converged: bool = True
    note: str = ""
    seconds: float = 0.0
    test: TestResult | None = field(default=None, repr=False, compare=False)

    def __float__(self) -> float:
        """The estimate.

        Raises:
            ValueError: there is none; the message is the reason.
        """
        if self.estimate is None:
            raise ValueError(f"{self.name} has no estimate: {self.note}")
        return self.estimate

    def figures(self) -> dict[str, float]:
        """The figures that exist, by name; the interval as its ends."""
        low, high = self.interval or (None, None)
        names = ("estimate", "lower", "upper", "floor", "at_floor", "spread", "effect", "pvalue")
        found = {name: getattr(self, name) for name in names}
        found |= {"interval_lower": low, "interval_upper": high}
        return {name: float(value) for name, value in found.items() if value is not None}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> MetricResult:
        """The result that `to_dict` wrote; an infinite end of an interval is null in JSON."""
        interval = content["interval"]
        if interval is not None:
            low, high = interval
            interval = (low, math.inf if high is None else high)
        return cls(**{**content, "interval": interval})

    def with_(self, **changes: Any) -> MetricResult:
        """The same result with some fields changed."""
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Every field but `test`, as plain types."""
        names = [f.name for f in fields(self) if f.name != "test"]
        return {name: getattr(self, name) for name in names}
