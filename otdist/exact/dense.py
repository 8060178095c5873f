r"""Exact transport by way of the full matrix: costs, solver, proof; in smaller units if need be.

Costs are relative to a unit of distance t: c_ij = (‖x_i − y_j‖ / t)^p, at first about the size of
the samples. Where W_p is so small beside them that float64 cannot tell small costs apart (a large
p, or points that nearly coincide), the bracket stays open. Then the problem is solved again with
the size of W_p, as the best plan so far has it, for t, and with costs cut off at a cap. Potentials
that are feasible for these lower costs are feasible; the plan is paid for in full.

The bracket is evaluated from the points. Distances by direct differences are off by (d/2 + 5) units
u = 2⁻⁵³ of themselves, which moves W_p by no more; costs by a matrix product carry a bound on their
error. What follows is two c-transforms and one sum over the plan, as in `certificate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components

from otdist.core.certificate import UNIT, between, bracket
from otdist.core.cost import Cost
from otdist.core.metric import MetricCost
from otdist.core.point_cost import PointCost
from otdist.core.result import Bracket
from otdist.exact import cost_matrix, matrix
from otdist.exact.cost_matrix import room
from otdist.exact.network_simplex import Flow

AGREED = 1e-6
"""Relative width of a bracket that counts as closed."""

_CHANGES = 40  # of the unit, at most: each follows a better plan or a better bound
_SEEN = 10  # bits by which costs may differ and be seen well beside one another
_CAP = 2.0**40  # of costs in units of t^p
_TIGHT = 1e-12  # share of the cost that what is missing may be charged
_PROGRESS = 1e-9  # relative, of an end of the bracket
_ROUNDED = 2.0**-46  # mass that the rounding of weights may move across the samples
_NORMAL = 2.0**-1022  # the least number that carries all its digits
_SUBNORMAL = 2.0**-1070  # a few of the least number that there is


@dataclass(frozen=True)
class Evidence:
    """What was found.

    Attributes:
        rows: Sources of the plan, shape (k,).
        cols: Their targets.
        mass: What moves between them.
        f: Potential of the sources, shape (n,), feasible together with
        g: the potential of the targets, shape (m,); both in units of t^p.
        cost: Cost of the plan, in units of t^p.
        unit: t, in scaled units.
        bracket: On W_p, in the caller's units.
    """

    rows: np.ndarray
    cols: np.ndarray
    mass: np.ndarray
    f: np.ndarray
    g: np.ndarray
    cost: float
    unit: float
    bracket: Bracket

    @property
    def closed(self) -> bool:
        """Whether both ends of the bracket agree."""
        lower, upper = self.bracket.lower, self.bracket.upper
        return upper - lower <= AGREED * lower or upper == 0


def solve(
    cost: Cost,
    a: np.ndarray,
    b: np.ndarray,
    uniform: bool,
    scale: float,
    start: np.ndarray | None = None,
) -> Evidence:
    """An optimal plan and potentials, with what they prove.

    Args:
        cost: Shape (n, m), float64, on the CPU.
        a: Weights of the sources, shape (n,), positive, of sum one.
        b: Weights of the targets, shape (m,), likewise.
        uniform: What `matrix.is_assignment` says.
        scale: Distances in the caller's units are so many times larger.
        start: A potential of the targets near an optimal one, shape (m,).
    """
    problem = _Problem(cost, a, b, uniform, scale)
    values, error, unit = cost_matrix.costs(cost)
    flow = problem.solve(values, start if unit == 1 else None)
    paid, owed = values[flow.rows, flow.cols], error
    if error > _TIGHT * float(paid.dot(flow.mass)):
        paid, owed = cost_matrix.paid(cost, flow.rows, flow.cols), 0.0
    best = problem.prove(values, flow, paid, unit, error=error, owed=owed)
    if best.closed or isinstance(cost, MetricCost):
        return best
    return _in_smaller_units(problem, best)


def _in_smaller_units(problem: _Problem, best: Evidence) -> Evidence:
    """Solve again in units of the distance so far, until the bracket is closed or stays as it is.

    Where the ends are too far apart for float64 to see both, the unit lies between them: either the
    new plan is better, or no plan is.
    """
    cost, p = problem.cost, problem.cost.p
    apart = cost_matrix.distances(cost) if isinstance(cost, PointCost) else cost.dense().numpy()
    for step in range(_CHANGES):
        used = apart[best.rows, best.cols]
        unit = float((used * best.mass ** (1 / p)).max())  # W_p up to the root of the arcs
        if best.closed or unit == 0:
            break
        old = best.bracket
        if step > 0 and p * math.log2(old.upper / max(old.lower, _NORMAL)) > _SEEN:
            unit = (old.lower / problem.scale + unit) / 2
        with np.errstate(over="ignore", under="ignore"):
            cap = min(max(2.0**_SEEN, 16 * (used.max() / unit) ** p), _CAP)
            values = np.minimum(apart / unit, cap ** (1 / p)) ** p
            flow = problem.solve(values)
            paid = (apart[flow.rows, flow.cols] / unit) ** p
            largest = float((apart.max() / unit) ** p)
            found = problem.prove(values, flow, paid, unit, largest, least=_SUBNORMAL)
        new = found.bracket
        ends = between(max(old.lower, new.lower), min(old.upper, new.upper))
        kept = found if new.upper <= old.upper else best
        best = replace(kept, bracket=ends)
        if ends.upper > (1 - _PROGRESS) * old.upper and ends.lower < (1 + _PROGRESS) * old.lower:
            break
    return _restated(best, apart[best.rows, best.cols], p)


def _restated(found: Evidence, used: np.ndarray, p: float) -> Evidence:
    """The same plan in a unit in which its cost is a number; with potentials that need no unit."""
    unit = float((used * found.mass ** (1 / p)).max())
    if 0 < found.cost < math.inf or unit == 0:
        return found
    cost = float((used / unit) ** p @ found.mass)
    return replace(found, f=np.zeros_like(found.f), g=np.zeros_like(found.g), cost=cost, unit=unit)


@dataclass(frozen=True)
class _Problem:
    """What does not change with the unit; arguments of `solve`."""

    cost: Cost
    a: np.ndarray
    b: np.ndarray
    uniform: bool
    scale: float

    def solve(self, values: np.ndarray, start: np.ndarray | None = None) -> Flow:
        """A plan and a potential for costs in any unit."""
        a, b, plane = self.a, self.b, cost_matrix.in_plane(self.cost)
        flat = plane and self.cost.p < 2  # distances, along which mass travels far
        if not self.uniform:
            b = b * (np.add.reduce(a) / np.add.reduce(b))  # the simplex asks for equal sums
        tied, uniform = isinstance(self.cost, MetricCost), self.uniform
        return matrix.solve(
            values, a, b, uniform=uniform, flat=flat, plane=plane, start=start, tied=tied
        )

    def prove(
        self, values: np.ndarray, flow: Flow, paid: np.ndarray, unit: float,
        largest: float | None = None, error: float = 0.0, least: float = math.sqrt(_NORMAL),
        owed: float = 0.0,
    ) -> Evidence:  # fmt: skip
        """The bracket that a plan and a potential of the targets prove.

        Args:
            values: Costs in units of `unit`, at most the true ones up to `error`.
            flow: The plan, with f and g.
            paid: Costs of the arcs of the plan, at least the true ones less `owed`.
            unit: t.
            largest: At least every true cost; None where the largest value is, up to the error.
            error: As said.
            least: Differences of coordinates below this may be missing from distances.
            owed: As said.
        """
        a, b, cost = self.a, self.b, self.cost
        points = isinstance(cost, PointCost)
        metric = not points and isinstance(cost, MetricCost)
        f, g = flow.f, _lowest(values, flow.f)
        units = (math.log2(len(a) + len(b)) + 12) * UNIT
        value, dual = float(paid.dot(flow.mass)), float(a.dot(f) + b.dot(g))
        if not value - dual <= _TIGHT * value:  # f may be too low where mass is small
            f = np.minimum.reduce(values - flow.g, 1)
            g = _lowest(values, f)
            dual = float(a.dot(f) + b.dot(g))
        size_f, size_g = np.abs(f), np.abs(g)
        lost = 0.0
        if points:
            lost = max(_NORMAL, (math.sqrt(cost.dimension) * least / unit) ** cost.p)
        elif metric:
            lost = cost.underflow
        mass_error = 4 * UNIT
        if a is not b:
            mass_error += abs(float(np.add.reduce(a) - np.add.reduce(b)))
        slack = 3 * units * float(a.dot(size_f) + b.dot(size_g)) + error + lost
        slack += mass_error * float(np.maximum.reduce(size_f) + np.maximum.reduce(size_g))
        missed = missing(a, flow.rows, flow.mass) + missing(b, flow.cols, flow.mass)
        charge = units * value + owed * float(np.add.reduce(flow.mass))
        if missed > 0:
            if largest is None:
                largest = float(np.maximum.reduce(values, None))
            along = missed * (largest + error)
            if along > _TIGHT * value:
                along = min(along, self._rerouted(flow, paid, missed + 4 * units))
            charge += along
        if metric:
            slack, charge = slack + cost.error, charge + cost.error
        if value * UNIT < lost and self._hidden(flow, paid < lost):
            charge += 2 * lost
        off = 0.0
        if points or metric:  # distances, and their unit, are rounded
            off = (cost.dimension / 2 + (5 if points else 12)) * UNIT
        ends = bracket(dual - slack, value + charge, cost.p, unit * self.scale, off)
        return Evidence(flow.rows, flow.cols, flow.mass, f, g, value, unit, ends)

    def _rerouted(self, flow: Flow, paid: np.ndarray, missing: float) -> float:
        """What it costs to move missing mass along arcs of the plan; inf where they do not reach.

        On a spanning tree no arc then carries more than all that is missing.
        """
        n, m = len(self.a), len(self.b)
        missing += abs(float(self.a.sum()) - 1) + abs(float(self.b.sum()) - 1)
        if len(flow.rows) < n + m - 1 or not flow.mass.min() > missing:
            return math.inf
        arcs = scipy.sparse.coo_array((flow.mass, (flow.rows, flow.cols + n)), (n + m, n + m))
        pieces = connected_components(arcs, directed=False, return_labels=False)
        return 2 * missing * float(paid.sum()) if pieces == 1 else math.inf

    def _hidden(self, flow: Flow, faint: np.ndarray) -> bool:
        """Whether points that are apart look as if they were not."""
        assert isinstance(self.cost, PointCost | MetricCost)
        x, y = self.cost.x.numpy(), self.cost.y.numpy()
        return bool((x[flow.rows[faint]] != y[flow.cols[faint]]).any())


def is_rounding(upper: float, cost: Cost, scale: float) -> bool:
    """Whether a distance is no more than what the rounding of weights, or of points, may move."""
    power = 1 / min(cost.p, 4.0)  # beyond, a distance is not small for this reason
    weights = _ROUNDED**power * cost.largest ** (1 / cost.p)
    return upper <= max(weights, 2 * cost.error ** (1 / cost.p)) * scale


def missing(weights: np.ndarray, index: np.ndarray, mass: np.ndarray) -> float:
    """How far the plan misses the weights, with the rounding of its own sums."""
    n = len(weights)
    off = np.bincount(index, mass, n)
    off -= weights
    missed = float(np.add.reduce(np.abs(off, out=off)))
    if len(index) == n:
        return missed
    return missed + UNIT * float(np.maximum.reduce(np.bincount(index)))


def _lowest(values: np.ndarray, f: np.ndarray) -> np.ndarray:
    """min_i c_ij − f_i, (m,): numpy finds minima of columns in half the time of those of rows."""
    reduced = np.subtract(values, f[:, None], out=room("reduced costs", values.shape))
    return np.minimum.reduce(reduced)
