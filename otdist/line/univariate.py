r"""Optimal transport on the line in closed form: sort, then match equal quantiles.

For a cost :math:`|x - y|^p`, p ≥ 1, the monotone coupling is optimal:

.. math::  W_p^p = \int_0^1 |F_x^{-1}(t) - F_y^{-1}(t)|^p \, dt .

With sorted points the integrand is piecewise constant between the breakpoints of both cumulative
weights. Walking through the merged breakpoints visits n + m − 1 cells (i, j) of a *staircase* from
(0, 0) to (n − 1, m − 1), each with a mass ≥ 0:

* the plan is those masses;
* the cost matrix of sorted points is a Monge array, so potentials with f_i + g_j = c_ij on **any**
  staircase satisfy f_i + g_j ≤ c_ij everywhere (Hoffman 1963, On simple linear programming
  problems). They therefore stay valid for points of zero weight, ties and rounded breakpoints;
* the derivative of the cost in the weights is f, that in the points follows from the masses.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from otdist.core.result import Arcs
from otdist.line import weighted_rows
from otdist.line.matching import match, mean_power
from otdist.line.sorting import ordered, sort, sort_
from otdist.line.staircase import (
    HIGH,
    Staircase,
    power,
    power_,
    staircase,
    take,
    uniform_staircase,
)

_NO_ARC = 2.0**-50
"""Share of the weights of both its ends below which an arc of `plan` is their rounding."""
LONG = 1 << 16
"""Points of both samples from which the walk in numpy is faster than `weighted_rows`."""


def cost(
    x: Tensor, y: Tensor, p: float, a: Tensor | None = None, b: Tensor | None = None
) -> Tensor:
    """W_p^p between samples on the line, batched along the leading dimensions.

    Args:
        x: Points, shape (..., n).
        y: Points, shape (..., m), with the same leading dimensions.
        p: Exponent, ≥ 1.
        a: Weights of x, float64, shape (n,) or (..., n), of any sum; None means uniform.
        b: Weights of y, likewise.

    Returns:
        Shape (...), dtype of x.

    Gradients: x, y, a, b through autograd. At coincident points the gradient of |x − y|^p is 0;
    where optimal potentials are not unique the gradient in the weights is a subgradient.
    Cost: O((n + m) log(n + m)) for each pair of samples.
    """
    if x.ndim == 1 and _is_plain(x, y, a, b):
        value = _of_one_pair(x, y, p, a, b)
        if value is not None:
            return x.new_tensor(value)
    if (a is not None or b is not None) and _is_plain(x, y, a, b):
        return weighted_rows.cost(x, y, p, _double(a), _double(b))
    return mean_power_(*differences(x, y, a, b), p)


def cost_(x: Tensor, y: Tensor, p: float, stairs: Staircase | None = None) -> Tensor:
    """As `cost` with uniform weights and no graph, for contiguous inputs that it overwrites.

    `stairs` is what `uniform_staircase` returned for their lengths, for callers in a loop.
    """
    sort_(x, y)
    if x.shape[-1] == y.shape[-1]:
        return mean_power_(x.sub_(y), None, p)
    return mean_power_(*differences_of_sorted(x, y, stairs=stairs), p)


def differences(
    x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Differences of matched quantiles, and their masses; arguments as for `cost`.

    Returns:
        x − y along the plan (..., k), with a graph where one is required, in memory of its own;
        masses (..., k) or (k,), float64, None where all are equal.
    """
    if a is None and b is None and not _has_graph(x, y):
        xs, ys = sort(x, y)
        return differences_of_sorted(xs, ys)
    order_x, order_y, xs, ys = _ordered(x, y)
    return differences_of_sorted(xs, ys, _weights(a, order_x), _weights(b, order_y))


def differences_of_sorted(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    stairs: Staircase | None = None,
) -> tuple[Tensor, Tensor | None]:
    """As `differences` for points in ascending order, with weights in that order or `stairs`."""
    n, m = x.shape[-1], y.shape[-1]
    if a is None and b is None:
        if n == m:
            return x - y, None
        stairs = stairs or uniform_staircase(n, m, x.device)
    else:
        stairs = staircase(_double(a), _double(b), n, m)
    return take(x, stairs.rows) - take(y, stairs.cols), stairs.mass


def cost_of_sorted(
    x: Tensor, y: Tensor, p: float, a: Tensor | None = None, b: Tensor | None = None
) -> Tensor:
    """As `cost` for points in ascending order, weights in that order with them, without a graph."""
    return mean_power_(*differences_of_sorted(x, y, a, b), p)


def mean_power_(gaps: Tensor, mass: Tensor | None, p: float) -> Tensor:
    """Σ mass·|gaps|^p along the last axis, or the mean; without a graph it overwrites the gaps."""
    if mass is not None and p > HIGH and not mass.requires_grad:
        gaps = gaps.masked_fill(mass <= 0, 0.0)  # costs that no mass pays may be infinite
    if gaps.requires_grad or (mass is not None and mass.requires_grad):
        costs = power(gaps, p)
        return costs.mean(-1) if mass is None else (costs * mass.to(gaps.dtype)).sum(-1)
    costs = power_(gaps, p)
    return costs.mean(-1) if mass is None else costs.mul_(mass.to(gaps.dtype)).sum(-1)


def plan(x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Arcs:
    """The monotone plan between x (n,) and y (m,), optimal for every p: at most n + m − 1 arcs.

    Arcs that are rounding of the weights of both their ends are left out.
    """
    return match(x, y, a, b, places=True).arcs(least=_NO_ARC)


def potentials(
    x: Tensor, y: Tensor, p: float, a: Tensor | None = None, b: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Optimal potentials f (n,), g (m,), float64: f_i + g_j ≤ |x_i − y_j|^p for all pairs.

    Σ a f + Σ b g equals the cost; both statements hold up to rounding of the largest cost. The
    constant is fixed by Σ a f = Σ b g.
    """
    return match(x, y, a, b, places=True).potentials(p)


class Derivatives(NamedTuple):
    """W_p^p of batched samples on the line and its first derivatives; None where not asked for.

    Attributes:
        cost: (...).
        x: (..., n), derivative in the points x.
        y: (..., m).
        a: (..., n), derivative in the weights a along directions that keep their sum.
        b: (..., m).
    """

    cost: Tensor
    x: Tensor | None
    y: Tensor | None
    a: Tensor | None
    b: Tensor | None


def derivatives(
    x: Tensor,
    y: Tensor,
    p: float,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    wanted: tuple[bool, ...] = (True, True, False, False),
    stairs: Staircase | None = None,
) -> Derivatives:
    """`cost` and its derivatives in (x, y, a, b) as `wanted`, written directly, without a graph.

    Faster than autograd through `cost`, which ``python -m benchmarks --suite sliced`` measures.
    """
    want_x, want_y, want_a, want_b = wanted
    order_x, order_y, xs, ys = _ordered(x, y)
    if a is None and b is None and x.shape[-1] == y.shape[-1] and not (want_a or want_b):
        gaps = xs.sub_(ys)
        slope = _slope(gaps, p).div_(x.shape[-1])
        grad_x = torch.empty_like(x).scatter_(-1, order_x, slope) if want_x else None
        grad_y = torch.empty_like(y).scatter_(-1, order_y, slope.neg_()) if want_y else None
        return Derivatives(power(gaps, p).mean(-1), grad_x, grad_y, None, None)
    stairs = stairs or _stairs(order_x, order_y, a, b)
    gaps = take(xs, stairs.rows) - take(ys, stairs.cols)
    on_path = power(gaps, p)
    mass = stairs.mass.to(x.dtype)
    slope = _slope(gaps if p <= HIGH else gaps.masked_fill(mass <= 0, 0.0), p).mul_(mass)
    at_x, at_y = take(order_x, stairs.rows), take(order_y, stairs.cols)
    grad_x = torch.zeros_like(x).scatter_add_(-1, at_x, slope) if want_x else None
    grad_y = torch.zeros_like(y).scatter_add_(-1, at_y, slope.neg_()) if want_y else None
    grad_a = grad_b = None
    if want_a or want_b:
        f_path, g_path = _path_potentials(on_path.double(), stairs)
        grad_a = x.new_empty(x.shape, dtype=torch.float64).scatter_(-1, at_x, f_path)
        grad_b = x.new_empty(y.shape, dtype=torch.float64).scatter_(-1, at_y, g_path)
    cost = (on_path * mass if p <= HIGH else (on_path * mass).nan_to_num(0.0)).sum(-1)
    return Derivatives(cost, grad_x, grad_y, grad_a, grad_b)


def _of_one_pair(
    x: Tensor, y: Tensor, p: float, a: Tensor | None, b: Tensor | None
) -> float | None:
    """The cost of a pair that is matched already, or long with more than a sort to do, else None.

    Samples of the same weights in ascending order are matched point by point.
    """
    n, m = len(x), len(y)
    if a is b and n == m and _ascends(x) and _ascends(y):
        mass = 1.0 / n if a is None else (a / a.sum()).numpy()
        return mean_power(np.abs(x.detach().numpy() - y.detach().numpy()), mass, p)[0]
    if n + m < LONG or (a is None and b is None and n == m):
        return None
    return match(x, y, a, b).cost(p)


def _ascends(points: Tensor) -> bool:
    """Whether the points (n,) are in order; a few of them mostly tell."""
    values = points.detach().numpy()
    few = values[:: max(1, len(values) // 16)]
    return bool((few[1:] >= few[:-1]).all() and (values[1:] >= values[:-1]).all())


def _double(weights: Tensor | None) -> Tensor | None:
    return None if weights is None else weights.double()


def _ordered(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sorting indices of x and y, then both sorted, with a graph where one is required."""
    (order_x, xs), (order_y, ys) = ordered(x, y)
    if _has_graph(x, y):
        xs, ys = take(x, order_x), take(y, order_y)
    return order_x, order_y, xs, ys


def _has_graph(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _is_plain(*tensors: Tensor | None) -> bool:
    """Whether numpy may work on the tensors: on the CPU, and no graph is required."""
    return not _has_graph(*tensors) and all(t is None or t.device.type == "cpu" for t in tensors)


def _weights(weights: Tensor | None, order: Tensor) -> Tensor | None:
    return None if weights is None else take(weights.double().expand(order.shape), order)


def _slope(gaps: Tensor, p: float) -> Tensor:
    """Derivative of |gaps|^p, a fresh tensor; 0 at 0."""
    if p == 1:
        return gaps.sign()
    if p == 2:
        return gaps * 2
    return gaps.abs().pow_(p - 1).mul_(p).copysign_(gaps)


def _stairs(order_x: Tensor, order_y: Tensor, a: Tensor | None, b: Tensor | None) -> Staircase:
    """The staircase of points in the given orders, without a graph."""
    n, m = order_x.shape[-1], order_y.shape[-1]
    if a is None and b is None:
        return uniform_staircase(n, m, order_x.device)
    a = None if a is None else a.detach()
    b = None if b is None else b.detach()
    return staircase(_weights(a, order_x), _weights(b, order_y), n, m)


def _path_potentials(on_path: Tensor, stairs: Staircase) -> tuple[Tensor, Tensor]:
    """Potentials (f, g) at each cell of the staircase from the costs there; f starts at 0.

    A step along the staircase moves either i or j; the change of cost belongs to its potential.
    """
    down = stairs.rows.diff(dim=-1) > 0
    f_path = torch.nn.functional.pad((on_path.diff(dim=-1) * down).cumsum(-1), (1, 0))
    return f_path, on_path - f_path
