r"""Evidence becomes a bracket: dual potentials bound W_p^p from below, a plan from above.

* **Lower.** Any f, whoever made it, gives g_j = min_i c_ij − f_i and then, improving it,
  f_i = min_j c_ij − g_j. The pair is feasible, so Σ a f + Σ b g ≤ W_p^p by weak duality.
* **Upper.** The cost of any plan whose marginals are a and b, and what underflow may have hidden.

Both are evaluated in float64 from the points, which `measure` stores without rounding. The
rounding slack counts the operations behind each term, u = 2⁻⁵³ apiece: (d + log₂(n + m) + 12)
units of the terms' absolute values. A plan whose marginals miss a and b by a total mass r is
charged r times the largest cost. Slack is added outward in cost units, before the root.
"""

from __future__ import annotations

import math
import sys
import threading
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from otdist.core import below, places, pruned
from otdist.core.cost import negative, where
from otdist.core.metric import MetricCost
from otdist.core.point_cost import Cost, MatrixCost, PointCost
from otdist.core.result import Arcs, Bracket
from otdist.core.threads import each
from otdist.core.widened import widened

UNIT = 2.0**-53

LISTED = 16
"""Pairs per point that are worth listing one by one."""

SETTLED_PAIRS = 2**30
"""Below so many pairs, costs in many dimensions are exact to their last digits. Above, where no
evidence is as good as that, they may be too low by the rounding of their expansion, in a third of
the time: 10,000 by 10,000 points in 16 dimensions."""

_FEW_PAIRS = 2**20
_SMALL_BLOCK = (
    2**16
)  # entries of a block for few pairs: memory that the allocator keeps, 0.5 ms less


class ContradictionError(RuntimeError):
    """Two proofs of otdist contradict each other: an error in otdist, not in its input."""


@dataclass(frozen=True)
class DualBound:
    """A certified lower bound on the optimal cost, and the potentials that prove it.

    Attributes:
        cost: Lower bound in scaled cost units, slack already subtracted (may be negative).
        value: The dual value Σ a f + Σ b g before the slack.
        f: Shape (n,), float64.
        g: Shape (m,), float64; f_i + g_j ≤ c_ij up to one rounding.
    """

    cost: float
    value: float
    f: Tensor
    g: Tensor


def lower_from_potentials(
    cost: Cost,
    a: Tensor,
    b: Tensor,
    *,
    f: Tensor | None = None,
    g: Tensor | None = None,
    settled: int = SETTLED_PAIRS,
    quick: bool = False,
) -> DualBound:
    """The best bound within reach of a potential on either side: two c-transforms, O(n·m·d).

    Args:
        cost: Ground cost; calculated in float64.
        a: Weights of the sources, shape (n,).
        b: Weights of the targets, shape (m,).
        f: Any potential of the sources, shape (n,), feasible or not, −inf where unknown; or
        g: any potential of the targets, shape (m,).
        settled: Number of pairs from which costs in many dimensions are bounded from below by
            their expansion, instead of being settled by direct differences.
        quick: Bound the costs of points by their expansion in float32, and transform once: the
            other potential stays as it is. A tenth of the time, for brackets that need not close.
    """
    if (f is None) == (g is None):
        raise ValueError("pass one of f and g: the other side follows by c-transform")
    cost, a, b = widened(cost), a.detach().double(), b.detach().double()
    transform = partial(_quick if quick else transforms, settled=settled)
    if f is not None:
        g, f = transform(cost.T, _usable(f))
    else:
        assert g is not None
        f, g = transform(cost, _usable(g))
    return _bound(cost, a, b, f, g)


def _bound(cost: Cost, a: Tensor, b: Tensor, f: Tensor, g: Tensor) -> DualBound:
    """What feasible potentials prove; all in float64."""
    value = float(a @ f + b @ g)
    # c at the arg-min is f + g there, so that |f| and |g| bound every term of the transforms.
    size = float(a @ f.abs() + b @ g.abs())
    spread = float(f.abs().max() + g.abs().max()) * UNIT
    slack = rounding_units(cost) * UNIT * 3 * size + spread * _mass_error(a, b)
    return DualBound(value - slack - cost.underflow - cost.error, value, f, g)


def lower_from_both(cost: Cost, a: Tensor, b: Tensor, f: Tensor, g: Tensor) -> DualBound | None:
    """The bound of two potentials that are feasible but for a few pairs, where `Cost.signs` are.

    Every pair that may violate f_i + g_j ≤ c_ij is found by the sign of a product, and f_i is
    lowered to c_ij − g_j there: between 4,000 by 4,000 directions a tenth of the time of two
    transforms, which take all angles.

    Args:
        cost: Ground cost; calculated in float64.
        a: Weights of the sources, shape (n,).
        b: Weights of the targets, shape (m,).
        f: A potential of the sources, shape (n,), finite; and
        g: one of the targets, shape (m,), finite.

    Returns:
        None where there is no such product, or where more pairs are found than are worth a list.
    """
    cost, f, g = widened(cost), f.detach().double(), g.detach().double()
    factors = cost.signs(f, g)
    if factors is None:
        return None
    most, listed = LISTED * sum(cost.shape), [0]
    found: list[tuple[Tensor, Tensor]] = []

    def block(part: slice) -> None:
        if listed[0] > most:
            return
        i, j = where(negative(factors[0][part], factors[1]), part.start)
        found.append((i, j))
        listed[0] += len(i)

    each(cost.parts(), block, cost.device)
    if listed[0] > most:
        return None
    i, j = (torch.cat(ends) for ends in zip(*found, strict=True))
    f = f.scatter_reduce(0, i, cost.pairs(i, j) - g[j], "amin")
    return _bound(cost, a.detach().double(), b.detach().double(), f, g)


def lower_from_means(cost: Cost, a: Tensor, b: Tensor) -> DualBound:
    r"""The bound that the means of both samples prove, in O((n + m) d): where time is short.

    ‖z‖^p is convex, so that its tangent at the difference r·θ of the means lies below it:

        ‖x − y‖^p ≥ p r^(p−1) ⟨θ, x − y⟩ − (p − 1) r^p,   f = p r^(p−1) ⟨θ, x⟩ − (p − 1) r^p.

    Args:
        cost: Ground cost; of other than points, the bound is zero.
        a: Weights of the sources, shape (n,).
        b: Weights of the targets, shape (m,).
    """
    a, b = a.detach().double(), b.detach().double()
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    if not isinstance(cost, PointCost):
        return DualBound(0.0 - cost.error, 0.0, f, g)  # of no error: 0, where −0 would be shown
    x, y, p = cost.x.double(), cost.y.double(), cost.p
    apart = a @ x - b @ y
    r = float(apart.norm())
    slope = p * r ** (p - 1) * (apart / r) if r > 0 else apart
    f, g = x @ slope - (p - 1) * r**p, -(y @ slope)
    value = float(a @ f + b @ g)
    size = float(a @ f.abs() + b @ g.abs()) + p * r**p
    size += float(a @ (x.abs() @ slope.abs()) + b @ (y.abs() @ slope.abs()))  # of both signs
    spread = float(f.abs().max() + g.abs().max()) * UNIT
    slack = rounding_units(cost) * UNIT * 3 * size + spread * _mass_error(a, b)
    return DualBound(value - slack - cost.underflow, value, f, g)


def upper_from_plan(cost: Cost, a: Tensor, b: Tensor, arcs: Arcs) -> tuple[float, float]:
    """Cost of a feasible plan, and the same with its rounding slack added; scaled units.

    Args:
        cost: Ground cost; calculated in float64.
        a: Weights of the sources, shape (n,).
        b: Weights of the targets, shape (m,).
        arcs: The plan.
    """
    cost = widened(cost)
    costs = cost.pairs(arcs.rows, arcs.cols)
    value = float(costs @ arcs.mass)
    missing = _residual(a, arcs.rows, arcs.mass) + _residual(b, arcs.cols, arcs.mass)
    slack = rounding_units(cost) * UNIT * value + underflow(cost, arcs, costs) + cost.error
    if missing > 0:
        slack += missing * cost.largest
    return value, value + slack


def bracket(lower: float, upper: float, p: float, scale: float, off: float = 0.0) -> Bracket:
    """The bracket on W_p in the caller's units from bounds on the cost in scaled units.

    Args:
        lower: Slack already subtracted; 0 is what an end that is negative or not finite proves.
        upper: Slack already added; inf where nothing is known.
        p: Exponent.
        scale: Distances in the caller's units are so many times larger.
        off: Share of themselves by which distances may be wrong.

    Raises:
        ContradictionError: lower is above upper.
    """
    low = max(lower, 0.0) ** (1.0 / p) if math.isfinite(lower) else 0.0
    high = math.inf if math.isnan(upper) else max(upper, 0.0) ** (1.0 / p)
    if p != 1:
        low, high = low * (1 - _root_error(low)), high * (1 + _root_error(high))
    return between(low * scale * (1 - off), high * scale * (1 + off))


def brackets(lower: np.ndarray, upper: np.ndarray, p: float) -> tuple[np.ndarray, np.ndarray]:
    """The same for many problems at once: both ends (B,) on W_p, for costs in the caller's units.

    Args:
        lower: Slack already subtracted, shape (B,), finite.
        upper: Slack already added, likewise.
        p: Exponent.

    Raises:
        ContradictionError: a lower bound is above its upper bound.
    """
    low, high = (np.maximum(end, 0.0) ** (1.0 / p) for end in (lower, upper))
    if p != 1:
        sizes = (np.abs(np.log(np.where(end > 0, end, 1.0))) for end in (low, high))
        off_low, off_high = ((4 + size) * UNIT for size in sizes)
        low, high = low * (1 - off_low), high * (1 + off_high)
    for k in np.flatnonzero(low > high)[:1]:
        between(float(low[k]), float(high[k]))
    return low, high


def between(lower: float, upper: float) -> Bracket:
    """The bracket between two proved ends on W_p, in the caller's units.

    Raises:
        ContradictionError: lower is above upper.
    """
    lower = min(lower, sys.float_info.max)  # a distance that overflows is above the largest number
    if lower > upper:
        raise ContradictionError(
            f"an error in otdist, please report it: the lower bound {lower!r} is above the upper "
            f"bound {upper!r}"
        )
    return Bracket(lower, upper)


def _root_error(root: float) -> float:
    """Relative error of c^(1/p): of the power, and of 1/p, which acts on the logarithm of c."""
    return (4 + abs(math.log(root))) * UNIT if 0 < root < math.inf else 0.0


def rounding_units(cost: Cost) -> float:
    """How many roundings stand behind one term of a sum over pairs."""
    n, m = cost.shape
    return cost.dimension + math.log2(n + m) + 12 + 2 * cost.p


def transforms(cost: Cost, g: Tensor, settled: int = SETTLED_PAIRS) -> tuple[Tensor, Tensor]:
    """f_i = min_j c_ij − g_j, and then g_j = min_i c_ij − f_i.

    One pass over the costs does both, since each block of rows has its own f: the certificate of
    500 by 500 points in eight dimensions takes 1.3 ms instead of 2.3.
    """
    if (on := places.of(cost)) is not None:
        f = on.ctransform(g)
        return f, on.T.ctransform(f)
    if cost.slack > 0 and isinstance(cost, PointCost) and cost.shape[0] * cost.shape[1] >= settled:
        f = below.ctransform(cost, g, torch.float64)
        return f, below.ctransform(cost.T, f, torch.float64)
    if cost.slack > 0:  # every minimum is settled by direct differences
        f, _ = cost.ctransform(g)
        return f, cost.T.ctransform(f)[0]
    f, low = g.new_empty(cost.shape[0]), torch.full_like(g, math.inf)
    lock = threading.Lock()

    def block(part: slice) -> None:
        c = cost.rows(part.start, part.stop)
        f[part] = (c - g).amin(1)
        found = c.sub_(f[part, None]).amin(0)
        with lock:
            torch.minimum(low, found, out=low)

    n, m = cost.shape
    step = max(1, _SMALL_BLOCK // m)
    small = n * m <= _FEW_PAIRS and cost.device.type == "cpu"
    parts = [slice(lo, min(lo + step, n)) for lo in range(0, n, step)] if small else cost.parts()
    each(parts, block, cost.device)
    return f, low


def quick_transform(cost: Cost, g: Tensor) -> Tensor:
    """At most min_j c_ij − g_j, shape (n,), float64, from costs in float32.

    Args:
        cost: Shape (n, m), between points.
        g: Any potential of the targets, shape (m,), finite.
    """
    assert isinstance(cost, PointCost)
    few = cost.p == 2 and cost.dimension <= pruned.DIMENSION and cost.device.type == "cpu"
    if few and cost.shape[0] * cost.shape[1] >= pruned.LEAST_PAIRS:
        return pruned.ctransform(cost, g)
    return below.ctransform(cost, g, torch.float32)


def _quick(cost: Cost, g: Tensor, settled: int) -> tuple[Tensor, Tensor]:
    """f_i ≤ min_j c_ij − g_j with g as it is, in float32; `transforms` where that cannot be."""
    if not isinstance(cost, PointCost) or not bool(torch.isfinite(g).all()):
        return transforms(cost, g, settled)
    return quick_transform(cost, g), g


def _usable(potential: Tensor) -> Tensor:
    """float64 and without a graph; −inf marks a point that takes no part, as one of weight zero."""
    potential = potential.detach().double()
    if (
        bool((potential.isnan() | (potential == math.inf)).any())
        or float(potential.max()) == -math.inf
    ):
        raise ValueError("a potential must be finite somewhere, and neither NaN nor +inf")
    return potential


def underflow(cost: Cost, arcs: Arcs, costs: Tensor) -> float:
    """What squares and powers lost below the normal numbers; only between points apart."""
    lost = costs < cost.underflow
    if isinstance(cost, MatrixCost) or not bool(lost.any()):
        return 0.0
    assert isinstance(cost, PointCost | MetricCost)
    apart = (cost.x[arcs.rows[lost]] != cost.y[arcs.cols[lost]]).any()
    return 2 * cost.underflow if bool(apart) else 0.0


def _mass_error(a: Tensor, b: Tensor) -> float:
    """Bound on how far the sums of the weights are from one another, in units of u."""
    return 4.0 + float((a.sum() - b.sum()).abs()) / UNIT


def _residual(weights: Tensor, index: Tensor, mass: Tensor) -> float:
    reached = torch.zeros_like(weights.detach()).index_add_(0, index, mass)
    return float((reached - weights.detach()).abs().sum())
