r"""The c-transform at p = 2 in few dimensions without most pairs: cells that bounds rule out.

For x in a cell A with anchor x₀ and y in a cell B with anchor y₀,

    ‖x − y‖² = ‖x‖² + ‖y‖² − 2⟨x, y₀⟩ − 2⟨x₀, y⟩ + 2⟨x₀, y₀⟩ − 2⟨x − x₀, y − y₀⟩,

and the last product is at most the product of the radii of the cells. So for any numbers u_i,

    ‖x_i − y_j‖² − g_j − u_i ≥ min_A (‖x‖² − u − 2⟨x, y₀⟩) + min_B (‖y‖² − g − 2⟨x₀, y⟩)
                                + 2⟨x₀, y₀⟩ − 2 R_A R_B.

Where that is positive, no pair of A and B is below u, and f_i = min(u_i, minimum over the cells
that are left) is feasible *whatever u is*; with u the minimum over the most promising cells it is
the c-transform. Potentials vary by about their slope within a cell, which the anchored minima
follow to first order: of 50,000 points between mixtures a ninth of the pairs of cells is left in
the plane, and the more points the less.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from otdist.core.point_cost import PointCost
from otdist.core.threads import each
from otdist.core.tree import split, starts

LEAST_PAIRS = 2**30
"""Pairs from which the bounds pay: at 2^31 a quarter of the time in the plane, half in space."""

DIMENSION = 3
"""Coordinates up to which cells are small."""

_PROMISING = 3  # cells that u is taken from
_LEVELS = 11  # of the tree, at most: more than 2,048 cells take longer to bound than to skip
_ROWS = 4096  # of a block of anchored terms


class _Cells:
    """Points, a potential, and anchored cells of one side, in the order of a tree, float32."""

    def __init__(self, points: Tensor, potential: Tensor | None, size: int) -> None:
        n, self.size = len(points), size
        levels = min(_LEVELS, max(0, (n // size).bit_length() - 1))
        self.order = torch.from_numpy(split(points, levels))
        self.begin = torch.from_numpy(starts(n, levels))
        self.end = torch.cat([self.begin[1:], torch.tensor([n])])
        self.points = points[self.order].float()
        self.potential = None if potential is None else potential[self.order].float()
        counts = self.end - self.begin
        self.cell = torch.repeat_interleave(torch.arange(len(counts)), counts)
        total = torch.zeros(len(counts), points.shape[1]).index_add_(0, self.cell, self.points)
        self.anchors = total / counts[:, None]
        away = (self.points - self.anchors[self.cell]).norm(dim=1)
        self.radius = torch.zeros(len(counts)).scatter_reduce_(0, self.cell, away, "amax")

    def least(self, values: Tensor, anchors: Tensor) -> Tensor:
        """Minimum over each cell of values − 2⟨point, anchor⟩, shape (cells, anchors)."""
        out = torch.full((len(self.begin), len(anchors)), torch.inf)

        def block(part: slice) -> None:
            lo, hi = int(self.begin[part.start]), int(self.end[part.stop - 1])
            terms = values[lo:hi, None] - 2 * (self.points[lo:hi] @ anchors.T)
            index = (self.cell[lo:hi] - part.start)[:, None].expand_as(terms)
            out[part].scatter_reduce_(0, index, terms, "amin")

        each(_ranges(len(self.begin), max(1, _ROWS // self.size)), block, self.points.device)
        return out


def ctransform(cost: PointCost, g: Tensor, size: int = 128) -> Tensor:
    """At most min_j ‖x_i − y_j‖² − g_j, shape (n,), float64.

    Args:
        cost: At p = 2, shape (n, m), on the CPU.
        g: Potential of the targets, shape (m,), float64, finite.
        size: Points of a cell, at least.
    """
    unit = torch.finfo(torch.float32).eps
    x, y = _Cells(cost.x, None, size), _Cells(cost.y, g, size)
    assert y.potential is not None
    left, right = PointCost(x.points, y.points, 2).lifted(torch.float32)
    right[-1] -= y.potential
    near = torch.cdist(x.anchors, y.anchors).square_()
    highest = torch.full((len(y.begin),), -torch.inf)
    near -= highest.scatter_reduce_(0, y.cell, y.potential, "amax")
    promising = near.topk(min(_PROMISING, near.shape[1]), largest=False).indices
    chosen = torch.zeros(near.shape, dtype=torch.bool).scatter_(1, promising, True)
    u = _over(left, right, x, y, chosen, torch.full((len(x.points),), torch.inf))
    square_x, square_y = x.points.square().sum(1), y.points.square().sum(1)
    bound = x.least(square_x - u, y.anchors) + y.least(square_y - y.potential, x.anchors).T
    bound += 2 * (x.anchors @ y.anchors.T) - 2 * x.radius[:, None] * y.radius
    # Sums, products and the rounding of the points to float32, many times over.
    largest = float(square_x.max() + square_y.max() + u.abs().max() + y.potential.abs().max())
    slack = 32 * (cost.dimension + 8) * unit * largest
    low = _over(left, right, x, y, (bound <= slack) & ~chosen, u)
    low = low.double() - unit * (16 * low.abs() + (cost.dimension + 16) * y.potential.abs().max())
    out = torch.empty(len(low), dtype=torch.float64)
    out[x.order] = low
    return out


def _over(left: Tensor, right: Tensor, x: _Cells, y: _Cells, cells: Tensor, low: Tensor) -> Tensor:
    """The lesser of `low` and the minimum over the marked cells of every row."""
    out = low.clone()

    def block(part: slice) -> None:
        for a in range(part.start, part.stop):
            mine = slice(int(x.begin[a]), int(x.end[a]))
            for b in _runs(cells[a].numpy()):
                span = slice(int(y.begin[b.start]), int(y.end[b.stop - 1]))
                found = torch.mm(left[mine], right[:, span]).amin(1)
                torch.minimum(out[mine], found, out=out[mine])

    each(_ranges(len(x.begin), 8), block, left.device)
    return out


def _runs(marks: np.ndarray) -> list[slice]:
    """Ranges of neighbouring marks, at most four cells long so that a product stays in cache."""
    at = np.flatnonzero(marks)
    if not len(at):
        return []
    cuts = np.flatnonzero(np.diff(at) > 1) + 1
    runs = [(int(part[0]), int(part[-1]) + 1) for part in np.split(at, cuts)]
    return [slice(lo, min(lo + 4, end)) for begin, end in runs for lo in range(begin, end, 4)]


def _ranges(n: int, step: int) -> list[slice]:
    return [slice(lo, min(lo + step, n)) for lo in range(0, n, step)]
