"""The network simplex of POT behind one adapter: the only file that imports POT.

The solver is that of Bonneel et al. (2011), Displacement interpolation using Lagrangian mass
transport, after the LEMON library. It returns a basic optimal plan and dual variables, which are
only trusted as far as `certificate` confirms them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from otdist.core.quiet import as_before

UNLIMITED = 2**62
"""Pivots allowed: the simplex ends by itself."""


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


def solve_dense(
    a: np.ndarray,
    b: np.ndarray,
    cost: np.ndarray,
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> Flow:
    """Optimal flow for a full cost matrix.

    Args:
        a: Supplies, float64, shape (n,), positive.
        b: Demands, float64, shape (m,), positive, with the sum of a.
        cost: float64, shape (n, m), C-contiguous.
        start: Dual variables (f, g) to begin from.

    Raises:
        SimplexError: the problem was found infeasible or unbounded.
    """
    a, b, cost = (np.ascontiguousarray(part) for part in (a, b, cost))
    options = {} if start is None else {"potentials_init": start}
    plan, log = load().lp.emd(
        a, b, cost, numItermax=UNLIMITED, log=True, center_dual=False,
        check_marginals=False, **options,
    )  # fmt: skip
    if log["warning"] is not None:
        raise SimplexError(str(log["warning"]))
    rows, cols = np.nonzero(plan)
    return Flow(rows, cols, plan[rows, cols], np.asarray(log["u"]), np.asarray(log["v"]))


def solve_sparse(
    a: np.ndarray,
    b: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    costs: np.ndarray,
    f: np.ndarray | None = None,
    g: np.ndarray | None = None,
) -> Flow:
    """Optimal flow on the given arcs only.

    The compiled routine behind `ot.emd` is called directly where it has the expected form, since
    the public function neither takes dual variables to begin from nor leaves masses as they are.

    Args:
        a: Supplies, float64, shape (n,), positive.
        b: Demands, float64, shape (m,), positive, with the sum of a.
        rows: Sources of the arcs, shape (k,).
        cols: Targets of the arcs, shape (k,).
        costs: Costs of the arcs, float64, shape (k,).
        f: Dual variables of the sources to begin from; zeros when None.
        g: Dual variables of the targets to begin from; zeros when None.

    Raises:
        SimplexError: the arcs cannot carry the flow.
    """
    f = np.zeros(len(a)) if f is None else f
    g = np.zeros(len(b)) if g is None else g
    try:
        return _sparse_compiled(a, b, rows, cols, costs, f, g)
    except (AttributeError, TypeError, ValueError):
        return _sparse_public(a, b, rows, cols, costs)


def _sparse_compiled(
    a: np.ndarray, b: np.ndarray, rows: np.ndarray, cols: np.ndarray, costs: np.ndarray,
    f: np.ndarray, g: np.ndarray,
) -> Flow:  # fmt: skip
    """The compiled routine of POT, with dual variables to begin from."""
    routine = load().lp.emd_wrap.emd_c_sparse
    a, b, costs, f, g = (np.ascontiguousarray(part) for part in (a, b, costs, f, g))
    arcs = np.ascontiguousarray(rows, np.uint64), np.ascontiguousarray(cols, np.uint64)
    result = routine(a, b, *arcs, costs, UNLIMITED, alpha_init=f, beta_init=g)
    sources, targets, mass, _, alpha, beta, status = result
    message = load().lp.emd_wrap.check_result(status)
    if message is not None:
        raise SimplexError(str(message))
    return Flow(sources.astype(np.int64), targets.astype(np.int64), mass, alpha, beta)


def _sparse_public(
    a: np.ndarray, b: np.ndarray, rows: np.ndarray, cols: np.ndarray, costs: np.ndarray
) -> Flow:
    """The same through the documented `ot.emd`, which begins from nothing."""
    import scipy.sparse

    matrix = scipy.sparse.coo_matrix((costs, (rows, cols)), shape=(len(a), len(b)))
    plan, log = load().lp.emd(
        a, b, matrix, numItermax=UNLIMITED, log=True, center_dual=False, check_marginals=False
    )
    if log["warning"] is not None:
        raise SimplexError(str(log["warning"]))
    plan = plan.tocoo()
    used = plan.data > 0
    return Flow(
        plan.row[used].astype(np.int64), plan.col[used].astype(np.int64), plan.data[used],
        np.asarray(log["u"]), np.asarray(log["v"]),
    )  # fmt: skip
