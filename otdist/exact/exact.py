r"""Exact transport: the closed form on the line, a linear programme in any other dimension.

.. math::  W_p^p = \min_{P \ge 0,\; P1 = a,\; P^\top 1 = b} \sum_{ij} P_{ij} c_{ij}
               = \max_{f_i + g_j \le c_{ij}} \sum_i a_i f_i + \sum_j b_j g_j .

A solver's plan and dual variables are evidence, not the answer: the bracket comes from
`certificate`, which recomputes both sides from the points. Points of zero weight take no part in
the programme; their potentials follow by c-transform, feasible like all others.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.answer import answer, prove
from otdist.core.certificate import UNIT, bracket
from otdist.core.measure import Pair
from otdist.core.progress import progress
from otdist.core.result import Arcs, Bracket, ConvergenceWarning, OTResult
from otdist.core.task import Task
from otdist.exact import column_generation, network_simplex
from otdist.line import univariate
from otdist.line.merge import Merged, coincident, deal, merge, restrict

POINT_BYTES = 16_000
"""Memory of column generation per point of both samples, as measured at 50,000 + 50,000."""

DENSE_PAIRS = 1200 * 1200
"""Up to so many pairs the full matrix is at hand when column generation is slow."""

TRIED_PAIRS = 300 * 300
"""Up to so many pairs the full matrix is always faster. Between the two, most problems end within
a few rounds of column generation, in 60% of its time (500² pairs) or a third (1,000²). Where much
mass finds no way, as between clusters, the matrix takes over after one round: twice its time."""

_TRIED_ROUNDS, _TRIED_LOSS = 6, 0.03

_AGREED, _SMALL_SHARE = 1e-6, 1e-3
"""Relative gap of a bracket that counts as closed, and the share of the diameter up to which a
distance cannot be told so well, since costs are rounded at the size of the largest."""


@dataclass(frozen=True)
class Exact:
    """Exact optimal transport, proved by its dual.

    Closed form on the line; otherwise the network simplex, on the full matrix when that is small
    and by column generation without a matrix above (`columns`); in between by column generation
    with the matrix to fall back on. The options, `rtol` and `start` speak to column generation: the
    others end within a fraction of a second, exact, and need none of them.

    Attributes:
        max_seconds: Stop after this time with the best bracket so far, `converged=False` and a
            `ConvergenceWarning`; None runs to the end. So does an interrupt (Ctrl-C).
        progress: Show bracket, arcs and round on stderr, when that is a terminal.

    >>> import otdist
    >>> otdist.wasserstein([[0.0, 0.0]], [[3.0, 4.0]], solver=otdist.Exact()).distance
    5.0
    """

    max_seconds: float | None = None
    progress: bool = False

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
                the entropic start.
        """
        begin = time.perf_counter()
        if task.pair is not None and task.cost.dimension == 1:
            return _on_the_line(task, task.pair, begin)
        network_simplex.load()
        begin = time.perf_counter()
        x, y = (
            merge(points, weights.detach())
            for points, weights in zip(coincident(task.cost), (task.a, task.b), strict=True)
        )
        if len(x.first) * len(y.first) <= min(TRIED_PAIRS, DENSE_PAIRS):
            return _dense(task, x, y, begin)
        return self._columns(task, x, y, rtol, start, begin)

    def _columns(
        self, task: Task, x: Merged, y: Merged, rtol: float, start: OTResult | None, begin: float
    ) -> OTResult:
        """Column generation between merged points."""
        n, m = len(x.first), len(y.first)
        _check_memory(n, m)
        tried = n * m <= DENSE_PAIRS
        g = None if start is None else task.potential(start)[y.first]
        with progress("exact transport", quiet=not self.progress) as say:
            limits = column_generation.Limits(
                rtol=math.expm1(min(task.p * math.log1p(rtol), 700.0)),
                deadline=math.inf if self.max_seconds is None else begin + self.max_seconds,
                rounds=_TRIED_ROUNDS if tried else column_generation.ROUNDS,
                lost=_TRIED_LOSS if tried else math.inf,
                report=say,
            )
            found = column_generation.solve(
                restrict(task.cost, x, y), x.weights, y.weights, limits, g
            )
        if tried and found.exhausted:
            return _dense(task, x, y, begin, found.g)
        a, b = task.a.detach(), task.b.detach()
        proof = prove(task, deal(found.arcs, x, a, y, b), _everywhere(found.g, y))
        converged = found.optimal or (rtol > 0 and proof.bracket.proves(rtol))
        if not converged:
            warnings.warn(found.message, ConvergenceWarning, stacklevel=4)
        return answer(
            task, proof, solver="exact", message=found.message, begin=begin,
            converged=converged, iterations=found.rounds,
        )  # fmt: skip


def _everywhere(g: Tensor, y: Merged) -> Tensor:
    """The potential of merged targets at all original targets; −inf where there is no mass."""
    return torch.where(y.group >= 0, g[y.group.clamp(min=0)], -math.inf)


def _on_the_line(task: Task, pair: Pair, begin: float) -> OTResult:
    """The closed form: sort and match quantiles."""
    x, y = pair.x.points[:, 0].double(), pair.y.points[:, 0].double()
    a = None if pair.x.uniform else pair.x.weights
    b = None if pair.y.uniform else pair.y.weights
    cost = univariate.cost(x, y, task.p, a, b)
    value = float(cost.detach())
    slack = (16 + 2 * task.p) * UNIT * value
    if value < task.cost.underflow and not torch.equal(x.sort().values, y.sort().values):
        slack += 2 * task.cost.underflow
    if value > 0 and not (
        a is None and b is None
    ):  # cumulative weights carry rounding of their own
        slack += 4 * UNIT * (len(x) + len(y)) ** 0.5 * task.cost.largest
    proof = bracket(value - slack, value + slack, task.p, task.scale)
    args = (x.detach(), y.detach())
    weights = (None if a is None else a.detach(), None if b is None else b.detach())
    detached = task.detached()
    return OTResult(
        distance=task.kind.number(task.distance(cost)),
        cost=task.kind.number(task.in_cost_units(cost)),
        p=task.p,
        lower=proof.lower,
        upper=proof.upper,
        solver="closed form",
        converged=True,
        message="exact: sorted quantiles",
        iterations=0,
        seconds=time.perf_counter() - begin,
        _potentials=partial(_line_potentials, detached, *args, *weights),
        _plan=partial(_line_plan, detached, *args, *weights),
    )


def _line_potentials(task: Task, x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None):
    f, g = univariate.potentials(x, y, task.p, a, b)
    return task.kind.array(task.in_cost_units(f)), task.kind.array(task.in_cost_units(g))


def _line_plan(task: Task, x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None):
    return univariate.plan(x, y, a, b).sparse(task.kind)


def _dense(task: Task, x: Merged, y: Merged, begin: float, start: Tensor | None = None) -> OTResult:
    """The full linear programme on the matrix between merged points.

    A potential `start` of the targets enters as reduced costs: the simplex picks the cheapest arcs
    first, and ends in two thirds of the time where the potential is good (500 points).
    """
    cost = restrict(task.cost, x, y).to(torch.float64)
    matrix = cost.dense().contiguous()
    if start is not None:
        matrix -= start
        matrix -= matrix.amin(1, keepdim=True)
    flow = network_simplex.solve_dense(
        x.weights.cpu().numpy(), y.weights.cpu().numpy(), matrix.cpu().numpy()
    )
    rows, cols, mass, g = (
        torch.from_numpy(part).to(task.a.device)
        for part in (flow.rows, flow.cols, flow.mass, flow.g)
    )
    g = g if start is None else g + start
    a, b = task.a.detach(), task.b.detach()
    arcs = deal(Arcs(rows, cols, mass, cost.shape), x, a, y, b)
    proof = prove(task, arcs, _everywhere(g, y))
    message, agree = "exact: optimal plan and dual agree", _agree(task, proof.bracket)
    if not agree:
        message = (
            f"costs at p = {task.p:g} span more than the digits of float64: the bracket is what "
            "was proved"
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=4)
    return answer(task, proof, solver="exact", message=message, begin=begin, converged=agree)


def _agree(task: Task, proved: Bracket) -> bool:
    """Whether a bracket is as narrow as rounding allows, of a distance of some size."""
    small = proved.upper <= _SMALL_SHARE * task.scale * task.cost.largest ** (1 / task.p)
    return small or proved.proves(_AGREED)


def _check_memory(n: int, m: int) -> None:
    """Refuse what would not fit, before anything is allocated."""
    needed, free = POINT_BYTES * (n + m), _available_memory()
    if needed > free:
        raise MemoryError(
            f"exact transport of {n:,} by {m:,} points needs about {needed / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free: use fewer points, or an approximate solver (Sinkhorn, "
            "Sliced), whose bracket contains the exact distance"
        )


def _available_memory() -> float:
    """Bytes that can be allocated without swapping; infinite where the system does not say."""
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024.0
    except OSError:
        pass
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf
