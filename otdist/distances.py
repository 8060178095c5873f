"""The door to distances of samples, in memory or in blocks: options are checked here, once.

Distances through slices enter by it from `sliced_distances`.
"""

from __future__ import annotations

import sys
from typing import Any

from otdist.batches.entries import is_batch
from otdist.batches.together import together
from otdist.core.large import is_large
from otdist.core.modes import full_precision
from otdist.core.result import DivergenceResult, Number, OTResult
from otdist.core.threads import threads_for
from otdist.discrepancy.base import Discrepancy
from otdist.discrepancy.energy import Energy
from otdist.discrepancy.gaussian import Gaussian
from otdist.discrepancy.mmd import Mmd
from otdist.discrepancy.sinkhorn import Entropic, SinkhornDivergence
from otdist.discrepancy.wasserstein import chosen
from otdist.solve import Solver


def answer_of(chosen: Discrepancy, samples: tuple[Any, Any, Any, Any], **call: Any) -> Any:
    """The answer for x, y, a and b, in memory or in blocks."""
    found = chosen.quickly(*samples, **call)
    return _framed(chosen, samples, **call) if found is None else found


@full_precision()
def _framed(chosen: Discrepancy, samples: tuple[Any, Any, Any, Any], **call: Any) -> Any:
    if "dask.base" in sys.modules and is_large(*samples):
        return chosen.streamed(*samples, **call)
    if is_batch(samples[0], samples[1]):
        return together(chosen, samples, **call)
    both = chosen.frame(*samples)
    with threads_for(chosen.numbers(both)):
        return chosen.answer(both, **call)


def wasserstein(
    x: Any,
    y: Any,
    *,
    a: Any = None,
    b: Any = None,
    p: float = 1,
    solver: Solver | None = None,
    rtol: float = 0.0,
    start: OTResult | None = None,
    metric: Any = "euclidean",
) -> OTResult:
    r"""Return W_p between two weighted samples: exact, unless `solver` is an approximate one.

    .. math::  W_p(x, y) = \Big(\min_{P \ge 0,\; P1 = a,\; P^\top 1 = b}
               \sum_{ij} P_{ij} \|x_i - y_j\|_2^p\Big)^{1/p}

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line; (..., n, d) for many pairs
            at once. A dask array on the line is streamed: exact up to 262,144 distinct values,
            certified by bounds beyond that.
        y: Points of the second sample, shape (m, d), (m,), or (..., m, d).
        a: Weights of x, shape (n,) or (..., n), of sum one; uniform when None. Zeros pad.
        b: Weights of y, shape (m,) or (..., m), likewise.
        p: Exponent, at least 1; `math.inf` for the bottleneck, the least distance within which all
            mass can move, which takes memory for all pairs beyond the line.
        solver: None is exact: the closed form for d = 1, `Exact` otherwise. `Sinkhorn(eps=…)` and
            `Sliced(…)` are approximate, with a bracket that contains the exact distance.
        rtol: Stop once the bracket proves this relative accuracy; 0 means exact.
        start: An earlier result of a nearby problem of the same shapes, to begin from.
        metric: Ground distance: "euclidean", "cityblock", "chebyshev", "cosine", "angular",
            "haversine", an object of `otdist.metrics`, or a function of two blocks of points.

    Returns:
        distance in the units of x, cost in units**p, certified ``lower ≤ W_p ≤ upper``. A
        `BatchResult`, whose fields have the leading shape, for points with leading dimensions.

    Raises:
        ValueError: points not finite, dimensions differ, weights negative or not of sum one,
            p < 1, an option that cannot apply.
        TypeError: not numbers; numpy mixed with torch.
        MemoryError: the problem does not fit; raised before anything is allocated.

    Gradients: x, y, a, b, first order; a subgradient where plans or duals are not unique, 0 where
        the samples coincide; x and y alone at p = inf. A second differentiation raises.
    Cost: O((n + m) log(n + m)) for d = 1, otherwise about O(n m d) time; Peyré and Cuturi (2019).

    >>> wasserstein([[0.0]], [[5.0]]).distance
    5.0
    >>> result = wasserstein([[0, 0], [1, 0]], [[0, 3], [1, 3]], p=2)
    >>> result.distance, result.cost, result.lower <= 3 <= result.upper
    (3.0, 9.0, True)
    """
    return answer_of(chosen(p, solver, rtol, metric), (x, y, a, b), start=start)


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
    metric: Any = "euclidean",
    reach: float | None = None,
) -> DivergenceResult:
    r"""The debiased Sinkhorn divergence S_eps = OT_eps(x, y) − ½ OT_eps(x, x) − ½ OT_eps(y, y).

    OT_eps = min ⟨P, c⟩ + eps·KL(P | a ⊗ b) with c = d(x, y)^p. S_eps is 0 exactly for equal
    measures, not negative, and tends to W_p^p as eps falls and to a kernel distance as it grows.

    Args:
        x: Shape (n, d), (n,) or (..., n, d); y, a and b likewise, as for `wasserstein`.
        p: Exponent, 1 ≤ p ≤ 2: above, S_eps can be negative.
        eps: Entropic strength in cost units (units of x to the power p). None takes 1% of the mean
            cost, as a constant for gradients. A larger eps than a million times the largest cost is
            replaced by that: the value then has its limit to six digits.
        tol: L1 error of the marginals to stop at, missing mass weighted by the distance that it
            may have to move: each term is within tol times the mean cost of its optimum, usually
            about eps · tol². Problems of up to 256 points are solved to 1e-11.
        max_iter: Steps allowed for each of the three problems.
        metric: d, as for `wasserstein`, for which exp(−d^p/eps) must be positive definite: to p = 2
            "euclidean" and Mahalanobis, to p = 1 those of `energy_distance`.
        reach: Allow mass to be left: OT_eps has the "kl" penalties of `unbalanced_wasserstein`,
            S_eps the term eps (Σa − Σb)²/2, and weights are masses. The default eps is 1% of the
            mean cost or of 2 reach^p, whichever is less.

    Returns:
        `cost` S_eps, not below 0, `distance` S_eps^(1/p), and as potentials the gradient in the
        weights. A value within the rounding error is returned as 0, and `message` says so.

    Raises:
        TypeError, ValueError: bad samples (see `wasserstein`), p outside [1, 2], eps not positive,
            another metric. A marginal error that stays above tol is a ConvergenceWarning.

    Gradients: x, y, a, b, first order, by the envelope theorem, to the order of `residual`.
    Cost: about 15 passes over all pairs. Reference: Feydy et al. (2019); Séjourné et al. (2019).

    >>> round(sinkhorn_divergence([[0, 0], [1, 0]], [[0, 2], [1, 2]], p=2, eps=0.1).cost, 6)
    4.0
    """
    return answer_of(
        SinkhornDivergence(p, eps, tol, max_iter, metric=metric, reach=reach), (x, y, a, b)
    )


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
    metric: Any = "euclidean",
    reach: float | None = None,
) -> DivergenceResult:
    r"""The entropic objective OT_eps = min_P ⟨P, c⟩ + eps·KL(P | a ⊗ b), not debiased.

    It is at least W_p^p, and not 0 for equal samples; `sinkhorn_divergence`, whose errors, warning
    and gradients it shares, removes that bias.

    Args:
        x: Shape (n, d), (n,) or (..., n, d); y, a and b likewise, as for `wasserstein`.
        p: Exponent, ≥ 1.
        eps: Entropic strength in cost units; None takes 1% of the mean cost.
        tol: Error to stop at, as for `sinkhorn_divergence`; max_iter: steps allowed.
        metric: Ground distance, any that `wasserstein` takes; reach: as `sinkhorn_divergence`.

    Returns:
        `cost` OT_eps, `distance`, its root, f, g of the plan a_i b_j exp((f_i + g_j − c_ij)/eps).

    Cost: one of the three problems of `sinkhorn_divergence`. Reference: Cuturi (2013).

    >>> entropic_cost([[0.0], [1.0]], [[0.0], [1.0]], p=2, eps=10.0).cost > 0.4
    True
    """
    return answer_of(Entropic(p, eps, tol, max_iter, metric=metric, reach=reach), (x, y, a, b))


def gaussian_wasserstein(x: Any, y: Any, *, a: Any = None, b: Any = None) -> Number:
    r"""W_2 between the Gaussians with the samples' means and covariances (Bures–Wasserstein).

    W_2² = ‖m_x − m_y‖² + tr(A + B − 2 (A^{1/2} B A^{1/2})^{1/2}), A and B over the weights'
    sum (n, not n − 1), singular or not; a lower bound of the samples' W_2.

    Args:
        x: Shape (n, d), (n,) or (..., n, d), or a dask array; y, a, b as for `wasserstein`.

    Returns:
        The distance in the units of x. Errors are those of `wasserstein`.

    Gradients: x, y, a, b, first order; with the pseudo-inverse of a root of A where A is singular,
        which drops the directions without variance. Zero where the distance is zero.
    Cost: O((n + m) d² + d³). Reference: Gelbrich (1990); Bhatia, Jain and Lim (2019).

    >>> gaussian_wasserstein([[-1.0], [1.0]], [[1.0], [5.0]])
    3.1622776601683795
    """
    return answer_of(Gaussian(), (x, y, a, b))


def energy_distance(
    x: Any, y: Any, *, a: Any = None, b: Any = None, metric: Any = "euclidean"
) -> Number:
    r"""The energy distance √(2 E d(x, y) − E d(x, x') − E d(y, y')) over all pairs, as in SciPy.

    Args:
        x: Shape (n, d), (n,) or (..., n, d), or a dask array; y, a, b as for `wasserstein`.
        metric: d, as for `wasserstein`; ValueError unless of negative type, as are the named ones
            ("chebyshev" up to d = 2), Mahalanobis, the circle, and functions whose `metrics.Custom`
            says so. "cosine" compares mean directions only; "angular" and "haversine" do not
            distinguish all distributions that are symmetric about the origin.

    Returns:
        The root of units of x; 0 where the square is its rounding, 2e-15 of the mean distance.

    Gradients: x, y, a, b, first order; zero where the distance is zero.
    Cost: O((n + m)² d) time, O(n + m) memory. Reference: Székely and Rizzo (2013).

    >>> energy_distance([0.0], [2.0])
    2.0
    """
    return answer_of(Energy(metric), (x, y, a, b))


def mmd(
    x: Any,
    y: Any,
    *,
    a: Any = None,
    b: Any = None,
    kernel: str = "gaussian",
    bandwidth: float | None = None,
    statistic: str = "V",
    metric: Any = "euclidean",
) -> Number:
    r"""The maximum mean discrepancy of a kernel k: √(E k(x, x') + E k(y, y') − 2 E k(x, y)).

    Args:
        x: Shape (n, d), (n,) or (..., n, d), or a dask array; y, a, b as for `wasserstein`.
        kernel: "gaussian", exp(−d(x, y)²/(2σ²)); "laplacian", exp(−d(x, y)/σ); or "polynomial",
            (⟨x, y⟩/d + 1)³, which has no bandwidth or metric, and depends on the origin.
        bandwidth: σ in the units of x. None takes the median of positive distances in the pooled
            sample (of at most 1,000 points of each, evenly spaced), a constant for gradients.
        statistic: "V" counts all pairs and returns the distance. "U" leaves out each point against
            itself and returns the *square*: it is unbiased and can be negative, so it has no root;
            a weight of one is a ValueError.
        metric: d, with which the kernel must be positive definite, else ValueError: Gaussian for
            "euclidean" and Mahalanobis, Laplacian for those of `energy_distance`.

    Returns:
        MMD for "V", an unbiased estimate of MMD² for "U". A V-statistic below its own rounding,
        about 5e-8 for a kernel that is 1 at the distance 0, is 0.

    Gradients: x, y, a, b; for "V" zero where the distance is zero.
    Cost: O((n + m)² d) time, O(n + m) memory. Reference: Gretton et al. (2012).

    >>> round(mmd([0.0], [1.0], bandwidth=1.0) ** 2, 6)
    0.786939
    """
    return answer_of(Mmd(bandwidth, kernel, statistic, metric), (x, y, a, b))
