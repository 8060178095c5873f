r"""Costs of many pairs on the line at once, with the brackets that their plans prove.

As in `solver`, for whole rows of sorted points: the monotone plan between uniform samples has
masses that are counted in integers, so that nothing is in doubt but roundings of a gap, its power
and a sum along a row. Cumulative sums of other weights are kept in two parts, multiples of 2⁻⁵¹,
whose sums have no rounding, and the rests, so that a breakpoint is in doubt by n² · 2⁻¹⁰³. No frame
is needed, since a difference of two floats is off by one rounding of itself wherever they lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from otdist.core.certificate import UNIT, brackets
from otdist.core.threads import run
from otdist.line.solver import rounding
from otdist.line.sorting import order_rows, take_rows
from otdist.line.walk import HEAD, UniformWalk, cut

_CHUNK, _WEIGHTED_CHUNK = 1 << 16, 1 << 13
"""Numbers of both samples at a time: they stay in the cache. Weighted ones need many arrays, which
come as fresh pages when they are larger: 100 points take 13 microseconds, and 20 there."""
_SAFE = 2.0**900
"""Costs between this and its inverse have neither overflown nor lost terms that count."""


@dataclass(frozen=True)
class Values:
    """Costs of many pairs and the bracket on each distance, (B,) each, in the caller's units."""

    cost: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True)
class _Met:
    """Points that meet in some rows: gaps (k, cells), their masses, and what is in doubt, (k,)."""

    gaps: np.ndarray
    mass: np.ndarray | float
    doubt: np.ndarray | float
    farthest: np.ndarray


def values(
    x: np.ndarray, y: np.ndarray, p: float, a: np.ndarray | None = None, b: np.ndarray | None = None
) -> Values | None:
    """The values of samples x (B, n) and y (B, m); None where one leaves the safe range.

    Args:
        x: Finite points.
        y: Finite points.
        p: Exponent.
        a: Weights of x, (B, n), non-negative, of sums near one; uniform where None.
        b: Weights of y, (B, m).
    """
    (size, n), m = x.shape, y.shape[1]
    cost, slack, farthest = np.empty((3, size))
    safe = np.zeros(size, dtype=bool)

    def work(part: slice) -> None:
        if a is None and b is None:
            met = _evenly(x[part], y[part])
        else:
            met = _met(x[part], y[part], *(None if w is None else w[part] for w in (a, b)))
        largest, farthest[part] = met.gaps.max(1), met.farthest
        powers = _power(met.gaps, p)
        if isinstance(met.mass, float):
            sums = np.add.reduce(powers, 1) * met.mass
        else:
            sums = np.add.reduce(powers * met.mass, 1)
        cost[part] = sums
        safe[part] = ((sums > 1 / _SAFE) & (sums < _SAFE)) | (largest == 0)
        slack[part] = rounding(n + m, p) * sums
        if isinstance(met.mass, np.ndarray) and isinstance(met.doubt, np.ndarray):
            # As `solver` has it, with the farthest points of the row for those of each cluster.
            doubt = np.maximum(met.doubt, -met.mass.min(1))
            near = np.count_nonzero(met.mass <= 3 * doubt[:, None], axis=1)
            slack[part] += 8 * doubt * (powers.sum(1) + near * met.farthest**p)

    chunk = _CHUNK if a is None and b is None else _WEIGHTED_CHUNK
    step = max(1, chunk // (n + m))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        run([partial(work, slice(k, k + step)) for k in range(0, size, step)])
        if not safe.all():
            return None
        lower, upper = brackets(cost - slack, cost + slack, p)
    return Values(cost, lower, np.minimum(upper, farthest * (1 + 4 * UNIT)))


def _power(gaps: np.ndarray, p: float) -> np.ndarray:
    if p == 1:
        return gaps
    return np.multiply(gaps, gaps, out=gaps) if p == 2 else np.power(gaps, p, out=gaps)


def _evenly(x: np.ndarray, y: np.ndarray) -> _Met:
    """Uniform samples."""
    (_, n), m = x.shape, y.shape[1]
    xs, ys = np.sort(x), np.sort(y)
    farthest = np.maximum(xs[:, -1] - ys[:, 0], ys[:, -1] - xs[:, 0])
    if n == m:
        return _Met(np.abs(np.subtract(xs, ys, out=xs), out=xs), 1.0 / n, 0.0, farthest)
    rows, cols, mass = UniformWalk(n, m).cells(slice(0, n))
    return _Met(np.abs(xs[:, rows] - ys[:, cols]), mass, 0.0, farthest)


def _met(x: np.ndarray, y: np.ndarray, a: np.ndarray | None, b: np.ndarray | None) -> _Met:
    """Weighted samples; the totals of y become those of x."""
    n, m = x.shape[1], y.shape[1]
    xs, at_x, doubt_x = _breakpoints(x, a)
    ys, at_y, doubt_y = _breakpoints(y, b)
    total = at_x[:, :, -1].sum(0)
    change = (at_x[:, :, -1] - at_y[:, :, -1]).sum(0) / at_y[0, :, -1]
    at_y[1] += (at_y[0] + at_y[1]) * change[:, None]
    doubt = (doubt_x + doubt_y + np.abs(change) * 2.0**-50 + 2.0**-104) / total
    ends = np.concatenate([at_x[..., :-1], at_y[..., :-1]], 2)
    keys = ends[0] + ends[1]
    order, parts = np.empty(keys.shape, dtype=np.int64), np.zeros((2, len(x), n + m))
    order_rows(keys, order, np.empty_like(keys))
    for source, into in zip(ends, parts, strict=True):
        take_rows(source, order, into[:, 1:-1])
    parts[..., -1] = at_x[..., -1]
    mass = (np.diff(parts[0]) + np.diff(parts[1])) / total[:, None]
    cols = np.zeros(mass.shape, dtype=np.int64)
    np.cumsum(order >= n - 1, axis=1, out=cols[:, 1:])
    gaps, there = np.empty_like(mass), np.empty_like(mass)
    take_rows(xs, np.arange(n + m - 1) - cols, gaps)
    take_rows(ys, cols, there)
    np.abs(np.subtract(gaps, there, out=gaps), out=gaps)
    farthest = np.maximum(xs[:, -1] - ys[:, 0], ys[:, -1] - xs[:, 0])
    return _Met(gaps, mass, doubt, farthest)


def _breakpoints(
    points: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Sorted points (k, n), cumulative weights in two parts (2, k, n), how far these are off."""
    n = points.shape[1]
    if weights is None:
        rows, weights = np.sort(points), np.full(points.shape, 1 / n)
    else:
        rows, order = np.empty_like(points), np.empty(points.shape, dtype=np.int64)
        order_rows(points, order, rows)
        given, weights = weights, np.empty_like(weights)
        take_rows(given, order, weights)
    ends = np.stack(cut(weights, HEAD))
    np.cumsum(ends, axis=2, out=ends)
    return rows, ends, n * n * 2.0**-104
