r"""Bures–Wasserstein: W_2 between Gaussians, from the first two moments.

    W_2² = ‖m_x − m_y‖² + tr A + tr B − 2 tr (A^{1/2} B A^{1/2})^{1/2}

Let F and G be factors of the covariances, A = FᵀF and B = GᵀG, such as the weighted deviations
√a_i (x_i − m_x) as rows. The last trace is the nuclear norm of F Gᵀ = W S Vᵀ, and what the
covariances add is a distance between factors that are turned upon each other (Procrustes):

    ‖Wᵀ F − Vᵀ G‖² + ‖F − W Wᵀ F‖² + ‖G − V Vᵀ G‖².

Differences are formed before they are squared, and no root is taken of a product of covariances,
which keeps half of its digits where it is singular. The optimum is one over W and V, so that the
derivative in F is that with both held fixed, 2 (F − W Vᵀ G); in A it is 1 − T with the transport
map T = F⁺ W Vᵀ G.

What is left is the rounding of the factors: a distance below 16 (1 + √d)·u of the samples' means
and spread is reported as 0. A covariance alone, as a stream has it, knows the standard deviations
down to √u of the largest only.

What is written for tensors here runs on arrays of numpy too, without gradients, which takes a third
of the time for few points (`python -m benchmarks --suite small`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core.frame import Framed
from otdist.core.gradient import attach
from otdist.core.measure import Measure, SamplePair

Gaussian = tuple[Tensor, Tensor]
"""A mean (d,) and a covariance (d, d), float64."""

NARROW = 16
"""Coordinates up to which `cost_of_few` is faster than `cost`, by 2 to 4 times. From 32 on numpy
shares products of matrices out among threads, which wait for one another on a busy machine."""

_UNIT = torch.finfo(torch.float64).eps
_SOUND = 1e-6
"""Ratio of eigenvalues from which the root of a covariance is as good as the deviations: its
rounding is u over the least standard deviation, relative to the largest."""


def cost(pair: SamplePair, corrected: bool = False) -> Tensor:
    """W_2² between the fitted Gaussians in scaled units; 0-d, float64, first-order graph.

    Args:
        pair: The samples.
        corrected: Whether covariances are unbiased, as by `correction`.
    """
    with torch.no_grad():
        x, y = (
            _Fit(side.points.double(), side.weights, correction(side) if corrected else 1.0)
            for side in (pair.x, pair.y)
        )
        value, turn = _of_fits(x, y)

    def gradients() -> list[Tensor]:
        return [
            *x.slopes(x.mean - y.mean, turn @ y.factor),
            *y.slopes(y.mean - x.mean, turn.T @ x.factor),
        ]

    inputs = [pair.x.points, pair.x.weights, pair.y.points, pair.y.weights]
    return attach(value, inputs, gradients)


def cost_of_few(both: Framed) -> float:
    """The same from numpy alone, without a graph; covariances over the weights' sum."""
    sides = ((both.x, both.a), (both.y, both.b))
    shares = (np.full(len(z), 1 / len(z)) if w is None else w / w.sum() for z, w in sides)
    x, y = (_Fit(z, w, 1.0) for (z, _), w in zip(sides, shares, strict=True))
    return float(_of_fits(x, y)[0])


def between(x: Gaussian, y: Gaussian) -> Tensor:
    """W_2² between Gaussians of given mean (d,) and covariance (d, d), float64."""
    (mean_x, cov_x), (mean_y, cov_y) = x, y
    with torch.no_grad():
        (f, inverse_f), (g, inverse_g) = _root(cov_x), _root(cov_y)
        spread, turn = _procrustes(f, g)
        value = _total(mean_x, mean_y, spread, f, g)

    def gradients() -> list[Tensor]:
        shift, one = 2 * (mean_x - mean_y), torch.eye(len(f), dtype=f.dtype, device=f.device)
        to_y, to_x = inverse_f() @ turn @ g, inverse_g() @ turn.T @ f
        return [shift, one - (to_y + to_y.T) / 2, -shift, one - (to_x + to_x.T) / 2]

    return attach(value, [mean_x, cov_x, mean_y, cov_y], gradients)


def correction(measure: Measure) -> float:
    """What makes a covariance unbiased, 1/(1 − Σ a_i²): n/(n − 1) where weights are equal."""
    return 1 / float(1 - measure.weights.detach().square().sum())


def moments(measure: Measure) -> Gaussian:
    """Weighted mean (d,) and covariance (d, d), float64, without a graph."""
    points, weights = measure.points.detach().double(), measure.weights.detach()
    mean = weights @ points
    return mean, _covariance(points - mean, weights)


def _covariance(around: Any, weights: Any) -> Any:
    return (around * weights[:, None]).T @ around


class _Fit:
    """The Gaussian of points (n, d) with weights (n,): its mean, the deviations, and a factor F of
    the covariance, which is `larger` times that of the points.
    """

    def __init__(self, points: Any, weights: Any, larger: float) -> None:
        self.stretch = math.sqrt(larger)
        self.points, self.weights = points, weights
        self.mean = self.weights @ self.points
        self.around = (self.points - self.mean) * self.stretch
        n, d = self.around.shape
        if n <= d:
            self.factor, self.inverse = self._rows(), None
            return
        covariance = _covariance(self.around, self.weights)
        self.factor, self.inverse = _root(covariance)
        lengths = (self.factor**2).sum(1)
        if float(lengths[0]) < _SOUND * float(lengths[-1]):
            self.factor, self.inverse = _sharper(self._rows(), covariance)

    def _rows(self) -> Any:
        """Deviations times the roots of their weights."""
        return self.around * (self.weights**0.5)[:, None]

    def slopes(self, shift: Tensor, turned: Tensor) -> list[Tensor]:
        """Gradients in the points and in the weights.

        Args:
            shift: From the other mean to this one.
            turned: The other factor turned upon this one, (k, d).
        """
        if self.inverse is None:
            tiny = torch.finfo(torch.float64).tiny
            moved = turned / self.weights.clamp(min=tiny).sqrt()[:, None]
        else:
            moved = self.around @ (self.inverse() @ turned)
        left = self.around - moved
        of_points = 2 * self.weights[:, None] * (self.stretch * left + shift)
        return [of_points, (self.around * left).sum(1) + 2 * self.points @ shift]


def _of_fits(x: _Fit, y: _Fit) -> tuple[Any, Any]:
    """W_2² and W Vᵀ."""
    spread, turn = _procrustes(x.factor, y.factor)
    return _total(x.mean, y.mean, spread, x.factor, y.factor), turn


def _total(mean_x: Any, mean_y: Any, spread: Any, f: Any, g: Any) -> Any:
    """Means and spreads together; 0 below their rounding, whose direction has no meaning."""
    value = ((mean_x - mean_y) ** 2).sum() + spread
    size = sum(float((part**2).sum()) for part in (mean_x, mean_y, f, g))
    rounding = 16 * (1 + math.sqrt(len(mean_x))) * _UNIT
    return value if float(value) > rounding**2 * size else value * 0


def _procrustes(f: Any, g: Any) -> tuple[Any, Any]:
    """What the covariances add, of factors (k, d) and (l, d), and W Vᵀ, (k, l)."""
    left, values, right = _library(f).linalg.svd(f @ g.T, full_matrices=False)
    turned_f, turned_g = left.T @ f, right @ g
    spread = ((turned_f - turned_g) ** 2).sum()
    if len(f) > len(values):
        spread += ((f - left @ turned_f) ** 2).sum()
    if len(g) > len(values):
        spread += ((g - right.T @ turned_g) ** 2).sum()
    kept = values > values[0] * (len(values) * _UNIT)  # beyond, any turn is optimal: none pulls
    return spread, left * kept @ right


def _root(covariance: Any) -> tuple[Any, Callable[[], Any]]:
    """R with RᵀR = A, rows by growing length, and its pseudo-inverse, made when asked for."""
    library = _library(covariance)
    values, vectors = library.linalg.eigh(covariance)
    values = library.where(values > values[-1] * (len(values) * _UNIT), values, 0.0)
    roots = values**0.5
    return roots[:, None] * vectors.T, lambda: vectors * _inverse(roots)


def _sharper(rows: Any, covariance: Any) -> tuple[Any, Callable[[], Any]]:
    """`_root` of rowsᵀ rows, whose small deviations the rounding of the product hides.

    Along the eigenvectors they are known to u of the largest, and their correlations to u each.
    """
    _, axes = _library(rows).linalg.eigh(covariance)
    along = rows @ axes
    lengths = (along**2).sum(0) ** 0.5
    shorter = _inverse(lengths)
    units = along * shorter
    root, inverse = _root(units.T @ units)
    return root * lengths @ axes.T, lambda: axes * shorter @ inverse()


def _inverse(values: Any) -> Any:
    """1 / values, 0 where they are 0."""
    return 1 / _library(values).where(values > 0, values, math.inf)


def _library(values: Any) -> Any:
    """The library of an array."""
    return np if isinstance(values, np.ndarray) else torch
