r"""Sinkhorn as a solver of the unregularised problem: a feasible plan and a certified bracket.

`entropic` gives potentials and with them P_ij = a_i b_j exp((f_i + g_j − c_ij)/eps), whose columns
are exact once g = T_a(f). Its rows are rounded (Altschuler, Weed, Rigollet 2017, algorithm 2),
block by block in O(n + m) memory:

    P'_ij = min(a_i / r_i, 1) P_ij,   r = P 1,      P'' = P' + e_a e_bᵀ / ‖e_a‖₁,

with the marginals that P' lacks, e_a = a − P'1 ≥ 0 and e_b = b − P'ᵀ1 ≥ 0. P'' is feasible; its
cost is the upper bound. The lower bound is the dual value of the c-transformed potentials. Both are
computed in float64. A plan that is not converged rounds all the same: the bracket is always valid,
and closes as eps falls.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from otdist.core import checks, places
from otdist.core.certificate import UNIT, bracket, lower_from_potentials, rounding_units
from otdist.core.modes import full_precision
from otdist.core.point_cost import Cost
from otdist.core.result import Arcs, OTResult, warn_caller
from otdist.core.task import Task
from otdist.core.threads import threads_for
from otdist.core.units import finish
from otdist.entropic import entropic, rounded_images

DEFAULT_SHARE = 0.01
"""The default eps, as a share of the mean cost Σ a_i b_j c_ij."""

REACH = 1e-12
"""The least eps, as a share of the largest cost: below it, float64 exponents lose all meaning."""

LIMIT = 1e6
"""The largest eps that is told from infinity, as a share of the largest cost: from there on values
change by a millionth, and a larger one would cost them as many digits."""

PLAN_ENTRIES = 2**25
"""A rounded plan is positive everywhere; above this many pairs it is refused (24 bytes each)."""


@dataclass(frozen=True)
class Sinkhorn:
    """Entropic transport in the log domain, rounded to a feasible plan and certified.

    Args:
        eps: Entropic strength in cost units (units of x to the power p), KL to a ⊗ b. None takes 1%
            of the mean cost Σ a_i b_j c_ij (of one, where all points coincide); between points that
            fill lattices, such as images, at most the cost between neighbours.
        tol: L1 error of the marginals to stop at, relative to a mass of one.
        max_iter: Steps (two half-steps each) at the target eps on all points.

    The bracket narrows as eps falls, and the work grows: about 20 steps at 1% of the mean cost, 50
    at 0.1%, 150 at 0.01%. Cost: O(n·m·d) a step; O(n + m) memory, or 256 MB where that is faster.
    Images of N = W^d pixels at p = 2, or cityblock distances at p = 1: O(N W) a step, where there
    are 2,048 pixels or more; the bracket of natural images closes to half a percent.

    Raises:
        ValueError: eps or tol not positive and finite, max_iter below 1.

    >>> import otdist
    >>> x, y = [[0.0], [1.0], [2.0]], [[0.5], [1.5], [2.5]]
    >>> result = otdist.wasserstein(x, y, p=2, solver=otdist.Sinkhorn(eps=0.05))
    >>> result.lower <= 0.5 <= result.upper, round(result.distance, 2)
    (True, 0.5)
    """

    eps: float | None = None
    tol: float = 1e-3
    max_iter: int = 2000

    def __post_init__(self) -> None:
        tol, max_iter = check_stop(self.tol, self.max_iter)
        checks.settle(self, eps=check_eps(self.eps), tol=tol, max_iter=max_iter)

    def solve(self, task: Task, *, rtol: float = 0.0, start: OTResult | None = None) -> OTResult:
        """Solve one task.

        Args:
            task: The problem in scaled units.
            rtol: Must be 0: the accuracy follows from eps.
            start: An earlier result between as many targets, whose potentials to start from.

        Raises:
            ValueError: rtol given, an input requires a gradient, or start does not fit.
        """
        begin = time.perf_counter()
        if rtol:
            raise ValueError(
                f"rtol must be 0 with Sinkhorn, whose accuracy follows from eps: got {rtol}; "
                "lower eps, or use solver=Exact()"
            )
        if task.needs_gradient:
            raise ValueError(
                "the cost of a rounded Sinkhorn plan has no gradient (the envelope theorem does "
                "not hold for it): use otdist.sinkhorn_divergence, otdist.losses.SinkhornLoss or "
                "solver=otdist.Exact(), or pass detached tensors"
            )
        eps = scaled_eps(task, self.eps)
        a, b = task.a.detach(), task.b.detach()
        g = None if start is None else task.potential(start)
        rule: dict[str, Any] = {"tol": self.tol, "max_iter": self.max_iter, "start": g}
        on = places.of(task.cost, rounded_images.PIXELS)
        if on is None:
            dual = entropic.solve(task.cost, a, b, eps, **rule)
            value = _rounded_cost(task.cost.to(torch.float64), a, b, dual.f, eps)
            return _result(task, self, eps, dual, value, begin)
        eps = eps if self.eps is not None else min(eps, rounded_images.pixel(on))
        with threads_for(max(on.lattices.shape)):
            dual = rounded_images.solve(on, a, b, eps, **rule)
            value = rounded_images.rounded_cost(on, a, b, dual.f, eps)
            return _result(task, self, eps, dual, value, begin)


def check_eps(eps: Any) -> float | None:
    """None, or a positive number in cost units."""
    return checks.optional(checks.positive, "eps", eps)


def check_stop(tol: float, max_iter: int) -> tuple[float, int]:
    """Stopping rules that can be met."""
    return checks.positive("tol", tol), checks.whole("max_iter", max_iter)


def scaled_eps(task: Task, eps: float | None, rho: float | None = None) -> float:
    """The strength in the task's units; the default share of the mean cost when None.

    Where masses may stay at the factor rho, a cost counts for 2 rho at most.

    Raises:
        ValueError: eps vanishes or overflows beside the scale of the samples.
    """
    if eps is None:
        a, b = task.a.detach(), task.b.detach()
        if rho is not None:
            a, b = a / a.sum(), b / b.sum()
        mean = min(float(task.cost.mean(a, b)), math.inf if rho is None else 2 * rho)
        return DEFAULT_SHARE * mean if mean > 0 else DEFAULT_SHARE
    try:
        scaled = (float(eps) ** (1.0 / task.p) / task.scale) ** task.p
    except OverflowError:
        scaled = math.inf
    check_reach(eps, scaled >= REACH * task.cost.largest)
    largest = max(task.cost.largest, rho or 0.0)
    return min(scaled, LIMIT * largest) if largest > 0 else min(scaled, LIMIT)


def given_eps(task: Task, eps: float | None, scaled: float) -> float:
    """The strength in cost units: as it was given, or what None came to."""
    return float(task.in_cost_units(task.a.new_tensor(scaled)) if eps is None else eps)


def check_reach(eps: float, within: bool) -> None:
    """Refuse an eps that is not within reach of the costs."""
    if not within:
        raise ValueError(
            f"eps must be within reach of the costs, at least {REACH:g} of the largest: got {eps}"
        )


def not_converged(max_iter: int, error: float, tol: float) -> str:
    """What to say, and the remedy."""
    return (
        f"not converged: marginal error {error:.2g} above tol={tol:g} after max_iter={max_iter} "
        "steps; raise eps, max_iter or tol"
    )


def _result(
    task: Task,
    solver: Sinkhorn,
    eps: float,
    dual: entropic.Dual,
    rounded: tuple[float, float],
    begin: float,
) -> OTResult:
    a, b = task.a.detach(), task.b.detach()
    cost = task.cost.to(torch.float64)
    value, slack = rounded
    proof = lower_from_potentials(cost, a, b, f=dual.f)
    ends = bracket(proof.cost, value + slack, task.p, task.scale)
    message = f"marginal error {dual.error:.2g} after {dual.iterations} steps"
    if not dual.converged:
        message = not_converged(solver.max_iter, dual.error, solver.tol)
        warn_caller(message)
    kept = _light(task)
    return finish(
        task, a.new_tensor(value), ends, solver="sinkhorn", message=message, begin=begin,
        converged=dual.converged, iterations=dual.iterations,
        potentials=partial(kept.potentials, proof.f, proof.g),
        plan=partial(_plan, kept, dual.f, eps),
        details={"eps": given_eps(task, solver.eps, eps), "marginal_error": dual.error},
    )  # fmt: skip


def _light(task: Task) -> Task:
    """The task without graphs, fit to be kept and pickled."""
    return replace(task, a=task.a.detach(), b=task.b.detach(), pair=None, matrix=None)


def _rounded_cost(cost: Cost, a: Tensor, b: Tensor, f: Tensor, eps: float) -> tuple[float, float]:
    """Cost of the rounded plan and its rounding slack."""
    total = torch.zeros((), dtype=torch.float64, device=a.device)
    columns = torch.zeros_like(b)
    rows = torch.zeros_like(a)
    for part, c, plan in _scaled_rows(cost, a, b, f, eps):
        rows[part] = plan.sum(1)
        columns += plan.sum(0)
        total += c.mul_(plan).sum()
    shrink = _shrink(columns, b)
    lack_a, lack_b = (a - rows / shrink).clamp_(min=0), (b - columns / shrink).clamp_(min=0)
    total, mass = total / shrink, float(lack_a.sum())
    if mass > 0:
        total += cost.mean(lack_a, lack_b) / mass
    # Sums over n·m terms in blocks: the marginals hold up to this much mass, at the largest cost.
    units = rounding_units(cost) * UNIT
    return float(total), units * (float(total) + 4 * cost.largest)


def _scaled_rows(cost: Cost, a: Tensor, b: Tensor, f: Tensor, eps: float) -> Any:
    """Yield (rows, costs, P') with P' the plan after its rows are cut down to a."""
    g = entropic.extend(cost.T, f, a, eps)
    for part, c, plan in cost.plan_blocks(f + eps * a.log(), g + eps * b.log(), eps):
        mass = plan.sum(1)
        cut = torch.where(mass > a[part], a[part] / mass, 1.0)
        yield part, c, plan.mul_(cut[:, None])


def _shrink(columns: Tensor, b: Tensor) -> float:
    """What to divide P' by so that no column is above b: rounding of c/eps may have lifted some."""
    return max(1.0, float((columns / b.clamp(min=torch.finfo(b.dtype).tiny)).max()))


@full_precision()
def _plan(task: Task, f: Tensor, eps: float) -> Any:
    """The rounded plan with all its positive entries."""
    n, m = task.cost.shape
    if n * m > PLAN_ENTRIES:
        raise ValueError(
            f"the plan of a Sinkhorn solution is dense: {n} × {m} entries need "
            f"{24 * n * m / 2**30:.1f} GiB, above the limit of "
            f"{24 * PLAN_ENTRIES / 2**30:.2g} GiB; "
            "use solver=Exact() for a sparse plan"
        )
    cost = task.cost.to(torch.float64)
    dense = torch.empty(n, m, dtype=torch.float64, device=task.a.device)
    for part, _, plan in _scaled_rows(cost, task.a, task.b, f, eps):
        dense[part] = plan
    dense /= _shrink(dense.sum(0), task.b)
    lack_a = (task.a - dense.sum(1)).clamp_(min=0)
    lack_b = (task.b - dense.sum(0)).clamp_(min=0)
    mass = float(lack_a.sum())
    if mass > 0:
        dense.addr_(lack_a / mass, lack_b)
    rows, columns = dense.nonzero(as_tuple=True)
    return Arcs(rows, columns, dense[rows, columns], (n, m)).sparse(task.kind)
