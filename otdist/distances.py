"""The two calls most people need: `wasserstein` for samples, `transport` for a cost matrix."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Protocol

from otdist.core import measure, task
from otdist.core.large import hand_over, is_large
from otdist.core.modes import full_precision
from otdist.core.result import OTResult
from otdist.core.threads import single_thread
from otdist.exact.exact import Exact


class Solver(Protocol):
    """Anything that answers a task: `Exact`, `Sinkhorn`, `Sliced`, or your own."""

    def solve(
        self, task: task.Task, *, rtol: float = 0.0, start: OTResult | None = None
    ) -> OTResult:
        """The result for one task, with a bracket from `certificate`."""
        ...


@full_precision()
def wasserstein(
    x: Any,
    y: Any,
    *,
    a: Any = None,
    b: Any = None,
    p: float = 1,
    solver: Solver | None = None,
    rtol: float = 0.0,
    start: OTResult | None = None,
) -> OTResult:
    r"""W_p between two weighted samples, exact unless a solver says otherwise.

    .. math::  W_p(x, y) = \Big(\min_{P \ge 0,\; P1 = a,\; P^\top 1 = b}
               \sum_{ij} P_{ij} \|x_i - y_j\|_2^p\Big)^{1/p}

    Args:
        x: Points of the first sample, shape (n, d), or (n,) on the line. A dask array on the line
            is streamed: exact up to 262,144 distinct values, beyond that between proved bounds.
        y: Points of the second sample, shape (m, d) or (m,).
        a: Weights of x, shape (n,), of sum one; uniform when None.
        b: Weights of y, shape (m,), likewise.
        p: Exponent, at least 1.
        solver: None is exact: the closed form for d = 1, `Exact` otherwise. `Sinkhorn(eps=…)` and
            `Sliced(…)` are approximate, with a bracket that contains the exact distance.
        rtol: Stop once the bracket proves this relative accuracy; 0 means exact.
        start: An earlier result of a nearby problem of the same sizes, to begin from.

    Returns:
        distance in the units of x, cost in units**p, and the certified bracket
        ``lower ≤ W_p ≤ upper``. Floats for numpy and lists, 0-d tensors for torch.

    Raises:
        ValueError: points not finite, dimensions differ, weights negative or not of sum one,
            p < 1, an option that the solver cannot use.
        TypeError: not numbers; numpy mixed with torch.
        MemoryError: the problem does not fit; said before anything is allocated.

    Gradients: x, y, a, b, first order; a subgradient where plans or duals are not unique, 0 where
        the samples coincide. A second differentiation raises.
    Cost: O((n + m) log(n + m)) for d = 1, otherwise about O(n m d) time.
    Reference: Peyré and Cuturi (2019), Computational Optimal Transport, sections 2 and 3.

    >>> wasserstein([[0.0]], [[5.0]]).distance
    5.0
    >>> result = wasserstein([[0, 0], [1, 0]], [[0, 3], [1, 3]], p=2)
    >>> result.distance, result.cost
    (3.0, 9.0)
    >>> result.lower <= 3 <= result.upper
    True
    """
    if is_large(x, y, a, b):
        options = {"a": a, "b": b, "p": p, "solver": solver, "rtol": rtol, "start": start}
        return hand_over("wasserstein", x, y, **options)
    p = measure.check_p(p)
    pair = measure.pair(x, y, a, b, p=p)
    return _solve(task.of_pair(pair, p), solver, rtol, start)


@full_precision()
def transport(
    cost: Any,
    *,
    a: Any = None,
    b: Any = None,
    solver: Solver | None = None,
    rtol: float = 0.0,
    start: OTResult | None = None,
) -> OTResult:
    """Optimal transport for a given cost matrix, exact unless a solver says otherwise.

    Args:
        cost: Shape (n, m), non-negative: the price of moving one unit from source i to target j.
        a: Weights of the sources, shape (n,), of sum one; uniform when None.
        b: Weights of the targets, shape (m,), likewise.
        solver: None is exact; `Sinkhorn(eps=…)` approximates, with a bracket.
        rtol: Stop once the bracket proves this relative accuracy; 0 means exact.
        start: An earlier result of a nearby problem of the same sizes, to begin from.

    Returns:
        distance = cost = the lowest total cost, in the units of the matrix (p = 1).

    Raises:
        ValueError: not a matrix, entries not finite or negative, bad weights; a solver that needs
            points.
        TypeError: not numbers.

    Gradients: cost (the plan), a, b, first order.
    Cost: about O(n m) memory, which the matrix takes already.
    Reference: Peyré and Cuturi (2019), Computational Optimal Transport, section 3.

    >>> transport([[0.0, 2.0], [2.0, 0.0]], a=[0.5, 0.5], b=[0.75, 0.25]).cost
    0.5
    """
    return _solve(task.of_matrix(cost, a, b), solver, rtol, start)


def _solve(job: task.Task, solver: Solver | None, rtol: float, start: OTResult | None) -> OTResult:
    if not (isinstance(rtol, Real) and 0 <= float(rtol) < math.inf):
        raise ValueError(f"rtol must be finite and at least 0: got {rtol!r}")
    if solver is None:
        solver = Exact()
    elif isinstance(solver, type) or not hasattr(solver, "solve"):
        raise TypeError(
            f"solver must be a solver object such as otdist.Exact() or otdist.Sinkhorn(eps=0.1): "
            f"got {solver!r}"
        )
    if start is not None:
        _check_start(job, start)
    with single_thread(job.numbers):
        return solver.solve(job, rtol=float(rtol), start=start)


def _check_start(job: task.Task, start: OTResult) -> None:
    """A start must be an earlier result of the same sizes."""
    if not isinstance(start, OTResult):
        raise TypeError(f"start must be an earlier OTResult: got a {type(start).__name__}")
    f, g = start.potentials
    if (len(f), len(g)) != job.cost.shape:
        raise ValueError(
            f"start must come from a problem of the same sizes {job.cost.shape}: "
            f"its potentials have lengths {(len(f), len(g))}"
        )
