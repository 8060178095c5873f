r"""When an entropic problem is done: an error that sees every mass that is still to be moved.

The L1 error of the marginals does not: a point of mass 10⁻⁴ at a distance of 1,000 is missing 10⁻⁴
of L1 error and 100 of squared cost. With the dual value D, a concave function of g with gradient
r = b − Pᵀ1,

    D(g*) − D(g) ≤ Σ_j r_j (g*_j − g_j).

Of the difference two things are known. A step of Sinkhorn estimates it, by eps·(T(φ) − φ) with
φ = g/eps. And it is bounded: with c̄_i = Σ_j b_j c_ij, c̄_j = Σ_i a_i c_ij and ⟨b, g*⟩ = 0,

    −max_i (c̄_i − c_ij)  ≤  g*_j  ≤  c̄_j,

because a soft-min lies between the least value and the mean, and values of the problem are not
below zero. (In the lower bound f*_i ≤ c̄_i by the same reasoning.) The error is the largest of

* Σ |r_j|,
* the root of Σ |r_j (T(φ) − φ)_j|: below tol a step moves the value by the order of eps·tol²,
  and all further steps by that over the share of the error that a step removes;
* Σ |r_j| · 2 max(c̄_j, max_i (c̄_i − c_ij)) / scale: below tol the value is at most tol·scale from
  the optimum, as soon as g obeys the bounds, which every T_a(f) does from the second step on.

The scale is the mean cost. The plain L1 error remains where a bracket speaks for the value.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from otdist.core.point_cost import Cost

FINEST = 1e-11
"""Error that small problems are polished to: its square, and what slow exchanges make of that, is
below rounding."""

FINE = 1e-9
"""Error of small problems above which they are begun anew, from large eps."""


def reach(cost: Cost, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """How far a missing mass at each y_j may move the value, in units of the scale, at least one.

    Args:
        cost: Shape (n, m).
        a: Weights (n,), float64, of sum one.
        b: Weights (m,).
        scale: The mean cost of the problem that the value is for.

    Returns:
        Shape (m,), float64. Cost: three passes over the pairs.
    """
    means = cost.apply(b).double()
    below = -cost.T.ctransform(means.to(cost.dtype))[0].double()
    return of_bounds(torch.maximum(cost.T.apply(a).double(), below), scale)


def of_bounds(bounds: Tensor, scale: Tensor | float) -> Tensor:
    """The reach of bounds of |g*| (…, m) in units of a positive scale; one where it is zero."""
    if isinstance(scale, Tensor):
        units = torch.where(scale > 0, scale, math.inf)
    else:
        units = scale if scale > 0 else math.inf
    return (2 * bounds / units).clamp(min=1)


def error(missing: Tensor, move: Tensor, reach: Tensor | None) -> float:
    """The error of a potential, the largest over a batch.

    Args:
        missing: Column sums less weights, (…, m).
        move: φ − T(φ), (…, m).
        reach: As found by `reach`; None for the plain L1 error.
    """
    mass = missing.abs()
    if reach is None:
        return largest(mass)
    return max(largest(mass * reach), math.sqrt(largest(mass * move.abs())))


def largest(terms: Tensor) -> float:
    """The largest sum over a batch, or the sum."""
    sums = terms.sum(-1)
    return float(sums if sums.ndim == 0 else sums.max())
