"""Exact transport with one more node: on the full matrix, or by column generation without one.

Both are the solvers of balanced transport. Their plan and their potential are evidence, which
`bounds` evaluates for the problem that was meant.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from otdist.core.answer import ProvedPlan, answer
from otdist.core.certificate import UNIT, bracket
from otdist.core.point_cost import Cost, PointCost, WrittenCost
from otdist.core.progress import progress
from otdist.core.result import Arcs, Bracket, OTResult, warn_caller
from otdist.core.task import Task
from otdist.exact import dense
from otdist.exact.exact import Exact
from otdist.unbalanced import balanced
from otdist.unbalanced.bounds import Dual, partial_dual, partial_primal, priced_dual, priced_primal
from otdist.unbalanced.node import NodeCost

_BEYOND = 4.0  # costs of so many times the price are never paid: twice the price avoids any
_USED = 1 + 1e-9  # what costs more than both prices is never used, up to rounding
_ROUNDED = 8 * UNIT  # per point: what sums of weights differ by when they are meant to agree


def partial_transport(task: Task, mass: float, solver: Exact, rtol: float) -> OTResult:
    """The cheapest way to move `mass`.

    Args:
        task: Its weights are masses of any sum.
        mass: Positive, at most the smaller sum.
        solver: Options.
        rtol: Stop once the bracket proves this relative accuracy of the distance.
    """
    begin = time.perf_counter()
    a, b = task.a.detach(), task.b.detach()
    rest_a, rest_b = (max(float(w.sum()) - mass, 0.0) for w in (a, b))
    found = _solve(task, (0.0, 0.0, None), (rest_b, rest_a), solver, rtol)
    dual = partial_dual(found.cost, a, b, mass, found.g)
    value, upper = partial_primal(found.cost, a, b, mass, found.arcs)
    off = 2 * UNIT / task.p  # of the divisions by the mass
    ends = bracket(dual.lower / mass, upper / mass, task.p, task.scale, off)
    value = max(value, dual.lower)  # where the mass of the plan is rounded more than its bound
    return _result(task, found, dual, value, ends, begin, rtol, mass=mass)


def priced_transport(task: Task, price: float, solver: Exact, rtol: float) -> OTResult:
    """The least cost when every unit that stays, on either side, costs `price`.

    Args:
        task: Its weights are masses of any sum.
        price: Positive, in scaled cost units.
        solver: Options.
        rtol: Stop once the bracket proves this relative accuracy of the distance.
    """
    begin = time.perf_counter()
    a, b = task.a.detach(), task.b.detach()
    sums = float(a.sum()), float(b.sum())
    # From the largest cost on, the price decides nothing: all that can move moves, and what is left
    # is paid for. So the solver never meets a price out of proportion.
    near = min(price, task.cost.largest)
    over = sums[0] - sums[1]
    if abs(over) <= _ROUNDED * (len(a) + len(b)) * max(sums):
        over = 0.0
    further = (price - near) * abs(over) if over else 0.0
    found = _solve(task, (near, near, 0.0), (sums[1], sums[0]), solver, rtol)
    dual = priced_dual(found.cost, a, b, near, found.g)
    value, upper = priced_primal(found.cost, a, b, near, found.arcs)
    slack = 8 * UNIT * further + (price - near) * max(sums) * _ROUNDED if further else 0.0
    lower, upper = dual.lower + further - slack, upper + further + slack
    shift = math.copysign(price - near, over) if over else 0.0
    dual = Dual(lower, dual.f + shift, dual.g - shift, price)
    ends = bracket(lower, upper, task.p, task.scale)
    return _result(task, found, dual, value + further, ends, begin, rtol)


@dataclass(frozen=True)
class _Found:
    """Evidence between points, without the node.

    Attributes:
        arcs: What moves.
        g: Potential of the targets, less that of the node.
        optimal: Whether the solver ended by itself.
        message: How it ended.
        rounds: Of column generation.
        cost: Between the points, to prove by.
    """

    arcs: Arcs
    g: Tensor
    optimal: bool
    message: str
    rounds: int
    cost: Cost


def _solve(
    task: Task,
    prices: tuple[float, float, float | None],
    held: tuple[float, float],
    solver: Exact,
    rtol: float,
) -> _Found:
    """Balanced transport with a node that holds and lacks `held`."""
    leave, arrive, between = prices
    closed = task.cost.largest or 1.0 if between is None else between
    points, written = task.cost.to(torch.float64), None
    cost = NodeCost.around(points, (leave, arrive, closed))
    a, b = (
        torch.cat([w.detach(), w.new_tensor([more])])
        for w, more in zip((task.a, task.b), held, strict=True)
    )
    i, j = ((w > 0).nonzero()[:, 0] for w in (a, b))
    cost, a, b = cost.sub(i, j), a[i], b[j]
    a, b = a / a.sum(), b / b.sum()
    cap = None if between is None else _BEYOND * max(cost.prices)
    below = None if between is None else _USED * (leave + arrive)
    n, m = task.cost.shape
    with progress("exact transport", quiet=not solver.progress) as say:
        limits = solver.limits(task.p, rtol, time.perf_counter(), say)
        few = cost.shape[0] * cost.shape[1] <= limits.sizes.matrix_pairs
        if few and isinstance(points, PointCost) and points.slack == 0:
            written = cost.dense()
            if len(task.a) == int((i < n).sum()) and len(task.b) == int((j < m).sum()):
                points = WrittenCost(points, written[:n, :m])  # the node, if any, is the last
        found = balanced.solve(
            cost, a, b, limits, points=task.cost, cap=cap, below=below, written=written
        )
    arcs, g = found.arcs, found.g
    rows, cols = i[arcs.rows], j[arcs.cols]
    real = (rows < n) & (cols < m)
    total = float(task.a.detach().sum()) + held[0]
    whole = g.new_zeros(m + 1)
    whole[j] = g
    sent = Arcs(rows[real], cols[real], arcs.mass[real] * total, (n, m))
    return _Found(sent, whole[:m] - whole[m], found.optimal, found.message, found.rounds, points)


def _result(
    task: Task,
    found: _Found,
    dual: Dual,
    value: float,
    ends: Bracket,
    begin: float,
    rtol: float,
    mass: float | None = None,
) -> OTResult:
    closed = ends.proves(max(rtol, dense.AGREED))
    closed = closed or dense.is_rounding(ends.upper, task.cost, task.scale)
    message = found.message
    if found.optimal and not closed:
        message = (
            f"costs at p = {task.p:g} span more than the digits of float64: the bracket is what "
            "was proved"
        )
    if not closed:
        warn_caller(message)
    details = {"price": task.in_cost_units(dual.price)}
    if mass is not None:
        details["mass"] = mass
    level = 0.0 if mass is None else dual.price
    return answer(
        task,
        ProvedPlan(value, ends, partial(tuple, (found.arcs, dual.f, dual.g))),
        solver="exact",
        message=message,
        begin=begin,
        converged=closed,
        iterations=found.rounds,
        slopes=lambda f, g: [f - level, g - level],
        mass=1.0 if mass is None else mass,
        details=details,
    )
