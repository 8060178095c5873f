r"""One more source and one more target: what turns partial into balanced transport.

Mass that a source keeps goes to the additional target, and mass that a target lacks comes from the
additional source. Two prices say which problem that is:

* partial, of a mass s: both ways are free of charge. The additional source holds Σ b − s and the
  additional target lacks Σ a − s, so that exactly s moves between points if nothing passes from the
  one to the other; since no cost is negative, any positive price for that way closes it.
* total variation: every unit that a source keeps or a target lacks costs `price`. The additional
  source holds Σ b, the additional target lacks Σ a, and what neither needs passes free of charge.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from otdist.core.cost import LOG2E, Cost, Exponents
from otdist.core.point_cost import PointCost


class NodeCost(Cost):
    """Costs between points, with prices where a row or a column is the additional node.

    Attributes:
        base: Costs, shape (n, m); any point stands in the place of a node.
        at_x: Whether a source is the node, shape (n,).
        at_y: Whether a target is the node, shape (m,).
        prices: From a point to the node, from the node to a point, and from node to node.
    """

    def __init__(
        self, base: Cost, at_x: Tensor, at_y: Tensor, prices: tuple[float, float, float]
    ) -> None:
        self.base, self.at_x, self.at_y, self.prices = base, at_x, at_y, prices
        self.shape, self.p, self.dimension = base.shape, base.p, base.dimension
        self.dtype, self.device = base.dtype, base.device

    @staticmethod
    def around(cost: Cost, prices: tuple[float, float, float]) -> NodeCost:
        """The costs (n, m) with a node after the last source and one after the last target."""
        sides = [torch.arange(k + 1, device=cost.device) for k in cost.shape]
        at_x, at_y = (side == len(side) - 1 for side in sides)
        i, j = (torch.where(at, 0, side) for at, side in zip((at_x, at_y), sides, strict=True))
        return NodeCost(cost.sub(i, j), at_x, at_y, prices)

    @property
    def T(self) -> NodeCost:
        """The transposed cost."""
        leave, arrive, between = self.prices
        return NodeCost(self.base.T, self.at_y, self.at_x, (arrive, leave, between))

    def to(self, dtype: torch.dtype) -> NodeCost:
        """The same costs in another precision."""
        return NodeCost(self.base.to(dtype), self.at_x, self.at_y, self.prices)

    def sub(self, i: Tensor, j: Tensor) -> NodeCost:
        """The costs between sources i and targets j (index tensors)."""
        return NodeCost(self.base.sub(i, j), self.at_x[i], self.at_y[j], self.prices)

    @property
    def largest(self) -> float:
        """The largest cost or price."""
        return max(self.base.largest, *self.prices)

    @property
    def rounding(self) -> float:
        """That of the costs between points."""
        return self.base.rounding

    @property
    def slack(self) -> float:
        """That of the costs between points."""
        return self.base.slack

    @property
    def underflow(self) -> float:
        """That of the costs between points."""
        return self.base.underflow

    @property
    def error(self) -> float:
        """That of the costs between points."""
        return self.base.error

    @property
    def arcs(self) -> tuple[Tensor, Tensor]:
        """Rows and columns of all arcs from and to the node."""
        i, j = (self.at_x[:, None] | self.at_y).nonzero(as_tuple=True)
        return i, j

    def lifted(self, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
        """Those of the points; the node has one more column and prices in its rows."""
        found = self.base.lifted(dtype) if isinstance(self.base, PointCost) else None
        if found is None:
            return None
        left, right = (
            torch.nn.functional.pad(z, pad)
            for z, pad in zip(found, ((0, 1), (0, 0, 0, 1)), strict=True)
        )
        leave, arrive, between = (
            price ** (2 / self.p) * (1 - 8 * torch.finfo(dtype).eps) for price in self.prices
        )
        left[self.at_x], right[:, self.at_y] = 0.0, 0.0
        right[-2, self.at_y] = leave
        left[self.at_x, -3] = arrive
        left[self.at_x, -1], right[-1, self.at_y] = 1.0, between
        return left, right

    def rows(self, lo: int, hi: int) -> Tensor:
        """Costs of sources lo … hi − 1, shape (hi − lo, m)."""
        leave, arrive, between = self.prices
        block = self.base.rows(lo, hi)
        block.index_fill_(1, self._columns, leave)
        for row in self._rows_within(lo, hi):
            block[row - lo] = arrive
            block[row - lo, self._columns] = between
        return block

    def exponents(self, h: Tensor, eps: float) -> Exponents:
        """Those of exp((h_j − c_ij)/eps), as fast as between points."""
        inner, unit = self.base.exponents(h, eps), LOG2E / eps
        leave, arrive, between = (price * unit for price in self.prices)
        scaled = h.to(self.dtype) * unit
        held = scaled[self._columns]

        def write(part: slice, out: Tensor) -> Tensor:
            out = inner.write(part, out)
            offset = inner.offset[part]
            out.index_copy_(1, self._columns, held - leave + offset[:, None])
            for row in self._rows_within(part.start, part.stop):
                out[row - part.start] = scaled - arrive + inner.offset[row]
                out[row - part.start, self._columns] = held - between + inner.offset[row]
            return out

        return Exponents(write, inner.offset)

    @cached_property
    def _columns(self) -> Tensor:
        """Where targets are the node."""
        return self.at_y.nonzero()[:, 0]

    @cached_property
    def _rows(self) -> list[int]:
        """Where sources are the node, in order."""
        return self.at_x.nonzero()[:, 0].tolist()

    def _rows_within(self, lo: int, hi: int) -> list[int]:
        return [row for row in self._rows if lo <= row < hi]

    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """Costs c[i_k, j_k], shape (k,)."""
        leave, arrive, between = self.prices
        from_node, to_node = self.at_x[i], self.at_y[j]
        costs = self.base.pairs(i, j)
        costs[to_node] = leave
        costs[from_node] = arrive
        costs[from_node & to_node] = between
        return costs
