r"""Task: what every solver is given, and the way back to the caller's units.

A solver sees a ground cost in scaled units and two weight vectors; whether the cost comes from
points or from a matrix is not its business. Costs scale by s^p and distances by s, where s is the
scale of `measure.SamplePair` (or, for a matrix, a power of two that bounds it, with p = 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from otdist.core.absent import Absent, Whole, split_zeros
from otdist.core.arrays import enter
from otdist.core.frame import scaled
from otdist.core.measure import SamplePair, weights
from otdist.core.metric import MetricCost
from otdist.core.point_cost import Cost, MatrixCost, PointCost
from otdist.core.result import OTResult
from otdist.core.units import Units


@dataclass(frozen=True)
class Task(Units):
    """One transport problem in scaled units.

    Attributes:
        cost: Ground cost, shape (n, m), in the working precision, without a graph.
        a: Weights of the sources, shape (n,), float64, of sum one, with their graph.
        b: Weights of the targets, shape (m,), likewise.
        pair: The samples, or None when a matrix was given.
        matrix: The scaled matrix with its graph, or None when samples were given.
        whole: The problem with the points of weight zero, which no solver sees; None where there
            are none.
    """

    cost: Cost
    a: Tensor
    b: Tensor
    pair: SamplePair | None = None
    matrix: Tensor | None = None
    whole: Whole | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of sources and of targets as the caller counts them."""
        return self.cost.shape if self.whole is None else self.whole.cost.shape

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
                replace(s, points=s.points.detach(), weights=s.weights.detach(), absent=None)
                for s in (pair.x, pair.y)
            )
            pair = replace(pair, x=x, y=y)
        matrix = None if matrix is None else matrix.detach()
        whole = None if self.whole is None else self.whole.detached()
        a, b = self.a.detach(), self.b.detach()
        return replace(self, a=a, b=b, pair=pair, matrix=matrix, whole=whole)

    def in_units_of(self, unit: float) -> Task:
        """The same task with costs in units of unit^p; points round by their last digit."""
        pair = self.pair
        if pair is not None:
            x, y = (replace(s, points=s.points / unit) for s in (pair.x, pair.y))
            pair = replace(pair, x=x, y=y, scale=pair.scale * unit)
        matrix = None if self.matrix is None else self.matrix / unit
        return replace(self, scale=self.scale * unit, pair=pair, matrix=matrix)

    def price(self, reach: float) -> float:
        """reach^p in scaled cost units.

        Raises:
            ValueError: it vanishes or overflows.
        """
        try:
            price = (reach / self.scale) ** self.p
        except OverflowError:
            price = math.inf
        if not 0 < price < math.inf:
            raise out_of_range(reach)
        return price

    def potential(self, start: OTResult) -> Tensor:
        """The potential g of an earlier result, in scaled units.

        Raises:
            ValueError: of another size or exponent, or not finite.
        """
        check_sizes(start, self.cost.shape)
        if start.p != self.p:
            raise ValueError(f"start must be a result at p = {self.p:g}: got p = {start.p:g}")
        g = torch.as_tensor(start.potentials[1]).to(self.b.device, torch.float64)
        g = self.in_scaled_units(g)
        if not bool(torch.isfinite(g).all()):
            raise ValueError("start must have finite potentials: they overflow, leave start out")
        return g


def out_of_range(reach: float) -> ValueError:
    """The error of a reach whose power vanishes or overflows."""
    return ValueError(f"reach must have a p-th power in the range of float64: got {reach:g}")


def check_sizes(start: OTResult, sizes: tuple[int, int]) -> None:
    """Refuse an earlier result of a problem of other sizes.

    Raises:
        ValueError: as said.
    """
    f, g = start.potentials
    if (len(f), len(g)) != sizes:
        raise ValueError(
            f"start must come from a problem of the same sizes {sizes}: "
            f"its potentials have lengths {(len(f), len(g))}"
        )


def of_pair(pair: SamplePair, p: float) -> Task:
    """The task of moving `pair.x` to `pair.y` at the p-th power of their distance."""
    cost, unit = ground(pair, p)
    whole = None
    if pair.x.absent is not None or pair.y.absent is not None:
        everything = cost.between(pair.x.whole.double(), pair.y.whole.double())
        whole = Whole(everything, pair.x.absent, pair.y.absent)
    weights = pair.x.weights, pair.y.weights
    return Task(p, pair.scale * unit, pair.kind, cost, *weights, pair=pair, whole=whole)


def ground(pair: SamplePair, p: float) -> tuple[PointCost | MetricCost, float]:
    """The cost between the points of a pair, and the unit of its distances in those of the pair."""
    metric, x, y = pair.metric, pair.x.points, pair.y.points
    if metric is None:
        return PointCost(x, y, p), 1.0
    cost, unit = metric.cost(x, y, p, pair.error / pair.scale)
    return cost, unit * metric.factor


def of_matrix(cost: Any, a: Any = None, b: Any = None, *, masses: bool = False) -> Task:
    """The task of a given cost matrix.

    Args:
        cost: Shape (n, m), non-negative and finite.
        a: Weights of the rows, shape (n,); uniform when None.
        b: Weights of the columns, shape (m,); uniform when None.
        masses: Let weights have any positive sum, which they keep.

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
    weight_a, rows = _present(weights(a, "a", "the rows of cost", matrix, masses), masses)
    weight_b, cols = _present(weights(b, "b", "the columns of cost", matrix.T, masses), masses)
    part = matrix if rows is None else matrix[rows.present]
    part = part if cols is None else part[:, cols.present]
    # Costs are summed, never raised to a power: most of the range of float64 is free.
    high = high if part is matrix else float(part.detach().max())
    (part,), scale = scaled([part], math.frexp(high)[1] - 1 if high > 0 else 0, "cost", 900.0)
    whole = None
    if rows is not None or cols is not None:
        whole = Whole(MatrixCost(matrix.detach().double() / scale), rows, cols)
    return Task(
        1.0, scale, kind, MatrixCost(part), weight_a, weight_b, matrix=part, whole=whole
    )  # fmt: skip


def _present(weights: Tensor, masses: bool) -> tuple[Tensor, Absent | None]:
    """Positive weights, of sum one or masses, and those that left.

    Masses of zero stay where a gradient in them is asked for.
    """
    split = split_zeros(weights)
    if split is None or (masses and weights.requires_grad and torch.is_grad_enabled()):
        return weights, None
    present, rows = split
    kept = weights[present]
    return kept if masses else kept / kept.sum(), Absent(rows, present, None, weights[rows])
