r"""Cost: what can be asked of n × m pairwise costs, reduced in blocks of rows.

A block lives in cache on the CPU (or in a chunk on the GPU) for as long as it takes to reduce it:
no n × m array is ever held. `cost.py` says how the entries of a block come about.

Speed on two cores, n = m = 4,000, d = 3, float32 (``python -m benchmarks --suite entropic``):
`exp` falls back to a path ten times slower where results underflow; `exp2` does not, and what would
be subnormal is made zero (`exp2_`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otdist.core.threads import each, held, scratch

LOG2E = 1.0 / math.log(2.0)

_CPU_BLOCK = 2**19  # entries: flat optimum from 2^18 to 2^20, alone and beside a busy neighbour
_GPU_BLOCK = 2**26
_MARGIN = 26  # bits between what is kept and the subnormal numbers, for products with other factors


@dataclass(frozen=True)
class Exponents:
    """Base-2 exponents of exp((h_j − c_ij)/eps), block by block: s_ij − offset_i.

    Attributes:
        write: Puts the s_ij of some rows into an array (k, m), and returns it.
        offset: Shape (n,).
    """

    write: Callable[[slice, Tensor], Tensor]
    offset: Tensor


class Cost(ABC):
    """Pairwise costs c_ij of n sources and m targets, reduced blockwise.

    Attributes:
        shape: (n, m).
        p: Exponent of the distance; 1 for a given matrix.
        dimension: Coordinates of the points; 1 for a given matrix.
        dtype: Floating type of every value returned.
        device: Where the work happens.
    """

    shape: tuple[int, int]
    p: float
    dimension: int
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
    @abstractmethod
    def largest(self) -> float:
        """An upper bound on every c_ij, in O((n + m) d) for points."""

    @abstractmethod
    def sub(self, i: Tensor, j: Tensor) -> Cost:
        """The cost between sources i and targets j (index tensors)."""

    def centred(self) -> Cost:
        """The same costs from points around the origin, where `rounding` is least."""
        return self

    @property
    @abstractmethod
    def rounding(self) -> float:
        """Size of the rounding error inside a soft-min, in cost units; keep eps well above it."""

    @property
    def slack(self) -> float:
        """Bound on the error of `rows` where it exceeds the rounding of the result itself."""
        return 0.0

    @property
    def underflow(self) -> float:
        """Bound on what one cost loses below the normal numbers; 0 for costs that are given."""
        return 0.0

    @property
    def error(self) -> float:
        """Bound on how far a cost may be from that of the caller's points, which were mapped."""
        return 0.0

    def lifted(self, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
        """Factors (n, k) and (k, m) from whose product `of_product_` makes lower bounds of costs.

        None where there are none of few columns.
        """
        return None

    def of_product_(self, product: Tensor) -> Tensor:
        """Lower bounds of costs from a product of parts of `lifted`, in place."""
        if self.p == 2:
            return product
        product.clamp_(min=0)
        return product.sqrt_() if self.p == 1 else product.pow_(self.p / 2)

    def signs(self, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor] | None:
        """Factors (n, k) and (k, m) of a product that is negative wherever c_ij < f_i + g_j.

        None where there are none of few columns.
        """
        return None

    def landmarks(self, weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """About `count` sources that stand for all, and the mass of each; all where they are few.

        Each source is taken as often as its weight asks, and gets equal shares of the mass.
        """
        rows = evenly(weights, count)
        if len(weights) <= count:
            return rows, weights
        rows, times = rows.unique_consecutive(return_counts=True)
        return rows, times.double() / count

    def blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield (rows, costs (k, m)) over all rows; the block may be overwritten by the caller."""
        for part in self.parts():
            yield part, self.rows(part.start, part.stop)

    def parts(self) -> Iterator[slice]:
        """Yield the rows of one block after another."""
        n, m = self.shape
        step = max(1, block_entries(self.device) // m)
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
        exponents = self.exponents(h, eps)

        def block(part: slice) -> None:
            room = scratch(part.stop - part.start, self.shape[1], out)
            out[part] = log2_sum_exp2(exponents.write(part, room))

        each(self.parts(), block, self.device)
        return (exponents.offset - out).mul_(eps / LOG2E)

    def exponents(self, h: Tensor, eps: float) -> Exponents:
        """Those of exp((h_j − c_ij)/eps); h of shape (m,) in cost units."""
        unit = LOG2E / eps
        h2 = h.to(self.dtype) * unit

        def write(part: slice, out: Tensor) -> Tensor:
            return torch.sub(h2, self.rows(part.start, part.stop), alpha=unit, out=out)

        return Exponents(write, h2.new_zeros(self.shape[0]))

    def ctransform(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """min_j c_ij − g_j and where it is attained, both of shape (n,); exact to rounding.

        The c-transform makes any g feasible: f_i + g_j ≤ c_ij with f the values returned.
        """
        values = torch.empty(self.shape[0], dtype=self.dtype, device=self.device)
        arg = torch.empty(self.shape[0], dtype=torch.int64, device=self.device)
        g = g.to(self.dtype)
        slack = self.slack

        def block(part: slice) -> None:
            c = self.rows(part.start, part.stop).sub_(g)
            low, at = lowest(c)
            if slack > 0:
                low, at = self._settle(part.start, c <= low[:, None] + 2 * slack, g)
            values[part], arg[part] = low, at

        each(self.parts(), block, self.device)
        return values, arg

    def _settle(self, lo: int, candidates: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Minimum of c − g over the candidates of each row, by direct differences."""
        i, j = where(candidates)
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

        def block(part: slice) -> None:
            c = self.rows(part.start, part.stop).sub_(g)
            low, at = torch.topk(c, k, dim=1, largest=False)
            if slack > 0:
                i = torch.arange(part.start, part.stop, device=self.device).repeat_interleave(k)
                low = (self.pairs(i, at.reshape(-1)) - g[at.reshape(-1)]).view_as(low)
                low, order = low.sort(1)
                at = at.gather(1, order)
            values[part], columns[part] = low, at

        each(self.parts(), block, self.device)
        return values, columns

    def dense(self) -> Tensor:
        """All costs, shape (n, m): the caller answers for the memory."""
        out = on_huge_pages(*self.shape, self.dtype, self.device)

        def block(part: slice) -> None:
            out[part] = self.rows(part.start, part.stop)

        each(self.parts(), block, self.device)
        return out

    def apply(self, b: Tensor) -> Tensor:
        """Σ_j c_ij b_j, shape (n,), float64."""
        out = torch.empty(self.shape[0], dtype=torch.float64, device=self.device)
        weights = b.to(self.dtype)
        for part, c in self.blocks():
            out[part] = torch.mv(c, weights)
        return out

    def mean(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ_ij a_i b_j c_ij, the bilinear form of any two vectors; 0-d, float64."""
        return a.double() @ self.apply(b)

    def plan_blocks(
        self, f: Tensor, g: Tensor, eps: float
    ) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yield (rows, costs, exp((f_i + g_j − c_ij)/eps)): a Sinkhorn plan row block by row block.

        The weights belong inside f and g as eps·log a and eps·log b.
        """
        for part in self.parts():
            c = self.rows(part.start, part.stop)
            yield part, c, self._plan(c, part, f, g, eps)

    def kernel(self, f: Tensor | None, g: Tensor, eps: float, out: Tensor) -> Tensor:
        """Write exp((f_i + g_j − c_ij)/eps) into `out`, shape (n, m), of any floating type.

        Returns:
            f as given, or where None the one that makes the largest entry of each row one, float64.
        """
        unit = LOG2E / eps
        exponents = self.exponents(g, eps)
        shift = exponents.offset - (0 if f is None else f.to(self.dtype) * unit)

        def block(part: slice) -> None:
            direct = out.dtype == self.dtype
            room = out[part] if direct else scratch(part.stop - part.start, self.shape[1], shift)
            scores = exponents.write(part, room)
            if f is None:
                torch.amax(scores, 1, out=shift[part])
            exp2_(scores.sub_(shift[part, None]), out.dtype)
            if not direct:
                out[part] = scores

        each(self.parts(), block, self.device)
        return (exponents.offset - shift).double() / unit if f is None else f

    def _plan(self, c: Tensor, part: slice, f: Tensor, g: Tensor, eps: float) -> Tensor:
        unit = LOG2E / eps
        f2, g2 = f[part].to(self.dtype) * unit, g.to(self.dtype) * unit
        return exp2_(torch.sub(g2, c, alpha=unit).add_(f2[:, None]))


def evenly(weights: Tensor, count: int) -> Tensor:
    """Indices of `count` points, each as often as its weight asks; of all where they are few."""
    n = len(weights)
    if n <= count:
        return torch.arange(n, device=weights.device)
    levels = (torch.arange(count, device=weights.device) + 0.5) / count
    return torch.searchsorted(weights.cumsum(0), levels.double()).clamp(max=n - 1)


def on_huge_pages(rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """An uninitialised array that is meant to be large.

    Through numpy on the CPU, which asks for huge pages: the first write to 100 MB takes 12 ms
    instead of 40.
    """
    if device.type != "cpu":
        return torch.empty(rows, columns, dtype=dtype, device=device)
    kind = np.float64 if dtype == torch.float64 else np.float32
    return torch.from_numpy(np.empty((rows, columns), dtype=kind))


def block_entries(device: torch.device) -> int:
    """How many entries a block should hold."""
    return _GPU_BLOCK if device.type == "cuda" else _CPU_BLOCK


def lowest(block: Tensor) -> tuple[Tensor, Tensor]:
    """The least entry of each row and where it stands; on the CPU in a third of torch's time."""
    if block.device.type != "cpu":
        values, at = block.min(1)
        return values, at
    at = torch.from_numpy(block.numpy().argmin(1))
    return block.gather(1, at[:, None])[:, 0], at


def where(hit: Tensor, row: int = 0, column: int = 0) -> tuple[Tensor, Tensor]:
    """Row and column indices of the true entries of a block that begins at a row and a column.

    NumPy scans a mask on the CPU twice as fast, and keeps the interpreter's lock for short lists:
    each lock handed over to another thread may take as long as the scan.
    """
    if hit.device.type != "cpu":
        i, j = hit.nonzero(as_tuple=True)
        return i + row, j + column
    i, j = np.divmod(np.flatnonzero(hit.numpy()), hit.shape[1])
    i += row
    j += column
    return torch.from_numpy(i), torch.from_numpy(j)


def less(block: Tensor, bound: Tensor | float) -> Tensor:
    """Where entries are below a bound, or bounds of rows (h, 1): a third of torch's time.

    On the CPU in memory of this thread, valid until its next call.
    """
    if block.device.type != "cpu":
        return block < bound
    hit = held("less", block.shape, torch.bool)
    np.less(block.numpy(), bound.numpy() if isinstance(bound, Tensor) else bound, out=hit.numpy())
    return hit


def negative(left: Tensor, right: Tensor) -> Tensor:
    """Where the product of left (h, k) and right (k, m) is below 0; memory as of `less`."""
    block = held("signs", (len(left), right.shape[1]), left.dtype, left.device)
    return less(torch.mm(left, right, out=block), 0)


def exp2_(exponents: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """2^s in place; zero where that nears the subnormal numbers of `dtype` (its own when None).

    Intel's processors take about a hundred cycles for every subnormal number that they make or
    meet: a pass takes five times as long with them, a product with a stored kernel seventeen times.
    """
    least = math.log2(torch.finfo(dtype or exponents.dtype).tiny) + _MARGIN
    return torch.threshold_(exponents, least, -math.inf).exp2_()


def log2_sum_exp2(exponents: Tensor) -> Tensor:
    """log₂ Σ_j 2^(s_ij) of each row, shape (k,); overwrites its input."""
    top = exponents.amax(1)
    return exp2_(exponents.sub_(top[:, None])).sum(1).log2_().add_(top)
