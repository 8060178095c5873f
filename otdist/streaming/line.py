"""W_p on the line between samples larger than memory: exact, or within bounds from cells."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.arrays import NUMPY
from otdist.core.certificate import bracket
from otdist.core.result import OTResult
from otdist.core.units import Units, finish
from otdist.line.solver import CLOSED
from otdist.streaming.accumulator import Accumulator
from otdist.streaming.bounds import line_cost
from otdist.streaming.grid import Grid

CELLS = 1 << 18
"""Cells of each sample: 8 MB, and a sample of fewer distinct values stays exact."""


class Line(Accumulator):
    r"""W_p between two samples on the line, batch by batch, in bounded memory.

    Each sample is kept in at most `cells` cells of a grid (mass, mean, lowest and highest point).
    While there are no more distinct values than cells, the answer is that of `otdist.wasserstein`.
    Beyond, `distance` is that between the cells' means, and the bracket contains the distance of
    the samples themselves. Neither order nor batch size changes the sketch, rounding apart.

    Args:
        p: Exponent, at least 1.
        cells: Cells of each sample, at least 2; four numbers each.

    Raises:
        ValueError: p < 1, fewer than 2 cells; points of more than one coordinate.

    Cost: O(n log n) time in all, 32 bytes a cell.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> distance = Line(p=1, cells=1024)
    >>> for _ in range(5):
    ...     distance = distance.update(x=rng.normal(size=10_000), y=rng.normal(0.5, 2, size=8_000))
    >>> result = distance.compute()
    >>> result.lower <= result.distance <= result.upper, bool(result.gap < 0.001)
    (True, True)
    """

    def __init__(self, p: float = 1, *, cells: int = CELLS) -> None:
        self.p = checks.exponent(p)
        self.cells = checks.whole("cells", cells, least=2)
        self.x = self.y = Grid(self.cells)

    def compute(self) -> OTResult:
        """W_p with its bracket, as `otdist.wasserstein` returns it; there is no plan.

        Raises:
            ValueError: one of the samples has no points yet.
        """
        started = time.perf_counter()
        self._need_points()
        return line_result(self.x, self.y, self.p, started)

    def _absorb(self, sketch: Grid, name: str, points: Tensor, weights: Tensor | None) -> Grid:
        if points.shape[1] != 1:
            raise ValueError(
                f"{name} must lie on the line, shape (n,) or (n, 1): got {tuple(points.shape)}; "
                "use Slices or Frechet for more coordinates"
            )
        weight = None if weights is None else weights.cpu().numpy()
        return sketch.add(points[:, 0].cpu().numpy(), weight)

    def _settings(self) -> dict[str, Any]:
        return {"p": self.p, "cells": self.cells}


def line_result(x: Grid, y: Grid, p: float, started: float) -> OTResult:
    """The result for two sketches with points; `started` is when the work on them began."""
    cost = line_cost(x, y, p)
    proved = bracket(cost.lower, cost.upper, p, cost.scale)
    return finish(
        Units(p, cost.scale, NUMPY),
        torch.tensor(cost.value, dtype=torch.float64),
        proved,
        solver="line, in blocks",
        message=described(x, y),
        begin=started,
        converged=not (x.exact and y.exact) or proved.proves(CLOSED),
        potentials=partial(_not_kept, "potentials"),
        plan=partial(_not_kept, "plan"),
        details={"cells": (len(x.mass), len(y.mass)), "widths": (x.width, y.width)},
    )


def described(x: Grid, y: Grid) -> str:
    """One sentence on what the sketches have kept."""
    if x.exact and y.exact:
        return f"exact: {len(x.mass):,} and {len(y.mass):,} distinct values, all kept"
    width = max(x.width, y.width)
    return (
        f"{len(x.mass):,} and {len(y.mass):,} cells: no mass is moved farther than the width "
        f"{width:.3g} of a cell"
    )


def power(distance: float, p: float) -> float:
    """distance**p, infinite where it overflows."""
    try:
        return distance**p
    except OverflowError:
        return float("inf")


def _not_kept(what: str) -> NoReturn:
    raise ValueError(f"a distance in blocks has no {what}: the points are not kept")
