r"""The result of a barycenter, and the bracket on the least objective that any barycenter can have.

For every distribution ν, and so for the optimal one, with W = W_p(μ_i, μ_j),

.. math::  \sum_i λ_i W_p^p(μ_i, ν) \ge \sum_{i<j} κ_{ij} W^p, \qquad
           s W_p^p(μ_i, ν) + t W_p^p(μ_j, ν) \ge κ(s, t) W^p

by the triangle inequality, where κ(s, t) = (s^{-1/(p-1)} + t^{-1/(p-1)})^{-(p-1)}, min(s, t) at
p = 1, and each λ_i is shared out evenly among its K − 1 pairs. At p = 2, κ_ij = λ_i λ_j is better:
the points of any multi-marginal plan satisfy it as an equality with their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from otdist.core.result import Array, OTResult
from otdist.core.shown import Shown
from otdist.distances import wasserstein

Sample = tuple[Any, Any]
"""Points (n, d) and weights (n,), or None for uniform ones."""


@dataclass(frozen=True, repr=False, eq=False)
class BarycenterResult(Shown):
    """Result of `barycenter`.

    Attributes:
        points: Support, shape (k, d), or (k,) for samples given as (n,); in the units of x.
        weights: Shape (k,), of sum one.
        p: Exponent.
        method: How it was found: "closed form", "free support", "sliced", "entropic", "gaussian".
        converged: Whether the iteration came to rest.
        message: One sentence on how it ended; the remedy when it did not converge.
        iterations: Steps (0 for a closed form).
        seconds: Wall-clock time.
        history: The objective before each step and at the end, non-increasing; that along lines
            where it is sliced, none where entropic.
        mean: Mean of the Gaussian barycenter, shape (d,); None for other methods.
        covariance: Its covariance, shape (d, d), or None.
        image: Masses of the pixels of an entropic barycenter, shape (H, W) or (D, H, W); or None.

    >>> import otdist
    >>> found = otdist.barycenter([[0.0, 1.0], [4.0, 7.0]])
    >>> found.points.tolist(), round(found.cost, 6)
    ([2.0, 4.0], 6.5)
    """

    points: Array
    weights: Array
    p: float
    method: str
    converged: bool
    message: str
    iterations: int
    seconds: float
    history: tuple[float, ...] = ()
    mean: Array | None = None
    covariance: Array | None = None
    image: Array | None = None
    _samples: Sequence[Sample] = field(default=())
    _shares: Sequence[float] = field(default=())

    @cached_property
    def distances(self) -> list[OTResult]:
        """Exact transport from the barycenter to each sample, with its bracket."""
        return [
            wasserstein(self.points, y, a=self.weights, b=b, p=self.p) for y, b in self._samples
        ]

    @property
    def cost(self) -> float:
        """The objective Σ λ_i W_p^p(sample i, barycenter), in units**p."""
        return self._total(lambda result: float(result.distance))

    @property
    def upper(self) -> float:
        """Certified: the least possible objective is not above it."""
        return self._total(lambda result: result.upper)

    @cached_property
    def lower(self) -> float:
        """Certified: the objective of no distribution is below it; one problem for each pair."""
        total = 0.0
        for i, j in combinations(range(len(self._samples)), 2):
            (x, a), (y, b) = self._samples[i], self._samples[j]
            apart = wasserstein(x, y, a=a, b=b, p=self.p).lower ** self.p
            total += self._share(self._shares[i], self._shares[j]) * apart
        return total * (1 - 1e-14 * (len(self._samples) + 8))

    @property
    def gap(self) -> float:
        """Width of the bracket on the least objective, upper − lower."""
        return self.upper - self.lower

    def _share(self, s: float, t: float) -> float:
        """κ of a pair, or at p = 2 the better product of the weights."""
        if self.p == 2:
            return s * t
        s, t = (share / (len(self._samples) - 1) for share in (s, t))
        if self.p == 1:
            return min(s, t)
        low, high = min(s, t), max(s, t)
        power = 1 / (self.p - 1)
        return low * (1 + (low / high) ** power) ** (1 - self.p) if low > 0 else 0.0

    def _total(self, of: Callable[[OTResult], float]) -> float:
        pairs = zip(self._shares, self.distances, strict=True)
        return float(sum(share * of(result) ** self.p for share, result in pairs if share > 0))

    def plot(self) -> Any:
        """A matplotlib figure: the samples and the barycenter, the first two coordinates.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from otdist.drawing.figures import barycenter

        numbers = [(np.asarray(points), weights) for points, weights in self._samples]
        return barycenter(numbers, np.asarray(self.points), np.asarray(self.weights))

    def __repr__(self) -> str:
        state = "" if self.converged else ", not converged"
        return (
            f"barycenter of {len(self._samples)} samples, p = {self.p:g}: {len(self.points)} "
            f"points, {self.method}, {self.seconds:.2f} s{state}"
        )
