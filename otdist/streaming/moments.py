r"""Mean and covariance of a sample that comes in batches, without cancellation.

Batches of mass M₁, M₂, means m₁, m₂ and scatters S = Σ w (x − m)(x − m)ᵀ join to

    m = m₁ + (M₂/M)(m₂ − m₁),    S = S₁ + S₂ + (M₁ M₂/M)(m₂ − m₁)(m₂ − m₁)ᵀ

(Chan, Golub, LeVeque 1983, Algorithms for computing the sample variance). Nothing is ever squared
but deviations from a mean, so that samples far from the origin keep their digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from otdist.core.certificate import UNIT
from otdist.moments import gaussian

Array = np.ndarray

_LEAST_SPREAD = 2.0**-480
"""Deviations below this have squares that lose digits."""
_ENTRIES = 1 << 22
"""Numbers of a batch that are raised to float64 at a time."""


@dataclass(frozen=True)
class Moments:
    """First and second moments of a sample; immutable.

    Attributes:
        full: Whether all products of coordinates are kept, or their squares alone.
        count: Points so far.
        mass: Sum of their weights.
        mean: Shape (d,); empty before the first point.
        scatter: Weighted sum of products of deviations, (d, d), or of squares, (d,).
        low: Lowest value of each coordinate, (d,).
        high: Highest, (d,).

    >>> import torch
    >>> both = Moments().add(torch.tensor([[0.0], [2.0]])).join(Moments().add(torch.tensor([[4.]])))
    >>> both.mean.tolist(), both.covariance.round(6).tolist()
    ([2.0], [[2.666667]])
    """

    full: bool = True
    count: int = 0
    mass: float = 0.0
    mean: Array = field(default_factory=lambda: np.empty(0))
    scatter: Array = field(default_factory=lambda: np.empty(0))
    low: Array = field(default_factory=lambda: np.empty(0))
    high: Array = field(default_factory=lambda: np.empty(0))

    def add(self, points: Tensor, weights: Tensor | None = None) -> Moments:
        """The moments with finite points (n, d) more; weights (n,), 1 each when None."""
        step = max(1, _ENTRIES // points.shape[1])
        moments = self
        for start in range(0, len(points), step):
            part = slice(start, start + step)
            weight = None if weights is None else weights[part]
            moments = moments.join(self._of(points[part].double(), weight))
        return moments

    def join(self, other: Moments) -> Moments:
        """The moments of both samples together.

        Raises:
            ValueError: their dimensions differ.
        """
        if not (self.count and other.count):
            return self if self.count else other
        if len(self.mean) != len(other.mean):
            raise ValueError(
                f"batches of one sample must have one dimension: "
                f"got {len(self.mean)} and {len(other.mean)}"
            )
        mass = self.mass + other.mass
        share = other.mass / mass if mass > 0 else 0.0
        # What reads the moments sees to squares that overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            shift = other.mean - self.mean
            product = np.multiply.outer(shift, shift) if self.full else shift * shift
            scatter = self.scatter + other.scatter + self.mass * share * product
        return replace(
            self,
            count=self.count + other.count,
            mass=mass,
            mean=self.mean + share * shift,
            scatter=scatter,
            low=np.minimum(self.low, other.low),
            high=np.maximum(self.high, other.high),
        )

    @property
    def covariance(self) -> Array:
        """The scatter divided by the mass: (d, d), or the variances (d,)."""
        return self.scatter / self.mass

    def _of(self, points: Tensor, weights: Tensor | None) -> Moments:
        """Moments of one batch, float64."""
        if weights is None:
            mass, mean = float(len(points)), points.mean(0)
            centred = points - mean
            right = centred
        else:
            mass = float(weights.sum())
            mean = weights @ points / mass if mass > 0 else points.mean(0)
            centred = points - mean
            right = centred * weights[:, None]
        scatter = centred.T @ right if self.full else (centred * right).sum(0)
        arrays = (t.cpu().numpy() for t in (mean, scatter, points.amin(0), points.amax(0)))
        return Moments(self.full, len(points), mass, *arrays)


def gaussian_distance(x: Moments, y: Moments) -> float:
    """W_2 between the Gaussians with these moments, in the units of the points.

    Raises:
        ValueError: squares of the deviations overflow, or vanish although they matter.
    """
    for name, part in (("x", x), ("y", y)):
        if not (np.isfinite(part.scatter).all() and np.isfinite(part.mean).all()):
            raise ValueError(f"{name} must not be so large that its squares overflow: rescale it")
    widest = max(float((part.high - part.low).max()) for part in (x, y))
    shift = float(np.abs(x.mean - y.mean).max())
    if 0 < widest < _LEAST_SPREAD and shift < widest / UNIT:
        raise ValueError("x and y must not be so small that squares vanish: rescale both")
    largest = max(widest, *(float(np.abs(part.mean).max()) for part in (x, y)))
    unit = math.ldexp(1.0, math.frexp(largest / 2)[1]) if largest > 0 else 1.0
    first, second = (
        (
            torch.from_numpy(part.mean / unit),
            torch.from_numpy(np.atleast_2d(part.covariance / unit / unit)),
        )
        for part in (x, y)
    )
    return unit * math.sqrt(max(float(gaussian.between(first, second)), 0.0))
