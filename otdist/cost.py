r"""The ground cost c(x, y) = ‖x − y‖^p in blocks of rows: the one room where O(n·m) work happens.

Everything here is a reduction over pairs that never holds an n × m array: a block of rows lives in
cache on the CPU (or in a chunk on the GPU) for as long as it takes to reduce it.

Two ways of computing a distance, and when each is used:

* *Expansion*, ‖x‖² + ‖y‖² − 2⟨x, y⟩: one matrix product; loses digits of order u·(‖x‖² + ‖y‖²),
  which matters where the points nearly meet and p < 2.
* *Direct differences*: no loss, O(d) work per pair.

The soft-min at p = 2 uses the expansion, because its error stays far below any sensible eps. All
that feeds a certificate ends in direct differences: for few dimensions throughout (as fast as the
product there), otherwise for every pair within the expansion's slack of the minimum.
Points are expected centred (`measure.Measure` does so): the slack is relative to their norms.

Speed on two cores, n = m = 4,000, d = 3, float32 (``python -m benchmarks.entropic --passes``):
`exp` falls back to a path ten times slower where results underflow; `exp2` does not, so that no
clamp is needed: 10 ms a soft-min, against 15 ms for one product and one clamped `exp`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

LOG2E = 1.0 / math.log(2.0)

_CPU_BLOCK = 2**19  # entries: flat optimum from 2^18 to 2^20 with a quiet and with a busy neighbour
_GPU_BLOCK = 2**26
_DIRECT_DIMENSION = 12  # up to here float64 differences cost no more than the product
_WIDE_DIMENSION = 64  # up to here a float64 product costs little more than a float32 one
_NEAR = 1e-3  # pairs closer than this share of the squared norms are recomputed by differences


class Cost(ABC):
    """Pairwise costs c_ij of n sources and m targets, reduced blockwise.

    Attributes:
        shape: (n, m).
        p: Exponent of the distance; 1 for a given matrix.
        dtype: Floating type of every value returned.
        device: Where the work happens.
    """

    shape: tuple[int, int]
    p: float
    dtype: torch.dtype
    device: torch.device

    @property
    @abstractmethod
    def T(self) -> Cost:
        """The transposed cost, shape (m, n)."""

    @abstractmethod
    def to(self, dtype: torch.dtype) -> Cost:
        """The same cost in another precision."""

    @abstractmethod
    def rows(self, lo: int, hi: int) -> Tensor:
        """Costs of sources lo … hi − 1, shape (hi − lo, m); the caller may overwrite them."""

    @abstractmethod
    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """Costs c[i_k, j_k] by direct differences, shape (k,)."""

    @property
    def slack(self) -> float:
        """Bound on the error of `rows` where it exceeds the rounding of the result itself."""
        return 0.0

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (rows, costs (k, m)) over all rows; the block may be overwritten by the caller."""
        for part in self._parts():
            yield part, self.rows(part.start, part.stop)

    def _parts(self) -> Iterator[slice]:
        n, m = self.shape
        size = _GPU_BLOCK if self.device.type == "cuda" else _CPU_BLOCK
        step = max(1, size // max(m, 1))
        for lo in range(0, n, step):
            yield slice(lo, min(lo + step, n))

    def softmin(self, h: Tensor, eps: float) -> Tensor:
        """−eps · log Σ_j exp((h_j − c_ij)/eps), shape (n,).

        Args:
            h: Shape (m,), in cost units; put eps·log b_j inside for weights. −inf drops
                a column.
            eps: Temperature in cost units, positive.
        """
        out = torch.empty(self.shape[0], dtype=self.dtype, device=self.device)
        unit = LOG2E / eps
        h2 = h.to(self.dtype) * unit
        for part, c in self.blocks():
            torch.sub(h2, c, alpha=unit, out=c)
            out[part] = _log2_sum_exp2(c)
        return out.mul_(-1.0 / unit)

    def ctransform(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """min_j c_ij − g_j and where it is attained, both of shape (n,); exact to rounding.

        The c-transform makes any g feasible: f_i + g_j ≤ c_ij with f the values returned.
        """
        values = torch.empty(self.shape[0], dtype=self.dtype, device=self.device)
        arg = torch.empty(self.shape[0], dtype=torch.int64, device=self.device)
        g = g.to(self.dtype)
        slack = self.slack
        for part, c in self.blocks():
            low, at = c.sub_(g).min(1)
            if slack > 0:
                low, at = self._settle(part.start, c <= low[:, None] + 2 * slack, g)
            values[part], arg[part] = low, at
        return values, arg

    def _settle(self, lo: int, candidates: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Minimum of c − g over the candidates of each row, by direct differences."""
        i, j = candidates.nonzero(as_tuple=True)
        reduced = self.pairs(i + lo, j) - g[j]
        low = reduced.new_full((candidates.shape[0],), math.inf)
        low.scatter_reduce_(0, i, reduced, "amin")
        hit = reduced == low[i]
        at = torch.zeros_like(low, dtype=torch.int64).scatter_(0, i[hit], j[hit])
        return low, at

    def nearest(self, g: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k smallest c_ij − g_j of each row, ascending, and their columns: two (n, min(k, m)).

        Values are by direct differences; the last place may go to a column within `slack` of it.
        """
        n, m = self.shape
        k = min(k, m)
        values = torch.empty(n, k, dtype=self.dtype, device=self.device)
        columns = torch.empty(n, k, dtype=torch.int64, device=self.device)
        g = g.to(self.dtype)
        slack = self.slack
        for part, c in self.blocks():
            low, at = torch.topk(c.sub_(g), k, dim=1, largest=False)
            if slack > 0:
                i = torch.arange(part.start, part.stop, device=self.device).repeat_interleave(k)
                low = (self.pairs(i, at.reshape(-1)) - g[at.reshape(-1)]).view_as(low)
                low, order = low.sort(1)
                at = at.gather(1, order)
            values[part], columns[part] = low, at
        return values, columns

    def dense(self) -> Tensor:
        """All costs, shape (n, m): the caller answers for the memory."""
        out = torch.empty(self.shape, dtype=self.dtype, device=self.device)
        for part, c in self.blocks():
            out[part] = c
        return out

    def mean(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ_ij a_i b_j c_ij, the bilinear form of any two vectors; 0-d, in the wider dtype."""
        dtype = torch.promote_types(self.dtype, a.dtype)
        total = torch.zeros((), dtype=dtype, device=self.device)
        weights = b.to(self.dtype)
        for part, c in self.blocks():
            total += a[part].to(dtype) @ torch.mv(c, weights).to(dtype)
        return total

    def plan_blocks(
        self, f: Tensor, g: Tensor, eps: float
    ) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield (rows, costs, exp((f_i + g_j − c_ij)/eps)): a Sinkhorn plan row block by row block.

        The weights belong inside f and g as eps·log a and eps·log b.
        """
        unit = LOG2E / eps
        f2, g2 = f.to(self.dtype) * unit, g.to(self.dtype) * unit
        for part, c in self.blocks():
            yield part, c, torch.sub(g2, c, alpha=unit).add_(f2[part, None]).exp2_()


class PointCost(Cost):
    """‖x_i − y_j‖^p between points x (n, d) and y (m, d) of one floating dtype and device."""

    def __init__(self, x: Tensor, y: Tensor, p: float) -> None:
        self.x, self.y, self.p = x.detach(), y.detach(), float(p)
        self.shape = (x.shape[0], y.shape[0])
        self.dtype, self.device = x.dtype, x.device
        self._lifted: tuple[Tensor, Tensor] | None = None

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
    def _by_differences(self) -> bool:
        return self.dtype == torch.float64 and self.x.shape[1] <= _DIRECT_DIMENSION

    @property
    def _product_dtype(self) -> torch.dtype:
        """A float64 product rounds like differences at float32, and is cheap for few dimensions."""
        return torch.float64 if self.x.shape[1] <= _WIDE_DIMENSION else self.dtype

    def _lift(self) -> tuple[Tensor, Tensor]:
        """(−2x, 1, ‖x‖²) and (y, ‖y‖², 1)ᵀ, whose product is the matrix of squared distances."""
        if self._lifted is None:
            x, y = self.x.to(self._product_dtype), self.y.to(self._product_dtype)
            one, norm = torch.ones_like(x[:, :1]), x.square().sum(1, keepdim=True)
            left = torch.cat([x.mul(-2), one, norm], 1)
            one, norm = torch.ones_like(y[:, :1]), y.square().sum(1, keepdim=True)
            self._lifted = left, torch.cat([y, norm, one], 1).T.contiguous()
        return self._lifted

    def rows(self, lo: int, hi: int) -> Tensor:
        """Costs of sources lo … hi − 1, shape (hi − lo, m)."""
        if self._by_differences:
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
        if self._by_differences:
            return 0.0
        reach, half = self._reach(), self.p / 2
        unit = torch.finfo(self._product_dtype).eps
        error = (self.x.shape[1] + 8) * unit * reach
        if self.p >= 2:  # |s^(p/2) − t^(p/2)| ≤ (p/2)·max^(p/2 − 1)·|s − t|, with s, t ≤ 2·reach
            bound = half * (2 * reach) ** (half - 1) * error if reach > 0 else 0.0
        elif self._product_dtype == self.dtype:  # nearer pairs were repaired
            bound = half * (_NEAR * reach) ** (half - 1) * error if reach > 0 else 0.0
        else:
            bound = error**half
        rounding = torch.finfo(self.dtype).eps if self._product_dtype != self.dtype else 0.0
        return bound + rounding * (2 * reach) ** half

    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """Costs by direct differences, shape (k,)."""
        squared = self._squared_differences(i, j)
        if self.p == 2:
            return squared
        return squared.sqrt_() if self.p == 1 else squared.pow_(self.p / 2)

    def _squared_differences(self, i: Tensor, j: Tensor) -> Tensor:
        out = torch.empty(len(i), dtype=self.dtype, device=self.device)
        size = _GPU_BLOCK if self.device.type == "cuda" else _CPU_BLOCK
        step = max(1, size // self.x.shape[1])
        for lo in range(0, len(i), step):
            difference = self.x[i[lo : lo + step]] - self.y[j[lo : lo + step]]
            torch.sum(difference.square_(), 1, out=out[lo : lo + step])
        return out

    def softmin(self, h: Tensor, eps: float) -> Tensor:
        """−eps · log Σ_j exp((h_j − c_ij)/eps), shape (n,); p = 2 by a single product per block.

        At p = 2, ``(h_j − ‖x_i − y_j‖²)/eps = (2⟨x_i, y_j⟩ + h_j − ‖y_j‖²)/eps − ‖x_i‖²/eps``: the
        bracket is a product of points with one more coordinate, in base-2 exponents at once.
        """
        if self.p != 2:
            return super().softmin(h, eps)
        unit = LOG2E / eps
        norm = self.x.square().sum(1)
        left = torch.cat([self.x, torch.ones_like(self.x[:, :1])], 1)
        column = (h.to(self.dtype) - self.y.square().sum(1)) * unit
        right = torch.cat([self.y * (2 * unit), column[:, None]], 1).T.contiguous()
        out = torch.empty_like(norm)
        for part in self._parts():
            out[part] = _log2_sum_exp2(torch.mm(left[part], right))
        return norm - out / unit

    def mean(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ_ij a_i b_j c_ij; in O((n + m) d) at p = 2, around the means."""
        if self.p != 2:
            return super().mean(a, b)
        dtype = torch.promote_types(self.dtype, a.dtype)
        a, b, x, y = a.to(dtype), b.to(dtype), self.x.to(dtype), self.y.to(dtype)
        mass_a, mass_b = a.sum(), b.sum()
        tiny = torch.finfo(dtype).tiny
        centre_x, centre_y = a @ x / mass_a.clamp(min=tiny), b @ y / mass_b.clamp(min=tiny)
        spread_x = a @ (x - centre_x).square().sum(1)
        spread_y = b @ (y - centre_y).square().sum(1)
        between = (centre_x - centre_y).square().sum() * mass_a * mass_b
        return spread_x * mass_b + spread_y * mass_a + between


class MatrixCost(Cost):
    """A given matrix of costs, shape (n, m), finite."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.p = matrix.detach(), 1.0
        self.shape = (matrix.shape[0], matrix.shape[1])
        self.dtype, self.device = matrix.dtype, matrix.device

    @property
    def T(self) -> MatrixCost:
        """The transposed cost."""
        return MatrixCost(self.matrix.T)

    def to(self, dtype: torch.dtype) -> MatrixCost:
        """The same costs in another precision."""
        return self if dtype == self.dtype else MatrixCost(self.matrix.to(dtype))

    def rows(self, lo: int, hi: int) -> Tensor:
        """A copy of rows lo … hi − 1."""
        return self.matrix[lo:hi].clone(memory_format=torch.contiguous_format)

    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """Entries at index pairs, shape (k,)."""
        return self.matrix[i, j]


def _log2_sum_exp2(exponents: Tensor) -> Tensor:
    """log₂ Σ_j 2^(s_ij) of each row, shape (k,); overwrites its input."""
    top = exponents.amax(1)
    return exponents.sub_(top[:, None]).exp2_().sum(1).log2_().add_(top)
