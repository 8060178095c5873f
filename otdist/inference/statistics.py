r"""Statistics of a two-sample test, evaluated for many labellings of one pooled sample at once.

A labelling gives n of the N = n + m pooled rows to the first sample. What does not depend on the
labels is computed once: sorted projections, distances, kernel values.

* Sliced W_1: along a direction, with C_k of the first k sorted points labelled x and gaps δ_k,

  .. math::  W_1 = \sum_k |C_k / n - (k - C_k) / m|\, δ_k
                 = \frac{N}{nm} \sum_k |C_k - k n / N|\, δ_k ,

  so that a labelling costs one cumulative sum.
* Energy and MMD² are quadratic forms ∓wᵀKw with w = 1/n on x and −1/m on y: rows of K are computed
  in blocks, each used for all labellings at once and then dropped.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from otdist import distances
from otdist.core import checks
from otdist.core.measure import Pair
from otdist.core.point_cost import PointCost
from otdist.core.result import ConvergenceWarning
from otdist.core.threads import each
from otdist.sliced import directions as families

_BLOCK = 1 << 19
"""Entries of cumulative sums at a time: they stay in cache."""
_MEDIAN_POINTS = 2000


class Statistic(Protocol):
    """A distance-like number of two samples, large when they differ."""

    @property
    def name(self) -> str:
        """What the statistic is, as results show it."""
        ...

    def values(self, pair: Pair, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The statistic for every labelling.

        Args:
            pair: The observed samples.
            labels: Shape (B, N), bool: which pooled rows make the first sample, n in each.
            rng: For directions and subsets that do not depend on the labels.

        Returns:
            Shape (B,), float64, in the units of the statistic.
        """
        ...


@dataclass(frozen=True)
class SlicedStatistic:
    """SW_1 over random directions."""

    n_projections: int = 100
    name = "SW_1"

    def __post_init__(self) -> None:
        checks.settle(self, n_projections=checks.whole("n_projections", self.n_projections))

    def values(self, pair: Pair, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `Statistic`; O(L N) per labelling after L sorts."""
        pooled = _pooled(pair).cpu().numpy()
        number, dimension = pooled.shape
        count = 1 if dimension == 1 else self.n_projections
        rows = families.draw("orthogonal", count, dimension, rng).rows
        first = int(labels[0].sum())
        expected = torch.arange(1, number) * (first / number)
        marks = torch.from_numpy(labels.astype(np.float32))
        totals = torch.zeros(len(labels), dtype=torch.float64)
        step = max(8, _BLOCK // number)
        for direction in rows:
            projected = pooled @ direction
            order = np.argsort(projected)
            gaps = torch.from_numpy(np.diff(projected[order]).astype(np.float32))
            along = torch.from_numpy(order[:-1])
            for lo in range(0, len(labels), step):
                part = slice(lo, lo + step)
                excess = marks[part].index_select(1, along).cumsum_(1).sub_(expected).abs_()
                totals[part] += excess @ gaps
        factor = number / (first * (number - first))
        return totals.numpy() * (factor * pair.scale / count)


@dataclass(frozen=True)
class EnergyStatistic:
    """The energy distance, a root as in SciPy."""

    name = "energy distance"

    def values(self, pair: Pair, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `Statistic`; N² distances once, then two products per pair and labelling."""
        z = _pooled(pair)
        squared = -_quadratic(PointCost(z, z, 1), lambda c: c, labels)
        return np.sqrt(squared.clip(min=0) * pair.scale)


@dataclass(frozen=True)
class MmdStatistic:
    """MMD with a Gaussian kernel whose bandwidth is the median distance of the pooled sample."""

    bandwidth: float | None = None
    name = "MMD"

    def __post_init__(self) -> None:
        width = checks.optional(checks.positive, "bandwidth", self.bandwidth)
        checks.settle(self, bandwidth=width)

    def values(self, pair: Pair, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `Statistic`; N² kernel values once."""
        z = _pooled(pair)
        width = self.width(pair, rng)
        squared = _quadratic(
            PointCost(z, z, 2), lambda c: c.mul_(-0.5 / width / width).exp_(), labels
        )
        return np.sqrt(squared.clip(min=0))

    def width(self, pair: Pair, rng: np.random.Generator) -> float:
        """The bandwidth in scaled units, from rows drawn without regard to their labels."""
        if self.bandwidth is not None:
            return self.bandwidth / pair.scale
        z = _pooled(pair)
        chosen = rng.permutation(len(z))[:_MEDIAN_POINTS]
        apart = torch.pdist(z[torch.from_numpy(chosen).to(z.device)])
        apart = apart[apart > 0]
        return float(apart.median()) if len(apart) else 1.0


@dataclass(frozen=True)
class WassersteinStatistic:
    """Exact W_p, solved anew for each labelling."""

    p: float = 1

    def __post_init__(self) -> None:
        checks.exponent(self.p)

    @property
    def name(self) -> str:
        """W_p."""
        return f"W_{self.p:g}"

    def values(self, pair: Pair, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `Statistic`; one exact problem per labelling."""
        z = _pooled(pair)
        return pair.scale * _shared(
            z, labels, lambda x, y: float(distances.wasserstein(x, y, p=self.p).distance)
        )


@dataclass(frozen=True)
class SinkhornStatistic:
    """The Sinkhorn divergence at one eps, 5% of the pooled sample's mean cost unless given."""

    p: float = 2
    eps: float | None = None
    name = "S_eps"

    def __post_init__(self) -> None:
        if checks.exponent(self.p) > 2:
            raise ValueError(f"p must be between 1 and 2 for a Sinkhorn divergence: got {self.p}")
        checks.settle(self, eps=checks.optional(checks.positive, "eps", self.eps))

    def values(self, pair: Pair, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `Statistic`; three entropic problems per labelling. A plan need not be sharp here."""
        z = _pooled(pair)
        even = torch.full((len(z),), 1 / len(z), dtype=torch.float64, device=z.device)
        mean = float(PointCost(z, z, self.p).mean(even, even))
        eps = 0.05 * mean if self.eps is None else self.eps / pair.scale**self.p
        eps = eps or 1.0  # all points coincide: every eps gives 0

        def value(x: Tensor, y: Tensor) -> float:
            return float(distances.sinkhorn_divergence(x, y, p=self.p, eps=eps).cost)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return pair.scale**self.p * _each(z, labels, value)


@dataclass(frozen=True)
class CallableStatistic:
    """Any function of two samples that does not depend on the order of their rows."""

    function: Callable[[Any, Any], Any]

    @property
    def name(self) -> str:
        """The name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def values(self, pair: Pair, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """See `Statistic`; the function is given samples of the caller's kind."""
        pooled = _pooled(pair) * pair.scale + pair.centre.double()
        kind = pair.kind

        def value(x: Tensor, y: Tensor) -> float:
            return float(self.function(kind.array(x), kind.array(y)))

        return _each(pooled.to(kind.dtype), labels, value)


NAMES: dict[str, Callable[..., Statistic]] = {
    "sliced": SlicedStatistic,
    "energy": EnergyStatistic,
    "mmd": MmdStatistic,
    "wasserstein": WassersteinStatistic,
    "sinkhorn": SinkhornStatistic,
}


def named(statistic: Any, options: dict[str, Any]) -> Statistic:
    """The statistic that a caller names, with its options.

    Raises:
        ValueError: an unknown name, or an option that the statistic does not have.
        TypeError: neither a name nor a callable.
    """
    if callable(statistic) and not isinstance(statistic, type):
        if options:
            raise ValueError(f"a callable takes no options: got {sorted(options)}")
        return CallableStatistic(statistic)
    checks.instance("statistic", statistic, str, "a name or a callable")
    checks.choice("statistic", statistic, NAMES)
    maker = NAMES[statistic]
    known = set(getattr(maker, "__dataclass_fields__", {}))
    if not set(options) <= known:
        wrong = ", ".join(sorted(set(options) - known))
        allowed = ", ".join(sorted(known)) or "none"
        raise ValueError(f"statistic {statistic!r} has no option {wrong}: it has {allowed}")
    return maker(**options)


def _pooled(pair: Pair) -> Tensor:
    """Both samples in scaled units, (N, d), float64."""
    return torch.cat([pair.x.points, pair.y.points]).detach().double()


def _quadratic(
    cost: PointCost, kernel: Callable[[Tensor], Tensor], labels: np.ndarray
) -> np.ndarray:
    """Σ_ij w_i w_j k(c_ij) for every labelling, one block of rows for all of them at a time."""
    first = int(labels[0].sum())
    marks = torch.from_numpy(np.ascontiguousarray(labels.T)).to(cost.device)
    weights = marks.double() * (1 / first) - (~marks).double() * (1 / (len(marks) - first))
    total = torch.zeros(len(labels), dtype=torch.float64, device=cost.device)
    for part, c in cost.blocks():
        # The distance of a point to itself is 0, which an expansion reaches only to a root of the
        # rounding error.
        own = torch.arange(part.start, part.stop, device=cost.device)
        c[own - part.start, own] = 0
        total += (weights[part] * (kernel(c) @ weights)).sum(0)
    return total.cpu().numpy()


def _each(z: Tensor, labels: np.ndarray, function: Callable[[Tensor, Tensor], float]) -> np.ndarray:
    """The function for every labelling, one after another."""
    marks = torch.from_numpy(labels).to(z.device)
    return np.array([function(z[mark], z[~mark]) for mark in marks])


def _shared(
    z: Tensor, labels: np.ndarray, function: Callable[[Tensor, Tensor], float]
) -> np.ndarray:
    """The same with labellings shared out among threads, one thread each.

    No labelling starts from the potentials of another: two random labellings have little in common
    but the points. From the potentials of the one before, their mean, or from zero, 500 + 500 to
    1,000 + 1,000 points took 0.9 to 1.7 times as long as from the entropic start (p = 1 and 2,
    d = 2 and 10), in more rounds of column generation. Two threads take 0.7 to 0.8 of the time.
    """
    marks = torch.from_numpy(labels).to(z.device)
    values = np.empty(len(labels))

    def work(part: slice) -> None:
        values[part] = [function(z[mark], z[~mark]) for mark in marks[part]]

    parts = (slice(k, k + 1) for k in range(len(labels)))
    each(parts, work, z.device)
    return values
