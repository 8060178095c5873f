r"""The restricted transport problem with its dual variables held in a box.

On a subset A of all pairs the transport problem may be infeasible, and its dual variables, which
nothing but A restrains, run far away from the optimum. Holding them near a centre (f, g) cures both
(du Merle, Villeneuve, Desrosiers, Hansen 1999, Stabilized column generation):

    max Σ a u + Σ b v    subject to    u_i + v_j ≤ r_ij on A,   u_i ≤ s_i,   v_j ≤ t_j,

where r_ij = c_ij − f_i − g_j are reduced costs at the centre. Its dual lets every source drop mass
at the price s_i and every target find mass at the price t_j. That again is a transport problem,
with one more source and one more target of mass one between which mass travels free of charge. It
is always feasible; where no mass is dropped its optimum is that of A itself.

Solving in reduced costs has two more gains. The simplex picks the cheapest arc of every target
first, which near the optimum is the right one: 17 ms in place of 82 ms for 54,000 arcs between
4,000 points in ten dimensions. And dual variables of the size of r instead of c lose fewer digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from otdist.exact import network_simplex


@dataclass(frozen=True)
class BoxedFlow:
    """Optimum of the boxed problem.

    Attributes:
        rows: Sources of the arcs in use, int64, shape (k,).
        cols: Their targets.
        mass: What they carry, in units of the total mass.
        u: Move of f, shape (n,), at most the box.
        v: Move of g, shape (m,).
        dropped_a: Mass that sources dropped, shape (n,).
        dropped_b: Mass that targets found elsewhere, shape (m,), of the same sum.
    """

    rows: np.ndarray
    cols: np.ndarray
    mass: np.ndarray
    u: np.ndarray
    v: np.ndarray
    dropped_a: np.ndarray
    dropped_b: np.ndarray


@dataclass(frozen=True)
class Supplies:
    """Masses of sources and targets in a unit in which the simplex calculates best.

    Uniform weights become integers, so that every flow is exact and degenerate pivots are
    recognised as such; other weights are scaled to mean one.

    Attributes:
        a: Shape (n,), positive.
        b: Shape (m,), positive.
        total: Their common sum, in that unit.
    """

    a: np.ndarray
    b: np.ndarray
    total: float

    @staticmethod
    def of(a: np.ndarray, b: np.ndarray) -> Supplies:
        """Choose the unit for weights of sum one."""
        n, m = len(a), len(b)
        if np.ptp(a) == 0 and np.ptp(b) == 0:
            common = math.gcd(n, m)
            return Supplies(
                np.full(n, float(m // common)),
                np.full(m, float(n // common)),
                float(n // common * m),
            )
        unit = 2.0 ** math.floor(math.log2(max(n, m)))
        total = math.fsum(a) * unit
        return Supplies(a * unit, b * (total / math.fsum(b)), total)


def solve(
    supplies: Supplies,
    rows: np.ndarray,
    cols: np.ndarray,
    reduced: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
    near: bool = False,
) -> BoxedFlow:
    """Optimum on the given arcs with moves of the dual variables bounded above by the box.

    Args:
        supplies: Masses.
        rows: Sources of the arcs, shape (k,).
        cols: Targets of the arcs, shape (k,).
        reduced: Reduced costs of the arcs, shape (k,).
        box: Upper bounds s (n,) and t (m,) of the moves.
        near: Whether the centre is nearly optimal, as after a round before, or many pairs tie: see
            `network_simplex.solve_sparse`.

    Raises:
        SimplexError: costs are not finite, or span more than the digits of float64.
    """
    n, m = len(supplies.a), len(supplies.b)
    costs = np.concatenate([reduced, box[0], box[1], [0.0]])
    size = float(np.abs(costs).max()) or 1.0
    if not math.isfinite(size):
        raise network_simplex.SimplexError("reduced costs overflow")
    flow = network_simplex.solve_sparse(
        np.append(supplies.a, supplies.total),
        np.append(supplies.b, supplies.total),
        np.concatenate([rows, np.arange(n), np.full(m + 1, n)]),
        np.concatenate([cols, np.full(n, m), np.arange(m + 1)]),
        costs / size,
        near,
    )
    real = (flow.rows < n) & (flow.cols < m)
    dropped = (flow.rows < n) & (flow.cols == m)
    found = (flow.rows == n) & (flow.cols < m)
    dropped_a, dropped_b = np.zeros(n), np.zeros(m)
    dropped_a[flow.rows[dropped]] = flow.mass[dropped] / supplies.total
    dropped_b[flow.cols[found]] = flow.mass[found] / supplies.total
    return BoxedFlow(
        flow.rows[real],
        flow.cols[real],
        flow.mass[real] / supplies.total,
        (flow.f[:n] - flow.f[n]) * size,
        (flow.g[:m] - flow.g[m]) * size,
        dropped_a,
        dropped_b,
    )
