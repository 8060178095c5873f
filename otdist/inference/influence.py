r"""Influence functions: one function a statistic, from two samples to a `Linear`.

* Transport costs: the dual potentials. Exact W_p^p, p > 1, around its *expectation at these sizes*,
  which is above the population's distance by a bias of order n^(−p/d) (del Barrio and Loubes 2019);
  the Sinkhorn divergence with a given eps around the population's S_eps (Goldfeld, Kato, Rioux and
  Sadhu 2024, Limit theorems for entropic optimal transport maps and Sinkhorn divergence).
* Sliced, p > 1: the average over directions of the potentials on the line (Xi and Niles-Weed 2022,
  Distributional convergence of the sliced Wasserstein process), plus the noise of the directions.
* The plug-in values T_n of the last two are above their limits by a bias of order 1/n, which is no
  smaller than their deviation in many dimensions or at small eps; 2 T_n − T_{n/2}, with T_{n/2} the
  mean over two random halves, is free of it.
* MMD² and energy, without the pairs of a point with itself: unbiased, with influence
  2 (mean kernel to the own sample − mean kernel to the other) (Gretton et al. 2012).
* Fréchet: the derivative of the Gaussian W_2² in means and covariances (Rippl, Munk and Sturm 2016,
  Limit laws of the empirical Wasserstein distance: Gaussian distributions), a quadratic function.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist import distances
from otdist.core.measure import Pair
from otdist.core.point_cost import PointCost
from otdist.core.result import ConvergenceWarning, DivergenceResult, OTResult
from otdist.inference.linear import Linear, NoIntervalError, of_influence
from otdist.inference.order import halves
from otdist.line import univariate
from otdist.moments import gaussian, kernels
from otdist.sliced import directions as families
from otdist.sliced.directions import Directions
from otdist.sliced.slices import mean_slice_cost

_COLUMNS = 4
"""Rows that a covariance needs per column before the delta method covers (docs/statistics.md)."""


def exact(pair: Pair, result: OTResult) -> Linear:
    """Of exact W_p^p, p > 1, in more than one dimension.

    Raises:
        NoIntervalError: rows repeat, or the solver did not converge.
    """
    refuse_repeats(pair, "exact W_p of discrete laws")
    if not result.converged:
        raise NoIntervalError("the solver did not converge")
    quantity = f"W_{result.p:g}^{result.p:g}"
    words = f"the expectation of {quantity} at n = {len(pair.x)}, m = {len(pair.y)}"
    f, g = potentials(result)
    return of_influence(float(result.cost), f, g, quantity, words, p=result.p)


def sinkhorn(pair: Pair, result: DivergenceResult, seed: int | None) -> Linear:
    """Of the Sinkhorn divergence at the eps of the result, without its bias of order 1/n."""
    if not result.converged:
        raise NoIntervalError("the solver did not converge")
    x, y = (z.points.detach().double() for z in (pair.x, pair.y))

    def half(i: np.ndarray, j: np.ndarray) -> float:
        small = result.eps / pair.scale**result.p
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # moves the correction little
            found = distances.sinkhorn_divergence(x[i], y[j], p=result.p, eps=small)
        return float(found.cost) * pair.scale**result.p

    value = _unbiased(float(result.cost), half, x, y, seed)
    words = f"the population's S_eps at eps = {result.eps:.4g}"
    f, g = potentials(result)
    return of_influence(value, f, g, "S_eps", words, p=result.p)


def potentials(result: OTResult | DivergenceResult) -> tuple[np.ndarray, np.ndarray]:
    """Potentials as float64 arrays of numpy."""
    f, g = (torch.as_tensor(h).cpu().double().numpy() for h in result.potentials)
    return f, g


def sliced(pair: Pair, p: float, chosen: Directions, seed: int | None) -> Linear:
    """Of SW_p^p over the chosen directions, p > 1; `seed` chooses the halves."""
    x, y = (z.points.double() for z in (pair.x, pair.y))
    rows = torch.from_numpy(chosen.rows).to(x)
    a, b = (torch.full_like(z[:, 0], 1 / len(z)).requires_grad_() for z in (x, y))
    with torch.enable_grad():
        mean, costs = mean_slice_cost(x, y, rows, p, a, b)
        f, g = torch.autograd.grad(mean, (a, b))
    units = pair.scale**p
    spread = families.standard_error(costs.detach().cpu().numpy(), chosen, 1.0)

    def half(i: np.ndarray, j: np.ndarray) -> float:
        return float(mean_slice_cost(x[i], y[j], rows, p)[0])

    line = of_influence(
        _unbiased(float(mean.detach()), half, x, y, seed) * units,
        _array(f) * units,
        _array(g) * units,
        f"SW_{p:g}^{p:g}",
        f"the population's SW_{p:g}^{p:g}",
        p=p,
    )
    replicates = int(chosen.replicate.max()) + 1
    return replace(line, noise=(spread * units) ** 2, replicates=replicates)


def along(
    pair: Pair, held: tuple[np.ndarray, np.ndarray], direction: Any, p: float, seed: int | None
) -> Linear:
    """Of W_p^p along a direction that was found on other rows than `held`: a lower bound."""
    theta = torch.as_tensor(direction, dtype=torch.float64)
    x, y = (
        z.points.double()[torch.from_numpy(rows)] @ theta.to(z.points.device)
        for z, rows in zip((pair.x, pair.y), held, strict=True)
    )
    units = pair.scale**p

    def half(i: np.ndarray, j: np.ndarray) -> float:
        return float(univariate.cost(x[i], y[j], p))

    value = float(univariate.cost(x, y, p))
    value = _unbiased(value, half, x[:, None], y[:, None], seed) * units
    f, g = (_array(h) * units for h in univariate.potentials(x, y, p))
    words = f"the population's largest W_{p:g}^{p:g} along a direction, and its W_{p:g}^{p:g}"
    part = of_influence(value, f, g, f"W_{p:g}^{p:g} along a direction", words, p=p)
    terms = [np.zeros(len(z)) for z in (pair.x, pair.y)]
    terms[0][held[0]], terms[1][held[1]] = part.x, part.y
    return replace(part, x=terms[0], y=terms[1], one_sided=True)


def _unbiased(
    whole: float,
    half: Callable[[np.ndarray, np.ndarray], float],
    x: Tensor,
    y: Tensor,
    seed: int | None,
) -> float:
    """The value without its bias of order 1/n, at least 0: `half` gives it for some rows."""
    rng = np.random.default_rng(seed)
    parts = zip(*(halves(_array(z), rng) for z in (x, y)), strict=True)
    return max(2 * whole - float(np.mean([half(i, j) for i, j in parts])), 0.0)


@dataclass(frozen=True)
class Means:
    """Row means of a kernel within two samples and between them, and what follows from them.

    Attributes:
        xx: Σ_j k(x_i, x_j), shape (n,), the point itself included.
        yy: Σ_j k(y_i, y_j), shape (m,).
        xy: Mean over j of k(x_i, y_j), (n,).
        yx: Mean over i of k(x_i, y_j), (m,).
        own: k(x_i, x_i) and k(y_j, y_j).
    """

    xx: np.ndarray
    yy: np.ndarray
    xy: np.ndarray
    yx: np.ndarray
    own: tuple[np.ndarray, np.ndarray]

    @property
    def v(self) -> float:
        """MMD² over all pairs (V-statistic)."""
        return float(self.xx.mean() / len(self.xx) + self.yy.mean() / len(self.yy)) - 2 * float(
            self.xy.mean()
        )

    @property
    def u(self) -> float:
        """MMD² without the pairs of a point with itself (U-statistic): unbiased."""
        f, g = self._within()
        return float(f.mean() + g.mean() - 2 * self.xy.mean())

    def linear(
        self, quantity: str, target: str, *, p: float = 1.0, positive: bool = True
    ) -> Linear:
        """Of the U-statistic."""
        f, g = self._within()
        line = of_influence(self.u, 2 * (f - self.xy), 2 * (g - self.yx), quantity, target, p=p)
        return replace(line, positive=positive)

    def _within(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean kernel to the other points of the own sample."""
        f, g = (
            (rows - own) / (len(rows) - 1)
            for rows, own in zip((self.xx, self.yy), self.own, strict=True)
        )
        return f, g


def energy_means(pair: Pair) -> Means:
    """Of the kernel −‖x − y‖, in the units of x: MMD² is the squared energy distance."""
    x, y = (z.points.detach().double() for z in (pair.x, pair.y))
    one_x, one_y = torch.ones_like(x[:, 0]), torch.ones_like(y[:, 0])
    between = PointCost(x, y, 1)
    sums = (
        PointCost(x, x, 1).apply(one_x),
        PointCost(y, y, 1).apply(one_y),
        between.apply(one_y) / len(y),
        between.T.apply(one_x) / len(x),
    )
    zero = (np.zeros(len(x)), np.zeros(len(y)))
    return Means(*(_array(part) * -pair.scale for part in sums), own=zero)


def kernel_means(pair: Pair, kernel: str, bandwidth: float | None = None) -> Means:
    """Of a kernel of `mmd`; each is bounded by memory O(n + m)."""
    x, y = (z.points.detach().double() for z in (pair.x, pair.y))
    xx, xy = kernels.row_sums(pair, kernel, bandwidth, x, (x, y))
    yy, yx = kernels.row_sums(pair, kernel, bandwidth, y, (y, x))
    own = kernels.own_values(pair, kernel, bandwidth)
    return Means(
        _array(xx), _array(yy), _array(xy) / len(y), _array(yx) / len(x),
        own=(_array(own[0]), _array(own[1])),
    )  # fmt: skip


def frechet(pair: Pair) -> Linear:
    """Of W_2² between the fitted Gaussians.

    Raises:
        NoIntervalError: fewer than four rows per column, where second-order terms outweigh.
    """
    n, m, d = len(pair.x), len(pair.y), pair.x.points.shape[1]
    if min(n, m) < _COLUMNS * d:
        raise NoIntervalError(
            f"fewer than {_COLUMNS} rows per column ({min(n, m)} for {d}): the delta method does "
            "not cover"
        )
    moments = [gaussian.moments(z) for z in (pair.x, pair.y)]
    (mean_x, cov_x), (mean_y, cov_y) = (
        [t.detach().requires_grad_() for t in moment] for moment in moments
    )
    with torch.enable_grad():
        value = gaussian.between((mean_x, cov_x), (mean_y, cov_y))
        slopes = torch.autograd.grad(value, [mean_x, cov_x, mean_y, cov_y])
    units = pair.scale**2
    f, g = (
        _quadratic(z.points.detach().double(), *moment, *slope) * units
        for z, moment, slope in zip(
            (pair.x, pair.y), moments, (slopes[:2], slopes[2:]), strict=True
        )
    )
    words = f"its expectation at n = {n}, m = {m}, above the population's by a bias of order d²/n"
    return of_influence(float(value.detach()) * units, f, g, "Fréchet", words)


def _quadratic(z: Tensor, mean: Tensor, cov: Tensor, to_mean: Tensor, to_cov: Tensor) -> np.ndarray:
    """⟨slope in the mean, z − mean⟩ + (z − mean)ᵀ (slope in the covariance) (z − mean)."""
    centred = z - mean.detach()
    return _array(centred @ to_mean + (centred @ to_cov * centred).sum(1))


def refuse_repeats(pair: Pair, what: str) -> None:
    """Raise where rows of a sample repeat."""
    for sample in (pair.x, pair.y):
        points = sample.points.detach()
        if len(torch.unique(points, dim=0)) < len(points):
            raise NoIntervalError(f"rows repeat: {what} has no normal limit")


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
