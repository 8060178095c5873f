r"""Exact transport: the closed form on the line, a linear programme in any other dimension.

.. math::  W_p^p = \min_{P \ge 0,\; P1 = a,\; P^\top 1 = b} \sum_{ij} P_{ij} c_{ij}
               = \max_{f_i + g_j \le c_{ij}} \sum_i a_i f_i + \sum_j b_j g_j .

A solver's plan and dual variables are evidence, not the answer: the bracket comes from
`certificate`, which recomputes both sides from the points.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.answer import ProvedPlan, answer, proved
from otdist.core.certificate import (
    DualBound,
    lower_from_both,
    lower_from_means,
    lower_from_potentials,
)
from otdist.core.metric import MetricCost
from otdist.core.point_cost import Cost, MatrixCost, PointCost
from otdist.core.progress import progress
from otdist.core.result import Arcs, OTResult, warn_caller
from otdist.core.task import Task
from otdist.core.threads import TimeUpError, until
from otdist.exact import coarse, column_generation, dense, matrix, network_simplex, staying
from otdist.exact.cost_matrix import in_plane
from otdist.exact.limits import INTERRUPTED, STOPPED, USUAL, Limits, Sizes, beyond
from otdist.exact.memory import POINT_BYTES, ROUGH_POINT_BYTES, check_memory
from otdist.line import circle, solver
from otdist.line.merge import Merged, coincident, deal, merge, restrict

MESSAGE = "exact: optimal plan and dual agree"

_NEVER = 2**62  # pairs
_PROOF_SECONDS = 1.0  # that a proof after a stop may take in any case
_MORE, _SIGNED = 3.0, 1.0
"""Times as many pairs of metrics are kept, which take longer to find again: 1,250 to 2,000 points
in 2 to 32 dimensions take 0.5 to 1.4 of the time of column generation without a matrix, mostly less
than 0.9. Angles, which signs of a product price, take 1.1 to 1.5 times as long with a matrix from
1,250 points on, and on the sphere in space from 850."""
_SPHERE, _PLANE, _FLAT = 0.5, 0.45, 0.25
"""The same on that sphere, in the plane, and there below p = 2: column generation takes 0.4 to 0.9
of the time between 600 and 1,200 points (normal, mixtures, heavy tails), where a matrix needs many
arcs."""
_TIED = 100  # points between which a metric is assigned


@dataclass(frozen=True)
class Exact:
    """Exact optimal transport, proved by its dual.

    Closed form on the line and on the circle; otherwise a linear programme, on the full matrix of
    costs up to 1.44 million pairs (`matrix`), a quarter to a half of them in the plane, of metrics
    other than the Euclidean up to three times as many, and by column generation without a matrix
    above. The options, `rtol` and `start` speak
    to the latter: the others end within a fraction of a second, exact, and need none of them.

    Attributes:
        max_seconds: Stop after this time with the best bracket so far, `converged=False` and a
            `ConvergenceWarning`; None runs to the end. So does an interrupt (Ctrl-C). A restricted
            problem ends first, and the proof of the bracket may take as long as what came before;
            a second interrupt ends it with what the means prove.
        progress: Show bracket, arcs and round on stderr, when that is a terminal.

    >>> import otdist
    >>> otdist.wasserstein([[0.0, 0.0]], [[3.0, 4.0]], solver=otdist.Exact()).distance
    5.0
    """

    max_seconds: float | None = None
    progress: bool = False
    _sizes: Sizes = field(default=USUAL, repr=False)

    def __post_init__(self) -> None:
        checks.settle(
            self,
            max_seconds=checks.optional(checks.positive, "max_seconds", self.max_seconds),
            progress=checks.flag("progress", self.progress),
        )

    def solve(self, task: Task, *, rtol: float = 0.0, start: OTResult | None = None) -> OTResult:
        """Solve one task.

        Args:
            task: What to solve.
            rtol: Stop once the bracket proves this relative accuracy of the distance.
            start: An earlier result of a nearby problem of the same sizes; its potentials replace
                those of landmarks.
        """
        begin = time.perf_counter()
        if task.pair is not None and task.cost.dimension == 1 and isinstance(task.cost, PointCost):
            return solver.solve(task, task.pair, begin)
        length = circle.period(task)
        if length is not None:
            return circle.solve(task, length, begin)
        n, m = task.cost.shape
        g = None if start is None else task.potential(start)
        most = self._sizes.matrix_pairs
        if n * m <= min(matrix.ALL_PAIRS, most):  # merging does not pay
            return _on_matrix(task, None, g)
        same = staying.everything(task.cost, task.a.detach(), task.b.detach())
        if same is not None:
            proof = proved(task, same, _of_means(task))
            return answer(task, proof, solver="exact", message=staying.EQUAL, begin=begin)
        x, y = (
            merge(points, weights.detach())
            for points, weights in zip(coincident(task.cost), (task.a, task.b), strict=True)
        )
        g = None if g is None else g[y.first]
        pairs = len(x.first) * len(y.first)
        share = _share(task.cost)
        if pairs <= share * most and not (
            share > 1 and staying.gains(restrict(task.cost, x, y), x.weights, y.weights)
        ):
            return _on_matrix(task, (x, y), g)
        network_simplex.load()
        return self._columns(task, x, y, rtol, g)

    def limits(self, p: float, rtol: float, begin: float, say: Callable[[str], None]) -> Limits:
        """When a solve that began at `begin` stops, with `rtol` of the distance as one of costs."""
        return Limits(
            rtol=math.expm1(min(p * math.log1p(rtol), 700.0)),
            deadline=math.inf if self.max_seconds is None else begin + self.max_seconds,
            report=say,
            sizes=self._sizes,
        )

    def _columns(self, task: Task, x: Merged, y: Merged, rtol: float, g: Tensor | None) -> OTResult:
        """Column generation between merged points."""
        begin = time.perf_counter()
        with progress("exact transport", quiet=not self.progress) as say:
            limits = self.limits(task.p, rtol, begin, say)
            cost, a, b = restrict(task.cost, x, y), x.weights, y.weights
            try:
                if rtol > 0 and g is None:
                    near = coarse.solve(cost, a, b, limits)
                    found = None if near is None else _by_cells(task, near, x, y, limits, begin)
                    if found is not None:
                        return found
                    g = None if near is None else near.g
                (n, m), each = cost.shape, ROUGH_POINT_BYTES if rtol > 0 else POINT_BYTES
                check_memory(n, m, each * (n + m))
                found = staying.solve(cost, a, b, limits, g)
            except KeyboardInterrupt:
                found = column_generation.untried(cost, a, b, INTERRUPTED)
        arcs = _dealt(task, found.arcs, x, y)
        quick = (rtol > 0 or found.message in STOPPED) and not found.optimal
        f = None if found.f is None else found.f[x.group]
        dual, message = _bound(task, found.g[y.group], quick, found.message, begin, f)
        proof = proved(task, arcs, dual)
        if quick and message not in STOPPED and not proof.bracket.proves(rtol):
            dual, message = _bound(task, found.g[y.group], False, message, begin)
            proof = proved(task, arcs, dual)
        accuracy = max(rtol, dense.AGREED)
        converged = proof.bracket.proves(accuracy)
        if not converged and message not in STOPPED:
            if isinstance(task.cost, PointCost):
                proof = proved(task, arcs, _without_potential(task, dual))
                converged = proof.bracket.proves(accuracy)
            rounded = not _equal_masses(a, b) or task.cost.error > 0
            if rounded and dense.is_rounding(proof.bracket.upper, task.cost, task.scale):
                converged = True
            if not converged and len(a) * len(b) <= self._sizes.rescued_pairs:
                return _on_matrix(task, (x, y), None)
            message = beyond(task.p) if found.optimal and not converged else message
        if not converged:
            warn_caller(message)
        return answer(
            task, proof, solver="exact", message=message, begin=begin,
            converged=converged, iterations=found.rounds,
        )  # fmt: skip


def _dealt(task: Task, arcs: Arcs, x: Merged, y: Merged) -> Arcs:
    return deal(arcs, x, task.a.detach(), y, task.b.detach())


def _of_means(task: Task) -> DualBound:
    return lower_from_means(task.cost, task.a, task.b)


def _bound(
    task: Task,
    g: Tensor | None,
    quick: bool,
    message: str,
    begin: float,
    f: Tensor | None = None,
) -> tuple[DualBound, str]:
    """The lower bound of potentials, and how it all ended; that of the means where time is short.

    Both f and g are those of an optimum, which a few pairs may violate by rounding; one of them is
    any potential. After a stop the proof may take as long as what came before. For `quick` see
    `lower_from_potentials`.
    """
    now = time.perf_counter()
    stopped = message in STOPPED
    try:
        with until(now + max(now - begin, _PROOF_SECONDS) if stopped else math.inf):
            dual = None
            if f is not None and g is not None:
                dual, f = lower_from_both(task.cost, task.a, task.b, f, g), None
            if dual is None:
                dual = lower_from_potentials(task.cost, task.a, task.b, f=f, g=g, quick=quick)
    except (KeyboardInterrupt, TimeUpError) as reason:
        message = INTERRUPTED if isinstance(reason, KeyboardInterrupt) else message
        return _of_means(task), message
    if stopped:
        means = _of_means(task)
        dual = max(dual, means, key=lambda found: found.cost)
    return dual, message


def _equal_masses(a: Tensor, b: Tensor) -> bool:
    """Whether a plan has multiples of one mass, which no sum rounds."""
    return len(a) == len(b) and bool((a == a[0]).all() and (b == b[0]).all())


def _without_potential(task: Task, dual: DualBound) -> DualBound:
    """The better of a bound and that of g = 0, f the distances to the nearest points.

    Between nearly equal samples the costs that matter vanish beside any other potential, and every
    point goes to the nearest.
    """
    zero = torch.zeros_like(task.b, dtype=torch.float64)
    nearest = lower_from_potentials(task.cost, task.a, task.b, g=zero, settled=_NEVER)
    return max(dual, nearest, key=lambda found: found.cost)


def _by_cells(
    task: Task,
    near: coarse.CoarsePlan,
    x: Merged,
    y: Merged,
    limits: Limits,
    begin: float,
) -> OTResult | None:
    """The answer by a coarse plan; None where it cannot reach the accuracy, but others may."""
    if near.g is None:
        dual = _of_means(task)
    else:
        dual, near.message = _bound(task, near.g[y.group], True, near.message, begin)
    reached = not near.message and near.improve(dual.cost, limits)
    if not reached and not near.message:
        # g came from the cells, and lies below the c-transform of f.
        other, near.message = _bound(task, None, True, near.message, begin, f=dual.f)
        dual = max(dual, other, key=lambda found: found.cost)
        reached = not near.message and near.improve(dual.cost, limits)
    if not reached and not near.message:
        return None
    proof = proved(task, _dealt(task, near.arcs, x, y), dual)
    message = f"the bracket proves the accuracy by {near.cells:,} cells"
    if not reached:
        message = near.message
        reached = proof.bracket.proves(math.expm1(math.log1p(limits.rtol) / task.p))
    if not reached:
        warn_caller(message)
    return answer(
        task, proof, solver="exact", message=message, begin=begin, converged=reached
    )  # fmt: skip


def _share(cost: Cost) -> float:
    """How many times as many pairs as usual are all kept."""
    flat = in_plane(cost)
    if isinstance(cost, MetricCost):
        return (_SPHERE if flat else _SIGNED) if cost.signed else _MORE
    return (_PLANE if cost.p >= 2 else _FLAT) if flat else 1.0


def _on_matrix(task: Task, merged: tuple[Merged, Merged] | None, g: Tensor | None) -> OTResult:
    """Solve by the full matrix, between merged points where points were merged."""
    cost, a, b = task.cost, task.a.detach(), task.b.detach()
    mass_a, mass_b = a, b
    if cost.dtype != torch.float64:
        cost = cost.to(torch.float64)
    if merged is not None:
        cost = restrict(cost, *merged)
        mass_a, mass_b = merged[0].weights, merged[1].weights
    if cost.device.type != "cpu":
        cost, mass_a, mass_b = on_cpu(cost), mass_a.cpu(), mass_b.cpu()
    mass_a, mass_b = (np.ascontiguousarray(mass.numpy()) for mass in (mass_a, mass_b))
    pair = task.pair
    given = pair is None or not (pair.x.uniform and pair.y.uniform)
    uniform = matrix.is_assignment(mass_a, mass_b, given or merged is not None)
    # Plans of metrics tie: 300 points of cityblock take 23 ms as an assignment, the simplex 7.
    uniform = uniform and not (isinstance(cost, MetricCost) and len(mass_a) > _TIED)
    if not matrix.needs_no_flow(len(mass_a), uniform, in_plane(cost)):
        network_simplex.load()
    begin = time.perf_counter()
    start = None if g is None else g.cpu().numpy()
    found = dense.solve(cost, mass_a, mass_b, uniform, task.scale, start)
    proof = ProvedPlan(found.cost, found.bracket, partial(original, found, (a, b), merged))
    message = MESSAGE
    # Equal weights are not rounded, and nothing of their plan is lost; points of a metric may be.
    inexact = not uniform or cost.error > 0
    agree = found.closed or (inexact and dense.is_rounding(found.bracket.upper, cost, task.scale))
    if not agree:
        message = beyond(task.p)
        warn_caller(message)
    units = task if found.unit == 1 else task.in_units_of(found.unit)
    return answer(
        units, proof, solver="exact", message=message, begin=begin, converged=agree
    )  # fmt: skip


def original(
    found: dense.Evidence,
    weights: tuple[Tensor, Tensor] | None = None,
    merged: tuple[Merged, Merged] | None = None,
) -> tuple[Arcs, Tensor, Tensor]:
    """The evidence for the points as they were before they were merged, where their weights are."""
    parts = (found.rows, found.cols, found.mass, found.f, found.g)
    rows, cols, mass, f, g = (torch.from_numpy(part) for part in parts)
    if weights is not None:
        rows, cols, mass, f, g = (part.to(weights[0].device) for part in (rows, cols, mass, f, g))
    arcs = Arcs(rows, cols, mass, (len(f), len(g)))
    if weights is not None and merged is not None:
        x, y = merged
        arcs, f, g = deal(arcs, x, weights[0], y, weights[1]), f[x.group], g[y.group]
    return arcs, f, g


def on_cpu(cost: Cost) -> Cost:
    """The same cost between points on the CPU."""
    if isinstance(cost, PointCost):
        return PointCost(cost.x.cpu(), cost.y.cpu(), cost.p)
    if isinstance(cost, MetricCost):
        return cost.between(cost.x.cpu(), cost.y.cpu())
    return MatrixCost(cost.dense().cpu())
