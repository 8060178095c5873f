"""Costs in double precision between points that stay in single precision: no copy is kept.

A float32 number is a float64 number, so that nothing is lost where points are widened pair by pair,
as their costs are asked for. What needs all points at once is left to a widened copy.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from otdist.core.cost import Cost, Exponents, block_entries
from otdist.core.point_cost import PointCost


def widened(cost: Cost) -> Cost:
    """The cost in float64; points in float32 stay as they are."""
    if isinstance(cost, PointCost) and cost.dtype == torch.float32:
        return WidenedCost(cost.x, cost.y, cost.p)
    return cost.to(torch.float64)


class WidenedCost(PointCost):
    """‖x_i − y_j‖^p in float64 between points x (n, d) and y (m, d) in float32."""

    def __init__(self, x: Tensor, y: Tensor, p: float) -> None:
        super().__init__(x, y, p)
        self.dtype = torch.float64

    @cached_property
    def _whole(self) -> PointCost:
        return PointCost(self.x.double(), self.y.double(), self.p)

    @property
    def T(self) -> WidenedCost:
        """The transposed cost."""
        return WidenedCost(self.y, self.x, self.p)

    def to(self, dtype: torch.dtype) -> PointCost:
        """The same points in another precision."""
        return self if dtype == torch.float64 else PointCost(self.x, self.y, self.p).to(dtype)

    def sub(self, i: Tensor, j: Tensor) -> PointCost:
        """The cost between points x_i and y_j (index tensors), which are widened."""
        return PointCost(self.x[i].double(), self.y[j].double(), self.p)

    def centred(self) -> PointCost:
        """As of the widened points."""
        return self._whole.centred()

    def rows(self, lo: int, hi: int) -> Tensor:
        """Costs of sources lo … hi − 1, shape (hi − lo, m)."""
        return self._whole.rows(lo, hi)

    def exponents(self, h: Tensor, eps: float) -> Exponents:
        """As of the widened points."""
        return self._whole.exponents(h, eps)

    def force(self, part: slice, c: Tensor, plan: Tensor) -> Tensor:
        """As of the widened points."""
        return self._whole.force(part, c, plan)

    def _squared_differences(self, i: Tensor, j: Tensor) -> Tensor:
        out = torch.empty(len(i), dtype=torch.float64, device=self.device)
        step = max(1, block_entries(self.device) // self.dimension)
        for lo in range(0, len(i), step):
            difference = self.x.index_select(0, i[lo : lo + step]).double()
            difference -= self.y.index_select(0, j[lo : lo + step])
            torch.sum(difference.square_(), 1, out=out[lo : lo + step])
        return out
