r"""Estimates that are sums of independent terms to first order, and the intervals that follow.

Where an estimate T has an influence function (f, g), that is

.. math::  T - τ \approx \frac1n \sum_i f(X_i) + \frac1m \sum_j g(Y_j), \qquad E f(X) = E g(Y) = 0,

it is asymptotically normal around its target τ with variance Var f / n + Var g / m, and the terms
themselves estimate that variance. For transport costs f and g are the dual potentials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import torch

from otdist.core.measure import SamplePair
from otdist.core.shown import Shown
from otdist.discrepancy.rows import halves

Rows = tuple[np.ndarray, np.ndarray]
"""Which rows of x and of y a term belongs to."""


LARGEST_SHARE = 0.3
"""Of the variance, in one row. How many intervals miss with this limit and without any, at 30 and
300 rows of heavy tails, is measured by `python -m benchmarks coverage tails`."""


class NoIntervalError(ValueError):
    """No honest interval exists for these samples; the message is the reason.

    >>> import numpy as np
    >>> from otdist.inference import NoIntervalError, confidence_interval
    >>> x, y = np.random.default_rng(1).normal(size=(2, 50, 3))
    >>> try:
    ...     confidence_interval(x, y, "energy")
    ... except NoIntervalError as reason:
    ...     print("do not differ visibly" in str(reason))
    True
    """


@dataclass(frozen=True)
class ConfidenceInterval(Shown):
    """Result of `confidence_interval`.

    Attributes:
        lower: Lower end, in the units of `quantity`.
        upper: Upper end; infinite where only a lower bound holds.
        estimate: The value that the interval is built around.
        level: Nominal coverage.
        quantity: What the numbers are.
        target: What the interval covers, in words.
        p: The numbers are p-th powers of a distance.
        centre: What the ends are around, where that is not the estimate: it less its bias.
        note: What a reader must know, "" for nothing.

    >>> ConfidenceInterval(1.0, 2.0, 1.5, 0.95, "S_eps", "the population's S_eps")
    S_eps = 1.5, 95% interval [1, 2] for the population's S_eps
    """

    lower: float
    upper: float
    estimate: float
    level: float
    quantity: str
    target: str
    p: float = 1.0
    centre: float | None = None
    note: str = ""

    def __repr__(self) -> str:
        ends = f"[{self.lower:.5g}, {self.upper:.5g}]"
        return (
            f"{self.quantity} = {self.estimate:.5g}, {100 * self.level:g}% interval {ends} "
            f"for {self.target}"
        )

    @property
    def distance(self) -> tuple[float, float]:
        """The ends as distances: their p-th roots, 0 for what is below 0.

        >>> ConfidenceInterval(-1.0, 4.0, 1.5, 0.95, "W_2^2", "", p=2).distance
        (0.0, 2.0)
        """
        return max(self.lower, 0.0) ** (1 / self.p), max(self.upper, 0.0) ** (1 / self.p)


@dataclass(frozen=True)
class Linear:
    """An estimate with the terms that its error is made of.

    Attributes:
        value: The estimate.
        x: f(x_i)/n, shape (n,), of sum zero.
        y: g(y_j)/m, shape (m,), of sum zero.
        quantity: What the value is.
        target: What it is an estimate of, in words.
        p: The value is the p-th power of a distance.
        noise: Variance that random directions add.
        replicates: Independent groups of directions that `noise` was estimated from.
        one_sided: Whether the value is a lower bound of the target.
        unbiased: Whether a bias of the plug-in value has been taken off.
    """

    value: float
    x: np.ndarray
    y: np.ndarray
    quantity: str
    target: str
    p: float = 1.0
    noise: float = 0.0
    replicates: int = 0
    one_sided: bool = False
    unbiased: bool = False

    def interval(self, level: float, most: float = LARGEST_SHARE) -> ConfidenceInterval:
        """The normal interval, or Student's where directions add noise of few replicates.

        `most` is the share of the variance that one row may carry.

        Raises:
            NoIntervalError: one row carries too much of the variance.
        """
        refuse_heavy_tails(self.x, self.y, most)
        rows = sum(_variance(terms) for terms in (self.x, self.y))
        total = rows + self.noise
        tail = level if self.one_sided else (1 + level) / 2
        reach = self._quantile(tail, total) * math.sqrt(total)
        lower = max(self.value - reach, 0.0)
        upper = math.inf if self.one_sided else self.value + reach
        return ConfidenceInterval(
            lower, upper, self.value, level, self.quantity, self.target, self.p
        )

    def _quantile(self, tail: float, total: float) -> float:
        """Quantile of Student's t with the degrees of freedom of Satterthwaite (1946)."""
        if self.noise == 0:
            return NormalDist().inv_cdf(tail)
        from scipy.stats import t

        return float(t.ppf(tail, (self.replicates - 1) * (total / self.noise) ** 2))


def of_influence(
    value: float,
    f: np.ndarray,
    g: np.ndarray,
    quantity: str,
    target: str,
    *,
    p: float = 1.0,
    unbiased: bool = False,
) -> Linear:
    """A `Linear` from values of the influence function, each up to a constant."""
    x, y = ((h - h.mean()) / len(h) for h in (np.asarray(f, float), np.asarray(g, float)))
    return Linear(float(value), x, y, quantity, target, p, unbiased=unbiased)


def average(parts: Sequence[Linear], rows: Sequence[Rows], sizes: tuple[int, int]) -> Linear:
    """The mean of estimates from draws of rows out of the same two samples.

    A row that several draws share contributes to all of them: its terms add up before they are
    squared, so that draws that overlap are not taken for independent ones.

    Args:
        parts: One estimate a draw.
        rows: The rows of each draw.
        sizes: Rows of the whole samples.
    """
    x, y = np.zeros(sizes[0]), np.zeros(sizes[1])
    for part, (i, j) in zip(parts, rows, strict=True):
        x[i] += part.x / len(parts)
        y[j] += part.y / len(parts)
    value = float(np.mean([part.value for part in parts]))
    return replace(parts[0], value=value, x=x, y=y, noise=max(part.noise for part in parts))


def _variance(terms: np.ndarray) -> float:
    used = int(np.count_nonzero(terms))
    return float(terms @ terms) * used / max(used - 1, 1)


def cost_units(scale: float, p: float) -> float:
    """The unit of costs where points have the unit `scale`.

    Raises:
        NoIntervalError: it is beyond float64.
    """
    try:
        return scale**p
    except OverflowError:
        raise NoIntervalError(f"the power {p:g} of these distances is beyond float64") from None


def refuse_repeats(pair: SamplePair, what: str) -> None:
    """Raise where rows of a sample repeat."""
    for sample in (pair.x, pair.y):
        points = sample.points.detach()
        if len(torch.unique(points, dim=0)) < len(points):
            raise NoIntervalError(f"rows repeat: {what} has no normal limit")


def refuse_heavy_tails(x: np.ndarray, y: np.ndarray, most: float) -> None:
    """Raise where one row carries more than the share `most` of the variance.

    The sum of terms is not normal then.
    """
    squares = np.concatenate([np.square(terms) for terms in (x, y)])
    share = float(squares.max() / squares.sum()) if squares.any() else 0.0
    if share > most:
        raise NoIntervalError(
            f"one row carries {share:.0%} of the variance, more than {most:.0%}: the "
            "tails are too heavy, or the rows too few, for a limit to be near"
        )


def without_bias(
    whole: float,
    half: Callable[[np.ndarray, np.ndarray], float],
    pair: SamplePair,
    seed: int | None,
    *,
    sorted_: bool = False,
) -> float:
    """A value without its bias of order 1/n, at least 0: `half` gives it for some rows of each.

    2 T_n − T_{n/2}, with T_{n/2} the mean over two random halves, is free of it. Whether rows are
    `sorted_` is what `halves` is told.
    """
    rng = np.random.default_rng(seed)
    x, y = (z.points.detach().double().cpu().numpy() for z in (pair.x, pair.y))
    parts = zip(*(halves(z, rng, sorted_=sorted_) for z in (x, y)), strict=True)
    return max(2 * whole - float(np.mean([half(i, j) for i, j in parts])), 0.0)
