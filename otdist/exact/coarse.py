r"""A plan of many points in few dimensions: optimal between cells, dealt out within them.

Points are divided into cells of a balanced k-d tree (`cells`), and the cells' centres with their
masses are a smaller problem of the same kind. Its plan becomes one of the points: what cell A sends
to cell B leaves the points of A and reaches those of B in the order of the tree, which sends
neighbours to neighbours. That costs more than the optimum by about the spread of the cells, Σ a ‖x
− centre‖^p on both sides, or, below p = 2, the variance in them over the distance, which says how
many levels an accuracy takes before anything is solved. The potentials of the cells become those of
the points by c-transforms. Blocks of neighbouring points are then made optimal one by one
(`improve`), until the plan costs what that lower bound asks for: 200,000 points in the plane have a
plan within 0.7% in two seconds, half of which sort. In ten dimensions cells are as wide as the
sample, and `solve` declines.

The idea is that of Gerber and Maggioni (2017, Multiscale strategies for computing optimal
transport) and Schmitzer (2016, A sparse multiscale algorithm for dense optimal transport), with one
scale, since the rest is left to the certificate.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from otdist.core.certificate import quick_transform
from otdist.core.point_cost import Cost, PointCost
from otdist.core.result import Arcs
from otdist.core.threads import TimeUpError, threads_for, until
from otdist.core.tree import split
from otdist.core.widened import widened
from otdist.exact import cells, column_generation, improve
from otdist.exact.cells import Cells
from otdist.exact.limits import INTERRUPTED, LATE, STOPPED, Limits, Outcome
from otdist.exact.start import entropic_start, typical
from otdist.line.merge import deal

_LAST = 16  # levels of the tree, at most: 65,536 cells
_FINE = 0.1  # of the accuracy, to which the problem of the cells is solved
_SWEEPS = 8  # over all blocks, at most
_PAIRS = 4  # of cells, that are the work of one number: 1,024 cells take one thread
_GAIN = 0.05  # of what is missing: a sweep that gains less is the last


@dataclass
class CoarsePlan:
    """A plan that is improved until it is cheap enough, and a potential.

    Attributes:
        arcs: The plan.
        g: Potential of the targets, shape (m,), float64; None where there was no time for it.
        cells: How many cells it came from.
        message: One sentence on how it ended before the accuracy was reached; empty while it may.
    """

    arcs: Arcs
    g: Tensor | None
    cells: int
    _cost: PointCost
    _places: tuple[np.ndarray, np.ndarray]
    message: str = ""

    def improve(self, lower: float, limits: Limits) -> bool:
        """Sweep over blocks of sources and of targets in turn until a lower bound is near enough.

        Returns:
            Whether it is; sweeps end before where they gain little, or at the deadline.
        """
        target = lower * (1 + limits.rtol) * (1 - 1e-9)
        cost = widened(self._cost)
        paid = self._paid(cost)
        try:
            for count in range(_SWEEPS):
                if paid <= target:
                    return True
                ends = (self.arcs.rows, self.arcs.cols)[count % 2]
                place = self._places[count % 2][ends.numpy()]
                self.arcs = improve.sweep(cost, self.arcs, place, lambda: _in_time(limits))
                before, paid = paid, self._paid(cost)
                limits.report(f"sweep {count + 1} over blocks, cost {paid:.6g} of {target:.6g}")
                if not _in_time(limits):
                    self.message = LATE
                    break
                if before - paid < _GAIN * (paid - target):
                    break
        except KeyboardInterrupt:
            self.message = INTERRUPTED
        return paid <= target

    def _paid(self, cost: Cost) -> float:
        return float(cost.pairs(self.arcs.rows, self.arcs.cols) @ self.arcs.mass)


def solve(cost: Cost, a: Tensor, b: Tensor, limits: Limits) -> CoarsePlan | None:
    """A plan near the accuracy asked for, and a potential; None where cells are too wide.

    Args:
        cost: Shape (n, m).
        a: Weights of the sources, shape (n,), float64, positive, of sum one.
        b: Weights of the targets, shape (m,), likewise.
        limits: The accuracy, and when to stop before it.
    """
    sizes = limits.sizes
    few = min(cost.shape) < sizes.coarse_from
    if few or not isinstance(cost, PointCost) or cost.device.type != "cpu":
        return None
    last = min(_LAST, min(cost.shape).bit_length() - 2)
    most = typical(cost, a, b)  # an optimal plan costs less still
    allowed, spread, sides = sizes.share * limits.rtol, 0.0, []
    for points, weights in ((cost.x, a), (cost.y, b)):
        sides.append(_Side(points, weights, last, max(cost.p, 2.0)))
        spread += sides[-1].cells(last).spread
        if _added(spread, most, cost.p) > allowed * most:
            return None
    x, y = sides
    fewest = max(len(x.order), len(y.order)) // sizes.cell_points
    levels = first = min(max(sizes.first_level, fewest.bit_length()), last)
    left, right = x.cells(levels), y.cells(levels)
    found, value = _between(left, right, cost.p, limits)
    if found.message not in STOPPED:
        if _added(spread, value, cost.p) > allowed * value:
            return None
        while _added(left.spread + right.spread, value, cost.p) > allowed * value:
            levels += 1
            left, right = x.cells(levels), y.cells(levels)
        if levels > first:
            found, _ = _between(left, right, cost.p, limits)
    count = len(left.masses)
    limits.report(f"plan between {count:,} cells of either sample")
    arcs = _dealt(found.arcs, left, a, right, b)
    plan = CoarsePlan(arcs, None, count, cost, (_ranks(x.order), _ranks(y.order)))
    if found.message in STOPPED:
        plan.message = found.message
        return plan
    try:
        with until(limits.deadline):
            plan.g = _extended(cost, left, right, found.g)
    except KeyboardInterrupt:
        plan.message = INTERRUPTED
    except TimeUpError:
        plan.message = LATE
    return plan


def _added(spread: float, value: float, p: float) -> float:
    """What a plan dealt out within cells costs beside `value`, about.

    Below p = 2 that is of second order in the width of the cells, as long as mass moves farther.
    """
    if p >= 2:
        return spread
    return spread * value ** (1 - 2 / p) if value > 0 else math.inf


def _in_time(limits: Limits) -> bool:
    return time.perf_counter() < limits.deadline


def _ranks(order: np.ndarray) -> np.ndarray:
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    return ranks


class _Side:
    """One sample in the order of its tree."""

    def __init__(self, points: Tensor, weights: Tensor, levels: int, p: float) -> None:
        self.points, self.weights, self.p = points, weights, p
        self.order = split(points, levels)

    def cells(self, levels: int) -> Cells:
        return cells.divide(self.points, self.weights, levels, self.p, self.order)


def _between(x: Cells, y: Cells, p: float, limits: Limits) -> tuple[Outcome, float]:
    """The problem of the cells, solved to a part of the accuracy, and what its plan costs.

    Entropic potentials to begin with, since smooth ones say more of the points within the cells.
    """
    a, b = (torch.from_numpy(side.masses / side.masses.sum()) for side in (x, y))
    centres = _centres(x, y, p)
    limits = replace(limits, rtol=_FINE * limits.rtol)
    with threads_for(len(x.masses) * len(y.masses) // _PAIRS):
        found = column_generation.solve(centres, a, b, limits, first=entropic_start)
    return found, float(centres.pairs(found.arcs.rows, found.arcs.cols) @ found.arcs.mass)


def _centres(x: Cells, y: Cells, p: float) -> PointCost:
    return PointCost(torch.from_numpy(x.centres), torch.from_numpy(y.centres), p)


def _extended(cost: PointCost, x: Cells, y: Cells, g: Tensor) -> Tensor:
    """A potential of all targets from one of the centres of their cells, by two c-transforms."""
    f = quick_transform(_centres(x, y, cost.p), g)
    return quick_transform(cost.between(torch.from_numpy(x.centres).to(cost.dtype), cost.y).T, f)


def _dealt(arcs: Arcs, x: Cells, a: Tensor, y: Cells, b: Tensor) -> Arcs:
    """The plan of points that a plan of cells becomes."""
    order = torch.argsort(arcs.rows * arcs.shape[1] + arcs.cols)
    ordered = Arcs(arcs.rows[order], arcs.cols[order], arcs.mass[order], arcs.shape)
    at_x, at_y = torch.from_numpy(x.order), torch.from_numpy(y.order)
    found = deal(ordered, x.merged, a[at_x], y.merged, b[at_y])
    return Arcs(at_x[found.rows], at_y[found.cols], found.mass, found.shape)
