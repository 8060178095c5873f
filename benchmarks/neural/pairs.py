r"""Pairs of laws whose W_1 and optimal slopes are known, in the funnels' class and outside of it.

Each truth is one argument: a 1-Lipschitz u that grows by exactly the length of every move proves
the moves optimal (Kantorovich and Rubinstein).

| pair | moves | u |
|---|---|---|
| ray-monotone | along rays of N funnels | the minimum of the funnels |
| reversed | the same, x and y exchanged | its negative |
| translated | by v | ⟨x, v⟩ / ‖v‖ |
| dilated | away from one point, x → v + c x | the distance from v / (1 − c) |
| bent | by T(s) − s along one direction, T increasing | E\|T(s) − s\| is W_1 of the projections |
| cylinder | away from the axis, in three coordinates of d | the norm of those coordinates |
| spheres | from radius 1 to radius 2 | the norm |
| digits | unknown: exact transport of all samples, which errs upwards | |

A distance from one point is one funnel, so *dilated*, *spheres* and *reversed* are in the class of
funnels as well; *translated*, *bent*, *cylinder* and *digits* are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], Array]

POINTS = 60_000
FRESH = 4096
"""Points of the first law on which slopes are compared; the critics never see them."""


@dataclass(frozen=True)
class KnownPair:
    """Samples of two laws, and the truth.

    Attributes:
        x: Shape (n, d).
        y: Shape (m, d), independent of x.
        truth: W_1 between the laws.
        at: Fresh points of the first law, shape (k, d).
        slope: Points → gradient of the optimal critic; None where it is not known.
    """

    x: Array
    y: Array
    truth: float
    at: Array
    slope: Callable[[Array], Array] | None


def ray_monotone(d: int, funnels: int, seed: int, reverse: bool = False) -> KnownPair:
    """Mass moves along rays of a minimum of funnels."""
    from otdist.problems import RayMonotone

    law = RayMonotone(d, funnels, seed=seed)
    x, y = law.draw(POINTS, seed=seed + 1)[0], law.draw(POINTS, seed=seed + 2)[1]
    at = law.draw(FRESH, seed=seed + 3)[1 if reverse else 0]
    sign = -1 if reverse else 1

    def slope(points: Array) -> Array:
        with np.errstate(invalid="ignore"):  # a point may fall on its centre: 0/0, told apart later
            return sign * law.critic_gradient(points)

    x, y = (y, x) if reverse else (x, y)
    return KnownPair(x, y, law.w1()[0], at, slope)


@dataclass(frozen=True)
class Moved:
    """Two laws of which the second is the first, moved; both are drawn independently.

    Attributes:
        draw: Of the first law.
        move: Where each point goes, optimally for W_1.
    """

    draw: Draw
    move: Callable[[Array], Array]

    def pair(self, seed: int) -> KnownPair:
        """Samples; the truth is the mean length of 2^18 moves."""
        rng = np.random.default_rng([seed, 1])
        x, source, at = (self.draw(n, rng) for n in (POINTS, POINTS, FRESH))
        many = self.draw(2**18, rng)
        truth = float(np.linalg.norm(self.move(many) - many, axis=1).mean())
        return KnownPair(x, self.move(source), truth, at, self.slope)

    def slope(self, points: Array) -> Array:
        """Unit vectors against the moves."""
        away = points - self.move(points)
        return away / np.linalg.norm(away, axis=1, keepdims=True)


@dataclass(frozen=True)
class Laws:
    """The random parts of the pairs below, the same for the same seed.

    Attributes:
        d: Dimension.
        seed: Of the laws.
    """

    d: int
    seed: int

    @cached_property
    def direction(self) -> Array:
        """A unit vector, along no axis."""
        v = np.random.default_rng([self.seed, 2]).standard_normal(self.d)
        return v / np.linalg.norm(v)

    @cached_property
    def frame(self) -> Array:
        """Orthonormal columns, shape (d, d)."""
        rng = np.random.default_rng([self.seed, 3])
        return np.linalg.qr(rng.standard_normal((self.d, self.d)))[0]

    def anisotropic(self, n: int, rng: np.random.Generator) -> Array:
        """A normal law with deviations from 0.1 to 2 along the columns of the frame."""
        return (rng.standard_normal((n, self.d)) * np.geomspace(0.1, 2, self.d)) @ self.frame.T

    def mixture(self, n: int, rng: np.random.Generator) -> Array:
        """Eight normal laws of deviation 0.3 around centres of deviation 1.5."""
        centres = 1.5 * np.random.default_rng([self.seed, 4]).standard_normal((8, self.d))
        return centres[rng.integers(8, size=n)] + 0.3 * rng.standard_normal((n, self.d))

    def sphere(self, n: int, rng: np.random.Generator) -> Array:
        """Uniform on the unit sphere."""
        x = rng.standard_normal((n, self.d))
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def bend(self, x: Array) -> Array:
        """The increasing map T(s) = s + 0.45 sin 2s along the direction, nothing across it."""
        s = x @ self.direction
        return x + np.outer(0.45 * np.sin(2 * s), self.direction)

    def widen(self, x: Array) -> Array:
        """Doubles the first three coordinates of the frame."""
        block = self.frame[:, :3]
        return x + (x @ block) @ block.T


def digits(seed: int) -> KnownPair:
    """Digits 0 to 4 against 5 to 9, pixels in [0, 1]; the truth of the samples for that of laws."""
    from sklearn.datasets import load_digits

    from otdist.distances import wasserstein

    points, label = load_digits(return_X_y=True)
    points, rng = points / 16, np.random.default_rng(seed)
    x, y = (rng.permutation(points[low]) for low in (label < 5, label >= 5))
    return KnownPair(x, y, float(wasserstein(x, y).distance), x, None)


def translated(d: int, seed: int) -> KnownPair:
    """An anisotropic normal law against itself, moved by a vector of length one half."""
    laws = Laws(d, seed)
    return Moved(laws.anisotropic, lambda x: x + 0.5 * laws.direction).pair(seed)


def mixture(d: int, seed: int) -> KnownPair:
    """A mixture of normal laws against itself, moved by a vector of length one half."""
    laws = Laws(d, seed)
    return Moved(laws.mixture, lambda x: x + 0.5 * laws.direction).pair(seed)


def dilated(d: int, seed: int) -> KnownPair:
    """An anisotropic normal law, doubled and moved."""
    laws = Laws(d, seed)
    return Moved(laws.anisotropic, lambda x: 1.5 * x + 0.5 * laws.direction).pair(seed)


def bent(d: int, seed: int) -> KnownPair:
    """A mixture against its transport by the gradient of a convex function of one coordinate."""
    laws = Laws(d, seed)
    return Moved(laws.mixture, laws.bend).pair(seed)


def cylinder(d: int, seed: int) -> KnownPair:
    """A product: three coordinates are dilated, the others stay."""
    laws = Laws(d, seed)
    return Moved(laws.mixture, laws.widen).pair(seed)


def spheres(d: int, seed: int) -> KnownPair:
    """The unit sphere against the sphere of radius two."""
    laws = Laws(d, seed)
    return Moved(laws.sphere, lambda x: 2 * x).pair(seed)


OTHERS: dict[str, tuple[int, Callable[[int, int], KnownPair]]] = {
    "translated": (16, translated),
    "translated mixture": (16, mixture),
    "bent mixture": (8, bent),
    "cylinder": (8, cylinder),
    "digits": (64, lambda d, seed: digits(seed)),
    "dilated": (16, dilated),
    "spheres": (16, spheres),
    "reversed": (16, lambda d, seed: ray_monotone(d, 16, seed, reverse=True)),
}
"""Name → dimension and maker: outside the class of funnels first."""
