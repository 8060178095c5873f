"""W_2 between fitted Gaussians, its square (the Fréchet distance, as in FID), and that at infinity.

The limit is the derivative of W_2² in means and covariances (Rippl, Munk and Sturm 2016, Limit laws
of the empirical Wasserstein distance: Gaussian distributions), a quadratic function of a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otdist.core.frame import framed_arrays
from otdist.core.gradient import root
from otdist.core.measure import WEIGHT_TOLERANCE, SamplePair
from otdist.discrepancy.base import Discrepancy, Figure, Labelled, Limit, even, pooled
from otdist.discrepancy.kernel_means import of_labellings
from otdist.discrepancy.limit import NoIntervalError, cost_units, of_influence
from otdist.moments import gaussian

_COLUMNS = 4
"""Rows that a covariance needs per column before the delta method covers (docs/statistics.md)."""


@dataclass(frozen=True)
class Gaussian(Discrepancy):
    """W_2 between the Gaussians of the samples' means and covariances."""

    title: ClassVar[str] = "W_2 of fitted Gaussians, covariances divided by n, units of x"
    no_limit: ClassVar[str] = 'use "frechet"'
    corrected: ClassVar[bool] = False

    @property
    def quantity(self) -> str:
        """The name of the distance."""
        return "W_2 of Gaussians"

    def numbers(self, pair: SamplePair) -> int:
        """Coordinates."""
        return pair.size * pair.x.points.shape[1]

    def quickly(self, x: Any, y: Any, a: Any, b: Any, **call: Any) -> float | None:
        """The distance of few plain points."""
        both = None if self.corrected else framed_arrays(x, y, a, b, 2.0, WEIGHT_TOLERANCE)
        if both is None or both.x.shape[1] > gaussian.NARROW:
            return None
        return math.sqrt(gaussian.cost_of_few(both)) * both.scale

    def answer(self, pair: SamplePair, seed: int | None = 0) -> Any:
        """The distance."""
        return pair.kind.number(root(gaussian.cost(pair, self.corrected), 2) * pair.scale)

    def streamed(self, x: Any, y: Any, a: Any, b: Any, seed: int | None = 0) -> Any:
        """The distance, from moments of the blocks."""
        from otdist.outofcore.functions import gaussian_wasserstein

        return gaussian_wasserstein(x, y, a=a, b=b)

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The distance."""
        return Figure(float(self.answer(pair)))


@dataclass(frozen=True)
class FrechetDistance(Gaussian):
    """The square."""

    title: ClassVar[str] = "W_2² of fitted Gaussians, covariances divided by n"
    squared: ClassVar[bool] = False
    no_limit: ClassVar[str] = ""

    @property
    def quantity(self) -> str:
        """As it is known."""
        return "Fréchet"

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The square of the distance."""
        return Figure(float(self.answer(pair)) ** 2)

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Limit:
        """Normal around the expectation, with four rows per column: second-order terms outweigh."""
        n, m, d = len(pair.x), len(pair.y), pair.x.points.shape[1]
        if min(n, m) < _COLUMNS * d:
            raise NoIntervalError(
                f"fewer than {_COLUMNS} rows per column ({min(n, m)} for {d}): the delta method "
                "does not cover"
            )
        sides = (pair.x, pair.y)
        by = [gaussian.correction(z) if self.corrected else 1.0 for z in sides]
        moments = [gaussian.moments(z) for z in sides]
        (mean_x, cov_x), (mean_y, cov_y) = (
            [t.detach().requires_grad_() for t in moment] for moment in moments
        )
        with torch.enable_grad():
            value = gaussian.between((mean_x, by[0] * cov_x), (mean_y, by[1] * cov_y))
            slopes = torch.autograd.grad(value, [mean_x, cov_x, mean_y, cov_y])
        units = cost_units(pair.scale, 2)
        f = _quadratic(pair.x.points, moments[0][0], slopes[0], slopes[1]) * units
        g = _quadratic(pair.y.points, moments[1][0], slopes[2], slopes[3]) * units
        words = (
            f"its expectation at n = {n}, m = {m}, above the population's by a bias of order d²/n"
        )
        return of_influence(float(value.detach()) * units, f, g, self.quantity, words)

    def seen_by(self) -> tuple[Discrepancy, str] | None:
        """A kernel of the first two moments."""
        return TwoMoments(), "moments up to order 2"


@dataclass(frozen=True)
class Fid(FrechetDistance):
    """The square with unbiased covariances, as the programs for FID compute it."""

    title: ClassVar[str] = "W_2² of fitted Gaussians, covariances divided by n − 1, as FID is"
    least_rows: ClassVar[int] = 2
    corrected: ClassVar[bool] = True

    @property
    def quantity(self) -> str:
        """As it is known."""
        return "FID"


@dataclass(frozen=True)
class FrechetInfinity(FrechetDistance):
    """The intercept of Fréchet values against 1/n (Chong and Forsyth 2020, FID_∞)."""

    least_rows: ClassVar[int] = 4
    title: ClassVar[str] = "the same extrapolated to infinite n, linear in 1/n"
    no_limit: ClassVar[str] = "no central limit theorem is known for the extrapolation"

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The intercept over eight shares of the rows."""
        rng = np.random.default_rng(seed)
        x, y = (z.points.detach().double() for z in (pair.x, pair.y))
        x, y = (z[torch.from_numpy(rng.permutation(len(z))).to(z.device)] for z in (x, y))
        shares = np.linspace(0.5, 1, 8)
        parts = [(x[: round(s * len(x))], y[: round(s * len(y))]) for s in shares]
        values = [
            super(FrechetInfinity, self).value(replace(pair, x=even(i), y=even(j)), seed).value
            for i, j in parts
        ]
        return Figure(float(np.polyfit(1 / shares, values, 1)[1]))

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Limit:
        """None is known."""
        raise NoIntervalError(self.no_limit)


@dataclass(frozen=True)
class TwoMoments(Labelled):
    """MMD² of the kernel (⟨z, z'⟩/s + √½)² of centred points: zero for equal two moments.

    With s the root mean square of ⟨z, z'⟩ between different points, differences of means and of
    covariances stand above noise of one size, that of u² and √2 u for a normal u. s = d, as in KID,
    drowns the latter: 2,000 normal rows in 2,048 dimensions and others that are 5% wider look the
    same, p = 0.5.
    """

    title: ClassVar[str] = "MMD² of the polynomial kernel of degree 2"

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """N² kernel values once."""
        z = pooled(pair)
        z = z - z.mean(0)
        z = z / z.square().mean().sqrt().clamp(min=torch.finfo(z.dtype).tiny)
        products = z @ z.T
        apart = products.square().sum() - products.diagonal().square().sum()
        unit = (apart.clamp(min=0) / (len(z) * (len(z) - 1))).sqrt()
        kernel = (products / unit.clamp(min=torch.finfo(z.dtype).tiny) + 0.5**0.5) ** 2
        return of_labellings([(slice(0, len(z)), kernel)], labels)


def _quadratic(z: Tensor, mean: Tensor, to_mean: Tensor, to_cov: Tensor) -> np.ndarray:
    """⟨slope in the mean, z − mean⟩ + (z − mean)ᵀ (slope in the covariance) (z − mean)."""
    centred = z.detach().double() - mean.detach()
    return (centred @ to_mean + (centred @ to_cov * centred).sum(1)).cpu().numpy()
