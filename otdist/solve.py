"""One transport problem of points or of a matrix: which solver answers, and from which start."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch

from otdist.core import checks, task
from otdist.core.absent import extended, stayed
from otdist.core.modes import full_precision
from otdist.core.result import OTResult
from otdist.core.threads import threads_for
from otdist.exact import bottleneck as farthest
from otdist.exact import forbidden
from otdist.exact.exact import Exact
from otdist.unbalanced.functions import mass_or_reach, partly


class Solver(Protocol):
    """Anything that answers a task: `Exact`, `Sinkhorn`, `Sliced`, or your own."""

    def solve(
        self, task: task.Task, *, rtol: float = 0.0, start: OTResult | None = None
    ) -> OTResult:
        """The result for one task, with a bracket from `certificate`."""
        ...


_EXACT = Exact()


@full_precision()
def transport(
    cost: Any,
    *,
    a: Any = None,
    b: Any = None,
    solver: Solver | None = None,
    rtol: float = 0.0,
    start: OTResult | None = None,
    mass: float | None = None,
    reach: float | None = None,
    penalty: str = "tv",
    p: float = 1,
) -> OTResult:
    """Optimal transport for a given cost matrix, exact unless a solver says otherwise.

    Args:
        cost: Shape (n, m), non-negative: the price of moving one unit from source i to target j;
            +inf where none may move. Of a matrix of scipy.sparse the entries that are missing are
            forbidden; those stored count, zeros too. Forbidden pairs are for the exact solver.
        a: Weights of the sources, shape (n,), of sum one; uniform when None.
        b: Weights of the targets, shape (m,), likewise.
        solver: None is exact; `Sinkhorn(eps=…)` approximates, with a bracket.
        rtol: Stop once the bracket proves this relative accuracy; 0 means exact.
        start: An earlier result of a nearby problem of the same sizes, to begin from.
        mass: Move this mass only, the cheapest way, as `partial_wasserstein`; or
        reach: let mass be created or destroyed at this price a unit, as `unbalanced_wasserstein`.
            With either, weights are masses of any positive sum, and the solver is `Exact`.
        penalty: Of `reach`: "tv" as said; "kl" for reach KL of either marginal, solved until the
            bracket proves `rtol`, or 0.01 where that is 0.
        p: `math.inf` for the bottleneck, the least entry within which all mass can move, as
            `wasserstein`; then `solver`, `start`, `mass` and `reach` are left out. Else 1: entries
            are costs, whatever their power.

    Returns:
        distance = cost = the lowest total cost, in the units of the matrix (p = 1); with `mass`
        the distance is the cost of a unit of it.

    Raises:
        ValueError: not a matrix, entries NaN or negative, bad weights; a solver that needs points;
            no plan on the allowed pairs, with a set of sources that cannot be served.
        TypeError: not numbers.

    Gradients: cost (the plan), a, b, first order; at p = inf cost alone.
    Cost: about O(n m) memory, which the matrix takes already.
    Reference: Peyré and Cuturi (2019), Computational Optimal Transport, section 3.

    >>> transport([[0.0, 2.0], [2.0, 0.0]], a=[0.5, 0.5], b=[0.75, 0.25]).cost
    0.5
    """
    rtol = checks.number("rtol", rtol, least=0)
    mass, reach = mass_or_reach(mass, reach, penalty)
    if checks.exponent(p, most=1, infinite=True) == math.inf:
        for name, value in (("mass", mass), ("reach", reach)):
            if value is not None:
                raise ValueError(f"{name} must be left out at p = inf")
        return _within(cost, a, b, solver, start)
    if forbidden.has_forbidden(cost):
        plain = isinstance(solver, Exact) and solver.max_seconds is None
        given = (mass, reach, start, None if plain else solver)
        for name, value in zip(("mass", "reach", "start", "solver"), given, strict=True):
            if value is not None:
                raise ValueError(f"{name} must be left out where cost forbids pairs")
        return forbidden.solve(forbidden.Allowed.of(cost, a, b), rtol)
    if mass is not None or reach is not None:
        if start is not None:
            raise ValueError("start does not apply with mass or reach: leave it out")
        job = task.of_matrix(cost, a, b, masses=True)
        options = {"mass": mass, "reach": reach, "penalty": penalty}
        return partly(job, rtol=rtol or None, solver=solver, **options)
    return solve(task.of_matrix(cost, a, b), solver, rtol, start)


def solve(job: task.Task, solver: Solver | None, rtol: float, start: OTResult | None) -> OTResult:
    """The answer of `solver`, exact when None.

    Raises:
        TypeError: `solver` is no solver, `start` no result.
        ValueError: `start` is of other sizes, or cannot be used.
    """
    solver = _EXACT if solver is None else check_solver(solver)
    if start is not None:
        checks.instance("start", start, OTResult, "an earlier OTResult")
        task.check_sizes(start, job.sizes)
        start = stayed(job, start)
        job.potential(start)
    with threads_for(job.numbers):
        result = solver.solve(job, rtol=rtol, start=start)
    return result if job.whole is None else extended(job, result)


def bottleneck(job: task.Task, solver: Solver | None, start: OTResult | None) -> OTResult:
    """W_∞ of a task of distances.

    Raises:
        TypeError: `solver` is no solver.
        ValueError: a solver with options or `start`, which do not apply.
    """
    if solver not in (None, _EXACT):
        check_solver(solver)
        raise ValueError("solver must be left out at p = inf, which has one of its own")
    if start is not None:
        raise ValueError("start must be left out at p = inf")
    with threads_for(job.numbers):
        return extended(job, farthest.solve(job))


def _within(cost: Any, a: Any, b: Any, solver: Solver | None, start: Any) -> OTResult:
    """The bottleneck of a matrix, whose forbidden pairs stand above all others.

    Raises:
        ValueError: no plan on the allowed pairs.
    """
    if not forbidden.has_forbidden(cost):
        return bottleneck(task.of_matrix(cost, a, b), solver, start)
    allowed = forbidden.Allowed.of(cost, a, b)
    largest = float(allowed.costs.detach().max()) if len(allowed.costs) else 0.0
    above = 2 * largest if largest > 0 else 1.0
    full = allowed.costs.new_full((len(allowed.a), len(allowed.b)), above)
    full = full.index_put((allowed.rows, allowed.cols), allowed.costs)
    matrix = full if allowed.kind.torch else full.numpy()
    result = bottleneck(task.of_matrix(matrix, a, b), solver, start)
    if result.upper >= above * (1 - 1e-9):
        forbidden.solve(allowed)  # names what cannot be served
        raise ValueError("cost must allow all mass to move: its pairs move all but 1e-9 of it")
    return result


def check_solver(solver: Any) -> Solver:
    """An object with a method `solve`; a tensor has one too, for linear equations."""
    if isinstance(solver, (type, torch.Tensor)) or not callable(getattr(solver, "solve", None)):
        raise TypeError(
            "solver must be a solver object such as otdist.Exact() or otdist.Sinkhorn(eps=0.1): "
            f"got {checks.shown(solver)}"
        )
    return solver
