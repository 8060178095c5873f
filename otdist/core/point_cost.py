r"""The ground cost c(x, y) = ‖x − y‖^p in blocks of rows: the one room where O(n·m) work happens.

Two ways of computing a distance, and when each is used:

* *Expansion*, ‖x‖² + ‖y‖² − 2⟨x, y⟩: one matrix product; loses digits of order u·(‖x‖² + ‖y‖²),
  which matters where the points nearly meet and p < 2.
* *Direct differences*: no loss, O(d) work per pair.

The soft-min at p = 2 uses the expansion, because its error stays far below any sensible eps. All
that feeds a certificate ends in direct differences: for few dimensions throughout (as fast as the
product there), otherwise for every pair within the expansion's slack of the minimum.
Points are expected centred (`measure.Measure` does so): the slack is relative to their norms.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from otdist.core.cost import LOG2E, Cost, Exponents, block_entries, lowest
from otdist.core.threads import each, scratch

__all__ = ["Cost", "MatrixCost", "PointCost", "WrittenCost"]

_DIRECT_DIMENSION = 12  # up to here float64 differences cost no more than the product
_WIDE_DIMENSION = 64  # up to here a float64 product costs little more than a float32 one
_OUTER = 16  # one landmark in so many is an outermost point
_NORMAL = 2.0**-1022  # the least float64 that carries all its digits
_NEAR = 1e-3  # pairs closer than this share of the squared norms are recomputed by differences


class PointCost(Cost):
    """‖x_i − y_j‖^p between points x (n, d) and y (m, d) of one floating dtype and device."""

    def __init__(self, x: Tensor, y: Tensor, p: float) -> None:
        self.x = x.detach() if x.requires_grad else x
        self.y = y.detach() if y.requires_grad else y
        self.p = float(p)
        self.shape, self.dimension = (x.shape[0], y.shape[0]), x.shape[1]
        self.dtype, self.device = x.dtype, x.device
        self._lifted: tuple[Tensor, Tensor] | None = None

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Both samples as arrays of numpy, where they are on the CPU."""
        return self.x.numpy(), self.y.numpy()

    def between(self, x: Tensor, y: Tensor) -> PointCost:
        """The cost between other points of one dtype and device."""
        return PointCost(x, y, self.p)

    @property
    def T(self) -> PointCost:
        """The transposed cost."""
        return PointCost(self.y, self.x, self.p)

    def to(self, dtype: torch.dtype) -> PointCost:
        """The same points in another precision."""
        return (
            self if dtype == self.dtype else PointCost(self.x.to(dtype), self.y.to(dtype), self.p)
        )

    @property
    def largest(self) -> float:
        """The diagonal of the box around all points, to the power p (inf where it overflows)."""
        try:
            return self._diagonal**self.p * (1 + 1e-12)
        except OverflowError:
            return math.inf

    @property
    def underflow(self) -> float:
        """What a cost loses at most: digits of its squares, or of its power, whichever is more."""
        return max(_NORMAL, (self.dimension * _NORMAL) ** (self.p / 2))

    def _box(self) -> tuple[Tensor, Tensor]:
        """Least and largest coordinates of all points."""
        low = torch.minimum(self.x.amin(0), self.y.amin(0))
        return low, torch.maximum(self.x.amax(0), self.y.amax(0))

    @cached_property
    def _diagonal(self) -> float:
        low, high = self._box()
        return float((high.double() - low.double()).norm())

    def sub(self, i: Tensor, j: Tensor) -> PointCost:
        """The cost between points x_i and y_j (index tensors)."""
        return PointCost(self.x[i], self.y[j], self.p)

    def centred(self) -> PointCost:
        """The points moved by the centre of the box around them; each rounds by its last digit."""
        low, high = self._box()
        middle = (low + high) / 2
        return PointCost(self.x - middle, self.y - middle, self.p)

    @property
    def rounding(self) -> float:
        """Unit rounding of (max ‖x‖ + max ‖y‖)^p, with powers above the second of the distance."""
        reach = sum(float(z.norm(dim=1).max()) for z in (self.x, self.y))
        size = reach ** min(self.p, 2) * min(reach, self._diagonal) ** max(self.p - 2, 0)
        return torch.finfo(self.dtype).eps * size

    @property
    def by_differences(self) -> bool:
        """Whether `rows` are by direct differences."""
        return self.dtype == torch.float64 and self.dimension <= _DIRECT_DIMENSION

    @property
    def _product_dtype(self) -> torch.dtype:
        """A float64 product rounds like differences at float32, and is cheap for few dimensions."""
        return torch.float64 if self.dimension <= _WIDE_DIMENSION else self.dtype

    def _lift(self) -> tuple[Tensor, Tensor]:
        """(−2x, 1, ‖x‖²) and (y, ‖y‖², 1)ᵀ, whose product is the matrix of squared distances."""
        if self._lifted is None:
            x, y = self.x.to(self._product_dtype), self.y.to(self._product_dtype)
            one, norm = torch.ones_like(x[:, :1]), x.square().sum(1, keepdim=True)
            left = torch.cat([x.mul(-2), one, norm], 1)
            one, norm = torch.ones_like(y[:, :1]), y.square().sum(1, keepdim=True)
            self._lifted = left, torch.cat([y, norm, one], 1).T.contiguous()
        return self._lifted

    def lifted(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(−2x, ‖x‖², 1) and (y, 1, ‖y‖²)ᵀ, with norms less by what their product may be off."""
        x, y = self.x.to(dtype), self.y.to(dtype)
        share = 1 - 2 * (self.dimension + 8) * torch.finfo(dtype).eps
        norm_x = x.square().sum(1, keepdim=True) * share
        norm_y = y.square().sum(1, keepdim=True) * share
        left = torch.cat([-2 * x, norm_x, torch.ones_like(norm_x)], 1)
        return left, torch.cat([y, torch.ones_like(norm_y), norm_y], 1).T.contiguous()

    def rows(self, lo: int, hi: int) -> Tensor:
        """Costs of sources lo … hi − 1, shape (hi − lo, m)."""
        if self.by_differences:
            mode = "donot_use_mm_for_euclid_dist"
            distance = torch.cdist(self.x[lo:hi], self.y, compute_mode=mode)
            return distance if self.p == 1 else distance.pow_(self.p)
        left, right = self._lift()
        squared = torch.mm(left[lo:hi], right).to(self.dtype).clamp_(min=0)
        if self.p < 2 and self._product_dtype == self.dtype:
            self._repair(lo, squared)
        if self.p == 2:
            return squared
        return squared.sqrt_() if self.p == 1 else squared.pow_(self.p / 2)

    def _repair(self, lo: int, squared: Tensor) -> None:
        """Direct differences for near pairs: a root turns an error δ of theirs into √δ."""
        left, right = self._lift()
        reach = left[lo : lo + len(squared), -1:] + right[-2]
        i, j = (squared < reach.mul_(_NEAR)).nonzero(as_tuple=True)
        if len(i):
            squared[i, j] = self._squared_differences(i + lo, j)

    def _reach(self) -> float:
        """Largest ‖x_i‖² + ‖y_j‖²."""
        left, right = self._lift()
        return float(left[:, -1].max() + right[-2].max())

    @property
    def slack(self) -> float:
        """Error of an expanded cost: (d + 8)·u·(max ‖x‖² + max ‖y‖²), carried through the power."""
        if self.by_differences:
            return 0.0
        reach, half = self._reach(), self.p / 2
        unit = torch.finfo(self._product_dtype).eps
        error = (self.dimension + 8) * unit * reach
        span = min(2 * reach, self._diagonal**2 * (1 + 1e-12) + error)
        if self.p >= 2:  # |s^(p/2) − t^(p/2)| ≤ (p/2)·max^(p/2 − 1)·|s − t|, with s, t ≤ span
            bound = half * span ** (half - 1) * error if reach > 0 else 0.0
        elif self._product_dtype == self.dtype:  # nearer pairs were repaired
            bound = half * (_NEAR * reach) ** (half - 1) * error if reach > 0 else 0.0
        else:
            bound = error**half
        rounding = torch.finfo(self.dtype).eps if self._product_dtype != self.dtype else 0.0
        return bound + rounding * span**half

    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """Costs by direct differences, shape (k,)."""
        squared = self._squared_differences(i, j)
        if self.p == 2:
            return squared
        return squared.sqrt_() if self.p == 1 else squared.pow_(self.p / 2)

    def _squared_differences(self, i: Tensor, j: Tensor) -> Tensor:
        out = torch.empty(len(i), dtype=self.dtype, device=self.device)
        step = max(1, block_entries(self.device) // self.dimension)
        for lo in range(0, len(i), step):
            difference = self.x.index_select(0, i[lo : lo + step])
            difference -= self.y.index_select(0, j[lo : lo + step])
            torch.sum(difference.square_(), 1, out=out[lo : lo + step])
        return out

    def exponents(self, h: Tensor, eps: float) -> Exponents:
        """Those of exp((h_j − c_ij)/eps); at p = 2 by a single product per block.

        At p = 2, ``(h_j − ‖x_i − y_j‖²)/eps = (2⟨x_i, y_j⟩ + h_j − ‖y_j‖²)/eps − ‖x_i‖²/eps``: the
        bracket is a product of points with one more coordinate, in base-2 exponents at once.
        """
        if self.p != 2:
            return super().exponents(h, eps)
        unit = LOG2E / eps
        left = torch.cat([self.x, torch.ones_like(self.x[:, :1])], 1)
        column = ((h.double() - self.y.double().square().sum(1)) * unit).to(self.dtype)
        right = torch.cat([self.y * (2 * unit), column[:, None]], 1).T.contiguous()
        offset = self.x.square().sum(1).mul_(unit)
        return Exponents(lambda part, out: torch.mm(left[part], right, out=out), offset)

    def landmarks(self, weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Sources as their weights ask, and the outermost, with the mass nearest to each.

        With nearest masses a cluster weighs among the landmarks what it weighs among the points;
        equal shares are wrong by a few percent. Outliers stand for themselves alone.
        """
        rows, share = super().landmarks(weights, count)
        if len(weights) <= count:
            return rows, share
        outer = self.x.square().sum(1).topk(count // _OUTER).indices
        rows = torch.cat([rows, outer]).unique()
        near = PointCost(self.x, self.x[rows], 2)
        exponents = near.exponents(self.x.new_zeros(len(rows)), -1.0)
        owner = torch.empty(len(self.x), dtype=torch.int64, device=self.device)

        def block(part: slice) -> None:
            room = scratch(part.stop - part.start, len(rows), self.x)
            owner[part] = lowest(exponents.write(part, room))[1]

        each(self.parts(), block, self.device)
        mass = torch.zeros_like(rows, dtype=torch.float64).index_add_(0, owner, weights)
        return rows[mass > 0], mass[mass > 0]

    def mean(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ_ij a_i b_j c_ij; in O((n + m) d) at p = 2, around the means."""
        if self.p != 2:
            return super().mean(a, b)
        a, b, x, y = a.double(), b.double(), self.x.double(), self.y.double()
        mass_a, mass_b = a.sum(), b.sum()
        tiny = torch.finfo(torch.float64).tiny
        centre_x, centre_y = a @ x / mass_a.clamp(min=tiny), b @ y / mass_b.clamp(min=tiny)
        spread_x = a @ (x - centre_x).square().sum(1)
        spread_y = b @ (y - centre_y).square().sum(1)
        between = (centre_x - centre_y).square().sum() * mass_a * mass_b
        return spread_x * mass_b + spread_y * mass_a + between

    def force(self, part: slice, c: Tensor, plan: Tensor) -> Tensor:
        """Σ_j P_ij ∇_x ‖x_i − y_j‖^p for a block of rows, shape (k, d); overwrites plan.

        The slope p·‖x − y‖^(p−2) is c^((p−2)/p) up to p; coinciding points contribute 0, a
        subgradient at p = 1.
        """
        if self.p != 2:
            plan.mul_(torch.where(c > 0, c.pow((self.p - 2) / self.p), 0.0))
        pull = plan.sum(1, keepdim=True) * self.x[part] - plan @ self.y
        return pull.mul_(self.p)


class WrittenCost(PointCost):
    """Costs between points whose whole matrix is at hand, (n, m), as `rows` would write it."""

    def __init__(self, cost: PointCost, matrix: Tensor) -> None:
        super().__init__(cost.x, cost.y, cost.p)
        self.matrix = matrix

    def rows(self, lo: int, hi: int) -> Tensor:
        """A copy of rows lo … hi − 1."""
        return self.matrix[lo:hi].clone(memory_format=torch.contiguous_format)


class MatrixCost(Cost):
    """A given matrix of costs, shape (n, m), finite."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.p, self.dimension = matrix.detach(), 1.0, 1
        self.shape = (matrix.shape[0], matrix.shape[1])
        self.dtype, self.device = matrix.dtype, matrix.device

    @property
    def T(self) -> MatrixCost:
        """The transposed cost."""
        return MatrixCost(self.matrix.T)

    def to(self, dtype: torch.dtype) -> MatrixCost:
        """The same costs in another precision."""
        return self if dtype == self.dtype else MatrixCost(self.matrix.to(dtype))

    @property
    def largest(self) -> float:
        """The largest entry in absolute value."""
        return float(self.matrix.abs().max())

    def sub(self, i: Tensor, j: Tensor) -> MatrixCost:
        """The sub-matrix of rows i and columns j (index tensors)."""
        return MatrixCost(self.matrix[i[:, None], j])

    @property
    def rounding(self) -> float:
        """Unit rounding of the largest entry."""
        return torch.finfo(self.dtype).eps * self.largest

    def rows(self, lo: int, hi: int) -> Tensor:
        """A copy of rows lo … hi − 1."""
        return self.matrix[lo:hi].clone(memory_format=torch.contiguous_format)

    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """Entries at index pairs, shape (k,)."""
        return self.matrix[i, j]
