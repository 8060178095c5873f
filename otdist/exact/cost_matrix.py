r"""The matrix of costs of an exact problem, by differences or by one product of matrices.

Differences lose nothing, d operations a pair; ‖x‖² + ‖y‖² − 2⟨x, y⟩ takes a fraction of their time
in many dimensions, and carries a bound on its error, which the certificate charges.
"""

from __future__ import annotations

import math
import threading

import numpy as np
import torch
from scipy.spatial.distance import cdist

from otdist.core.certificate import UNIT
from otdist.core.cost import Cost
from otdist.core.metric import MetricCost
from otdist.core.point_cost import PointCost
from otdist.core.threads import threads_for

DIRECT = 2**20
"""Coordinates of all pairs up to which their differences cost no more than a matrix product and the
repair of its rounding: 128 by 128 points in 64 dimensions take 0.3 ms, 200 by 200 twice as long."""

_DIRECT_DIMENSION = 12  # and coordinates, up to which they never do
_PRODUCT = 2**17  # coordinates of all pairs from which a product is faster, 45 points in d = 64
_SERIAL = 2**18  # likewise, up to which the product of numpy takes one thread
_PRODUCT_ERROR = 2e-13  # of the least cost: a bracket stays as narrow as by differences, nearly
_LOW_POWER = 4.0  # above, the error of a matrix product drowns small costs
_FAINT = 2.0**-480  # distances whose squares lose digits
_CHUNK = 2**16  # pairs whose differences are held at a time


_here = threading.local()
_MODERATE = 2**18  # pairs of points whose room is kept


def room(name: str, shape: tuple[int, int]) -> np.ndarray:
    """An uninitialised array (n, m), valid until this thread's next call with this name.

    It is kept while shapes stay the same and moderate: fresh memory for 200 by 200 numbers costs 60
    microseconds, three times an operation on them.
    """
    rooms: dict[str, np.ndarray] = _here.__dict__.setdefault("rooms", {})
    kept = rooms.get(name)
    if kept is None or kept.shape != shape:
        kept = np.empty(shape)
        if kept.size <= _MODERATE:
            rooms[name] = kept
    return kept


def costs(cost: Cost) -> tuple[np.ndarray, float, float]:
    """Costs, a bound on their error beyond the rounding of distances, and their unit.

    Small ones lie in memory that the next call of this thread takes.
    """
    if not isinstance(cost, PointCost):
        return cost.dense().numpy(), cost.slack, 1.0
    x, y = cost.arrays
    d, p = cost.dimension, cost.p
    kept = room("costs", (len(x), len(y)))
    if d > _DIRECT_DIMENSION and kept.size * d >= _PRODUCT and p in (1, 2):
        error = _by_product(x, y, p, kept)
        if error < math.inf:
            return kept, error, 1.0
    if not is_direct(len(x), len(y), d, p):
        return cost.dense().numpy(), cost.slack, 1.0
    if p == 2:
        return cdist(x, y, "sqeuclidean", out=kept), 0.0, 1.0
    distances = cdist(x, y, out=kept)
    unit = 1.0 if p <= _LOW_POWER else float(distances.max()) or 1.0
    return (distances if p == 1 else (distances / unit) ** p), 0.0, unit


def _by_product(x: np.ndarray, y: np.ndarray, p: float, out: np.ndarray) -> float:
    """Write costs by ‖x‖² + ‖y‖² − 2⟨x, y⟩ around the mean of x; a bound on their error, or inf.

    With s = max ‖x‖² + max ‖y‖² and u = 2⁻⁵³, norms and products are off by d·u·s each, both sums
    by 4u·s, and the rounding of centred points moves ‖x − y‖² by 4u·s: 2(d + 4)·u·s in all. The
    error of a root is at most that of its square over the least root. Points that nearly meet,
    beside which the error is not tiny, are left to differences: inf. 128 by 128 points in 64
    dimensions take 60 microseconds in place of 360.
    """
    centre = np.add.reduce(x) / len(x)
    x, y = x - centre, y - centre
    norm_x, norm_y = np.einsum("ij,ij->i", x, x), np.einsum("ij,ij->i", y, y)
    x *= -2  # without rounding
    if out.size * x.shape[1] <= _SERIAL:
        np.dot(x, y.T, out=out)
    else:
        with threads_for(0):
            torch.mm(torch.from_numpy(x), torch.from_numpy(y).T, out=torch.from_numpy(out))
    out += norm_x[:, None]
    out += norm_y
    largest = float(np.maximum.reduce(norm_x) + np.maximum.reduce(norm_y))
    error = 2 * (x.shape[1] + 8) * UNIT * largest
    least = float(np.minimum.reduce(out, None))
    if not error <= _PRODUCT_ERROR * least:
        return math.inf
    if p == 2:
        return error
    np.sqrt(out, out=out)
    return error / math.sqrt(least)


def paid(cost: Cost, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Costs of some pairs by differences, (k,)."""
    if not isinstance(cost, PointCost) or cost.p not in (1, 2):
        return cost.pairs(torch.from_numpy(rows), torch.from_numpy(cols)).numpy()
    x, y = cost.arrays
    apart = x.take(rows, 0)
    apart -= y.take(cols, 0)
    squared = np.einsum("ij,ij->i", apart, apart)
    return squared if cost.p == 2 else np.sqrt(squared, out=squared)


def is_direct(n: int, m: int, d: int, p: float) -> bool:
    """Whether costs between n and m points of d coordinates are found by differences."""
    return d <= _DIRECT_DIMENSION or p > _LOW_POWER or n * m * d <= DIRECT


def in_plane(cost: Cost) -> bool:
    """Whether points lie in the plane or on a surface."""
    if isinstance(cost, PointCost):
        return cost.dimension <= 2
    return isinstance(cost, MetricCost) and cost.metric.freedom(cost.dimension) <= 2


def distances(cost: PointCost) -> np.ndarray:
    """Distances of all pairs, (n, m); those whose squares would vanish in units of their own."""
    x, y = cost.arrays
    distances = cdist(x, y)
    rows, cols = np.nonzero(distances < _FAINT)
    for start in range(0, len(rows), _CHUNK):
        i, j = rows[start : start + _CHUNK], cols[start : start + _CHUNK]
        gaps = np.abs(x[i] - y[j])
        unit = gaps.max(1)
        unit[unit == 0] = 1.0
        distances[i, j] = np.linalg.norm(gaps / unit[:, None], axis=1) * unit
    return distances
