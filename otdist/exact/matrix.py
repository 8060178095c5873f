r"""Exact transport where the whole cost matrix is at hand, in numpy from end to end.

Most calls are small, and there the operations around the solver cost more than the solver. So there
is one matrix of costs, and the fastest of three ways to a plan and a potential g of the targets:

* *Assignment*, for uniform weights and n = m: SciPy's shortest augmenting paths. Its duals follow
  from the permutation alone. Let s(k) be the source that target k got, w_kj = c_{s(k) j} −
  c_{s(k) k}: g proves that the permutation is optimal where g_j ≤ g_k + w_kj for all k and j. The
  sweeps g ← min_k g_k + w_kj from 0 end with one (Bellman 1958), after as many sweeps as a shortest
  path has arcs: 10 to 60 up to 300 points. Only a g_k that has moved since it was last looked at
  can move another. They are taken in blocks, each of which sees what the one before has moved.
* *Simplex* on all pairs, up to about as many.
* *Column generation* on the matrix, above (the idea is that of `column_generation`): the simplex on
  the arcs of small reduced cost c_ij − f_i − g_j, where f and g come from a few steps of the
  entropic dual, and again with the pairs that violate f_i + g_j ≤ c_ij, until none does.

What they return is evidence; `certificate` proves it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from otdist.core.threads import threads_for
from otdist.exact import boxed, network_simplex
from otdist.exact.assignment import FAINT
from otdist.exact.cost_matrix import room
from otdist.exact.network_simplex import Flow

ASSIGNED = 350
"""Points of both samples up to which assignment is the fastest (500 points: 40 ms, others 20)."""

COLD = 100
"""Points up to which costs are assigned less the minima of rows and columns. Above, they are less
the duals of a few entropic steps, beside which a path that augments the assignment is short: 256
normal points in d = 10 take 0.7 + 1.2 ms in place of 3 to 8."""

_PLANE_COLD = 48
"""Points in the plane from which the simplex is faster, always at p = 1 and up to 100 points at
p = 2: 64 take 0.25 ms in place of 0.30 and 0.35, 32 take 0.07 in place of 0.08, which is not worth
the seconds that the import of POT takes."""

_SWEEPS = 100  # whole ones; normal clouds of 16 to 300 points take 2 to 12, in parts
_BLOCKS, _BLOCK = 4, 24
"""Blocks of a sweep, and least size of one: 300 points in d = 10 take 0.9 ms in place of 2.1
without blocks; 8 blocks gain nothing more."""

ALL_PAIRS, FLAT_PAIRS = 160 * 160, 320 * 320
"""Up to so many pairs the simplex on all of them is no slower than column generation. In the plane
a start from near-optimal duals does not pay: of 200 points at p = 1 it takes 0.7 ms, saves 0.5."""

_RAW_PAIRS, _FLAT_RAW_PAIRS = 128 * 128, 220 * 220
"""Up to so many pairs a start costs the simplex as much as it saves: a tenth at 160 points,
a thirtieth at 300 in the plane at p = 1."""

_NEAREST = 16  # arcs per point at the start: 12 need half a round more, 20 take longer to solve
_MORE = 8  # arcs per point and later round
_EPS, _STEPS = 0.03, 30
"""Entropic strength in units of the mean cost, and steps. With 0.05 and 12 arcs, 1,000 points took
62 ms on the sphere and 56 in d = 3 at p = 1, in place of 46; 21 in place of 18 at p = 2; with 0.02
and 60 steps the start costs what it saves."""
_QUICK_EPS, _QUICK_STEPS = 0.06, 16
"""The same before an assignment."""
_BOX = 3.0  # price of dropping mass, in units of the largest reduced cost among the first arcs
_SHRINK = 8.0  # later boxes, in units of the worst violation
_WIDEN = 32.0  # growth of the box where mass is dropped although hardly any pair violates
_CACHED = 2**16  # reduced costs of a part, half a megabyte
_ROUNDS = 20  # normal clouds of 128 to 1,200 points take 1 to 5
_ASTRAY = 1e-13  # dropped mass that is rounding
_LOST = 0.01  # share of the mass that finds no way on the arcs: then all pairs are faster
_FEW_PAIRS = 600 * 600  # up to here
_NOISE = 2.0**-46  # share of a point's mass that is the rounding of sums of weights
_RESOLUTION = 1e-14  # relative resolution of the simplex per node


def solve(
    matrix: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    *,
    uniform: bool,
    flat: bool = False,
    plane: bool = False,
    start: np.ndarray | None = None,
    always: tuple[np.ndarray, np.ndarray] | None = None,
    below: float = math.inf,
    tied: bool = False,
) -> Flow:
    """An optimal plan and dual variables.

    Args:
        matrix: Costs, shape (n, m), float64, C-contiguous.
        a: Weights of the sources, shape (n,), positive, of sum one.
        b: Weights of the targets, shape (m,), likewise.
        uniform: What `is_assignment` says.
        flat: Whether costs are distances in the plane, where mass travels far on optimal plans and
            many arcs are needed.
        plane: Whether points lie in the plane or on a surface.
        start: A potential of the targets near an optimal one, shape (m,).
        always: Rows and columns of arcs to begin with, whatever they cost.
        below: What every other arc costs less than that may be of use.
        tied: Whether many pairs may tie at the optimum, as those of metrics do.
    """
    n, m = matrix.shape
    few = needs_no_flow(n, uniform, plane)
    simple = few or (uniform and not flat and not (plane and n <= COLD))
    found = _assign(matrix, a, start) if simple else None
    if found is not None:
        return found
    if n * m <= (FLAT_PAIRS if flat else ALL_PAIRS):
        if n * m <= (_FLAT_RAW_PAIRS if flat else _RAW_PAIRS):
            flow = network_simplex.solve_dense(a, b, matrix)
        else:
            g = _entropic(matrix, a, b, _QUICK_EPS, _QUICK_STEPS) if start is None else start
            flow = _simplex_from(matrix, a, b, g)
    else:
        g = _entropic(matrix, a, b) if start is None else start
        flow = _generate(matrix, a, b, g, always, below, tied)
    if flow.mass.min() > _NOISE:
        return flow
    used = flow.mass > _NOISE * np.minimum(a[flow.rows], b[flow.cols])
    return Flow(flow.rows[used], flow.cols[used], flow.mass[used], flow.f, flow.g)


def needs_no_flow(n: int, uniform: bool, plane: bool) -> bool:
    """Whether few points are assigned, without POT; arguments as of `solve`.

    Where mass travels far, so do augmenting paths.
    """
    return uniform and n <= (_PLANE_COLD if plane else COLD)


def is_assignment(a: np.ndarray, b: np.ndarray, weighted: bool) -> bool:
    """Whether an assignment solves the problem; `weighted`: weights may differ."""
    return len(a) == len(b) <= ASSIGNED and not (weighted and (_varies(a) or _varies(b)))


def _varies(weights: np.ndarray) -> bool:
    """Whether weights differ, which the first and the last mostly tell."""
    return bool(weights[0] != weights[-1] or (weights != weights[0]).any())


def _assign(matrix: np.ndarray, a: np.ndarray, start: np.ndarray | None) -> Flow | None:
    """A permutation, and duals by sweeps; None where the sweeps would take too long."""
    n = len(a)
    if n > COLD and start is None:
        start = _entropic(matrix, a, a, _QUICK_EPS, _QUICK_STEPS)
    costs = room("costs to assign", matrix.shape)
    np.subtract(matrix, 0.0 if start is None else start, out=costs)
    costs -= np.minimum.reduce(costs, 1)[:, None]
    lowest = np.minimum.reduce(costs)
    costs -= lowest
    rows, cols = linear_sum_assignment(costs)
    source = np.empty_like(cols)
    source[cols] = rows
    near = matrix if start is None else costs  # without a start, duals are those of a batch
    moves = near.take(source, 0, out=room("moves", matrix.shape), mode="clip")
    moves -= moves.diagonal().copy()[:, None]
    g, seen, work = np.minimum.reduce(moves), np.zeros(n), 0
    while len(moved := (g < seen).nonzero()[0]):
        work += len(moved)
        if work > _SWEEPS * n:
            return None
        step = max(_BLOCK, -(-len(moved) // _BLOCKS))
        for k in range(0, len(moved), step):
            block = moved[k : k + step]
            seen[block] = heights = g[block]
            longer = moves[block]
            longer += heights[:, None]
            np.minimum(g, np.minimum.reduce(longer), out=g)
    if start is not None:
        g = g + (start + lowest)
    return Flow(rows, cols, a, matrix[rows, cols] - g[cols], g)


def _generate(
    matrix: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    g: np.ndarray,
    always: tuple[np.ndarray, np.ndarray] | None = None,
    below: float = math.inf,
    tied: bool = False,
) -> Flow:
    """Column generation: each round moves the reduced costs to the duals of the last.

    The box around them (see `boxed`) follows the violations down. Arcs dearer than both its sides
    can never be tight within it, so that late rounds solve small problems.
    """
    n, m = matrix.shape
    reduced = matrix - g
    f = reduced.min(1)
    reduced -= f[:, None]
    least = reduced.min(0)
    g = g + least
    reduced -= least
    supplies = boxed.Supplies.of(a, b)
    marks = _nearest(reduced, _NEAREST)
    if below < math.inf:
        marks &= matrix < below
    box = _BOX * float(reduced[marks].max(initial=0.0)) or 1.0
    if always is not None:
        marks[always] = True
    rows, cols = _places(marks)
    for turn in range(_ROUNDS):
        costs = reduced[rows, cols]
        useful = costs <= 2 * box
        sides = np.full(n, box), np.full(m, box)
        arcs = rows[useful], cols[useful], costs[useful]
        flow = boxed.solve(supplies, *arcs, sides, near=tied and turn > 0)
        f, g = f + flow.u, g + flow.v
        violated, least = _move(reduced, flow.u, flow.v, -_RESOLUTION * (n + m) * box)
        lost = float(flow.dropped_a.sum())
        count = np.count_nonzero(violated)
        if lost <= _ASTRAY:
            if count == 0:
                return Flow(flow.rows, flow.cols, flow.mass, f, g)
            box = min(box, -_SHRINK * least)
        elif count <= n + m:  # the arcs are too few, not wrong
            if n * m <= _FEW_PAIRS and lost > _LOST:
                break
            box *= _WIDEN
        if count > 4 * (n + m):
            violated &= _nearest(reduced, _MORE)
        i, j = _places(violated)
        rows, cols = np.concatenate([rows, i]), np.concatenate([cols, j])
    return _simplex_from(matrix, a, b, g)


def _move(
    reduced: np.ndarray, u: np.ndarray, v: np.ndarray, margin: float
) -> tuple[np.ndarray, float]:
    """Take u and v off reduced costs, in parts that stay in cache; mark those below a margin.

    Returns:
        The marks, and the least reduced cost.
    """
    marks, least = np.empty(reduced.shape, bool), math.inf
    step = max(1, _CACHED // reduced.shape[1])
    for lo in range(0, len(reduced), step):
        rows = slice(lo, lo + step)
        part = reduced[rows]
        part -= u[rows, None]
        part -= v
        np.less(part, margin, out=marks[rows])
        least = min(least, float(np.minimum.reduce(part, None)))
    return marks, least


def _places(marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of marks; in a third of the time of `nonzero` of a matrix."""
    return np.divmod(np.flatnonzero(marks), marks.shape[1])


def _simplex_from(matrix: np.ndarray, a: np.ndarray, b: np.ndarray, g: np.ndarray) -> Flow:
    """The simplex on all costs less near-optimal duals, which takes half its time."""
    reduced = np.subtract(matrix, g, out=room("reduced costs", matrix.shape))
    f = np.minimum.reduce(reduced, 1)
    reduced -= f[:, None]
    flow = network_simplex.solve_dense(a, b, reduced)
    return Flow(flow.rows, flow.cols, flow.mass, f + flow.f, g + flow.g)


def _nearest(reduced: np.ndarray, k: int) -> np.ndarray:
    """Marks of about the k smallest entries of every row and of every column.

    The k-th smallest of the minima of groups is a threshold below which there are at least k.
    """
    n, m = reduced.shape
    wide, high = max(1, m // (4 * k)), max(1, n // (4 * k))
    left, top = m // wide, n // high
    by_row = reduced[:, : left * wide].reshape(n, wide, left).min(1)
    by_column = reduced[: top * high].reshape(high, top, m).min(0).T
    k_row, k_column = min(k, left) - 1, min(k, top) - 1
    limit_row = np.partition(by_row, k_row, axis=1)[:, k_row, None]
    limit_column = np.partition(by_column, k_column, axis=1)[:, k_column]
    return (reduced <= limit_row) | (reduced <= limit_column)


def _entropic(
    matrix: np.ndarray, a: np.ndarray, b: np.ndarray, strength: float = _EPS, steps: int = _STEPS
) -> np.ndarray:
    """A potential of the targets from a few Sinkhorn steps on a stored kernel in float32.

    Products are torch's, in one thread; numpy divides in a third of torch's time.
    """
    reduced = room("reduced costs", matrix.shape)
    np.subtract(matrix, np.minimum.reduce(matrix, 1)[:, None], out=reduced)
    g = np.minimum.reduce(reduced)
    reduced -= g
    eps = strength * float(np.add.reduce(matrix, None)) / matrix.size
    if not eps > 0:
        return g
    reduced *= -1 / eps
    kernel = np.maximum(reduced, FAINT, out=reduced).astype(np.float32)
    mass_a, mass_b = a.astype(np.float32), b.astype(np.float32)
    u, v = mass_a.copy(), mass_b.copy()
    with threads_for(matrix.size), np.errstate(all="ignore"):  # masses may vanish in float32
        rows, to_u, to_v = torch.from_numpy(kernel).exp_(), torch.from_numpy(u), torch.from_numpy(v)
        columns = rows.T
        for _ in range(steps):
            torch.mv(rows, to_v, out=to_u)
            np.divide(mass_a, u, out=u)
            torch.mv(columns, to_u, out=to_v)
            np.divide(mass_b, v, out=v)
        logarithms = np.log(v / mass_b)
    found = g + eps * logarithms.astype(np.float64)
    return found if np.isfinite(found).all() else g
