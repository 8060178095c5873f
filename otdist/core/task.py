r"""Task: what every solver is given, and the way back to the caller's units.

A solver sees a ground cost in scaled units and two weight vectors; whether the cost comes from
points or from a matrix is not its business. Costs scale by s^p and distances by s, where s is the
scale of `measure.Pair` (or, for a matrix, a power of two that bounds it, with p = 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from otdist.core.arrays import Kind, enter
from otdist.core.gradient import root
from otdist.core.measure import Pair, weights
from otdist.core.point_cost import Cost, MatrixCost, PointCost


@dataclass(frozen=True)
class Task:
    """One transport problem in scaled units.

    Attributes:
        cost: Ground cost, shape (n, m), in the working precision, without a graph.
        a: Weights of the sources, shape (n,), float64, of sum one, with their graph.
        b: Weights of the targets, shape (m,), likewise.
        p: Exponent; 1 for a given matrix.
        scale: Distances in the caller's units are `scale` times larger.
        kind: What the caller's samples were.
        pair: The samples, or None when a matrix was given.
        matrix: The scaled matrix with its graph, or None when samples were given.
    """

    cost: Cost
    a: Tensor
    b: Tensor
    p: float
    scale: float
    kind: Kind
    pair: Pair | None = None
    matrix: Tensor | None = None

    @property
    def needs_gradient(self) -> bool:
        """Whether any input requires a gradient."""
        if self.pair is not None:
            return self.pair.needs_gradient
        tensors = (self.matrix, self.a, self.b)
        return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)

    @property
    def numbers(self) -> int:
        """How many numbers a solver meets: pairs, or points where they lie on the line."""
        n, m = self.cost.shape
        return n + m if self.pair is not None and self.cost.dimension == 1 else n * m

    def detached(self) -> Task:
        """The same task without any graph, for what is computed later."""
        pair, matrix = self.pair, self.matrix
        if pair is not None:
            x, y = (
                replace(s, points=s.points.detach(), weights=s.weights.detach())
                for s in (pair.x, pair.y)
            )
            pair = replace(pair, x=x, y=y)
        matrix = None if matrix is None else matrix.detach()
        return replace(self, a=self.a.detach(), b=self.b.detach(), pair=pair, matrix=matrix)

    def distance(self, cost: Tensor) -> Tensor:
        """W_p in the caller's units from a cost in scaled units; gradient 0 at 0."""
        return root(cost, self.p) * self.scale

    def in_cost_units(self, values: Tensor) -> Tensor:
        """Costs or potentials in the caller's units; inf only where the value itself overflows."""
        factor = _power(self.scale, self.p)
        if math.isfinite(factor) and factor > 0:
            return values * factor
        return values.sign() * (root(values.abs(), self.p) * self.scale) ** self.p


def of_pair(pair: Pair, p: float) -> Task:
    """The task of moving `pair.x` to `pair.y` at cost ‖x − y‖^p."""
    cost = PointCost(pair.x.points, pair.y.points, p)
    return Task(cost, pair.x.weights, pair.y.weights, p, pair.scale, pair.kind, pair=pair)


def of_matrix(cost: Any, a: Any = None, b: Any = None) -> Task:
    """The task of a given cost matrix.

    Args:
        cost: Shape (n, m), non-negative and finite.
        a: Weights of the rows, shape (n,); uniform when None.
        b: Weights of the columns, shape (m,); uniform when None.

    Raises:
        TypeError: not numbers.
        ValueError: not a matrix, empty, NaN, infinite or negative entries, bad weights.
    """
    kind, raw = enter(cost=cost)
    matrix = raw["cost"]
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(
            f"cost must have shape (n, m) with n, m ≥ 1: got shape {tuple(matrix.shape)}"
        )
    low, high = (float(v) for v in torch.aminmax(matrix.detach()))
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = ~torch.isfinite(matrix.detach())
        raise ValueError(
            f"cost must be finite: found {int(bad.sum())} NaN or infinite entries, first at "
            f"{tuple(bad.nonzero()[0].tolist())}"
        )
    if low < 0:
        raise ValueError(
            f"cost must be non-negative: the lowest entry is {low:.6g}; pass cost - cost.min()"
        )
    scale = math.ldexp(1.0, math.frexp(high)[1] - 1) if high > 0 else 1.0
    matrix = matrix if scale == 1 else matrix / scale
    weight_a = weights(a, "a", "the rows of cost", matrix)
    weight_b = weights(b, "b", "the columns of cost", matrix.T)
    return Task(MatrixCost(matrix), weight_a, weight_b, 1.0, scale, kind, matrix=matrix)


def _power(scale: float, p: float) -> float:
    try:
        return scale**p
    except OverflowError:
        return math.inf
