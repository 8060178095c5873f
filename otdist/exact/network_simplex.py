"""The network simplex of POT behind one adapter: the only file that imports POT.

The solver is that of Bonneel et al. (2011), Displacement interpolation using Lagrangian mass
transport, after the LEMON library. It returns a basic optimal plan and dual variables, which are
only trusted as far as `certificate` confirms them.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy.sparse

from otdist.core.quiet import as_before
from otdist.exact.cost_matrix import room

UNLIMITED = 2**62
"""Pivots allowed: the simplex ends by itself."""

_MODERATE = 2.0**500  # units up to which no digit is lost by one product
_INFEASIBLE, _OPTIMAL = 0, 1  # what the compiled routines return then


@dataclass(frozen=True)
class Flow:
    """An optimal flow.

    Attributes:
        rows: Sources of the arcs in use, int64, shape (k,).
        cols: Their targets.
        mass: What they carry, shape (k,), positive.
        f: Dual variables of the sources, shape (n,).
        g: Dual variables of the targets, shape (m,).
    """

    rows: np.ndarray
    cols: np.ndarray
    mass: np.ndarray
    f: np.ndarray
    g: np.ndarray


class SimplexError(RuntimeError):
    """The network simplex ended without an optimum."""


@cache
def load() -> Any:
    """Import POT, at the first solve: that takes seconds, since it imports other array libraries.

    Those print on stdout, draw random numbers and change warning filters, which is undone.
    """
    with as_before():
        import ot
    return ot


def solve_dense(a: np.ndarray, b: np.ndarray, cost: np.ndarray) -> Flow:
    """Optimal flow for a full cost matrix.

    The compiled routine behind `ot.emd` is called directly where it has the expected form: the
    checks of the public function take longer than 30 by 30 points. It adds one to the largest cost
    for a price that no arc has, so that its duals round otherwise in other units: the unit of costs
    is a power of two beside the largest one, wherever they come from.

    Args:
        a: Supplies, float64, shape (n,), positive.
        b: Demands, float64, shape (m,), positive, with the sum of a.
        cost: float64, shape (n, m), C-contiguous.

    Raises:
        SimplexError: the problem was found infeasible or unbounded.
    """
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    unit = 2.0 ** math.frexp(float(np.maximum.reduce(cost, None)))[1]
    if not 1 / _MODERATE < unit < _MODERATE:
        unit = 1.0
    if unit != 1:
        cost = np.multiply(cost, 1 / unit, out=room("scaled costs", cost.shape))
    try:
        plan, _, f, g, status = load().lp.emd_wrap.emd_c(a, b, cost, UNLIMITED, 1)
    except (AttributeError, TypeError, ValueError):
        plan, f, g = _public(a, b, cost)
    else:
        if status != _OPTIMAL:
            _fail(status)
    plan = plan.reshape(-1)
    # 14 microseconds for 200 by 200 points; the places of floats take 177, in two indices more.
    used = (plan != 0).nonzero()[0]
    rows, cols = np.divmod(used, len(b))
    return Flow(rows, cols, plan[used], f * unit, g * unit)


def solve_sparse(
    a: np.ndarray,
    b: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    costs: np.ndarray,
    near: bool = False,
) -> Flow:
    """Optimal flow on the given arcs only.

    Args:
        a: Supplies, float64, shape (n,), positive.
        b: Demands, float64, shape (m,), positive, with the sum of a.
        rows: Sources of the arcs, shape (k,).
        cols: Targets of the arcs, shape (k,).
        costs: Costs of the arcs, float64, shape (k,).
        near: Whether dual variables of 0 are nearly optimal: the simplex then begins with a tree of
            the arcs nearest to 0 in place of one without any.

    Raises:
        SimplexError: the arcs cannot carry the flow.
    """
    try:
        return _sparse_compiled(a, b, rows, cols, costs, near)
    except (AttributeError, TypeError, ValueError):
        matrix = scipy.sparse.coo_matrix((costs, (rows, cols)), shape=(len(a), len(b)))
        plan, f, g = _public(a, b, matrix)
        plan = plan.tocoo()
        used = plan.data > 0
        rows, cols = plan.row[used].astype(np.int64), plan.col[used].astype(np.int64)
        return Flow(rows, cols, plan.data[used], f, g)


def _sparse_compiled(
    a: np.ndarray,
    b: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    costs: np.ndarray,
    near: bool,
) -> Flow:
    """The compiled routine of POT, which leaves masses as they are.

    A tree that does not reach every point may end as infeasible, as rounding does.
    """
    a, b, costs = (np.ascontiguousarray(part) for part in (a, b, costs))
    arcs = np.ascontiguousarray(rows, np.uint64), np.ascontiguousarray(cols, np.uint64)
    routine = load().lp.emd_wrap.emd_c_sparse
    duals = (np.zeros(len(a)), np.zeros(len(b))) if near else ()
    found = routine(a, b, *arcs, costs, UNLIMITED, *duals)
    if near and found[-1] != _OPTIMAL:
        found = routine(a, b, *arcs, costs, UNLIMITED)
    if found[-1] == _INFEASIBLE:
        found = routine(*_on_grid(a, b), *arcs, costs, UNLIMITED)
    sources, targets, mass, _, f, g, status = found
    if status != _OPTIMAL:
        _fail(status)
    return Flow(sources.astype(np.int64), targets.astype(np.int64), mass, f, g)


def _on_grid(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masses as multiples of one power of two, with one sum: flows between them are exact.

    Where many unlike masses are added up, rounding of flows can look like mass that found no way
    (seen between 65,536 cells). The change is at most 2^−50 of the sum; a certificate charges it.
    """
    grain = 2.0 ** (math.ceil(math.log2(math.fsum(a))) - 50)
    a, b = (np.maximum(np.rint(part / grain), 1.0) * grain for part in (a, b))
    b[b.argmax()] += a.sum() - b.sum()
    return a, b


def _fail(status: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says the same in a warning
        reason = load().lp.emd_wrap.check_result(status)
    raise SimplexError(str(reason))


def _public(a: np.ndarray, b: np.ndarray, cost: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """Plan and duals through the documented `ot.emd`."""
    plan, log = load().lp.emd(
        a, b, cost, numItermax=UNLIMITED, log=True, center_dual=False, check_marginals=False
    )
    if log["warning"] is not None:
        raise SimplexError(str(log["warning"]))
    return plan, np.asarray(log["u"]), np.asarray(log["v"])
