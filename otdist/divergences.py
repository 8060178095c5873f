r"""Distances between samples that are not W_p: entropic, Gaussian, energy and kernel.

None of them carries a bracket on W_p, because none of them bounds it both ways; `wasserstein` with
`solver=Sinkhorn(eps)` does. All accept numpy arrays, lists or torch tensors, and differentiate.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from otdist.core.gradient import root
from otdist.core.large import hand_over, is_large
from otdist.core.measure import check_p, pair
from otdist.core.modes import full_precision
from otdist.core.result import Array, ConvergenceWarning, DivergenceResult, Number
from otdist.core.task import of_pair
from otdist.entropic import divergence, entropic
from otdist.entropic.sinkhorn import check_eps, check_stop, given_eps, not_converged, scaled_eps
from otdist.moments import gaussian, kernels


@full_precision()
def sinkhorn_divergence(
    x: Any,
    y: Any,
    *,
    a: Any = None,
    b: Any = None,
    p: float = 1,
    eps: float | None = None,
    tol: float = 1e-3,
    max_iter: int = 2000,
) -> DivergenceResult:
    r"""The debiased Sinkhorn divergence S_eps = OT_eps(x, y) − ½ OT_eps(x, x) − ½ OT_eps(y, y).

    OT_eps = min ⟨P, c⟩ + eps·KL(P | a ⊗ b) with c = ‖x − y‖^p. S_eps is 0 exactly for equal
    measures, not negative, and tends to W_p^p as eps falls and to a kernel distance as it grows.

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line.
        y: Points of the second sample, shape (m, d) or (m,).
        a: Weights of x, shape (n,), of sum one; uniform when None.
        b: Weights of y, shape (m,).
        p: Exponent, 1 ≤ p ≤ 2: above, the kernel is not positive definite and S_eps can be
            negative.
        eps: Entropic strength in cost units (units of x to the power p). None takes 1% of the mean
            cost Σ a_i b_j c_ij, as a constant for gradients. Above a million times the largest
            cost, where the value is that at infinity to six digits, it counts as that.
        tol: L1 marginal error to stop at; it moves the value by the order of eps · tol².
        max_iter: Steps allowed for each of the three problems.

    Returns:
        `cost` S_eps, `distance` S_eps^(1/p), and the debiased potentials, whose values are the
        gradient in the weights. Values below zero by rounding or by the residual are reported as 0.

    Raises:
        ValueError: bad samples or weights (see `wasserstein`), p outside [1, 2], eps not positive.

    Warns:
        ConvergenceWarning: a marginal error stayed above tol.

    Gradients: x, y, a, b, first order, by the envelope theorem, to the order of `residual`.
    Cost: about 15 passes over the n·m pairs at the default eps; memory as for `Sinkhorn`.
    Reference: Feydy et al. (2019), Interpolating between optimal transport and MMD.

    >>> import otdist
    >>> x = [[0.0, 0.0], [1.0, 0.0]]
    >>> otdist.sinkhorn_divergence(x, x).cost
    0.0
    >>> moved = otdist.sinkhorn_divergence(x, [[0.0, 2.0], [1.0, 2.0]], p=2, eps=0.1)
    >>> round(moved.cost, 6), round(moved.distance, 6)
    (4.0, 2.0)
    """
    p = check_p(p)
    if p > 2:
        raise ValueError(
            f"p must be at most 2 for a Sinkhorn divergence, which can be negative above: "
            f"got {p:g}; use wasserstein(..., solver=Sinkhorn(eps)) or entropic_cost"
        )
    return _entropic((x, y, a, b), p, _Rule(eps, tol, max_iter), debias=True)


@full_precision()
def entropic_cost(
    x: Any,
    y: Any,
    *,
    a: Any = None,
    b: Any = None,
    p: float = 1,
    eps: float | None = None,
    tol: float = 1e-3,
    max_iter: int = 2000,
) -> DivergenceResult:
    r"""The entropic objective OT_eps = min_P ⟨P, c⟩ + eps·KL(P | a ⊗ b), not debiased.

    It is at least W_p^p, and not 0 for equal samples; `sinkhorn_divergence` removes that bias, and
    `wasserstein(..., solver=Sinkhorn(eps))` gives a certified bracket on W_p instead.

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line.
        y: Points of the second sample, shape (m, d) or (m,).
        a: Weights of x, shape (n,), of sum one; uniform when None.
        b: Weights of y, shape (m,).
        p: Exponent of the ground cost, p ≥ 1.
        eps: Entropic strength in cost units; None takes 1% of the mean cost.
        tol: L1 marginal error to stop at.
        max_iter: Steps allowed.

    Returns:
        `cost` OT_eps, `distance` OT_eps^(1/p), and the potentials (f, g) of the plan
        a_i b_j exp((f_i + g_j − c_ij)/eps).

    Raises:
        ValueError: as for `sinkhorn_divergence`.

    Gradients: x, y, a, b, first order, by the envelope theorem.
    Cost: one of the three problems of `sinkhorn_divergence`.
    Reference: Cuturi (2013); Peyré and Cuturi (2019), section 4.

    >>> import otdist
    >>> otdist.entropic_cost([[0.0], [1.0]], [[0.0], [1.0]], p=2, eps=10.0).cost > 0.4
    True
    """
    return _entropic((x, y, a, b), check_p(p), _Rule(eps, tol, max_iter), debias=False)


@dataclass(frozen=True)
class _Rule:
    """How strongly to regularise and when to stop."""

    eps: float | None
    tol: float
    max_iter: int

    def __post_init__(self) -> None:
        check_eps(self.eps)
        check_stop(self.tol, self.max_iter)


def _entropic(samples: tuple, p: float, rule: _Rule, *, debias: bool) -> DivergenceResult:
    begin = time.perf_counter()
    measures = pair(*samples, p=p)
    task = of_pair(measures, p)
    eps = scaled_eps(task, rule.eps)
    value = divergence.objective(
        measures, p, eps, tol=rule.tol, max_iter=rule.max_iter, debias=debias
    )
    message = f"marginal error {value.error:.2g} after {value.iterations} steps"
    if not value.converged:
        message = not_converged(rule.max_iter, value.error, rule.tol)
        warnings.warn(message, ConvergenceWarning, stacklevel=3)
    kind = task.kind
    return DivergenceResult(
        distance=kind.number(task.distance(value.cost)),
        cost=kind.number(task.in_cost_units(value.cost)),
        p=p,
        eps=given_eps(task, rule.eps, eps),
        potentials=(
            kind.array(task.in_cost_units(value.f)),
            kind.array(task.in_cost_units(value.g)),
        ),
        converged=value.converged,
        message=message,
        iterations=value.iterations,
        residual=value.error,
        seconds=time.perf_counter() - begin,
        debiased=debias,
    )


@full_precision()
def soft_ctransform(z: Any, y: Any, g: Any, *, b: Any = None, p: float = 1, eps: float) -> Array:
    r"""An entropic potential at new points: f(z) = −eps·log Σ_j b_j exp((g_j − ‖z − y_j‖^p)/eps).

    At the points that g was solved with it returns f (to the marginal error); elsewhere it is the
    natural extension, out of which an entropic map or an out-of-sample bound is made.

    Args:
        z: New points, shape (k, d).
        y: Points that g belongs to, shape (m, d).
        g: Their potential in cost units, shape (m,), as `entropic_cost` returns it.
        b: Weights of y, shape (m,); uniform when None.
        p: Exponent.
        eps: Entropic strength in cost units, the one g was solved with.

    Returns:
        f at z, shape (k,), in cost units; no graph.

    Raises:
        ValueError: bad samples, g of the wrong shape or not finite, eps not positive.

    >>> import otdist
    >>> x, y = [[0.0], [1.0]], [[0.5], [2.0]]
    >>> result = otdist.entropic_cost(x, y, p=2, eps=1.0, tol=1e-9)
    >>> f = otdist.soft_ctransform(x, y, result.potentials[1], p=2, eps=1.0)
    >>> bool(abs(f - result.potentials[0]).max() < 1e-8)
    True
    """
    p = check_p(p)
    if eps is None:
        raise TypeError("eps must be the strength that g was solved with: got None")
    check_eps(eps)
    task = of_pair(pair(z, y, None, b, p=p), p)
    potential = torch.as_tensor(g).detach().to(task.b.device, torch.float64)
    if potential.shape != task.b.shape or not bool(torch.isfinite(potential).all()):
        raise ValueError(
            f"g must hold one finite number per point of y, shape ({len(task.b)},): got shape "
            f"{tuple(potential.shape)}"
        )
    scaled = (potential.abs() ** (1 / p) / task.scale) ** p * potential.sign()  # no power overflows
    strength = scaled_eps(task, eps)
    cost = entropic.precise(task.cost, strength, 1e-3)
    f = entropic.extend(cost, scaled, task.b.detach(), strength)
    return task.kind.array(task.in_cost_units(f))


@full_precision()
def gaussian_wasserstein(x: Any, y: Any, *, a: Any = None, b: Any = None) -> Number:
    r"""W_2 between the Gaussians with the samples' means and covariances (Bures–Wasserstein).

    W_2² = ‖m_x − m_y‖² + tr(A + B − 2 (A^{1/2} B A^{1/2})^{1/2}), with covariances A, B divided by
    the weights' sum (n, not n − 1). It is a lower bound of the samples' W_2 (Gelbrich 1990).

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line; or a dask array.
        y: Points of the second sample, shape (m, d) or (m,).
        a: Weights of x, shape (n,), of sum one; uniform when None.
        b: Weights of y, shape (m,).

    Returns:
        The distance in the units of x. Singular covariances are fine.

    Raises:
        ValueError: bad samples or weights (see `wasserstein`).

    Gradients: x, y, a, b, first order; with the pseudo-inverse of a root of A where A is singular,
    which drops the directions without variance. Zero where the distance is zero.
    Cost: O((n + m) d² + d³).
    Reference: Gelbrich (1990); Bhatia, Jain and Lim (2019).

    >>> import otdist
    >>> otdist.gaussian_wasserstein([[-1.0], [1.0]], [[1.0], [5.0]])
    3.1622776601683795
    """
    if is_large(x, y, a, b):
        return hand_over("gaussian_wasserstein", x, y, a=a, b=b)
    measures = pair(x, y, a, b)
    return measures.kind.number(root(gaussian.cost(measures), 2) * measures.scale)


@full_precision()
def energy_distance(x: Any, y: Any, *, a: Any = None, b: Any = None) -> Number:
    r"""The energy distance √(2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖), any dimension.

    On the line it equals `scipy.stats.energy_distance`; its square is the statistic of Székely and
    Rizzo, with all pairs counted (V-statistic).

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line; or a dask array.
        y: Points of the second sample, shape (m, d) or (m,).
        a: Weights of x, shape (n,), of sum one; uniform when None.
        b: Weights of y, shape (m,).

    Returns:
        The distance, in the square root of the units of x; 0 only for equal measures.

    Raises:
        ValueError: bad samples or weights (see `wasserstein`).

    Gradients: x, y, a, b, first order; zero where the distance is zero.
    Cost: O((n + m)² d) time, O(n + m) memory.
    Reference: Székely and Rizzo (2013).

    >>> import otdist
    >>> otdist.energy_distance([0.0], [2.0])
    2.0
    """
    if is_large(x, y, a, b):
        return hand_over("energy_distance", x, y, a=a, b=b)
    measures = pair(x, y, a, b)
    squared = kernels.energy(measures)
    return measures.kind.number(root(squared * measures.scale, 2))


@full_precision()
def mmd(
    x: Any,
    y: Any,
    *,
    a: Any = None,
    b: Any = None,
    kernel: str = "gaussian",
    bandwidth: float | None = None,
    statistic: str = "V",
) -> Number:
    r"""The maximum mean discrepancy of a kernel k: √(E k(x, x') + E k(y, y') − 2 E k(x, y)).

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line; or a dask array.
        y: Points of the second sample, shape (m, d) or (m,).
        a: Weights of x, shape (n,), of sum one; uniform when None.
        b: Weights of y, shape (m,).
        kernel: "gaussian", exp(−‖x − y‖²/(2σ²)); "laplacian", exp(−‖x − y‖/σ); or "polynomial",
            (⟨x, y⟩/d + 1)³, which has no bandwidth and depends on the origin.
        bandwidth: σ in the units of x. None takes the median of positive distances in the pooled
            sample (of at most 1,000 points of each, evenly spaced), a constant for gradients.
        statistic: "V" counts all pairs and returns the distance. "U" leaves out each point against
            itself and returns the *square*: it is unbiased and can be negative, so it has no root.

    Returns:
        MMD for "V", an unbiased estimate of MMD² for "U".

    Raises:
        ValueError: bad samples, weights, kernel, bandwidth or statistic; "U" with a weight of one.

    Gradients: x, y, a, b; for "V" zero where the distance is zero.
    Cost: O((n + m)² d) time, O(n + m) memory.
    Reference: Gretton et al. (2012), A kernel two-sample test.

    >>> import otdist
    >>> round(otdist.mmd([0.0], [1.0], bandwidth=1.0) ** 2, 6)
    0.786939
    """
    if statistic not in ("U", "V"):
        raise ValueError(f'statistic must be "U" or "V": got {statistic!r}')
    if is_large(x, y, a, b):
        options = {"kernel": kernel, "bandwidth": bandwidth, "statistic": statistic}
        return hand_over("mmd", x, y, a=a, b=b, **options)
    measures = pair(x, y, a, b)
    squared = kernels.mmd_squared(measures, kernel, bandwidth, unbiased=statistic == "U")
    result: Tensor = squared if statistic == "U" else root(squared.clamp(min=0), 2)
    return measures.kind.number(result)
