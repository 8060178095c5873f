r"""A certified bracket on W_p from slices: what projections prove about the whole.

For unit θ the projection z ↦ ⟨θ, z⟩ is 1-Lipschitz, so W_p ≥ W_p(θ). Several directions prove more.
Let Λ be the largest eigenvalue of Σ_k θ_k θ_kᵀ (1 for an orthonormal set). Under the optimal plan
of x and y, with z = x − y,

.. math:: \sum_k |⟨θ_k, z⟩|^p \le s^{(1 - p/2)_+} \, Λ^{p/2} \, \|z\|^p ,

by ℓ_p ≤ ℓ_2 for p ≥ 2, by Hölder for p < 2, s being the number of directions. The expectation of
the left side is at least Σ_k W_p^p(θ_k), which gives a lower bound on W_p^p. Further lower bounds:
the distance of the means (every p), and, for p ≥ 2 through W_2 ≤ W_p, the means and covariances
(Gelbrich 1990, On a formula for the L² Wasserstein metric).

Upper: matching the sorted orders of both samples along any line is a feasible plan.

Everything is evaluated in float64 from the original points: a slice by potentials along the walk of
its breakpoints, as in `line.solver`, and not by `univariate.cost`. Rounding slack, outward: (d + 8)
units of the largest norm for a projected distance, 64 + 8p units relative for the sums, and for
given weights the rounding of their cumulative sums times the variation of the cost along the walk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core.certificate import UNIT, between, bracket, upper_from_plan
from otdist.core.measure import SamplePair
from otdist.core.point_cost import PointCost
from otdist.core.result import Arcs, Bracket
from otdist.line import univariate
from otdist.line.matching import match
from otdist.line.sorting import sort_
from otdist.line.staircase import HIGH, breakpoint_error, power
from otdist.sliced.slices import BatchPair, of_slices

_PLAN_WORK = 2e9
"""Coordinates that the search for the best slice plan may touch; about 5 s of one core."""
_SETS = 64
"""Sets of directions whose joint bound is evaluated, the largest means first."""
_CHUNK = 1 << 18
"""Arcs whose lengths are computed at a time."""


def detached(pair: SamplePair) -> SamplePair:
    """The pair without its graph, as a result can hold and pickle it."""
    x = replace(pair.x, points=pair.x.points.detach(), weights=pair.x.weights.detach())
    y = replace(pair.y, points=pair.y.points.detach(), weights=pair.y.weights.detach())
    return replace(pair, x=x, y=y)


def scaled(pair: SamplePair, unit: float) -> SamplePair:
    """The pair in units of about `unit`, a power of two: no point is rounded."""
    if unit in (0, 1):
        return pair
    unit = math.ldexp(1.0, math.frexp(unit)[1])
    x, y = (replace(side, points=side.points.double() / unit) for side in (pair.x, pair.y))
    return replace(pair, x=x, y=y, scale=pair.scale * unit)


def of_plan(pair: SamplePair, p: float, rows: np.ndarray) -> SamplePair:
    """The pair in units of the longest arc of the plan along the first of `rows` where p is high.

    No slice costs more than one unit then, and the plan less than overflows.
    """
    if p <= HIGH:
        return pair
    x, y = (z.points.detach().double() for z in (pair.x, pair.y))
    direction = torch.from_numpy(rows[0]).to(x)
    arcs = match(x @ direction, y @ direction, pair.x.masses, pair.y.masses, places=True).arcs()
    return scaled(pair, float((x[arcs.rows] - y[arcs.cols]).norm(dim=1).max()))


@dataclass(frozen=True)
class SliceBounds:
    """What slices prove about W_p^p, in scaled units.

    Attributes:
        lower: Lower bound on the cost, slack subtracted.
        upper: Upper bound on the cost, slack added.
        value: Cost of the best slice plan, without slack.
        arcs: That plan.
        best: The direction of the largest slice, (d,) float64.
    """

    lower: float
    upper: float
    value: float
    arcs: Arcs
    best: Tensor

    def bracket(self, pair: SamplePair, p: float) -> Bracket:
        """The bracket on W_p in the caller's units; no mass leaves the box around all points."""
        points = torch.cat([pair.x.points, pair.y.points]).double()
        diagonal = float((points.amax(0) - points.amin(0)).norm()) * (1 + 1e-12)
        proved = bracket(self.lower, self.upper, p, pair.scale)
        return between(proved.lower, min(proved.upper, diagonal * pair.scale))


def prove(pair: SamplePair, p: float, rows: np.ndarray, replicate: np.ndarray) -> SliceBounds:
    """The bounds from directions `rows` (L, d) and from bases adapted to the moments.

    Args:
        pair: Both samples, without a graph.
        p: Exponent.
        rows: Unit rows; their actual lengths enter the bounds.
        replicate: Which rows belong to one set, (L,).
    """
    x, y = pair.x.points.double(), pair.y.points.double()
    samples = BatchPair(x[None], y[None], *_weights(pair))
    if x.shape[1] == 1:
        rows, replicate = rows[:1], replicate[:1]
    sets = sets_of(replicate, x.shape[1])
    directions = torch.from_numpy(np.ascontiguousarray(rows)).to(x.device)
    basis = principal_axes(x, y, pair)
    directions = torch.cat([directions, basis])
    sets.append(np.arange(len(rows), len(directions)))
    slack = Slack.of(samples, p)
    slices = sure_costs(samples, directions, p)
    lower = max(joint_bound(slices, directions, sets, p, slack), _mean_bound(pair, x, y, p))
    if p > 2:
        squares = sure_costs(samples, directions, 2.0)
        of_squares = joint_bound(squares, directions, sets, 2.0, Slack.of(samples, 2.0))
        lower = max(lower, of_squares ** (p / 2))
    if p >= 2:
        lower = max(lower, _moment_bound(pair, x, y) ** (p / 2))
    cost = PointCost(x, y, p)
    arcs = _best_plan(pair, x, y, p, directions[torch.argsort(slices, descending=True)])
    value, upper = upper_from_plan(cost, pair.x.weights, pair.y.weights, arcs)
    return SliceBounds(lower, upper, value, arcs, directions[int(slices.argmax())])


def slice_bracket(pair: SamplePair, p: float, rows: np.ndarray, replicate: np.ndarray) -> Bracket:
    """`prove` as a bracket on W_p in the caller's units."""
    pair = of_plan(pair, p, rows)
    return prove(pair, p, rows, replicate).bracket(pair, p)


def _weights(pair: SamplePair) -> tuple[Tensor | None, Tensor | None]:
    """Weights with a batch axis; None where uniform."""
    a = None if pair.x.uniform else pair.x.weights.detach()[None]
    b = None if pair.y.uniform else pair.y.weights.detach()[None]
    return a, b


def sure_costs(samples: BatchPair, directions: Tensor, p: float) -> Tensor:
    """Lower bounds on W_p^p of the slices of one pair (B = 1), (L,), up to their relative rounding.

    Σ m c is the value of potentials along the walk; breakpoints that move by τ change it by at most
    τ Σ_k |c_k − c_(k−1)|.
    """

    def bound(px: Tensor, py: Tensor, a: Tensor | None, b: Tensor | None, stairs: Any) -> Tensor:
        if a is None and b is None:
            sort_(px, py)
            gaps, mass = univariate.differences_of_sorted(px, py, stairs=stairs)
            return power(gaps, p).mean(-1) if mass is None else (power(gaps, p) * mass).sum(-1)
        gaps, mass = univariate.differences(px, py, a, b)
        assert mass is not None, "weights were given"
        costs, error = power(gaps, p), breakpoint_error(px.shape[-1], py.shape[-1])
        sure = (costs * mass).sum(-1) - error * costs.diff(dim=-1).abs().sum(-1)
        return sure.nan_to_num(0.0, 0.0, 0.0)  # what has overflown proves nothing

    return of_slices(samples, directions, bound)[0]


@dataclass(frozen=True)
class Slack:
    """Rounding of slice costs: of a projected distance, and relative."""

    distance: float
    relative: float

    @staticmethod
    def of(samples: BatchPair, p: float) -> Slack:
        """The slack of slices by `sure_costs`."""
        x, y = samples.x, samples.y
        radius = max(float(x.norm(dim=-1).max()), float(y.norm(dim=-1).max()))
        return Slack((x.shape[2] + 8) * 2 * UNIT * radius, (64 + 8 * p) * UNIT)


def sets_of(replicate: np.ndarray, d: int) -> list[np.ndarray]:
    """Sets of directions to bound with: replicates, runs of d rows, and all of them."""
    whole = np.arange(len(replicate))
    runs = [whole[i : i + d] for i in range(0, len(whole), d)]
    return np.split(whole, np.flatnonzero(np.diff(replicate)) + 1) + runs + [whole]


def joint_bound(
    slices: Tensor, directions: Tensor, sets: list[np.ndarray], p: float, slack: Slack
) -> float:
    """The largest lower bound on W_p^p among the sets, and among their best slices for p < 2."""
    sure = slices.clamp(min=0).pow(1 / p) - slack.distance
    sure = sure.clamp(min=0).pow(p) * (1 - slack.relative)
    lengths = (directions * directions).sum(1) * (1 + 16 * UNIT)
    best = float((sure / lengths.pow(p / 2)).max())
    sums = sure.cpu().numpy()
    several = [index for index in sets if len(index) > 1]
    several.sort(key=lambda index: -float(sums[index].mean()))
    for index in several[:_SETS]:
        rows = directions[torch.from_numpy(index).to(directions.device)]
        best = max(best, _set_bound(sums[index], rows, p))
    return best


def _set_bound(sums: np.ndarray, rows: Tensor, p: float) -> float:
    gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    largest = float(torch.linalg.eigvalsh(gram)[-1]) * (1 + 16 * (len(gram) + rows.shape[1]) * UNIT)
    if p >= 2:
        return float(sums.sum()) * math.exp(-p / 2 * math.log(largest)) * (1 - 8 * p * UNIT)
    # Fewer directions than the set has obey the same Λ; Hölder asks for the best number of them.
    ranked = np.cumsum(np.sort(sums)[::-1])
    number = np.arange(1, len(ranked) + 1)
    return float((ranked * number ** (p / 2 - 1)).max()) / largest ** (p / 2)


def _mean_bound(pair: SamplePair, x: Tensor, y: Tensor, p: float) -> float:
    shift = float((pair.x.weights @ x - pair.y.weights @ y).norm())
    size = float(pair.x.weights @ x.norm(dim=1) + pair.y.weights @ y.norm(dim=1))
    slack = 4 * (math.log2(len(x) + len(y)) + 16) * UNIT * size
    return max(shift - slack, 0.0) ** p * (1 - (64 + 8 * p) * UNIT)


def _moment_bound(pair: SamplePair, x: Tensor, y: Tensor) -> float:
    """Gelbrich: W_2² ≥ |Δ|² + tr Σ_x + tr Σ_y − 2 ‖R_x R_yᵀ‖_* with Σ = RᵀR, R from a QR.

    The nuclear norm of the factors avoids the square root of a nearly singular covariance, whose
    rounding would be of order sqrt(u).
    """
    shift = pair.x.weights @ x - pair.y.weights @ y
    factor_x, factor_y = _factor(x, pair.x.weights), _factor(y, pair.y.weights)
    spread = float(factor_x.norm() ** 2 + factor_y.norm() ** 2)
    nuclear = float(torch.linalg.svdvals(factor_x @ factor_y.T).sum())
    size = spread + float(shift @ shift) + _mean_square(x) + _mean_square(y)
    slack = 16 * (x.shape[1] + math.log2(len(x) + len(y)) + 16) * UNIT * size
    return max(float(shift @ shift) + spread - 2 * nuclear - slack, 0.0)


def _mean_square(points: Tensor) -> float:
    return float((points * points).sum(1).mean())


def _factor(points: Tensor, weights: Tensor) -> Tensor:
    """R with RᵀR the covariance (divided by the total weight)."""
    centred = (points - weights @ points) * weights.sqrt()[:, None]
    return torch.linalg.qr(centred, mode="r").R


def principal_axes(x: Tensor, y: Tensor, pair: SamplePair) -> Tensor:
    """An orthonormal basis (d, d) of axes along which the second moments of x and y differ."""
    a, b = pair.x.weights, pair.y.weights
    shift = a @ x - b @ y
    moment_x = ((x - a @ x) * a[:, None]).T @ x
    moment_y = ((y - b @ y) * b[:, None]).T @ y
    difference = moment_x - moment_y
    difference = (difference + difference.T) / 2
    return torch.linalg.eigh(difference + shift[:, None] * shift).eigenvectors.T.contiguous()


def _best_plan(pair: SamplePair, x: Tensor, y: Tensor, p: float, directions: Tensor) -> Arcs:
    """The cheapest plan that the order along one of the directions induces."""
    a, b = pair.x.masses, pair.y.masses
    number = int(_PLAN_WORK // ((len(x) + len(y)) * (x.shape[1] + 20)))
    best: tuple[float, Arcs | None] = (math.inf, None)
    for direction in directions[: max(1, number)]:
        arcs = match(x @ direction, y @ direction, a, b, places=True).arcs()
        value = _plan_cost(x, y, p, arcs)
        if value < best[0] or best[1] is None:
            best = (value, arcs)
    assert best[1] is not None
    return best[1]


def _plan_cost(x: Tensor, y: Tensor, p: float, arcs: Arcs) -> float:
    total = x.new_zeros(())
    for start in range(0, len(arcs.mass), _CHUNK):
        part = slice(start, start + _CHUNK)
        gaps = x[arcs.rows[part]] - y[arcs.cols[part]]
        total += gaps.square_().sum(1).pow_(p / 2) @ arcs.mass[part]
    return float(total)
