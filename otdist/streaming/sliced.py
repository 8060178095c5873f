"""Sliced distances between samples past memory, with a bound on what the sketches cost."""

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
from otdist.streaming.bounds import LineCost, common_scale, line_cost
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
            ValueError: one of the samples has no points yet.
        """
        started = time.perf_counter()
        self._need_points()
        x, y = self.x, self.y
        # On the line all slices are the same, and one was kept.
        scale = common_scale(*x.grids, *y.grids)
        costs = [line_cost(*pair, self.p, scale) for pair in zip(x.grids, y.grids, strict=True)]
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
    scale, number = costs[0].scale, len(chosen)
    values, lower, upper = (
        np.array(column) for column in zip(*(c[:3] for c in costs), strict=True)
    )
    values = np.broadcast_to(values, (number,))
    distance = float(values.mean()) ** (1 / p) * scale
    ends = (float(lower.mean()) ** (1 / p) * scale, float(upper.mean()) ** (1 / p) * scale)
    return SlicedResult(
        distance=distance,
        cost=power(distance, p),
        p=p,
        stderr=families.standard_error(values, chosen, p) * scale,
        slices=values ** (1 / p) * scale,
        directions=chosen.rows,
        seconds=time.perf_counter() - started,
        _bracket=partial(_bracket, x.spread, y.spread, p, lower, chosen, scale),
        error=max(ends[1] - distance, distance - ends[0]),
    )


def _bracket(
    x: Moments, y: Moments, p: float, lower: np.ndarray, chosen: Directions, scale: float
) -> Bracket:
    """What slices, means, variances and ranges prove about W_p itself; `lower` in scaled units."""
    rows = torch.from_numpy(np.ascontiguousarray(chosen.rows[: len(lower)]))
    sets = sets_of(chosen.replicate[: len(lower)], rows.shape[1])
    largest = np.abs([x.low, x.high, y.low, y.high]).max(0) / scale
    slack = Slack((len(largest) + 8) * 2 * UNIT * float(np.linalg.norm(largest)), 128 * UNIT)
    low = joint_bound(torch.from_numpy(lower), rows, sets, p, slack) ** (1 / p) * scale
    high = _independent(x, y, p, scale) * scale
    return between(low, high)


def _independent(x: Moments, y: Moments, p: float, scale: float) -> float:
    """An upper bound on W_p / scale: independent pairs are a plan.

    Its mean square is |m_x − m_y|² + tr A + tr B; for p > 2 no pair is farther apart than the
    diagonal D of the box around all points, and E z^p ≤ D^(p−2) E z².
    """
    diagonal = float(
        np.linalg.norm((np.maximum(x.high, y.high) - np.minimum(x.low, y.low)) / scale)
    )
    diagonal *= 1 + 1e-12
    shift = (x.mean - y.mean) / scale
    square = float(shift @ shift) + float((x.covariance + y.covariance).sum()) / scale**2
    # The moments' rounding: √n roundings of squares no larger than the diagonal's.
    units = 8 * UNIT * (math.sqrt(x.count) + math.sqrt(y.count) + len(shift))
    square = square * (1 + units) + units * diagonal**2
    high = math.sqrt(square) if p <= 2 else (diagonal ** (p - 2) * square) ** (1 / p)
    return min(high, diagonal)
