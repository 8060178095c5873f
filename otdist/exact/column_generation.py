r"""Exact transport without a cost matrix: column generation with a proof at the end.

The transport problem has n·m variables P_ij, of which at most n + m − 1 are positive. So it is
solved on a small set A of pairs ("arcs"), and its dual variables are *priced* on all pairs: where
every reduced cost c_ij − f_i − g_j ≥ 0, the plan on A is optimal for the whole problem and (f, g)
prove it. Otherwise the violating pairs join A, and the next round begins (Ford, Fulkerson 1958;
Gilmore, Gomory 1961).

    1. start      potentials of landmarks (`start`), or those of an earlier result
    2. arcs       the nearest pairs by reduced cost of every point, both sides, and some at every
                  larger scale: without them a tenth of the mass found no way at p = 1 in the plane
    3. restrict   optimum on A with dual variables held in a box around the centre (`boxed`)
    4. price      all pairs at the new dual variables, which become the centre (`pricing.below`)
    5. repeat     from 3 until no pair violates and no mass is dropped

Arcs that the box makes redundant (r_ij > s_i + t_j can never be tight) are left out of step 3
without changing it. The box shrinks with the violations that are left, and grows where mass is
dropped: late rounds are small problems in small numbers, and so lose no digits.

Nothing here is trusted: `certificate` recomputes plan and potentials from the points.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from otdist.core.metric import MetricCost
from otdist.core.point_cost import Cost
from otdist.core.result import Arcs
from otdist.core.threads import TimeUpError, until
from otdist.core.widened import widened
from otdist.exact import boxed, leftover
from otdist.exact.boxed import BoxedFlow, Supplies
from otdist.exact.limits import INTERRUPTED, LATE, Limits, Outcome, beyond
from otdist.exact.network_simplex import SimplexError
from otdist.exact.start import usual_start
from otdist.exact.violations import Violations

ROUNDS = 1000  # a bound that no problem seen so far came near to (the most: 30)

# Times in seconds of four problems of 2,500 points (normal clouds of different means and spreads in
# 2 and 10 dimensions, p = 1 and 2), which take 1.9 as it is:
_FARTHER = 4  # further arcs per point and scale at the start; 0: 2.2, 8: 1.9
_NEAREST_ROUGH, _FARTHER_ROUGH = 5, 1  # the same where the bracket need not close: 3, 1 drop mass
_BOX = 30.0  # first box, in units of the spread of a point's nearest arcs; 8: 2.1, 120: 1.7
_SHRINK = 8.0  # later boxes, in units of the worst violation; 2 and 32: 1.8
_MORE = 8  # arcs per point when more pairs violate than there are points; 4 and 16: 1.7
_MORE_TIED = 4
"""The same where points of a metric tie: 4,000 points of cityblock take 0.55 s, with 8 0.60, with 2
0.67; of Chebyshev the same with 3, 4 and 8."""

_WIDEN = 32.0  # growth of all boxes where mass is dropped although no pair violates
_GROW = 8.0  # growth of the box of a point that dropped mass
_ASTRAY = 1e-13  # dropped mass that is rounding
_CLOSED = 1e-11  # relative gap that needs no further round
_RESOLUTION = 1e-14  # relative resolution of the simplex per node


def solve(
    cost: Cost,
    a: Tensor,
    b: Tensor,
    limits: Limits,
    start: Tensor | None = None,
    always: tuple[np.ndarray, np.ndarray] | None = None,
    first: Callable[[Cost, Tensor, Tensor], Tensor] | None = None,
) -> Outcome:
    """Column generation between positive weights.

    Args:
        cost: Shape (n, m); points or a matrix.
        a: Weights of the sources, shape (n,), float64, positive, of sum one.
        b: Weights of the targets, shape (m,), likewise.
        limits: When to stop.
        start: A potential g of the targets to begin from, shape (m,), such as that of a nearby
            problem.
        always: Rows and columns of arcs to begin with, whatever they cost: those of a node.
        first: Finds the potential where none is given; the usual start by default.
    """
    run = _Run(cost, a, b, limits)
    try:
        with until(limits.deadline):
            find = first or usual_start
            run.begin(find(cost, a, b) if start is None else start.double(), always)
            while not run.optimal and run.may_continue():
                run.round()
    except KeyboardInterrupt:
        run.message = INTERRUPTED
    except TimeUpError:
        run.message = LATE
    except SimplexError:
        run.message = beyond(cost.p)
    return run.outcome()


def untried(cost: Cost, a: Tensor, b: Tensor, message: str) -> Outcome:
    """What is known before anything is solved: a plan in the order of one coordinate."""
    return replace(_Run(cost, a, b, Limits()).outcome(), message=message)


class _Run:
    """State of one run: centre (f, g), box (s, t), arcs, and the best evidence so far."""

    def __init__(self, cost: Cost, a: Tensor, b: Tensor, limits: Limits) -> None:
        self.cost, self.limits = widened(cost), limits
        self.a, self.b = a.cpu().numpy(), b.cpu().numpy()
        self.supplies = Supplies.of(self.a, self.b)
        self.violations = Violations(cost)
        self.rounds, self.optimal, self.message = 0, False, ""
        self.worst, self.stalled = np.inf, False
        self.lower, self.upper = -np.inf, np.inf
        self.g_best, self.arcs = np.zeros(len(b)), None
        empty = np.empty(0, np.int64)
        self.sent = empty, empty
        self.flow = BoxedFlow(
            empty, empty, np.empty(0), np.zeros(len(a)), np.zeros(len(b)), self.a, self.b
        )

    def begin(self, g: Tensor, always: tuple[np.ndarray, np.ndarray] | None) -> None:
        """Centre and arcs from a potential g, and the arcs that are always taken."""
        none = np.empty(0, np.int64)
        self.rows, self.cols = (none, none) if always is None else always
        index = self._tensor(self.rows), self._tensor(self.cols)
        self.costs = self.cost.pairs(*index).cpu().numpy()
        self.g_best = g.cpu().numpy()
        rough = self.limits.rtol > 0
        near = (_NEAREST_ROUGH, _FARTHER_ROUGH) if rough else (self.limits.sizes.nearest, _FARTHER)
        self._nearest(g, *near)

    def may_continue(self) -> bool:
        """Whether neither the accuracy asked for nor the deadline is reached."""
        allowed = 0.95 * self.limits.rtol * self.lower
        if self.limits.rtol > 0 and self.upper - self.lower <= allowed:
            self.message = f"the bracket proves rtol = {self.limits.rtol:g}"
            return False
        if self.rounds >= ROUNDS:
            self.message = f"no optimum after {self.rounds} rounds; the bracket is what was proved"
            return False
        if self.stalled:
            self.message = (
                "the bracket is what was proved, for more pairs tie than can be listed: a larger "
                "rtol accepts it"
            )
            return False
        if time.perf_counter() > self.limits.deadline:
            self.message = LATE
            return False
        return True

    def round(self) -> None:
        """One restricted problem and one pricing."""
        # Reduced costs at the centre. An arc dearer than both ends of the box together can never
        # be tight within it: left out, it changes nothing and saves time.
        reduced = self.costs - self.f[self.rows] - self.g[self.cols]
        useful = reduced <= (self.s[self.rows] + self.t[self.cols]) * (1 + 1e-9)
        rows, cols, reduced = self.rows[useful], self.cols[useful], reduced[useful]
        near = self.rounds > 0 or isinstance(self.cost, MetricCost)
        flow = boxed.solve(self.supplies, rows, cols, reduced, (self.s, self.t), near)
        self.flow = flow
        self.rounds += 1
        # The centre moves to the new dual variables. What counts as a violation there is above the
        # resolution of the simplex, in numbers of the size that it met, and above their rounding.
        size = max(float(reduced.max(initial=0.0)), float(self.s.max()), float(self.t.max()))
        self.f, self.g = self.f + flow.u, self.g + flow.v
        rounding = 8 * np.finfo(float).eps * float(np.abs(self.f).max() + np.abs(self.g).max())
        tolerance = max(_RESOLUTION * sum(self.cost.shape) * size, rounding)
        self._upper()
        if not self.may_continue():
            return
        known, lower = len(self.costs), self.lower
        # Every pair is priced. No violation and no dropped mass is the optimum, unless the numbers
        # were so large that their resolution hides a gap: then the next, smaller box shows it.
        self.worst = worst = self._price(tolerance)
        self.stalled = self.violations.hard and len(self.costs) == known and self.lower <= lower
        closed = tolerance == rounding or abs(self.upper - self.lower) <= _CLOSED * self.upper
        self.optimal = worst <= tolerance and not self._dropped and closed
        # The box follows the worst violation down, and grows where it made points drop mass.
        self._resize(worst)
        self.limits.report(
            f"round {self.rounds}, cost in [{self.lower:.6g}, {self.upper:.6g}], "
            f"{len(self.costs):,} arcs"
        )

    def _price(self, tolerance: float) -> float:
        """Add the violating pairs to the arcs; returns the worst violation, or a bound on it."""
        f, g = self._tensor(self.f), self._tensor(self.g)
        found = self.violations.find(f, g, tolerance, self.worst)
        if found is None:
            return self._many(f, g)
        i, j, rest = found
        costs = self.cost.pairs(i, j)
        violation = (f[i] + g[j] - costs).cpu().numpy()
        bad = violation > tolerance
        rows, cols = i.cpu().numpy()[bad], j.cpu().numpy()[bad]
        excess = torch.zeros_like(f).add_(rest).cpu().numpy()
        np.maximum.at(excess, i.cpu().numpy(), violation)
        self._lower(self.f - excess, self.g)
        self._add(rows, cols, costs.cpu().numpy()[bad])
        return float(excess.max())

    def _many(self, f: Tensor, g: Tensor) -> float:
        """The same where more pairs violate than can be listed.

        The centre of a metric stays where it is, since c-transforms in float32 violate as many ties
        again.
        """
        if not isinstance(self.cost, MetricCost):
            return self._nearest(g, _MORE)
        error, pricer = self.violations.error(f, g), self.violations.pricer
        i, j, low, _ = pricer.nearest(g, _MORE_TIED)
        j2, i2, _, _ = pricer.T.nearest(f, _MORE_TIED)
        self._lower((low - error).cpu().numpy(), self.g)
        self._join(*(torch.cat(ends).cpu().numpy() for ends in ((i, i2), (j, j2))))
        return float((f - low).max()) + error

    @property
    def _dropped(self) -> bool:
        """Whether mass went astray, beyond the rounding of its sums."""
        return float(self.flow.dropped_a.sum()) > _ASTRAY

    def _nearest(self, g: Tensor, k: int, far: int = 0) -> float:
        """Centre at the c-transforms of g; the k nearest arcs of every point join."""
        pricer = self.violations.pricer
        i, j, f, spread = pricer.nearest(g, k, far)
        j2, i2, g2, spread2 = pricer.T.nearest(f, k, far)
        worst = max(float((self._tensor(self.f) - f).max()), 0.0) if self.rounds else 0.0
        self.f, self.g = f.cpu().numpy(), g2.cpu().numpy()
        if not self.rounds:
            self.s, self.t = _BOX * spread.cpu().numpy(), _BOX * spread2.cpu().numpy()
            least = 1e-9 + 1e-3 * float(max(self.s.mean(), self.t.mean()))
            self.s, self.t = np.maximum(self.s, least), np.maximum(self.t, least)
        self._lower(self.f, self.g)
        self._join(*(torch.cat(ends).cpu().numpy() for ends in ((i, i2), (j, j2))))
        return worst

    def _join(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Add those pairs that are no arcs yet; returns their reduced costs."""
        m = self.cost.shape[1]
        keys = _absent(rows * m + cols, self.rows * m + self.cols)
        rows, cols = keys // m, keys % m
        costs = self.cost.pairs(self._tensor(rows), self._tensor(cols)).cpu().numpy()
        self._add(rows, cols, costs)
        return costs - self.f[rows] - self.g[cols]

    def _add(self, rows: np.ndarray, cols: np.ndarray, costs: np.ndarray) -> None:
        self.rows = np.concatenate([self.rows, rows])
        self.cols = np.concatenate([self.cols, cols])
        self.costs = np.concatenate([self.costs, costs])

    def _resize(self, worst: float) -> None:
        """Shrink the box with the violations, grow it where mass was dropped."""
        drop_a, drop_b = self.flow.dropped_a > 0, self.flow.dropped_b > 0
        if self._dropped:
            wide = min(float(self.s.min()), float(self.t.min()))
            factor = _WIDEN if worst < 0.1 * wide else 2.0  # nothing violates: the box is all
            self.s, self.t = factor * self.s, factor * self.t
            self.s[drop_a] *= _GROW
            self.t[drop_b] *= _GROW
            # What was sent shows a way and its price. A box of that price lets whole clusters move
            # their dual variables by what it costs to leave them, in one round instead of ten.
            rows, cols = self.sent
            price = float(self._join(rows, cols).max(initial=0.0))
            self.s, self.t = np.maximum(self.s, price), np.maximum(self.t, price)
        else:
            size = max(_SHRINK * worst, 1e-12 * float(self.costs.max()), 1e-300)
            self.s, self.t = np.minimum(self.s, size), np.minimum(self.t, size)

    def _lower(self, f: np.ndarray, g: np.ndarray) -> None:
        value = float(self.a @ f + self.b @ g)
        if value > self.lower:
            self.lower, self.g_best = value, g

    def _upper(self) -> None:
        """Cost of the flow with its dropped mass sent along the line."""
        arcs = self._repaired()
        value = float(self.cost.pairs(arcs.rows, arcs.cols) @ arcs.mass)
        if value <= self.upper:
            self.upper, self.arcs = value, arcs

    def _repaired(self) -> Arcs:
        """The flow, with what sources dropped sent to the targets that lack it."""
        rows, cols, mass = self.flow.rows, self.flow.cols, self.flow.mass
        i, j = np.flatnonzero(self.flow.dropped_a), np.flatnonzero(self.flow.dropped_b)
        if len(i) and len(j):
            left, lack = self.flow.dropped_a[i], self.flow.dropped_b[j]
            sent = leftover.send(self.cost, i, j, left, lack)
            self.sent = sent[:2]
            both = zip((rows, cols, mass), sent, strict=True)
            rows, cols, mass = (np.concatenate(parts) for parts in both)
        return Arcs(
            self._tensor(rows), self._tensor(cols), self._tensor(mass), (len(self.a), len(self.b))
        )

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.cost.device)

    def outcome(self) -> Outcome:
        """The best evidence so far."""
        arcs = self.arcs or self._repaired()
        if self.optimal:
            message = "exact: no pair violates the dual"
            f, g = self._tensor(self.f), self._tensor(self.g)
            return Outcome(arcs, g, self.rounds, True, message, f)
        return Outcome(arcs, self._tensor(self.g_best), self.rounds, False, self.message)


def _absent(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Each of `keys` that is not among `known`, once, ascending.

    By sorting: np.setdiff1d takes 0.7 s for 10^5 keys of NumPy 2.4, which it hashes.
    """
    keys = np.sort(keys)
    keys = keys[np.flatnonzero(np.diff(keys, prepend=-1))]
    known = np.append(np.sort(known), -1)
    return keys[known[known[:-1].searchsorted(keys)] != keys]
