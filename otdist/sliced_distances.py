"""The door to distances through slices: one-dimensional problems along directions or circles."""

from __future__ import annotations

from typing import Any

from otdist.core import checks
from otdist.core.result import SlicedResult
from otdist.discrepancy.max_sliced import MaxSliced
from otdist.discrepancy.sliced import SlicedDistance
from otdist.discrepancy.spherical import Spherical
from otdist.distances import answer_of
from otdist.sliced.circles import DEFAULT_CIRCLES


def sliced_wasserstein(
    x: Any,
    y: Any,
    *,
    a: Any = None,
    b: Any = None,
    p: float = 1,
    n_projections: int | None = None,
    directions: Any = None,
    seed: int | None = 0,
    stderr_rtol: float | None = None,
) -> SlicedResult:
    r"""SW_p between two weighted samples: W_p^p averaged over directions, then the root.

    Args:
        x: Shape (n, d), (n,) or (..., n, d); y, a, b as for `wasserstein`. For dask arrays
            the slices are computed from sketches, and `error` of the result bounds their error.
        p: Exponent, ≥ 1.
        n_projections: Number of directions; 256 when None. More directions lower `stderr`.
        directions: Unit rows, shape (L, d), treated as independent draws; or how to draw them:
            "orthogonal" (blocks of orthonormal rows, the default), "qmc" (best for d = 2) or "iid".
        seed: Of the directions, which are the same for numpy and torch; None draws fresh ones.
        stderr_rtol: Add directions until stderr ≤ stderr_rtol · distance.

    Returns:
        distance (units of x), cost, the Monte-Carlo stderr of the distance (NaN for one direction),
        the slices and the directions; ``.bracket`` certifies W_p itself.

    Raises:
        TypeError, ValueError: bad samples, directions that are no unit rows, options that clash.

    Gradients: `distance` and `cost` in x, y, a, b, first order; 0 for identical samples.
    Cost: O(L (n + m) (d + log(n + m))) time; O((n + m) d) memory. Reference: Bonneel et al. (2015).

    >>> sliced_wasserstein([[0.0, 0.0]], [[3.0, 4.0]], p=2, directions=[[1.0, 0.0]]).distance
    3.0
    """
    chosen = SlicedDistance(p, n_projections, directions, stderr_rtol)
    return answer_of(chosen, (x, y, a, b), seed=checks.seed(seed))


def max_sliced_wasserstein(
    x: Any,
    y: Any,
    *,
    a: Any = None,
    b: Any = None,
    p: float = 1,
    n_starts: int = 16,
    max_iter: int = 200,
    seed: int | None = 0,
) -> SlicedResult:
    """The largest sliced distance over all directions, by gradient ascent with restarts.

    Args:
        x: Shape (n, d), (n,) or (..., n, d); y, a and b likewise, as for `wasserstein`.
        p: Exponent, ≥ 1.
        n_starts: Number of ascents. They start at the difference of the means, at axes along which
            the second moments differ, and at the best of 8 · n_starts random directions.
        max_iter: Most steps of each ascent.
        seed: Of the random directions; None draws fresh ones.

    Returns:
        distance: W_p along the one direction found, in ``directions`` (1, d); a local maximum, and
        a lower bound on W_p up to the rounding that ``.bracket`` accounts for. `stderr` is 0.
        Errors are those of `sliced_wasserstein`.

    Gradients: x, y, a, b, first order, of the slice along the direction found; where projections
        tie there, as they often do at a maximum, of one of the orders.
    Cost: at most max_iter · n_starts slices. Reference: Deshpande et al. (2019).

    >>> r = max_sliced_wasserstein([[0.0, 0.0]], [[3.0, 4.0]])
    >>> round(r.distance, 6), r.directions.round(3).tolist()
    (5.0, [[-0.6, -0.8]])
    """
    return answer_of(MaxSliced(p, n_starts, max_iter), (x, y, a, b), seed=checks.seed(seed))


def spherical_sliced_wasserstein(
    x: Any,
    y: Any,
    *,
    a: Any = None,
    b: Any = None,
    p: float = 1,
    n_projections: int = DEFAULT_CIRCLES,
    seed: int | None = 0,
) -> SlicedResult:
    r"""SSW_p between unit vectors: W_p^p on great circles, averaged over circles, then the root.

    .. math::  SSW_p^p(x, y) = E_{U}\, W_p^p(P_U x, P_U y)

    with P_U z the nearest point to z on the great circle of the orthonormal pair U, and arcs for
    distances.

    Args:
        x: Unit vectors, shape (n, d) with d ≥ 2, or (..., n, d); y, a, b as for `wasserstein`.
        p: Exponent, from 1 to 100.
        n_projections: Number of great circles, independent and uniform. For d = 2 all are one.
        seed: Of the circles, which are the same for numpy and torch; None draws fresh ones.

    Returns:
        distance in radians, at most π, cost, the Monte-Carlo stderr of the distance, the slices and
        in `directions` the circles, shape (L, 2, d). ``.bracket`` certifies W_p for
        ``metric="angular"`` itself. `ot.sliced_wasserstein_sphere` counts in turns, 2π of these.

    Raises:
        TypeError, ValueError: bad samples; rows that are no unit vectors, by more than 1e-6 or the
            precision of their type; weights that require a gradient.

    Gradients: x and y, first order.
    Cost: O(L (n + m) (d + log(n + m))) time, O(L (n + m)) memory where a gradient is asked for.
    Reference: Bonet et al. (2023), Spherical sliced-Wasserstein.

    >>> result = spherical_sliced_wasserstein([[1.0, 0.0]], [[0.0, 1.0]])
    >>> round(result.distance, 6), result.stderr
    (1.570796, 0.0)
    """
    return answer_of(Spherical(p, n_projections), (x, y, a, b), seed=checks.seed(seed))
