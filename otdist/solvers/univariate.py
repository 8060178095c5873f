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

Uniform weights need no floating-point breakpoints: they are merged as integers. Breakpoints of
weights that agree within the rounding of their sums are treated as equal, since an arc of mass
1e-17 across a wide gap would show as 1e-17^(1/p) in the distance of equal measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otdist.result import Arcs
from otdist.solvers._sorting import argsort, merge, sort

_BLOCK = 1024
"""Length of the inner sums of a cumulative sum; keeps its error near sqrt(n) roundings."""


@dataclass(frozen=True)
class Staircase:
    """The cells (i, j) of sorted points that the monotone plan visits, with their masses.

    Attributes:
        rows: int64 (..., n + m − 1), non-decreasing from 0 to n − 1.
        cols: int64 (..., n + m − 1), non-decreasing from 0 to m − 1.
        mass: float64 (..., n + m − 1), ≥ 0, of sum 1; carries the graph of the weights.
    """

    rows: Tensor
    cols: Tensor
    mass: Tensor


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
    if a is None and b is None:
        xs, ys = _sorted(x, y)
        if x.shape[-1] == y.shape[-1]:
            return power(xs - ys, p).mean(-1)
        stairs = uniform_staircase(x.shape[-1], y.shape[-1], x.device)
        gaps = _take(xs, stairs.rows) - _take(ys, stairs.cols)
        return (power(gaps, p) * stairs.mass.to(x.dtype)).sum(-1)
    order_x, order_y = argsort(x, y)
    stairs = staircase(_weights(a, order_x), _weights(b, order_y), x.shape[-1], y.shape[-1])
    gaps = _take(x, _take(order_x, stairs.rows)) - _take(y, _take(order_y, stairs.cols))
    return (power(gaps, p) * stairs.mass.to(x.dtype)).sum(-1)


def plan(x: Tensor, y: Tensor, a: Tensor | None = None, b: Tensor | None = None) -> Arcs:
    """The monotone plan between x (n,) and y (m,), optimal for every p: at most n + m − 1 arcs."""
    order_x, order_y, stairs = _walk(x, y, a, b)
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
    order_x, order_y, stairs = _walk(x, y, a, b)
    xs, ys = x.detach().double()[order_x], y.detach().double()[order_y]
    on_path = power(xs[stairs.rows] - ys[stairs.cols], p)
    # A step along the staircase moves either i or j; the change of cost belongs to its potential.
    steps = on_path.diff()
    in_rows = stairs.rows.diff() > 0
    f_sorted = torch.cat([steps.new_zeros(1), steps[in_rows].cumsum(0)])
    g_sorted = torch.cat([on_path[:1], on_path[0] + steps[~in_rows].cumsum(0)])
    f_mean = (f_sorted * _spread(stairs.mass, stairs.rows, len(x))).sum()
    g_mean = (g_sorted * _spread(stairs.mass, stairs.cols, len(y))).sum()
    shift = (g_mean - f_mean) / 2
    f = torch.empty_like(f_sorted).index_copy_(0, order_x, f_sorted + shift)
    g = torch.empty_like(g_sorted).index_copy_(0, order_y, g_sorted - shift)
    return f, g


def power(gaps: Tensor, p: float) -> Tensor:
    """|gaps|^p, differentiable, with derivative 0 at 0."""
    if p == 2:
        return gaps * gaps
    return gaps.abs() if p == 1 else gaps.abs().pow(p)


def uniform_staircase(n: int, m: int, device: torch.device) -> Staircase:
    """The staircase of uniform weights, by integers: breakpoints k/n and l/m are k·m and l·n."""
    ends = torch.arange(1, n, device=device) * m
    # Before breakpoint k of x come k − 1 of its own and those of y with l·n < k·m.
    place = torch.arange(n - 1, device=device) + (ends - 1).div(n, rounding_mode="floor")
    from_x = torch.zeros(n + m - 2, dtype=torch.bool, device=device)
    from_x[place] = True
    rows, cols = _counts(from_x)
    time = torch.where(from_x, rows[1:] * m, cols[1:] * n)
    first, last = time.new_zeros(1), time.new_full((1,), n * m)
    mass = torch.cat([first, time, last]).diff().double() / (n * m)
    return Staircase(rows, cols, mass)


def staircase(a: Tensor | None, b: Tensor | None, n: int, m: int) -> Staircase:
    """The staircase of weights a (..., n), b (..., m) in sorted order; None means uniform.

    Both lists of breakpoints are merged by one sort of integers: the bits of floats in [0, 1]
    order like integers, and the last bit says which list a breakpoint came from.
    """
    like = a if a is not None else b
    assert like is not None, "uniform weights have their own staircase"
    ends_a, ends_b = _breakpoints(a, n, like), _breakpoints(b, m, like)
    bits_a, bits_b = ends_a.detach().view(torch.int64) & ~1, ends_b.detach().view(torch.int64) | 1
    (keys,) = merge(torch.cat([bits_a, bits_b], -1))
    from_y = (keys & 1).bool()
    rows, cols = _counts(~from_y)
    time = _level((keys & ~1).view(torch.float64), from_y, n + m)
    if ends_a.requires_grad or ends_b.requires_grad:
        graph = _choose(from_y, ends_b, cols[..., 1:] - 1, ends_a, rows[..., 1:] - 1)
        time = graph + (time - graph).detach()
    first = time.new_zeros((*time.shape[:-1], 1))
    return Staircase(rows, cols, torch.cat([first, time, first + 1], -1).diff(dim=-1))


def _sorted(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both samples sorted, with a graph where one is required."""
    if torch.is_grad_enabled() and (x.requires_grad or y.requires_grad):
        order_x, order_y = argsort(x, y)
        return _take(x, order_x), _take(y, order_y)
    xs, ys = sort(x, y)
    return xs, ys


def _take(values: Tensor, index: Tensor) -> Tensor:
    """values[..., index] along the last axis, for one index (k,) or one per leading dimension."""
    return values.gather(-1, index.expand(*values.shape[:-1], index.shape[-1]))


def _weights(weights: Tensor | None, order: Tensor) -> Tensor | None:
    return None if weights is None else _take(weights.double().expand(order.shape), order)


def _counts(from_x: Tensor) -> tuple[Tensor, Tensor]:
    """Cells of the staircase whose k-th step advances the row where ``from_x[..., k]``."""
    start = torch.zeros((*from_x.shape[:-1], 1), dtype=torch.int64, device=from_x.device)
    rows = torch.cat([start, from_x.cumsum(-1)], -1)
    return rows, torch.arange(rows.shape[-1], device=rows.device) - rows


def _breakpoints(weights: Tensor | None, n: int, like: Tensor) -> Tensor:
    """The n − 1 inner breakpoints of the cumulative weights, with the leading axes of `like`."""
    if weights is None:
        ends = torch.arange(1, n, device=like.device, dtype=torch.float64) / n
        return ends.expand(*like.shape[:-1], n - 1).contiguous()
    total = _cumulate(weights)
    ends = (total / total[..., -1:])[..., :-1].contiguous()
    if ends.device.type == "cpu":
        return ends
    # A parallel scan may fall by a rounding; the merge below needs order.
    return ends + (ends.detach().cummax(-1).values - ends.detach())


def _cumulate(weights: Tensor) -> Tensor:
    """A cumulative sum in two levels, non-decreasing for weights ≥ 0."""
    n = weights.shape[-1]
    if n <= _BLOCK:
        return weights.cumsum(-1)
    padded = torch.nn.functional.pad(weights, (0, -n % _BLOCK))
    inner = padded.unflatten(-1, (-1, _BLOCK)).cumsum(-1)
    outer = inner[..., -1].cumsum(-1)
    offset = torch.nn.functional.pad(outer[..., :-1], (1, 0))
    return (inner + offset.unsqueeze(-1)).flatten(-2)[..., :n]


def _level(time: Tensor, from_y: Tensor, size: int) -> Tensor:
    """Give breakpoints of x and y that agree within the rounding of their sums one common value."""
    slack = 2 * torch.finfo(torch.float64).eps * size**0.5
    steps = time.diff(dim=-1)
    same = (steps <= slack) & ((from_y[..., 1:] != from_y[..., :-1]) | (steps == 0))
    if not same.any():
        return time
    place = torch.arange(time.shape[-1], device=time.device)
    first = torch.nn.functional.pad(place[1:].masked_fill(same, 0), (1, 0))
    return _take(time, first.cummax(-1).values)


def _choose(use_b: Tensor, b: Tensor, at_b: Tensor, a: Tensor, at_a: Tensor) -> Tensor:
    """Values of b at `at_b` where `use_b`, else a at `at_a`; unused indices may be −1."""
    if b.shape[-1] == 0:
        return _take(a, at_a)
    if a.shape[-1] == 0:
        return _take(b, at_b)
    return torch.where(use_b, _take(b, at_b.clamp(min=0)), _take(a, at_a.clamp(min=0)))


def _walk(x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None):
    """Orders of both samples and the staircase between them, for one pair on the line."""
    order_x, order_y = argsort(x, y)
    if a is None and b is None:
        return order_x, order_y, uniform_staircase(len(x), len(y), x.device)
    a = None if a is None else a.detach()
    b = None if b is None else b.detach()
    stairs = staircase(_weights(a, order_x), _weights(b, order_y), len(x), len(y))
    return order_x, order_y, stairs


def _spread(mass: Tensor, index: Tensor, size: int) -> Tensor:
    """Marginal of the staircase: masses summed by row or column."""
    return mass.new_zeros(size).index_add_(0, index, mass)
