r"""Means of distances and of kernels between few plain points, from numpy and SciPy alone.

They are those of `kernels` by differences, without a graph. Up to `PAIRS` pairs in both samples the
operations of torch take longer than the numbers: 100 points in the plane take 0.12 ms in place of
0.8 (`python -m benchmarks --suite small`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import cdist, pdist

from otdist.core.frame import Framed, framed_arrays
from otdist.core.measure import WEIGHT_TOLERANCE
from otdist.moments.kernels import above_rounding, middle

PAIRS = 2**19
"""Pairs of the pooled sample up to which these means are faster than those of `kernels`."""

_WIDTHS = 2.0**-300, 2.0**300  # between which no square over a squared width overflows


def plain(x: Any, y: Any, a: Any, b: Any) -> Framed | None:
    """Both samples where they are plain arrays of few points; else None."""
    both = framed_arrays(x, y, a, b, 2.0, WEIGHT_TOLERANCE, differences=PAIRS)
    return None if both is None or (len(both.x) + len(both.y)) ** 2 > PAIRS else both


def energy(both: Framed) -> float:
    """2 E d(x, y) − E d(x, x') − E d(y, y') in scaled units."""
    between, *within = (_mean(cdist(u, v), a, b) for u, v, a, b in _sides(both))
    return above_rounding(2 * between - sum(within), sum(within))


def mmd_squared(both: Framed, kernel: str, bandwidth: float | None) -> float | None:
    """MMD² of the Gaussian or the Laplacian kernel; None where a width is out of range."""
    width = _median(both) if bandwidth is None else bandwidth / both.scale
    if not _WIDTHS[0] < width < _WIDTHS[1]:
        return None
    between, *within = (_mean(_kernel(u, v, kernel, width), a, b) for u, v, a, b in _sides(both))
    return above_rounding(sum(within) - 2 * between, sum(within))


def _sides(both: Framed) -> list[tuple[Any, Any, Any, Any]]:
    """Points and weights of the pairs between the samples, within x, and within y."""
    x, y, a, b = both.x, both.y, _shares(both.a), _shares(both.b)
    return [(x, y, a, b), (x, x, a, a), (y, y, b, b)]


def _shares(weights: np.ndarray | None) -> np.ndarray | None:
    return None if weights is None else weights / np.add.reduce(weights)


def _mean(values: np.ndarray, a: np.ndarray | None, b: np.ndarray | None) -> float:
    """Σ a_i b_j v_ij, shape (n, m); weights are uniform where None."""
    if a is None and b is None:
        return float(np.add.reduce(values, None)) / values.size
    rows = np.add.reduce(values, 1) / len(values.T) if b is None else values @ b
    return float(np.add.reduce(rows) / len(rows) if a is None else a @ rows)


def _kernel(x: np.ndarray, y: np.ndarray, kernel: str, width: float) -> np.ndarray:
    """exp(−‖x − y‖²/(2 width²)), or exp(−‖x − y‖/width) of the Laplacian kernel, (n, m)."""
    if kernel == "gaussian":
        exponents = cdist(x, y, "sqeuclidean")
        exponents *= -0.5 / width**2
    else:
        exponents = cdist(x, y)
        exponents *= -1 / width
    return np.exp(exponents, out=exponents)


def _median(both: Framed) -> float:
    """The median of positive distances between all points."""
    return middle(pdist(np.concatenate([both.x, both.y])))
