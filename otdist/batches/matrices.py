r"""Small matrices of costs, a few entries at a time: plans, potentials and brackets.

Each entry has its own solver call: SciPy's assignment where all masses are equal, the simplex of
`exact.matrix` otherwise. Duals of assignments and the proof are found for a few entries together,
in arrays that stay in cache. All calls that matter (assignment, simplex, cdist, operations of numpy
and torch) let other threads run.

No frame is needed where costs are in a safe range: a difference of two floats is off by one
rounding of itself wherever they lie.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from otdist.core.certificate import UNIT, brackets
from otdist.core.point_cost import PointCost
from otdist.core.threads import held, run, threads_for
from otdist.exact import cost_matrix, dense, matrix, network_simplex
from otdist.exact.assignment import duals, nearer

ASSIGNED = 400
"""Up to so many points of equal mass an assignment with its sweeps is faster than column
generation."""

_CHUNK = 1 << 18
"""Pairs of points that a thread works on at a time: 2 MB of costs."""

_SAFE = 2.0**400  # costs between this and its inverse have neither overflown nor lost digits
_NORMAL = 2.0**-1022


class Matrices:
    """The arrays of all entries, filled part by part.

    Args:
        p: Exponent.
        x: Points (B, n, d), float64.
        y: Points (B, m, d).
        a: Weights (B, n), of sum one.
        b: Weights (B, m).
    """

    def __init__(self, p: float, x: Tensor, y: Tensor, a: np.ndarray, b: np.ndarray) -> None:
        self.p, self.x, self.y, self.a, self.b = p, x, y, a, b
        self.f, self.g = np.empty_like(a), np.empty_like(b)
        self.cost, self.lower, self.upper = (np.empty(len(a)) for _ in range(3))
        self.closed = np.zeros(len(a), dtype=bool)
        self.arcs: list[Any] = [None] * len(a)
        self.flat = x.shape[-1] <= 2 and p < 2
        self.direct = cost_matrix.is_direct(x.shape[1], y.shape[1], x.shape[2], p)
        self.zeros = bool((a == 0).any() or (b == 0).any())

    def load(self) -> None:
        """Import the simplex where an entry needs it, once and not in several threads."""
        if not self._assigned(slice(None)).all():
            network_simplex.load()

    def all(self) -> None:
        """Solve every entry, and prove those that are `closed` then."""
        pairs = self.x.shape[1] * self.y.shape[1]
        step, size = max(1, _CHUNK // pairs), len(self.a)
        run([partial(self._part, slice(k, min(k + step, size))) for k in range(0, size, step)])
        still = ~self.closed  # nothing is told of these, but for numbers that have derivatives
        self.cost[still], self.lower[still], self.upper[still] = 1.0, 0.0, 0.0
        self.f[still], self.g[still] = 0.0, 0.0
        for k in np.flatnonzero(still):
            self.arcs[k] = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)

    def _assigned(self, part: slice) -> np.ndarray:
        """Which entries have equal masses on both sides, and few."""
        a, b = self.a[part], self.b[part]
        even = [(w == w.max(1, keepdims=True)) | (w == 0) for w in (a, b)]
        few = (a > 0).sum(1) <= ASSIGNED
        return even[0].all(1) & even[1].all(1) & (a.max(1) == b.max(1)) & few

    def _part(self, part: slice) -> None:
        with threads_for(0):
            size, n, m = part.stop - part.start, self.x.shape[1], self.y.shape[1]
            costs = held("costs of a batch", (size, n, m), torch.float64)
            errors = self._costs(part, costs.numpy())
            within = (costs.amax((1, 2)) < _SAFE).numpy()
            if not within.all():
                costs.numpy()[~within], errors[~within] = 0.0, 0.0
            g = self._solve(part, costs)
            self._prove(part, costs, g, errors, *self._paid(part, costs.numpy()))
            self.closed[part] &= within

    def _costs(self, part: slice, out: np.ndarray) -> np.ndarray:
        """Costs of some entries, into `out`; bounds on their error beyond rounding, (k,)."""
        errors = np.zeros(len(out))
        kind = "sqeuclidean" if self.p == 2 else "euclidean"
        x, y = self.x.numpy(), self.y.numpy()
        for i, k in enumerate(range(part.start, part.stop)):
            if self.direct:
                cdist(x[k], y[k], kind, out=out[i])
            else:
                out[i], errors[i], _ = cost_matrix.costs(PointCost(self.x[k], self.y[k], self.p))
        if self.direct and self.p not in (1, 2):
            np.power(out, self.p, out=out)
        return errors

    def _solve(self, part: slice, costs: Tensor) -> Tensor:
        """Plans, into `arcs`, and potentials of the targets (k, m); −inf where there is no mass."""
        values, equal = costs.numpy(), self._assigned(part)
        g = np.full(self.b[part].shape, -math.inf)
        sources = np.zeros(g.shape, dtype=np.int64)
        near = nearer(costs) if equal.all() and not self.zeros else None
        for i, k in enumerate(range(part.start, part.stop)):
            a, b, c = self.a[k], self.b[k], values[i]
            rows = cols = None
            if self.zeros:
                rows, cols = np.flatnonzero(a), np.flatnonzero(b)
                a, b, c = a[rows], b[cols], np.ascontiguousarray(c[rows[:, None], cols])
            if equal[i]:
                left, right = linear_sum_assignment(
                    nearer(torch.from_numpy(c)[None])[0] if near is None else near[i]
                )
                mass = a
            else:
                flow = matrix.solve(c, a, b * (a.sum() / b.sum()), uniform=False, flat=self.flat)
                left, right, mass = flow.rows, flow.cols, flow.mass
                g[i, slice(None) if cols is None else cols] = flow.g
            if rows is not None and cols is not None:
                left, right = rows[left], cols[right]
            if equal[i]:
                sources[i, right] = left
                if cols is not None:  # the others lie there, too
                    sources[i, self.b[k] == 0] = sources[i, cols[0]]
            self.arcs[k] = left, right, mass
        if equal.all():
            g = duals(costs, sources)
        elif equal.any():
            g[equal] = duals(costs[torch.from_numpy(equal)], sources[equal])
        if self.zeros:
            g[self.b[part] == 0] = -math.inf
        return torch.from_numpy(g)

    def _paid(self, part: slice, costs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Costs of the plans, and by how much they miss the weights, (k,) each."""
        paid, missing = np.empty(len(costs)), np.zeros(len(costs))
        for i, k in enumerate(range(part.start, part.stop)):
            rows, cols, mass = self.arcs[k]
            if self.direct:
                along = costs[i, rows, cols]
            else:
                where = torch.from_numpy(rows), torch.from_numpy(cols)
                along = PointCost(self.x[k], self.y[k], self.p).pairs(*where).numpy()
            paid[i] = along @ mass
            for w, index in ((self.a[k], rows), (self.b[k], cols)):
                missing[i] += 0 if mass is w else dense.missing(w, index, mass)
            if not paid[i] > 0:  # what is apart must not look as if it were not
                apart = (self.x[k].numpy()[rows] != self.y[k].numpy()[cols]).any()
                paid[i] = math.inf if apart else 0.0
        return paid, missing

    def _prove(
        self, part: slice, costs: Tensor, g: Tensor, errors: np.ndarray, paid: np.ndarray,
        missing: np.ndarray,
    ) -> None:  # fmt: skip
        """Brackets, as `dense` has them for one problem; slack for sums in any order."""
        room = held("reduced costs of a batch", costs.shape, torch.float64)
        f = torch.sub(costs, g[:, None], out=room).amin(2)
        g = torch.sub(costs, f[:, :, None], out=room).amin(1)
        u, v, a, b = f.numpy(), g.numpy(), self.a[part], self.b[part]
        units = (math.log2(a.shape[1] + b.shape[1]) + 12) * UNIT
        dimension = self.x.shape[2]
        lost = max(_NORMAL, (math.sqrt(dimension) * math.sqrt(_NORMAL)) ** self.p)
        slack = 3 * units * ((a * np.abs(u)).sum(1) + (b * np.abs(v)).sum(1)) + errors + lost
        mass_error = 4 * UNIT + np.abs(a.sum(1) - b.sum(1))
        slack += mass_error * (np.abs(u).max(1) + np.abs(v).max(1))
        charge = units * paid
        if missing.any():
            charge += missing * (costs.amax((1, 2)).numpy() + errors)
        value = (a * u).sum(1) + (b * v).sum(1)
        safe = ((paid > 1 / _SAFE) & (paid < _SAFE)) | (paid == 0)
        low = np.where(safe, value - slack, 0.0)
        lower, upper = brackets(low, np.where(safe, paid + charge, 0.0), self.p)
        off = (dimension / 2 + 5) * UNIT
        lower, upper = lower * (1 - off), upper * (1 + off)
        self.f[part], self.g[part], self.cost[part] = u, v, paid
        self.lower[part], self.upper[part] = lower, upper
        self.closed[part] = safe & ((upper - lower <= dense.AGREED * lower) | (upper == 0))
