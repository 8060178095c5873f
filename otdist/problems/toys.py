"""Planar laws on which generative models are compared, scaled as Gulrajani et al. (2017) do.

A mixture knows its modes, so that a generator's samples can be scored by the modes it reaches and
by the share of samples near one, the usual counts since Srivastava et al. (2017), VEEGAN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from otdist.core import checks
from otdist.problems.pairs import Array


@dataclass(frozen=True)
class Mixture:
    """Equally weighted round normal laws.

    Attributes:
        centres: Shape (k, 2).
        std: Standard deviation of each.

    >>> ring = eight_gaussians()
    >>> points = ring.draw(1000)
    >>> ring.modes(points), round(ring.quality(points), 1)
    (8, 1.0)
    """

    centres: Array
    std: float

    def draw(self, n: int, seed: int | None = 0) -> Array:
        """Independent samples, shape (n, 2)."""
        rng = checks.generator(seed)
        index = rng.integers(len(self.centres), size=n)
        return self.centres[index] + self.std * rng.standard_normal((n, 2))

    def _near(self, points: Array) -> np.ndarray:
        """Whether point i lies within three deviations of centre k, shape (n, k)."""
        distance = np.linalg.norm(np.asarray(points)[:, None] - self.centres, axis=2)
        return distance <= 3 * self.std

    def modes(self, points: Array) -> int:
        """Number of centres with a point within three deviations."""
        return int(self._near(points).any(axis=0).sum())

    def quality(self, points: Array) -> float:
        """Share of points within three deviations of a centre (0.989 for the law itself)."""
        return float(self._near(points).any(axis=1).mean())


def eight_gaussians() -> Mixture:
    """Eight normal laws on a ring of radius 2, deviation 0.02, all divided by 1.414.

    >>> eight_gaussians().centres.shape
    (8, 2)
    """
    angle = np.arange(8) * np.pi / 4
    return Mixture(2 * np.stack([np.cos(angle), np.sin(angle)], axis=1) / 1.414, 0.02 / 1.414)


def twenty_five_gaussians() -> Mixture:
    """Twenty-five normal laws on a grid of spacing 2, deviation 0.05, all divided by 2.828.

    >>> grid = twenty_five_gaussians()
    >>> grid.modes(grid.draw(1000)), grid.modes(grid.centres[:3])
    (25, 3)
    """
    side = np.arange(-4.0, 5.0, 2.0)
    return Mixture(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2) / 2.828, 0.05 / 2.828)


def swiss_roll(n: int, seed: int | None = 0) -> Array:
    """A spiral t (cos t, sin t), t uniform on [1.5π, 4.5π], noise 0.25, all over 7.5; (n, 2).

    >>> swiss_roll(500).shape
    (500, 2)
    """
    (n,), rng = checks.sizes(n=n), checks.generator(seed)
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    spiral = t[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1)
    return (spiral + 0.25 * rng.standard_normal((n, 2))) / 7.5
