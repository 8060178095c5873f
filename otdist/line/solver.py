r"""The exact solver on the line: the monotone plan, what it proves, and the closed form beside it.

The cells of `matching.Walk` carry a plan, and potentials: the cost matrix of sorted points is a
Monge array, so that f and g with f_i + g_j = c_ij along *any* walk are feasible for all pairs
(Hoffman 1963, On simple linear programming problems). With exact masses both give the same number,

.. math::  \sum_k m_k c_k = \sum_i a_i f_i + \sum_j b_j g_j ,

which is therefore W_p^p. Where breakpoints are off by up to τ (`Walk.doubt`), each moves that sum
by at most τ |c_k − c_(k−1)|. Between breakpoints nearer than 2τ to one another, whose order is
unknown, the mass may meet any point of one side with any of the other there.

Rounding slack, outward and in cost units: (log₂ k + 40 + 3p) units of the sum. Costs are in units
of the largest gap where powers would leave the range of floats. The value of `univariate.cost`, a
separate evaluation that gradients go through, is compared with this one; nothing rests on it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from otdist.core.arrays import NUMPY
from otdist.core.certificate import UNIT, between, bracket
from otdist.core.frame import Framed
from otdist.core.measure import SamplePair
from otdist.core.result import Bracket, OTResult, warn_caller
from otdist.core.task import Task
from otdist.core.units import Units, finish
from otdist.line import univariate
from otdist.line.counted import CountedWalk
from otdist.line.matching import Matching, match, match_few, mean_power
from otdist.line.sorting import in_threads

_SAFE = 2.0**900
"""Sums of costs between this and its inverse have neither overflown nor lost terms that count."""
CLOSED = 1e-6
"""Relative gap of a bracket that counts as closed."""
_COUNTED = 1e-10
"""Relative slack up to which counted masses are good enough: 1e-15 at 100 points, 3e-11 at 10^6."""
MESSAGE = "exact: sorted quantiles"
_AGREED = 1e-6
"""Relative difference of two evaluations of one cost, of float64 points divided by a unit."""


class Proved(NamedTuple):
    """What a matching proves.

    Attributes:
        cost: Of the monotone plan, in units of unit**p.
        slack: How far W_p^p can be from it.
        unit: In the units of the points.
        top: The part of the plan that costs most.
        farthest: The distance of the points of x and y that are farthest apart.
    """

    cost: float
    slack: float
    unit: float
    top: int
    farthest: float

    def bracket(self, p: float, scale: float) -> Bracket:
        """The bracket on W_p in the caller's units."""
        ends = self.cost - self.slack, self.cost + self.slack
        proved = bracket(*ends, p, self.unit * scale)
        return between(proved.lower, min(proved.upper, self.farthest * (1 + 4 * UNIT) * scale))


def rounding(points: int, p: float) -> float:
    """Relative slack of a sum of costs over so many points: its terms' own and the sum's."""
    return (math.log2(points) + 40 + 3 * p) * UNIT


def prove(found: Matching, p: float) -> Proved:
    """What the plan of a matching and its potentials prove about W_p^p."""
    proof = _proved(found, p, 1.0)
    if p != 1 and not 1 / _SAFE < proof.cost < _SAFE:
        proof = _proved(found, p, _largest_gap(found))
    return proof


def _settled(found: Matching, p: float, samples: Sequence[Any]) -> tuple[Matching, Proved]:
    """A matching and its proof; with exact masses where counted ones leave it open."""
    proof = prove(found, p)
    if isinstance(found.walk, CountedWalk) and not (
        proof.slack <= _COUNTED * proof.cost < math.inf
    ):
        found = found.exact(*samples[2:])
        proof = prove(found, p)
    return found, proof


def _proved(found: Matching, p: float, unit: float) -> Proved:
    """The proof in units of unit**p, from sums over the parts of the plan."""
    farthest = float(max(found.x[-1] - found.y[0], found.y[-1] - found.x[0]))
    if unit == 0 and not found.walk.doubt:
        return Proved(0.0, 0.0, 1.0, 0, farthest)
    unit = unit or farthest or 1.0
    parts, doubt, top = found.parts(), found.walk.doubt, 0
    if len(parts) == 1:
        cost, powers, lowest = _of_part(found, parts, 0, p, unit)
    else:
        of_parts = np.zeros((3, len(parts)))

        def task(index: int) -> None:
            of_parts[:, index] = _of_part(found, parts, index, p, unit)

        tasks = [partial(task, index) for index in range(len(parts))]
        in_threads(tasks, len(found.x) + len(found.y))
        cost, powers = (float(sums.sum()) for sums in of_parts[:2])
        lowest, top = float(of_parts[2].min()), int(of_parts[0].argmax())
    slack = rounding(len(found.x) + len(found.y), p) * cost
    if doubt:
        doubt = max(doubt, -lowest)
        slack += 8 * doubt * powers
        if lowest <= 3 * doubt:
            slack += _of_clusters(found, doubt, p, unit)
    return Proved(cost, slack, unit, top, farthest)


def _of_part(
    found: Matching, parts: list[slice], index: int, p: float, unit: float
) -> tuple[float, float, float]:
    """The cost of a part in units of unit**p; where masses have a doubt, Σ c and the least mass."""
    x, y, mass = found.quantiles(parts[index])
    gaps, doubt = np.abs(x - y), found.walk.doubt
    if unit != 1:
        gaps /= unit
        if isinstance(mass, np.ndarray):  # the cells that `_of_clusters` answers for
            inner = slice(index == 0, -1 if index == len(parts) - 1 else None)
            gaps[inner][mass[inner] <= 3 * doubt] = 0.0
    cost, costs = mean_power(gaps, mass, p)
    if not doubt:
        return cost, 0.0, 0.0
    return cost, float(np.add.reduce(costs)), float(np.minimum.reduce(mass))


def _largest_gap(found: Matching) -> float:
    """The largest gap that mass crosses for sure."""
    largest, least = 0.0, 3 * found.walk.doubt
    for part in found.parts():
        x, y, mass = found.quantiles(part)
        gaps = np.abs(x - y)
        largest = max(largest, float(gaps.max(initial=0.0, where=np.greater(mass, least))))
    return largest


def _of_clusters(found: Matching, doubt: float, p: float, unit: float) -> float:
    """The slack of breakpoints within three times the doubt of one another, which form a cluster:
    each may move four times the doubt of mass between the farthest points of its cluster.
    """
    rows, cols, mass = found.cells()
    near = np.flatnonzero(mass[1:-1] <= 3 * doubt) + 1
    new = np.diff(near, prepend=-1) > 1
    starts, size = near[new] - 1, np.diff(np.flatnonzero(new), append=len(near)) + 1
    x, y, last = found.x[rows] / unit, found.y[cols] / unit, starts + size
    reach = np.maximum(np.abs(x[last] - y[starts]), np.abs(y[last] - x[starts]))
    with np.errstate(over="ignore"):
        return 4 * doubt * float((size * reach**p).sum())


def solve(task: Task, pair: SamplePair, begin: float) -> OTResult:
    """W_p between samples on the line, with the bracket that its plan and potentials prove.

    Args:
        task: What to solve.
        pair: Its samples, d = 1.
        begin: When the work on it began.
    """
    p = task.p
    x, y = (side.points.detach()[:, 0] for side in (pair.x, pair.y))
    samples = x, y, pair.x.masses, pair.y.masses
    found, proof = _settled(match(*samples, count=True), p, samples)
    proved = proof.bracket(p, task.scale)
    closed, agrees = proved.proves(CLOSED), _agrees(found, proof, p)
    message = MESSAGE
    if not closed:
        message = f"float64 leaves the distance open at p = {p:g}: the bracket is what was proved"
    if not agrees:
        message = (
            "an error in otdist, please report it: the closed form is not the cost of its plan; "
            "the bracket is what the plan proves"
        )
    if not (closed and agrees):
        warn_caller(message)
    cost = _with_graph(proof, pair, p) if task.needs_gradient else proof.cost
    units = Units(p, task.scale * proof.unit, task.kind)
    return _answer(units, samples, proof.unit, cost, proved, message, closed and agrees, begin)


def solve_few(both: Framed, p: float) -> OTResult | None:
    """As `solve` for few plain points, from numpy alone; None where the bracket stays open.

    The distance is the cost of the plan; the closed form, which gradients go through, has no part.
    """
    begin = time.perf_counter()
    samples = both.x[:, 0], both.y[:, 0], both.a, both.b
    _, proof = _settled(match_few(*samples), p, samples)
    proved = proof.bracket(p, both.scale)
    if proved.upper - proved.lower > CLOSED * proved.lower:
        return None
    units = Units(p, both.scale * proof.unit, NUMPY)
    return _answer(units, samples, proof.unit, proof.cost, proved, MESSAGE, True, begin)


def _answer(
    units: Units, samples: Sequence[Tensor | np.ndarray | None], unit: float,
    cost: Tensor | float, proved: Bracket, message: str, converged: bool, begin: float,
) -> OTResult:  # fmt: skip
    return finish(
        units,
        cost,
        proved,
        solver="closed form",
        converged=converged,
        message=message,
        begin=begin,
        potentials=partial(_potentials, units, samples, unit),
        plan=partial(_plan, units, samples),
    )


def _agrees(found: Matching, proof: Proved, p: float) -> bool:
    """Whether the closed form gives the cost of the plan, on the part of it that costs most."""
    x, y, mass = found.quantiles(found.parts()[proof.top])
    weights, share = None, 1.0 if isinstance(mass, np.ndarray) else mass * len(x)
    if isinstance(mass, np.ndarray):
        used = mass > 0  # no power overflows at these
        x, y, mass = x[used], y[used], mass[used]
        weights, share = torch.from_numpy(mass), float(mass.sum())
    value, _ = mean_power(np.abs(x - y) / proof.unit, mass, p)
    x, y = (torch.from_numpy(z / proof.unit) for z in (x, y))
    closed = float(univariate.cost(x, y, p, weights, weights)) * share
    return abs(closed - value) <= _AGREED * value


def _with_graph(proof: Proved, pair: SamplePair, p: float) -> Tensor:
    """The cost in units of unit**p, with the gradients of the closed form."""
    x, y = (side.points[:, 0].double() / proof.unit for side in (pair.x, pair.y))
    a, b = (None if side.uniform else side.weights for side in (pair.x, pair.y))
    value = univariate.cost(x, y, p, a, b)
    return proof.cost + (value - value.detach())


def _potentials(
    units: Units, samples: Sequence[Tensor | np.ndarray | None], unit: float
) -> tuple[Any, Any]:
    x, y, a, b = _tensors(samples)
    return units.potentials(
        *univariate.potentials(x.double() / unit, y.double() / unit, units.p, a, b)
    )


def _plan(units: Units, samples: Sequence[Tensor | np.ndarray | None]) -> Any:
    return match(*_tensors(samples), places=True).arcs().sparse(units.kind)


def _tensors(samples: Sequence[Tensor | np.ndarray | None]) -> list[Any]:
    return [torch.from_numpy(z) if isinstance(z, np.ndarray) else z for z in samples]
