r"""Many pairs on the line at once: sorted rows, matched quantiles, and what they prove.

The monotone plan between uniform samples has masses that are counted in integers, so that nothing
is in doubt but roundings: of a gap, its power and a sum along a row, as in `line.solver`. No frame
is needed, since a difference of two floats is off by one rounding of itself wherever they lie. Rows
whose powers leave the safe range are solved one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from otdist.batches.entries import Entries
from otdist.batches.result import BatchResult, of_values
from otdist.core.certificate import UNIT, brackets
from otdist.core.threads import run
from otdist.line import univariate
from otdist.line.solver import CLOSED, MESSAGE, rounding
from otdist.line.walk import UniformWalk

_CHUNK = 1 << 16
"""Numbers of both samples at a time: they stay in the cache."""
_SAFE = 2.0**900
"""Costs between this and its inverse have neither overflown nor lost terms that count."""


@dataclass(frozen=True)
class Values:
    """Costs of many pairs and the bracket on each distance, (B,) each, in the caller's units."""

    cost: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def solve(batch: Entries, p: float, entry: Any, begin: float) -> BatchResult | None:
    """W_p of every pair; None where a pair must be solved by itself.

    Args:
        batch: Samples of one coordinate.
        p: Exponent.
        entry: Computes the single result of an entry when it is asked for.
        begin: When the work on it began.
    """
    if batch.a is not None or batch.b is not None or batch.x.device.type != "cpu":
        return None
    x, y = (z.detach()[..., 0].double().numpy() for z in (batch.x, batch.y))
    found = uniform(x, y, p)
    if found is None:
        return None
    cost = torch.from_numpy(found.cost)
    if batch.needs_gradient:
        value = univariate.cost(batch.x[..., 0].double(), batch.y[..., 0].double(), p)
        cost = cost + (value - value.detach())
    lower, upper = found.lower, found.upper
    if not ((upper - lower <= CLOSED * lower) | (upper == 0)).all():
        return None
    return of_values(batch, p, cost, lower, upper, MESSAGE, entry, begin)


def uniform(x: np.ndarray, y: np.ndarray, p: float) -> Values | None:
    """The values of samples x (B, n) and y (B, m); None where one leaves the safe range."""
    (size, n), m = x.shape, y.shape[1]
    cost, farthest = np.empty(size), np.empty(size)
    safe = np.zeros(size, dtype=bool)
    cells = None if n == m else UniformWalk(n, m).cells(slice(0, n))

    def work(part: slice) -> None:
        xs, ys = np.sort(x[part]), np.sort(y[part])
        farthest[part] = np.maximum(xs[:, -1] - ys[:, 0], ys[:, -1] - xs[:, 0])
        if cells is None:
            gaps = np.abs(np.subtract(xs, ys, out=xs), out=xs)
            largest, mass = gaps.max(1), 1.0 / n
            powers = _power(gaps, p)
        else:
            gaps = np.abs(xs[:, cells.rows] - ys[:, cells.cols])
            largest, mass = gaps.max(1), 1.0
            powers = _power(gaps, p) * cells.mass
        sums = np.add.reduce(powers, 1) * mass
        cost[part] = sums
        safe[part] = ((sums > 1 / _SAFE) & (sums < _SAFE)) | (largest == 0)

    step = max(1, _CHUNK // (n + m))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        run([partial(work, slice(k, k + step)) for k in range(0, size, step)])
        if not safe.all():
            return None
        slack = rounding(n + m, p) * cost
        lower, upper = brackets(cost - slack, cost + slack, p)
    return Values(cost, lower, np.minimum(upper, farthest * (1 + 4 * UNIT)))


def _power(gaps: np.ndarray, p: float) -> np.ndarray:
    if p == 1:
        return gaps
    return np.multiply(gaps, gaps, out=gaps) if p == 2 else np.power(gaps, p, out=gaps)


def kept(batch: Entries) -> Entries:
    """The samples as single results need them later, without a graph where none was asked for."""
    if batch.needs_gradient:
        return batch
    a, b = (None if w is None else w.detach() for w in (batch.a, batch.b))
    return replace(batch, x=batch.x.detach(), y=batch.y.detach(), a=a, b=b)
