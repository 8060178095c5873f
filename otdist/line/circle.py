r"""The exact solver on the circle: cut it where no point is split, and solve on the line.

Let x' and y' be both samples from the cut on, ascending within one turn (`cut`). The monotone plan
between them costs at least W_p^p, since no arc is longer than |x' − y'|. What it proves from below
comes from potentials that go around: along the cells of the plan f_i + g_j = c_ij, and where the
plan steps from (i, j) to (i + 1, j + 1) at once, f may grow by anything between

    c(i + 1, j + 1) − c(i, j + 1)   and   c(i + 1, j) − c(i, j),

the lower not above the upper since |x' − y'|^p is a Monge array. The step from the last points to
the first ones of the next turn is one of these. One share θ of all these intervals closes the
circle, f(x + L) = f(x), exactly where the cut is optimal; then f and g are feasible for all pairs
and any number of turns (Hoffman 1963). Where rounding or another cut leaves a rest s, a pair that
meets k turns apart may be violated by k·s, which is charged, as are the roundings of f.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from otdist.core.answer import ProvedPlan, answer
from otdist.core.certificate import UNIT, between, bracket
from otdist.core.measure import Measure, SamplePair
from otdist.core.result import Arcs, Bracket, OTResult, warn_caller
from otdist.core.task import Task, of_pair
from otdist.line import cut, solver
from otdist.line.matching import Matching, match
from otdist.line.sorting import ordered
from otdist.metrics.periodic import Periodic

_TIE = 2.0**-50
"""Masses of corners below which a plan counts as going straight on."""
_NO_ARC = 2.0**-50
_ROUNDED = 2.0**-46  # mass that the rounding of weights may move


def period(task: Task) -> float | None:
    """The length of the circle on which the points of a task lie; None where they do not."""
    metric = None if task.pair is None else task.pair.metric
    if not isinstance(metric, Periodic) or task.cost.dimension != 1:
        return None
    return metric.period[0] if isinstance(metric.period, tuple) else metric.period


def solve(task: Task, length: float, begin: float) -> OTResult:
    """W_p between samples on a circle, with the bracket that its plan and potentials prove.

    Args:
        task: What to solve; its points lie in [0, length).
        length: Of a turn.
        begin: When the work on it began.
    """
    pair = task.pair
    assert pair is not None
    around = _opened(pair, task.p, length)
    x, y = (side.points.detach()[:, 0] for side in (around.x, around.y))
    found = match(x, y, around.x.masses, around.y.masses, places=True)
    top = solver.prove(found, task.p)
    dual = closed(found, task.p, length, top.unit)
    # Points were wrapped, and moved by whole turns, both with a rounding.
    off = pair.error + 8 * UNIT * (length + float(torch.cat([x, y]).abs().max()))
    proved = _bracket(dual, top, task.p, off)
    agrees = proved.proves(solver.CLOSED) or proved.upper <= (
        8 * off + _ROUNDED ** (1 / min(task.p, 4.0)) * length
    )
    message = "exact: sorted quantiles from the best cut"
    if not agrees:
        message = (
            f"float64 leaves the distance open at p = {task.p:g}: the bracket is what was proved"
        )
        warn_caller(message)
    units = of_pair(around, task.p)
    units = units if top.unit == 1 else units.in_units_of(top.unit)
    return answer(
        units, ProvedPlan(top.cost, proved, partial(_evidence, found, dual)),
        solver="closed form", message=message, begin=begin, converged=agrees,
    )  # fmt: skip


def _opened(pair: SamplePair, p: float, length: float) -> SamplePair:
    """The samples from the best cut on, as samples on the line."""
    sides = (pair.x, pair.y)
    (order_x, xs), (order_y, ys) = ordered(*(s.points.detach()[:, 0] for s in sides))
    orders = order_x, order_y
    weights = [
        None if s.masses is None else s.weights.detach()[o].cpu().numpy()
        for s, o in zip(sides, orders, strict=True)
    ]
    place = cut.best(xs.cpu().numpy(), ys.cpu().numpy(), weights[0], weights[1], length, p)
    x = _moved(pair.x, order_x[: place.x], 0.0, length)
    y = _moved(pair.y, order_y[: place.y], place.turns * length, length)
    return replace(pair, x=x, y=y, metric=None, error=0.0)


def _moved(side: Measure, first: Tensor, shift: float, length: float) -> Measure:
    """A sample moved by `shift`, and its first points by one more turn."""
    turns = torch.full_like(side.points.detach(), shift)
    turns[first] += length
    return replace(side, points=side.points + turns, absent=None)


@dataclass(frozen=True)
class Dual:
    """Potentials of points on the circle, and what they prove.

    Attributes:
        f: Of the sources, (n,), in units of unit**p.
        g: Of the targets, (m,).
        cost: A lower bound on W_p^p in these units, slack subtracted.
    """

    f: np.ndarray
    g: np.ndarray
    cost: float


def closed(found: Matching, p: float, length: float, unit: float) -> Dual:
    """Potentials along the plan of a matching that close after one turn.

    Args:
        found: Samples on the line, each within one turn.
        p: Exponent.
        length: Of a turn.
        unit: Of distances.
    """
    assert found.orders is not None
    rows, cols, mass = found.cells()
    kept = ~_corners(rows, cols, mass)
    lost = float(np.abs(mass[~kept]).sum())
    rows, cols, mass = rows[kept], cols[kept], mass[kept]
    n, m = len(found.x), len(found.y)
    x, y = (np.append(z, z[0] + length) / unit for z in (found.x, found.y))
    rows, cols = np.append(rows, n), np.append(cols, m)  # where the next turn begins
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        costs = cut.power(np.abs(x[rows] - y[cols]), p)
        i, j, next_i, next_j = rows[:-1], cols[:-1], rows[1:], cols[1:]
        along = cut.power(
            np.abs(x[next_i] - y[j]), p
        )  # cells beside the plan, where it goes straight on
        aside = cut.power(np.abs(x[i] - y[next_j]), p)
        most = np.where(next_i > i, along - costs[:-1], 0.0)
        least = np.where(next_i > i, costs[1:] - aside, 0.0)
    if not math.isfinite(float(costs.sum() + along.sum() + aside.sum())):
        return Dual(np.zeros(n), np.zeros(m), 0.0)
    straight = (next_i > i) & (next_j > j)
    least[~straight] = most[~straight]
    room = float((most - least).sum())
    share = min(max(-float(least.sum()) / room, 0.0), 1.0) if room > 0 else 0.0
    steps = least + share * (most - least)
    path = np.zeros(len(rows), dtype=np.longdouble)
    np.cumsum(steps, dtype=np.longdouble, out=path[1:])
    rest, path = abs(float(path[-1])), path[:-1].astype(float)
    paid = costs[:-1]
    shift = float(((paid - 2 * path) * mass).sum()) / 2
    f, g = np.empty(n), np.empty(m)
    f[found.orders[0][i]] = path + shift
    g[found.orders[1][j]] = paid - path - shift
    # Rounding: of every cost that a step is made of, of θ, and of the sums.
    sizes = float((costs.sum() + along[straight].sum() + aside[straight].sum()) * (2 * p + 12))
    sums = float(np.finfo(np.longdouble).eps) * len(rows) * float(np.abs(steps).sum())
    wrong = UNIT * (sizes + 4 * float(np.abs(path).max(initial=0.0))) + sums
    apart = abs(found.x[0] - found.y[0])
    turns = math.ceil(1.5 + apart / length)
    value = float((paid * mass).sum())
    size = float(((np.abs(path + shift) * 2 + paid) * mass).sum())
    slack = UNIT * (math.log2(n + m) + 12) * 3 * size + 4 * found.walk.doubt * float(costs.sum())
    slack += 2 * lost * float(np.abs(f).max() + np.abs(g).max())
    return Dual(f, g, value - slack - 2 * wrong - turns * (rest + wrong))


def _corners(rows: np.ndarray, cols: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Cells without mass between a step down and a step to the right, no two of them neighbours."""
    out = np.zeros(len(rows), dtype=bool)
    if len(rows) < 3:
        return out
    before, after = np.diff(rows[:-1]) > 0, np.diff(rows[1:]) > 0
    out[1:-1] = (mass[1:-1] <= _TIE) & (before != after)
    place = np.arange(len(rows))
    start = np.maximum.accumulate(np.where(out, 0, place))  # the last cell before a run of corners
    return out & ((place - start) % 2 == 1)


def _bracket(dual: Dual, top: solver.Proved, p: float, off: float) -> Bracket:
    """The bracket on W_p, both ends moved by what points may be off."""
    upper = top.bracket(p, 1.0).upper
    low = bracket(dual.cost, math.inf, p, top.unit).lower
    return between(max(low - 2 * off, 0.0), upper + 2 * off)


def _evidence(found: Matching, dual: Dual) -> tuple[Arcs, Tensor, Tensor]:
    """The plan and potentials, on the device of the samples."""
    f, g = (torch.from_numpy(h).to(found.device) for h in (dual.f, dual.g))
    return found.arcs(least=_NO_ARC), f, g
