r"""Exact transport on some pairs only: those whose cost is not given or infinite carry no mass.

The simplex runs on the allowed arcs. Its duals become feasible for these by two c-transforms over
arcs, and prove the bracket as elsewhere. Where no plan exists, a maximum flow leaves some mass
behind, and the sources that are reached from it along arcs, and back along arcs in use, hold more
mass than all targets that they may go to: by the theorem of Hall they cannot be served.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from otdist.core.arrays import NUMPY, Kind, enter
from otdist.core.certificate import UNIT, bracket
from otdist.core.gradient import attach
from otdist.core.measure import weights
from otdist.core.result import Arcs, OTResult
from otdist.core.units import Units, finish
from otdist.exact import network_simplex
from otdist.exact.network_simplex import Flow, SimplexError

UNSERVED = 1e-9
"""Mass that the rounding of weights may leave behind."""
_NAMED = 10  # sources that an error names


def has_forbidden(cost: Any) -> bool:
    """Whether a cost matrix is of scipy.sparse or has infinite entries."""
    if scipy.sparse.issparse(cost):
        return True
    _, raw = enter(cost=cost)
    return bool((raw["cost"].detach() == math.inf).any())


@dataclass(frozen=True)
class Allowed:
    """The pairs that may carry mass.

    Attributes:
        rows: Sources of the arcs, int64, (k,).
        cols: Their targets.
        costs: Float64, (k,), with their graph.
        a: Weights of the sources, (n,), float64, with their graph.
        b: Weights of the targets, (m,).
        kind: What the caller's matrix was.
    """

    rows: Tensor
    cols: Tensor
    costs: Tensor
    a: Tensor
    b: Tensor
    kind: Kind

    @staticmethod
    def of(cost: Any, a: Any, b: Any) -> Allowed:
        """Validate.

        Raises:
            ValueError: not a matrix, NaN or negative entries, bad weights.
        """
        if scipy.sparse.issparse(cost):
            found = cost.tocoo()
            shape, kind = found.shape, NUMPY
            at = [torch.from_numpy(part.astype(np.int64)) for part in (found.row, found.col)]
            rows, cols = at
            costs = torch.from_numpy(np.asarray(found.data, dtype=float))
            keep = costs != math.inf
            rows, cols, costs = rows[keep], cols[keep], costs[keep]
            if len(torch.unique(rows * shape[1] + cols)) < len(rows):
                raise ValueError("cost must hold every pair once: call its sum_duplicates()")
        else:
            kind, raw = enter(cost=cost)
            matrix = raw["cost"]
            shape = tuple(matrix.shape)
            if matrix.ndim != 2:
                raise ValueError(f"cost must have shape (n, m) with n, m ≥ 1: got shape {shape}")
            rows, cols = (matrix.detach() != math.inf).nonzero(as_tuple=True)
            costs = matrix[rows, cols].double()
        plain = costs.detach()
        wrong = ~(plain >= 0)
        if bool(wrong.any()):
            k = int(wrong.nonzero()[0])
            raise ValueError(
                f"cost must be non-negative where it is not +inf: got {float(plain[k]):.6g} at "
                f"{(int(rows[k]), int(cols[k]))}"
            )
        like = [torch.empty(size, 1, dtype=torch.float64, device=costs.device) for size in shape]
        mass_a = weights(a, "a", "the rows of cost", like[0])
        mass_b = weights(b, "b", "the columns of cost", like[1])
        return Allowed(rows, cols, costs, mass_a, mass_b, kind)


def solve(allowed: Allowed, rtol: float = 0.0) -> OTResult:
    """The optimal plan on the allowed pairs, proved by its dual.

    It is exact for any `rtol`, which says what a bracket must prove to count as converged.

    Raises:
        ValueError: no plan exists; a set of sources that cannot be served is named.
    """
    network_simplex.load()
    begin = time.perf_counter()
    a, b, costs = (t.detach().cpu().numpy() for t in (allowed.a, allowed.b, allowed.costs))
    rows, cols = (t.cpu().numpy() for t in (allowed.rows, allowed.cols))
    largest = float(costs.max(initial=0.0))
    unit = math.ldexp(1.0, math.frexp(largest)[1]) if largest > 0 else 1.0
    costs = costs / unit
    flow = _flow(a, b, rows, cols, costs)
    f = _transform(rows, costs, flow.g[cols], len(a))
    g = _transform(cols, costs, f[rows], len(b))
    keys = rows * len(b) + cols
    order = keys.argsort()
    place = order[keys[order].searchsorted(flow.rows * len(b) + flow.cols)]
    value = float(costs[place] @ flow.mass)
    units = (math.log2(len(a) + len(b)) + 12) * UNIT
    size = float(a @ np.abs(f) + b @ np.abs(g))
    spread = float(np.abs(f).max() + np.abs(g).max())
    slack = 3 * units * size + 8 * UNIT * spread
    missing = float(
        np.abs(np.bincount(flow.rows, flow.mass, len(a)) - a).sum()
        + np.abs(np.bincount(flow.cols, flow.mass, len(b)) - b).sum()
    )
    # What is missing finds its way along at most n + m arcs, if there is any way.
    charge = units * value + (missing + units) * (len(a) + len(b)) * largest / unit
    ends = bracket(float(a @ f + b @ g) - slack, value + charge, 1.0, unit)
    total = torch.tensor(value, dtype=torch.float64, device=allowed.a.device)
    at_rows, at_cols, mass = (torch.from_numpy(part) for part in (flow.rows, flow.cols, flow.mass))
    arcs = Arcs(at_rows, at_cols, mass, (len(a), len(b)))
    evidence = torch.from_numpy(f), torch.from_numpy(g)
    inputs = [allowed.costs, allowed.a, allowed.b]
    cost = attach(
        total, inputs, partial(_gradients, allowed, arcs, *evidence, torch.from_numpy(place), unit)
    )
    scaled = Units(1.0, unit, allowed.kind)
    return finish(
        scaled, cost if cost.requires_grad else value, ends, solver="exact",
        message="exact: optimal plan and dual agree", begin=begin,
        converged=ends.proves(max(rtol, 1e-6)) or ends.upper <= UNSERVED * largest,
        potentials=partial(scaled.potentials, *evidence), plan=partial(arcs.sparse, allowed.kind),
    )  # fmt: skip


def _gradients(
    allowed: Allowed, arcs: Arcs, f: Tensor, g: Tensor, place: Tensor, unit: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The plan for the costs, in units of `unit`, and centred potentials for the weights."""
    a, b = allowed.a.detach(), allowed.b.detach()
    plan = torch.zeros_like(allowed.costs.detach())
    plan[place.to(plan.device)] = arcs.mass.to(plan)
    f, g = f.to(a), g.to(b)
    return plan / unit, f - a @ f, g - b @ g


def _flow(
    a: np.ndarray, b: np.ndarray, rows: np.ndarray, cols: np.ndarray, costs: np.ndarray
) -> Flow:
    """The simplex on the arcs between points with mass; their duals, 0 elsewhere."""
    of_a, of_b = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    to_a, to_b = np.full(len(a), -1), np.full(len(b), -1)
    to_a[of_a], to_b[of_b] = np.arange(len(of_a)), np.arange(len(of_b))
    use = (to_a[rows] >= 0) & (to_b[cols] >= 0)
    i, j, paid = to_a[rows[use]], to_b[cols[use]], costs[use]
    u, v = a[of_a], b[of_b]
    v = v * (u.sum() / v.sum())
    most = served(u, v, i, j, paid)
    if most.unserved > UNSERVED:
        _refuse(of_a[most.sources], float(u[most.sources].sum()), most.unserved)
    n, m = len(u), len(v)
    try:
        found = network_simplex.solve_sparse(u, v, i, j, paid)
    except SimplexError:  # by the rounding of weights: what stays behind is dear
        dear = 2.0 * (n + m) * float(paid.max(initial=1.0))
        found = _with_exit(u, v, i, j, paid, dear)
    f, g = np.zeros(len(a)), np.zeros(len(b))
    f[of_a], g[of_b] = found.f[:n], found.g[:m]
    # A point without mass takes part in no plan, and must not hold others down.
    g[b == 0] = -np.inf
    inner = (found.rows < n) & (found.cols < m) & (found.mass > 0)
    return Flow(of_a[found.rows[inner]], of_b[found.cols[inner]], found.mass[inner], f, g)


def _with_exit(
    a: np.ndarray, b: np.ndarray, rows: np.ndarray, cols: np.ndarray, costs: np.ndarray,
    price: float,
) -> Flow:  # fmt: skip
    """The simplex with one more target that takes any mass, at a price, and one more source."""
    n, m, total = len(a), len(b), float(a.sum())
    rows = np.concatenate([rows, np.arange(n), np.full(m + 1, n)])
    cols = np.concatenate([cols, np.full(n, m), np.arange(m + 1)])
    costs = np.concatenate([costs, np.full(n, price), np.zeros(m + 1)])
    return network_simplex.solve_sparse(
        np.append(a, total), np.append(b, total), rows, cols, costs
    )  # fmt: skip


@dataclass(frozen=True)
class Served:
    """The most that a flow on the arcs can serve.

    Attributes:
        unserved: Mass that is left.
        sources: Of a cut that proves it.
        rows: Sources of the arcs in use.
        cols: Their targets.
        mass: What they carry.
    """

    unserved: float
    sources: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    mass: np.ndarray


def served(
    a: np.ndarray, b: np.ndarray, rows: np.ndarray, cols: np.ndarray, costs: np.ndarray,
    least: float = UNSERVED,
) -> Served:  # fmt: skip
    """A largest flow on the arcs, between equal sums of mass, of which `least` does not count.

    It is the cheapest of them: without costs the simplex takes fifty times as long.
    """
    n, m = len(a), len(b)
    dear = 2.0 * (n + m) * (float(costs.max(initial=0.0)) or 1.0)
    flow = _with_exit(a, b, rows, cols, costs, dear)
    left = (flow.rows < n) & (flow.cols == m) & (flow.mass > least / (n + m))
    inner = (flow.rows < n) & (flow.cols < m) & (flow.mass > least / (n + m))
    used = flow.rows[inner], flow.cols[inner], flow.mass[inner]
    source, target = np.zeros(n, bool), np.zeros(m, bool)
    source[flow.rows[left]] = True
    while True:
        target[cols[source[rows]]] = True
        more = source.copy()
        more[used[0][target[used[1]]]] = True
        if (more == source).all():
            return Served(float(flow.mass[left].sum()), np.flatnonzero(source), *used)
        source = more


def _refuse(sources: np.ndarray, mass: float, unserved: float) -> None:
    names = ", ".join(map(str, sources[:_NAMED].tolist()))
    more = "" if len(sources) <= _NAMED else f" and {len(sources) - _NAMED} more"
    raise ValueError(
        f"cost must allow all mass to move: sources {names}{more} hold mass {mass:.6g}, and the "
        f"targets that they may go to take {mass - unserved:.6g}"
    )


def _transform(ends: np.ndarray, costs: np.ndarray, other: np.ndarray, size: int) -> np.ndarray:
    """The least cost less the other potential over the arcs of each point; 0 where it has none."""
    out = np.full(size, np.inf)
    np.minimum.at(out, ends, costs - other)
    return np.where(np.isfinite(out), out, 0.0)
