"""What a distance between samples can be asked, whichever it is: the one protocol of all of them.

A discrepancy is a frozen dataclass: its fields are its options, checked when it is built. Tests,
intervals, reports, the command and the functions of `distances` know nothing else of a distance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import count
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from otdist.core import measure
from otdist.core.large import is_large, refuse
from otdist.core.measure import Measure, SamplePair
from otdist.core.metric import Metric, check_negative_type
from otdist.core.progress import followed
from otdist.core.threads import each
from otdist.discrepancy.limit import Linear, NoIntervalError
from otdist.discrepancy.line_limit import LineLimit

Options = Mapping[str, Any]


def only(*doors: str) -> dict[str, Any]:
    """Metadata of a field that is an option of these doors only: "distance", "test", "interval"."""
    return {"doors": doors}


class Figure(NamedTuple):
    """A value of two samples.

    Attributes:
        value: The value.
        lower: Certified bound of it, where there is a proof.
        upper: Certified bound.
        converged: Whether the solver reached its tolerance.
        details: What `limit` can use again.
        note: What a reader must know.
    """

    value: float
    lower: float | None = None
    upper: float | None = None
    converged: bool = True
    details: Any = None
    note: str = ""


class Discrepancy(ABC):
    """A number for two samples, large when they differ, with all that is known about it.

    A new one is a frozen dataclass with `value` in a file of this room, and a line in the table of
    `otdist.discrepancy`. What it leaves out here has an honest default: labellings are solved one
    by one, there is no interval and no method in blocks.

    Attributes:
        title: What the value is, in words, as reports show it.
        higher_is_better: Whether a larger value means more alike.
        least_rows: Rows needed of each sample.
        most_rows: Rows of each sample that a report takes; None for all.
        quick: Whether all labellings of a test cost little more than one value.
        spread: Whether reports show how the value moves over halves of the rows.
        squared: Whether the limit is that of the p-th power of the value.
        weighted: Whether a test takes weights of rows.
        in_threads: Whether labellings may be shared out among threads, one thread each.
        needs_train: Whether it is a figure of training rows too, which `of_training` takes.
        no_limit: Why there is no interval; "" where there may be one.
        in_tests: Options that a test takes where the caller gives none.
        in_intervals: Options that an interval takes likewise.
    """

    title: ClassVar[str]
    higher_is_better: ClassVar[bool] = False
    least_rows: ClassVar[int] = 1
    most_rows: ClassVar[int | None] = None
    quick: ClassVar[bool] = False
    spread: ClassVar[bool] = False
    squared: ClassVar[bool] = True
    weighted: ClassVar[bool] = False
    in_threads: ClassVar[bool] = False
    needs_train: ClassVar[bool] = False
    no_limit: ClassVar[str] = "no central limit theorem is known"
    in_tests: ClassVar[Options] = {}
    in_intervals: ClassVar[Options] = {}

    @property
    def negative_type(self) -> float:
        """The power of distances that must be of negative type, 0 for none, where it has a metric.

        See `Metric.of_negative_type`.
        """
        return 0.0

    @property
    def has_masses(self) -> bool:
        """Whether weights are masses of any sum."""
        return getattr(self, "reach", None) is not None

    @property
    def quantity(self) -> str:
        """A short name of the value, such as SW_1."""
        return type(self).__name__

    def words(self, name: str) -> str:
        """The title of the value under one of the names that the table has for it."""
        return self.title

    def rows(self, dimension: int) -> int | None:
        """Rows of each sample that a report takes in so many dimensions; None for all."""
        return self.most_rows

    @classmethod
    def options(cls, door: str) -> list[str]:
        """Names of the options that a door has."""
        known = fields(cls)  # pyright: ignore[reportArgumentType]
        return [f.name for f in known if door in f.metadata.get("doors", (door,))]

    def numbers(self, pair: SamplePair) -> int:
        """How many numbers a value takes, for the threads that it deserves."""
        return pair.size**2

    def quickly(self, x: Any, y: Any, a: Any, b: Any, **call: Any) -> Any:
        """The answer for few plain arrays of numpy, where there is a short way to it; else None."""
        return None

    def frame(self, x: Any, y: Any, a: Any = None, b: Any = None) -> SamplePair:
        """Both samples in a frame in which no power of a distance overflows."""
        metric, p, masses = getattr(self, "metric", None), getattr(self, "p", 2.0), self.has_masses
        pair = measure.pair(x, y, a, b, p=p, metric=metric, masses=masses)
        check_negative_type(metric, pair.x.points.shape[1], self.negative_type, self.quantity)
        return pair

    def fitted(self, pair: SamplePair) -> Self:
        """A copy whose options that depend on the data are fixed, from the pooled sample.

        The result must not change when rows move from one sample to the other: a test is valid, and
        a value, its floor and its interval speak of one functional, for that reason.
        """
        return self

    def of_training(self, train: np.ndarray) -> Self:
        """The same for training rows (k, d), which most have no use for."""
        return self

    def prepared(
        self, samples: Sequence[np.ndarray], seed: int | None
    ) -> tuple[Discrepancy, Sequence[np.ndarray]]:
        """What a report computes many figures and limits from: samples that save it some work.

        Args:
            samples: Shape (n, d) each; reals first.
            seed: As for `value`.

        Returns:
            A discrepancy with the values and limits of this one, and the samples that it takes,
            whose rows are functions of those given, row by row.
        """
        return self, samples

    def exchangeable(self, pair: SamplePair) -> tuple[Discrepancy, SamplePair]:
        """The samples whose rows a test exchanges, and the value of theirs that it looks at."""
        return self, pair

    @abstractmethod
    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The value, in the caller's units; `seed` is that of random directions or draws."""

    def figures(
        self, names: Sequence[str], pair: SamplePair, seed: int | None
    ) -> dict[str, Figure]:
        """The value under each name that the table has for this object."""
        return dict.fromkeys(names, self.value(pair, seed))

    def answer(self, pair: SamplePair, seed: int | None = 0) -> Any:
        """What the public function returns, with its graph."""
        return pair.kind.number(torch.tensor(self.value(pair, seed).value, dtype=torch.float64))

    def streamed(self, x: Any, y: Any, a: Any, b: Any, seed: int | None = 0) -> Any:
        """The answer for dask arrays, block by block.

        Raises:
            TypeError: there is no method in blocks.
        """
        name = next(n for n, value in zip("xyab", (x, y, a, b), strict=True) if is_large(value))
        raise refuse(name, self.quantity)

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """The value for every labelling of the pooled sample; here one after another.

        Args:
            pair: Rows that are pooled: those of x, then those of y. Weights travel with the rows.
            labels: Shape (B, N), bool: which pooled rows make the first sample, whose number may
                differ from one labelling to another.
            seed: As for `value`.

        Returns:
            Shape (B,), float64.
        """
        z, w = pooled(pair), masses(pair)
        marks, values = torch.from_numpy(labels).to(z.device), np.empty(len(labels))
        tell, done = followed(), count(1)

        def of(mark: Tensor) -> Measure:
            return even(z[mark]) if w is None else weighted(z[mark], w[mark])

        def work(part: slice) -> None:
            for k in range(len(labels))[part]:
                split = replace(pair, x=of(marks[k]), y=of(~marks[k]))
                values[k] = self.value(split, seed).value
                if tell is not None:
                    tell(next(done) / len(labels))

        # No labelling starts from another's potentials: two random ones have little in common but
        # the points. At 500 + 500 to 1,000 + 1,000 points it took 0.9 to 1.7 times as long.
        parts = [slice(k, k + 1) for k in range(len(labels))] if self.in_threads else [slice(None)]
        each(parts, work, z.device)
        return values

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Any:
        """The `Linear` or `LineLimit` that an interval follows from.

        Args:
            pair: The samples.
            seed: Of splits and resampling.
            figure: What `value` gave for them, where it is at hand.

        Raises:
            NoIntervalError: there is none for these samples, or ever.
        """
        raise NoIntervalError(self.no_limit)

    def seen_by(self) -> tuple[Discrepancy, str] | None:
        """What must show a difference before an interval is given, and what it sees, in words.

        It vanishes exactly where this one does; None is the energy distance.
        """
        return None


class Labelled(Discrepancy):
    """A distance whose value is that of `relabelled` under the observed labelling."""

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The value of the rows as they come."""
        labels = np.arange(len(pair.x) + len(pair.y))[None] < len(pair.x)
        return Figure(float(self.fitted(pair).relabelled(pair, labels, seed)[0]))


Limit = Linear | LineLimit


def refuse_blocks(metric: Metric | None) -> None:
    """Raise where samples in blocks are asked for another distance than the Euclidean one."""
    if metric is not None:
        raise ValueError(f"metric must be 'euclidean' for dask arrays: got {metric.name!r}")


def pooled(pair: SamplePair) -> Tensor:
    """Both samples in scaled units, (N, d), float64."""
    return torch.cat([pair.x.points, pair.y.points]).detach().double()


def masses(pair: SamplePair) -> Tensor | None:
    """Weights of the rows of both samples on one scale, (N,), float64; None where uniform."""
    if pair.x.masses is None or pair.y.masses is None:
        return None
    return torch.cat([pair.x.masses, pair.y.masses])


def weighted(points: Tensor, mass: Tensor) -> Measure:
    """A sample with weights of any sum."""
    return Measure(points, mass / mass.sum(), False, mass)


def in_units(sample: Measure, pair: SamplePair) -> Tensor:
    """Its points in the caller's units, (n, d), float64."""
    return sample.points.detach().double() * pair.scale + pair.centre.double()


def even(points: Tensor) -> Measure:
    """A sample with uniform weights."""
    weights = torch.full((len(points),), 1 / len(points), dtype=torch.float64, device=points.device)
    return Measure(points, weights, True)
