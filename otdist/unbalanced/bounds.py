r"""What a plan and a potential prove of a problem in which mass may stay.

With a price h ≥ 0 for every unit that stays, on either side, the objective and its dual are

.. math::  \min_P \langle P, c \rangle + h \Big(\sum_i a_i + \sum_j b_j - 2 \sum_{ij} P_{ij}\Big)
           = \max_{f_i + g_j \le c_{ij},\; f \le h,\; g \le h} \sum_i a_i f_i + \sum_j b_j g_j ,

over plans whose marginals are at most a and b. Partial transport of a mass s is the same at the
price at which s moves: its value is max over h of 2 h s + Σ a (f − h) + Σ b (g − h).

Any g gives a bound. Cut off at the price, it has a feasible partner by c-transform; for partial
transport the best price for this partner is a quantile: the s units of mass of least f.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otdist.core.certificate import UNIT, rounding_units, transforms, underflow
from otdist.core.point_cost import Cost
from otdist.core.result import Arcs
from otdist.entropic.penalty import divergent_value, translated

_SPARE = 64  # points of either side among which a near pair is looked for


@dataclass(frozen=True)
class Dual:
    """A certified lower bound, and what proves it.

    Attributes:
        lower: Slack already subtracted, in cost units.
        f: Shape (n,), float64, at most `price`.
        g: Shape (m,), likewise; f_i + g_j ≤ c_ij up to one rounding.
        price: Of a unit that stays, on either side.
    """

    lower: float
    f: Tensor
    g: Tensor
    price: float


def partial_dual(cost: Cost, a: Tensor, b: Tensor, mass: float, g: Tensor) -> Dual:
    """A lower bound on the least cost of moving `mass`, from any potential of the targets.

    Args:
        cost: Ground cost, shape (n, m), nowhere negative; converted to float64.
        a: Masses of the sources, shape (n,).
        b: Masses of the targets, shape (m,).
        mass: At most the smaller sum.
        g: Shape (m,); that of a target without mass is not looked at.
    """
    cost = cost.to(torch.float64)
    g = torch.where(b > 0, g.double(), -torch.inf)
    f, back = transforms(cost, g - g.max())
    v = back.clamp(max=0)  # at least g − max g, since f_i + g_j − max g ≤ c_ij
    order = f.argsort()
    passed = a[order].cumsum(0) < mass
    total = float(f[order[min(int(passed.sum()), len(f) - 1)]])
    u = (f - total).clamp(max=0)
    value = mass * total + float(a @ u + b @ v)
    size = mass * abs(total) + float(a @ (u.abs() + abs(total)) + b @ v.abs())
    slack = rounding_units(cost) * UNIT * 3 * size + (cost.underflow + cost.error) * mass
    half = total / 2
    return Dual(value - slack, u + half, v + half, half)


def priced_dual(cost: Cost, a: Tensor, b: Tensor, price: float, g: Tensor) -> Dual:
    """A lower bound on the least cost with `price` for every unit that stays.

    The arguments are those of `partial_dual`.
    """
    cost = cost.to(torch.float64)
    g = torch.where(b > 0, g.double().clamp(max=price), -torch.inf)
    f, back = transforms(cost, g)
    f, g = f.clamp(max=price), back.clamp(max=price)
    value = float(a @ f + b @ g)
    size = float(a @ f.abs() + b @ g.abs()) + price * float(a.sum() + b.sum()) * UNIT
    able = min(float(a.sum()), float(b.sum()))
    slack = rounding_units(cost) * UNIT * 3 * size + (cost.underflow + cost.error) * able
    return Dual(value - slack, f, g, price)


def partial_primal(
    cost: Cost, a: Tensor, b: Tensor, mass: float, arcs: Arcs
) -> tuple[float, float]:
    """Cost of `mass` moved as by a plan, and an upper bound on the least.

    What the plan lacks of the mass by rounding moves at its mean cost in the former. In the latter
    it, and what the plan takes beyond a or b, has to move elsewhere: between two points with mass
    to spare, or it is charged at the largest cost.
    """
    value, slack, stays = _paid(cost, a, b, arcs)
    sent = float(arcs.mass.sum())
    extra = sum(float((-rest).clamp(min=0).sum()) for rest in stays)
    missing = extra + max(mass - sent, 0.0)
    if missing > 0:
        slack += missing * _between_spare(cost, stays, missing)
    return min(value * (mass / sent), value + slack) if sent > 0 else value, value + slack


def _between_spare(cost: Cost, stays: tuple[Tensor, Tensor], mass: float) -> float:
    """A cost at which so much mass can move between points that keep more."""
    first = [rest.topk(min(len(rest), _SPARE)).indices for rest in stays]
    i, j = (k[rest[k] > 4 * mass] for k, rest in zip(first, stays, strict=True))
    if not (len(i) and len(j)):
        return cost.largest
    cost = cost.to(torch.float64)
    k = int(cost.sub(i, j).dense().argmin())
    found = cost.pairs(i[k // len(j), None], j[k % len(j), None])
    return min(float(found) * (1 + 1e-9) + cost.error + cost.underflow, cost.largest)


def priced_primal(
    cost: Cost, a: Tensor, b: Tensor, price: float, arcs: Arcs
) -> tuple[float, float]:
    """Objective of a plan with `price` for every unit that stays, and an upper bound on the least.

    Mass that the plan takes beyond a or b is charged at twice the price, which is what giving it up
    costs.
    """
    paid, slack, stays = _paid(cost, a, b, arcs)
    kept = sum(float(rest.clamp(min=0).sum()) for rest in stays)
    extra = sum(float((-rest).clamp(min=0).sum()) for rest in stays)
    value = paid + price * kept
    rounded = rounding_units(cost) * UNIT * (price * kept)
    rounded += 4 * UNIT * price * float(a.sum() + b.sum() + 2 * arcs.mass.sum())
    return value, value + slack + rounded + 2 * price * extra


def _paid(
    cost: Cost, a: Tensor, b: Tensor, arcs: Arcs
) -> tuple[float, float, tuple[Tensor, Tensor]]:
    """⟨P, c⟩, its slack, and what stays of a and b (negative where the plan takes too much)."""
    cost = cost.to(torch.float64)
    costs = cost.pairs(arcs.rows, arcs.cols)
    value, sent = float(costs @ arcs.mass), float(arcs.mass.sum())
    slack = rounding_units(cost) * UNIT * value + underflow(cost, arcs, costs) * sent
    stays = (
        a - torch.zeros_like(a).index_add_(0, arcs.rows, arcs.mass),
        b - torch.zeros_like(b).index_add_(0, arcs.cols, arcs.mass),
    )
    return value, slack + cost.error * sent, stays


def divergent_dual(cost: Cost, a: Tensor, b: Tensor, rho: float, g: Tensor) -> Dual:
    """A lower bound on the least cost with penalties ρ KL, from any potential of the targets.

    The arguments are those of `partial_dual`.
    """
    cost, logs = cost.to(torch.float64), (a.log(), b.log())
    f, g = transforms(cost, torch.where(b > 0, g.double(), -torch.inf))
    f, g = translated(f, g, logs, rho)
    terms = [divergent_value(h, w, v, rho) for h, w, v in zip((f, g), (a, b), logs, strict=True)]
    value = float(terms[0].sum() + terms[1].sum())
    # A potential that is off by δ moves the value by δ times the mass that is left there.
    left = [(v - h / rho).exp() for h, v in zip((f, g), logs, strict=True)]
    size = float(sum(q @ h.abs() for q, h in zip(left, (f, g), strict=True)))
    size += float(sum(t.abs().sum() for t in terms))
    moved = float(left[0].sum())
    slack = rounding_units(cost) * UNIT * 3 * size + (cost.underflow + cost.error) * moved
    return Dual(value - slack, f, g, rho)


def divergent_primal(
    cost: Cost, a: Tensor, b: Tensor, rho: float, arcs: Arcs
) -> tuple[float, float]:
    """Objective of a plan with penalties ρ KL of its marginals, and an upper bound on the least.

    Any plan proves a bound, whatever its marginals.
    """
    value, slack, stays = _paid(cost, a, b, arcs)
    total, size = value, value
    for w, rest in zip((a, b), stays, strict=True):
        reached = w - rest
        off = -rest / w.clamp(min=1e-300)
        term = torch.where(w > 0, reached * torch.log1p(off.clamp(min=-1.0)) + rest, 0.0)
        term = torch.where(reached > 0, term, w)
        total += rho * float(term.sum())
        size += rho * float((term.abs() + rest.abs()).sum())
    return total, total + slack + rounding_units(cost) * UNIT * 2 * size
