"""Sliced distances between samples larger than memory, with a bound on what the sketches cost."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.certificate import UNIT, between
from otdist.core.result import Bracket, SlicedResult
from otdist.sliced import directions as families
from otdist.sliced.bounds import Slack, joint_bound, sets_of
from otdist.sliced.directions import Directions
from otdist.sliced.sliced import choose
from otdist.streaming.accumulator import Accumulator
from otdist.streaming.bounds import LineCost, line_cost
from otdist.streaming.line import power
from otdist.streaming.moments import Moments
from otdist.streaming.slices import SliceGrids

CELLS = 1 << 13
"""Cells of each direction and sample: 256 KB."""


class _Unseen:
    """A sample without a batch yet, whose dimension nobody knows."""

    count = 0

    def join(self, other: Any) -> Any:
        return other


class Slices(Accumulator):
    r"""SW_p between two samples, batch by batch, in bounded memory.

    Every batch is projected on the same directions, and each direction keeps a grid of at most
    `cells` cells of each sample. `SlicedResult.error` bounds how far the distance is from the one
    with exact slices along these directions; `stderr` is, as ever, the error of the directions.

    Args:
        p: Exponent, at least 1.
        n_projections: Number of directions; 256 when None.
        directions: As in `otdist.sliced_wasserstein`: unit rows, or how to draw them.
        seed: Of the directions, an integer: parts that are to be merged must project alike.
        cells: Cells of each direction and sample, at least 2.

    Raises:
        ValueError: bad p, cells or directions; batches of different dimensions.
        TypeError: seed not an integer.

    Cost: O(L n (d + log n)) time, 64 bytes × L × cells for both samples, and 128 MB at work.

    >>> import numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(2, 5_000, 3))
    >>> streamed = Slices(p=2, n_projections=20, cells=512)
    >>> streamed = streamed.update(x[:2000], y).update(x[2000:])
    >>> import otdist
    >>> whole = otdist.sliced_wasserstein(x, y, p=2, n_projections=20)
    >>> result = streamed.compute()
    >>> bool(abs(result.distance - whole.distance) <= result.error < 0.01)
    True
    """

    def __init__(
        self,
        p: float = 1,
        *,
        n_projections: int | None = None,
        directions: Any = None,
        seed: int = 0,
        cells: int = CELLS,
    ) -> None:
        self.p = checks.exponent(p)
        self.cells = checks.whole("cells", cells, least=2)
        # A seed is required, so that parts project alike.
        self._options = (directions, n_projections, checks.seed(seed, none=False))
        self._chosen: Directions | None = None
        if directions is not None and not isinstance(directions, str):
            self._directions(np.shape(directions)[-1] if np.ndim(directions) == 2 else 0)
        else:
            self._directions(2)  # checks the options; drawn again for the samples' dimension
            self._chosen = None
        self.x = self.y = _Unseen()

    def compute(self) -> SlicedResult:
        """SW_p of what has been seen, as `otdist.sliced_wasserstein` returns it, with `error`.

        Raises:
            ValueError: one of the samples has no points yet; distances overflow.
        """
        started = time.perf_counter()
        self._need_points()
        x, y = self.x, self.y
        costs = [line_cost(*pair, self.p) for pair in zip(x.grids, y.grids, strict=True)]
        return _result(x, y, self.p, self._directions(x.directions.shape[1]), costs, started)

    def _absorb(self, sketch: Any, name: str, points: Tensor, weights: Tensor | None) -> SliceGrids:
        d = points.shape[1]
        known = next((s for s in (self.x, self.y) if isinstance(s, SliceGrids)), None)
        if known is not None and known.directions.shape[1] != d:
            raise ValueError(
                f"{name} must have the dimension of earlier batches, "
                f"{known.directions.shape[1]}: got shape {tuple(points.shape)}"
            )
        if isinstance(sketch, _Unseen):
            rows = self._directions(d).rows
            sketch = SliceGrids.empty(rows[:1] if d == 1 else rows, self.cells)
        return sketch.add(points, weights)

    def _directions(self, d: int) -> Directions:
        """The directions in d dimensions, drawn once."""
        if self._chosen is None or self._chosen.rows.shape[1] != d:
            kind, number, seed = self._options
            self._chosen = choose(kind, number, d, np.random.default_rng(seed))
        return self._chosen

    def _join(self, other: Slices) -> None:
        seen = {
            s.directions.shape[1]
            for part in (self, other)
            for s in (part.x, part.y)
            if isinstance(s, SliceGrids)
        }
        if len(seen) > 1:
            raise ValueError(f"other must have points of the same dimension: got {sorted(seen)}")
        super()._join(other)

    def _settings(self) -> dict[str, Any]:
        kind, number, seed = self._options
        if kind is not None and not isinstance(kind, str):
            kind = np.asarray(kind).tolist()
        return {
            "p": self.p,
            "n_projections": number,
            "directions": kind,
            "seed": seed,
            "cells": self.cells,
        }


def _result(
    x: SliceGrids,
    y: SliceGrids,
    p: float,
    chosen: Directions,
    costs: list[LineCost],
    started: float,
) -> SlicedResult:
    # On the line all slices are the same, and one was kept. Each is in units of its own gaps.
    scale = max((cost.scale for cost in costs if cost.upper > 0), default=1.0)
    shares = np.array([cost.scale / scale if cost.upper > 0 else 0.0 for cost in costs])
    own, lower, upper = (np.array(column) for column in zip(*(c[:3] for c in costs), strict=True))
    powers = shares**p
    values = np.broadcast_to(own * powers, (len(chosen),))
    lower = lower * powers * (1 - 8 * UNIT)
    upper = upper * powers * (1 + 8 * UNIT) + np.where((shares > 0) & (shares < 1), 2.0**-1000, 0.0)
    distance = float(values.mean()) ** (1 / p) * scale
    if not math.isfinite(distance):
        raise ValueError("x and y must not be so far apart that distances overflow: rescale both")
    with np.errstate(over="ignore"):  # a slice may exceed the average
        slices = np.broadcast_to(own ** (1 / p) * shares * scale, (len(chosen),))
    # Every point moves by no more than the rounding of its projection, and so do the slices' roots.
    moved = _projection_error(x, y)
    low = max(float(lower.mean()) ** (1 / p) * scale - moved, 0.0)
    high = float(upper.mean()) ** (1 / p) * scale + moved
    return SlicedResult(
        distance=distance,
        cost=power(distance, p),
        p=p,
        stderr=families.standard_error(values, chosen, p) * scale,
        slices=slices,
        directions=chosen.rows,
        seconds=time.perf_counter() - started,
        _bracket=partial(_bracket, x.spread, y.spread, p, lower, chosen, scale),
        error=max(high - distance, distance - low),
    )


def _projection_error(x: SliceGrids, y: SliceGrids) -> float:
    """How far the rounding of projections can move a slice; 0 where they select coordinates."""
    rows = np.abs(x.directions)
    if bool(((rows == 0) | (rows == 1)).all()):
        return 0.0
    sizes = [np.maximum(np.abs(part.spread.low), np.abs(part.spread.high)) for part in (x, y)]
    lengths = float(sizes[0].max()) + float(sizes[1].max())
    return (rows.shape[1] + 1) * (UNIT * math.sqrt(rows.shape[1]) * lengths + 2.0**-1073)


def _bracket(
    x: Moments, y: Moments, p: float, lower: np.ndarray, chosen: Directions, scale: float
) -> Bracket:
    """What slices, means, variances and ranges prove about W_p itself; `lower` in scaled units."""
    rows = torch.from_numpy(np.ascontiguousarray(chosen.rows[: len(lower)]))
    sets = sets_of(chosen.replicate[: len(lower)], rows.shape[1])
    largest = np.abs([x.low, x.high, y.low, y.high]).max(0) / scale
    rounding = 2 * UNIT * float(np.linalg.norm(largest)) + 2.0**-1073 / scale
    high = _independent(x, y, p)
    if not math.isfinite(rounding):  # the slices' units are lost beside the coordinates
        return between(0.0, high)
    slack = Slack((len(largest) + 8) * rounding, 128 * UNIT)
    low = joint_bound(torch.from_numpy(lower), rows, sets, p, slack) ** (1 / p) * scale
    return between(low, high)


_SQUARABLE = 2.0**480
"""Lengths between this and its inverse have squares that neither overflow nor lose digits."""


def _independent(x: Moments, y: Moments, p: float) -> float:
    """An upper bound on W_p: independent pairs are a plan.

    Its mean square is |m_x − m_y|² + tr A + tr B; for p > 2 no pair is farther apart than the
    diagonal D of the box around all points, and E z^p ≤ D^(p−2) E z². Where squares would overflow
    or underflow, the diagonal alone.
    """
    sides = np.maximum(x.high, y.high) / 2 - np.minimum(x.low, y.low) / 2
    longest = float(sides.max())
    if longest == 0:  # the least of all numbers apart, if at all
        apart = np.maximum(x.high, y.high) > np.minimum(x.low, y.low)
        return int(apart.sum()) * 2.0**-1073
    half = float(np.linalg.norm(sides / longest)) * (1 + 1e-12)
    diagonal = half * longest * 2 + len(sides) * 2.0**-1073
    if not 1 / _SQUARABLE < diagonal < _SQUARABLE:
        return diagonal
    shift = (x.mean - y.mean) / diagonal
    square = float(shift @ shift) + float((x.covariance + y.covariance).sum()) / diagonal**2
    # The moments' rounding: √n roundings of squares no larger than the diagonal's.
    units = 8 * UNIT * (math.sqrt(x.count) + math.sqrt(y.count) + len(shift))
    square = square * (1 + units) + units
    return diagonal * min(square ** (1 / max(p, 2.0)) * (1 + 8 * UNIT), 1.0)
