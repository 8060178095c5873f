r"""W_∞, the bottleneck distance: the least t within which all mass can move.

.. math::  W_\infty = \min_{P} \max_{P_{ij} > 0} d(x_i, y_j)

Mass can move within t exactly where no set S of sources holds more than all targets within t of it
(Hall 1935; Gale 1957). A search over the costs tries matchings (uniform weights, n = m) or flows: a
plan shows that nothing above its longest arc is needed, and a cut that nothing below its shortest
way out suffices. The last cut proves the answer: f = t on S and g = −t on the targets nearer than t
to S are feasible, f_i + g_j ≤ d(x_i, y_j), and Σ a f + Σ b g > 0. On the line the monotone plan is
the answer for every p at once.

W_∞ jumps with the weights: it ignores mass that their rounding may move, 1e-12 of the whole.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from torch import Tensor

from otdist.core.answer import finish
from otdist.core.certificate import UNIT, bracket
from otdist.core.gradient import attach, plan_gradients
from otdist.core.metric import MetricCost
from otdist.core.point_cost import Cost, MatrixCost, PointCost
from otdist.core.result import Arcs, OTResult
from otdist.core.task import Task, Units
from otdist.exact import forbidden, network_simplex
from otdist.exact.cost_matrix import distances
from otdist.exact.exact import on_cpu
from otdist.exact.memory import check_memory
from otdist.line.matching import match

_IGNORED = 1e-12
_GROWTH = 4  # of the rank that is tried while no flow is found
_PAIR_BYTES = 40  # of costs, candidates, a graph and its matching


Plan = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Rows, columns and masses, (k,) each."""


@dataclass(frozen=True)
class _Found:
    """The bottleneck, a plan within it, and what stands in the way below it.

    Attributes:
        distance: In scaled units.
        error: How far a distance may be from the true one, beside the rounding of itself.
        rows: Sources of the plan, (k,).
        cols: Their targets.
        mass: What moves between them.
        sources: S, (n,), bool.
        targets: Those nearer than `distance` to S, (m,), bool.
    """

    distance: float
    error: float
    rows: np.ndarray
    cols: np.ndarray
    mass: np.ndarray
    sources: np.ndarray
    targets: np.ndarray


def solve(task: Task) -> OTResult:
    """W_∞ of a task of distances, p = 1, of points or of a matrix.

    Raises:
        ValueError: weights that require a gradient.
        MemoryError: the matrix of distances does not fit.
    """
    begin = time.perf_counter()
    if torch.is_grad_enabled() and (task.a.requires_grad or task.b.requires_grad):
        raise ValueError("a and b must not require a gradient at p = inf, which jumps with them")
    cost, a, b = task.cost, task.a.detach().cpu().numpy(), task.b.detach().cpu().numpy()
    pair = task.pair
    uniform = bool((a == a[0]).all() and (b == b[0]).all())
    if pair is not None and cost.dimension == 1 and isinstance(cost, PointCost):
        found = _on_line(task)
    else:
        check_memory(*cost.shape, _PAIR_BYTES * math.prod(cost.shape))
        found = _search(cost if cost.device.type == "cpu" else on_cpu(cost), a, b, uniform)
    off = 0.0 if isinstance(cost, MatrixCost) else (cost.dimension / 2 + 12) * UNIT
    error, value = found.error + cost.error, found.distance
    proved = math.fsum(a[found.sources]) - math.fsum(b[found.targets]) > 8 * UNIT
    low = value * (1 - off) - error if proved else 0.0
    ends = bracket(low, value * (1 + off) + error, 1.0, task.scale)
    device = task.a.device
    rows, cols, mass = (
        torch.from_numpy(part).to(device) for part in (found.rows, found.cols, found.mass)
    )
    arcs = Arcs(rows, cols, mass, cost.shape)
    units = Units(1.0, task.scale, task.kind)
    distance: Any = value
    if task.needs_gradient:
        total = torch.tensor(value, dtype=torch.float64, device=device)
        inputs = [task.matrix] if pair is None else [pair.x.points, pair.y.points]
        forces = partial(_forces, task.detached(), arcs)
        distance = attach(total, [t for t in inputs if t is not None], forces)
    f, g = (
        torch.from_numpy(value * mask).to(device) for mask in (found.sources, -1.0 * found.targets)
    )
    result = finish(
        units, distance, ends, solver="bottleneck", begin=begin, converged=ends.proves(1e-6),
        message="exact: a plan within the distance, and a cut below it" if proved else
        "the plan is as good as was found, but no cut proves it",
        potentials=partial(units.potentials, f, g), plan=partial(arcs.sparse, task.kind),
    )  # fmt: skip
    return replace(result, p=math.inf)


def _on_line(task: Task) -> _Found:
    """The largest gap that mass crosses in the monotone plan."""
    assert task.pair is not None
    left, right = task.pair.x, task.pair.y
    x, y = (side.points.detach()[:, 0] for side in (left, right))
    found = match(x, y, left.masses, right.masses, places=True)
    assert found.orders is not None
    rows, cols, mass = found.cells()
    exact = left.uniform and right.uniform
    used = mass > (0.0 if exact else max(_IGNORED, 3 * found.walk.doubt))
    rows, cols, mass = rows[used], cols[used], mass[used]
    xs, ys = (z.double().cpu().numpy() for z in (x, y))
    gaps = found.x[rows] - found.y[cols]
    top = int(np.abs(gaps).argmax())
    at_x, at_y = found.x[rows[top]], found.y[cols[top]]
    # The points beyond the ends of the gap: as quantiles, those of x hold more mass.
    sources, targets = (xs >= at_x, ys > at_y) if gaps[top] > 0 else (xs <= at_x, ys < at_y)
    places = found.orders[0][rows], found.orders[1][cols]
    return _Found(float(abs(gaps[top])), 0.0, *places, mass, sources, targets)


def _search(cost: Cost, a: np.ndarray, b: np.ndarray, uniform: bool) -> _Found:
    """Search the costs for the least within which all mass moves."""
    cost = cost.to(torch.float64)
    plain = isinstance(cost, PointCost)
    values, error = (distances(cost), 0.0) if plain else (cost.dense().numpy(), cost.slack)
    problem = _Problem.of(values, a, b, uniform)
    nearest = values.min(1)[a > problem.ignored], values.min(0)[b > problem.ignored]
    low, high, rank = float(max(part.max() for part in nearest)), math.inf, 0
    plan: Plan | None = None
    between = values[values >= low]
    while len(between):
        place = len(between) // 2 if plan is not None else min(rank, len(between) - 1)
        limit = float(np.partition(between, place)[place])
        found = problem.plan(values <= limit)
        if found is None:
            # Mass has to leave the cut: nothing below the shortest way out of it suffices.
            sources, targets = problem.cut(values <= limit)
            rank = max(len(a) + len(b), rank * _GROWTH)
            ways = values[np.ix_(sources, ~targets)]
            low = max(float(ways.min(initial=math.inf)), float(np.nextafter(limit, math.inf)))
            between = between[between >= low]
        else:
            plan = found
            high = float(values[plan[0], plan[1]].max())
            between = between[between < high]
    assert plan is not None
    return _Found(high, error, *plan, *problem.cut(values < high))


@dataclass(frozen=True)
class _Problem:
    """Masses to move along allowed pairs.

    Attributes:
        values: Distances, (n, m).
        a: Masses of the sources, (n,): whole numbers where weights are uniform.
        b: Of the targets.
        matched: Whether every point has the same mass, so that a matching is a plan.
        whole: The sum of the masses.
        ignored: Share of a mass that does not count.
    """

    values: np.ndarray
    a: np.ndarray
    b: np.ndarray
    matched: bool
    whole: float
    ignored: float

    @staticmethod
    def of(values: np.ndarray, a: np.ndarray, b: np.ndarray, uniform: bool) -> _Problem:
        n, m = values.shape
        if not uniform:
            return _Problem(values, a, b * (a.sum() / b.sum()), False, 1.0, _IGNORED)
        common = math.gcd(n, m)
        whole = n * m // common
        return _Problem(
            values, np.full(n, whole / n), np.full(m, whole / m), n == m, float(whole), 0.5 / whole
        )  # fmt: skip

    def plan(self, allowed: np.ndarray) -> Plan | None:
        """Rows, columns and masses of a plan on the allowed pairs; None where there is none."""
        if self.matched:
            partner = self._matching(allowed)
            rows = np.arange(len(partner))
            mass = np.full(len(rows), 1 / len(rows))
            return None if (partner < 0).any() else (rows, partner.astype(np.int64), mass)
        found = self._served(allowed)
        if found.unserved > self.ignored * self.whole:
            return None
        return found.rows, found.cols, found.mass / self.whole

    def cut(self, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sources that hold more mass than the targets they may go to, and these targets."""
        if not self.matched:
            sources = np.zeros(len(self.a), bool)
            sources[self._served(allowed).sources] = True
            return sources, np.any(allowed[sources], axis=0)
        partner = self._matching(allowed)
        source_of = np.full(len(self.b), -1)
        source_of[partner[partner >= 0]] = np.flatnonzero(partner >= 0)
        sources, targets = np.zeros((2, len(self.a)), bool)
        fresh = np.flatnonzero(partner < 0)
        while len(fresh):
            sources[fresh] = True
            reached = np.any(allowed[fresh], axis=0) & ~targets
            targets |= reached
            fresh = source_of[reached]
        return sources, targets

    def _matching(self, allowed: np.ndarray) -> np.ndarray:
        """The partner of every source in a largest matching; −1 where it has none."""
        n, m = allowed.shape
        ends = np.zeros(n + 1, np.int32)
        np.cumsum(allowed.sum(1), out=ends[1:])
        cols = (np.flatnonzero(allowed) % m).astype(np.int32)
        graph = csr_array((np.ones(len(cols), bool), cols, ends), shape=(n, m))
        return maximum_bipartite_matching(graph, perm_type="column")

    def _served(self, allowed: np.ndarray) -> forbidden.Served:
        network_simplex.load()
        rows, cols = np.nonzero(allowed)
        return forbidden.served(
            self.a, self.b, rows, cols, self.values[rows, cols], self.ignored * self.whole
        )


def _forces(task: Task, arcs: Arcs) -> tuple[Tensor, ...]:
    """The derivative of the longest distances of the plan, on average where they tie."""
    costs = task.cost.to(torch.float64).pairs(arcs.rows, arcs.cols)
    longest = (costs == costs.max()).nonzero()[:, 0]
    share = torch.full_like(costs[longest], 1 / len(longest))
    few = Arcs(arcs.rows[longest], arcs.cols[longest], share, arcs.shape)
    if task.matrix is not None:
        slope = torch.zeros_like(task.matrix)
        slope[few.rows, few.cols] = share.to(slope)
        return (slope,)
    if isinstance(task.cost, MetricCost):
        return task.cost.pull(few)
    assert task.pair is not None
    x, y = task.pair.x.points.double(), task.pair.y.points.double()
    return plan_gradients(x, y, 1.0, few)
