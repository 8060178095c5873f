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
from otdist.line.sorting import argsort, ordered, sort, sort_
from otdist.line.staircase import Staircase, power, power_, staircase, take, uniform_staircase

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
    if x.ndim == 1 and x.device.type == "cpu" and not _has_graph(x, y, a, b):
        value = _of_one_pair(x, y, p, a, b)
        if value is not None:
            return x.new_tensor(value)
    if a is None and b is None:
        xs, ys = _sorted(x, y)
        return _uniform_cost(xs, ys, p, None, owned=not (xs.requires_grad or ys.requires_grad))
    if x.device.type == "cpu" and not _has_graph(x, y, a, b):
        return weighted_rows.cost(x, y, p, _double(a), _double(b))
    order_x, order_y, xs, ys = _ordered(x, y)
    stairs = staircase(_weights(a, order_x), _weights(b, order_y), x.shape[-1], y.shape[-1])
    gaps = take(xs, stairs.rows) - take(ys, stairs.cols)
    return _mean_power(gaps, p, stairs, owned=not gaps.requires_grad)


def cost_(x: Tensor, y: Tensor, p: float, stairs: Staircase | None = None) -> Tensor:
    """As `cost` with uniform weights and no graph, for contiguous inputs that it overwrites.

    `stairs` is what `uniform_staircase` returned for their lengths, for callers in a loop.
    """
    sort_(x, y)
    return _uniform_cost(x, y, p, stairs, owned=True)


def cost_of_sorted(
    x: Tensor, y: Tensor, p: float, a: Tensor | None = None, b: Tensor | None = None
) -> Tensor:
    """As `cost` for points in ascending order, weights in that order with them, without a graph."""
    if a is None and b is None:
        return _uniform_cost(x, y, p, None, owned=False)
    stairs = staircase(_double(a), _double(b), x.shape[-1], y.shape[-1])
    gaps = take(x, stairs.rows) - take(y, stairs.cols)
    return _mean_power(gaps, p, stairs, owned=not gaps.requires_grad)


def plan(x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Arcs:
    """The monotone plan between x (n,) and y (m,), optimal for every p: at most n + m − 1 arcs."""
    order_x, order_y = argsort(x, y)
    stairs = _stairs(order_x, order_y, a, b)
    used = stairs.mass > 0
    return Arcs(
        rows=order_x[stairs.rows[used]],
        cols=order_y[stairs.cols[used]],
        mass=stairs.mass[used],
        shape=(len(x), len(y)),
    )


def potentials(
    x: Tensor, y: Tensor, p: float, a: Tensor | None = None, b: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Optimal potentials f (n,), g (m,), float64: f_i + g_j ≤ |x_i − y_j|^p for all pairs.

    Σ a f + Σ b g equals the cost; both statements hold up to rounding of the largest cost. The
    constant is fixed by Σ a f = Σ b g.
    """
    x, y = x.detach().double(), y.detach().double()
    order_x, order_y, xs, ys = _ordered(x, y)
    stairs = _stairs(order_x, order_y, a, b)
    gaps = take(xs, stairs.rows) - take(ys, stairs.cols)
    f_path, g_path = _path_potentials(power(gaps, p), stairs)
    shift = ((g_path - f_path) * stairs.mass).sum() / 2
    f = torch.empty_like(x).scatter_(-1, take(order_x, stairs.rows), f_path + shift)
    g = torch.empty_like(y).scatter_(-1, take(order_y, stairs.cols), g_path - shift)
    return f, g


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
    slope = _slope(gaps, p).mul_(mass)
    at_x, at_y = take(order_x, stairs.rows), take(order_y, stairs.cols)
    grad_x = torch.zeros_like(x).scatter_add_(-1, at_x, slope) if want_x else None
    grad_y = torch.zeros_like(y).scatter_add_(-1, at_y, slope.neg_()) if want_y else None
    grad_a = grad_b = None
    if want_a or want_b:
        f_path, g_path = _path_potentials(on_path.double(), stairs)
        grad_a = x.new_empty(x.shape, dtype=torch.float64).scatter_(-1, at_x, f_path)
        grad_b = x.new_empty(y.shape, dtype=torch.float64).scatter_(-1, at_y, g_path)
    return Derivatives((on_path * mass).sum(-1), grad_x, grad_y, grad_a, grad_b)


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


def _sorted(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both samples sorted, with a graph where one is required."""
    if _has_graph(x, y):
        return _ordered(x, y)[2:]
    xs, ys = sort(x, y)
    return xs, ys


def _ordered(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sorting indices of x and y, then both sorted, with a graph where one is required."""
    (order_x, xs), (order_y, ys) = ordered(x, y)
    if _has_graph(x, y):
        xs, ys = take(x, order_x), take(y, order_y)
    return order_x, order_y, xs, ys


def _has_graph(*tensors: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _weights(weights: Tensor | None, order: Tensor) -> Tensor | None:
    return None if weights is None else take(weights.double().expand(order.shape), order)


def _uniform_cost(
    xs: Tensor, ys: Tensor, p: float, stairs: Staircase | None, *, owned: bool
) -> Tensor:
    """The cost of sorted points with uniform weights; `owned` points may be overwritten."""
    n, m = xs.shape[-1], ys.shape[-1]
    if n == m:
        return (power_(xs.sub_(ys), p) if owned else power(xs - ys, p)).mean(-1)
    stairs = stairs or uniform_staircase(n, m, xs.device)
    gaps = take(xs, stairs.rows).sub(take(ys, stairs.cols))
    return _mean_power(gaps, p, stairs, owned=owned)


def _mean_power(gaps: Tensor, p: float, stairs: Staircase, *, owned: bool) -> Tensor:
    """Σ mass·|gaps|^p, shape (...); `owned` gaps may be overwritten."""
    mass = stairs.mass.to(gaps.dtype)
    if owned and not mass.requires_grad:
        return power_(gaps, p).mul_(mass).sum(-1)
    return (power(gaps, p) * mass).sum(-1)


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
