"""The door to distances of directions: points on the unit sphere."""

from __future__ import annotations

from typing import Any

from otdist.core import checks
from otdist.core.result import SlicedResult
from otdist.discrepancy.spherical import Spherical
from otdist.distances import answer_of
from otdist.sliced.circles import DEFAULT_CIRCLES


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
