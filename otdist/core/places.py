r"""Points on lattices: c-transforms and soft-mins of pairs of images without looking at all pairs.

Points lie on the lattice of their distinct coordinates. Where they fill it, and the cost is a sum
over coordinates (squares of Euclidean distances, or cityblock distances), `Lattices` serve them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from otdist.core.lattice import Axis, Lattices
from otdist.core.metric import MetricCost
from otdist.core.point_cost import Cost, PointCost

_FULL = 0.25  # share of the places that points must take
_LEAST = 2**20  # pairs below which all of them are soon looked at
_LARGEST = 2**26  # costs of an axis, which are held


@dataclass(frozen=True)
class Places:
    """Points x and y on a lattice each.

    Attributes:
        lattices: Both.
        i: Place of each x, shape (n,).
        j: Place of each y, shape (m,).
    """

    lattices: Lattices
    i: Tensor
    j: Tensor

    @property
    def T(self) -> Places:
        """The cost from y to x."""
        return Places(self.lattices.T, self.j, self.i)

    def ctransform(self, g: Tensor) -> Tensor:
        """min_j c_ij − g_j, shape (n,), float64; as exact as a sum over pairs."""
        return self.lattices.ctransform(self.highest(g))[self.i]

    def highest(self, g: Tensor) -> Tensor:
        """Values of y (m,) on all places, the highest where several y meet; −inf where none is."""
        full = g.new_full((self.lattices.shape[1],), -math.inf, dtype=torch.float64)
        return full.scatter_reduce_(0, self.j, g.double(), "amax")


def of(cost: Cost, least: int = _LEAST) -> Places | None:
    """The places of the points behind a cost; None where it is no sum over full lattices.

    Args:
        cost: Of any kind.
        least: Pairs from which it is worth while.
    """
    if math.prod(cost.shape) < least or cost.dimension < 2:
        return None
    if isinstance(cost, PointCost) and cost.p == 2:
        x, y, unit = cost.x, cost.y, 1.0
    elif isinstance(cost, MetricCost) and cost.metric.additive == cost.p:
        x, y, unit = cost.x, cost.y, cost.unit
    else:
        return None
    sources, targets = (_lattice(z, unit) for z in (x, y))
    if sources is None or targets is None:
        return None
    (v, i), (u, j) = sources, targets
    if max(len(s) * len(t) for s, t in zip(v, u, strict=True)) > _LARGEST:
        return None
    return Places(Lattices([Axis(s, t, cost.p) for s, t in zip(v, u, strict=True)]), i, j)


def _lattice(points: Tensor, unit: float) -> tuple[list[Tensor], Tensor] | None:
    """Distinct coordinates of each axis, in units, and each point's place; None if sparse."""
    axes, place, size = [], torch.zeros(len(points), dtype=torch.int64, device=points.device), 1
    for column in points.T:
        values, at = torch.unique(column.double() / unit, return_inverse=True)
        size *= len(values)
        if size * _FULL > len(points):
            return None
        axes.append(values)
        place = place * len(values) + at
    return axes, place
