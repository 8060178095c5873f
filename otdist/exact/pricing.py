r"""Pricing: which of all n·m pairs have a small reduced cost c_ij − f_i − g_j.

Column generation asks two questions of all pairs, and each is one pass over them:

* `nearest`: the k smallest reduced costs of every row (and, of the transpose, of every column),
  on request also the smallest among every 8th, every 64th, … pair of the row;
* `below`: every pair whose reduced cost lies under a margin.

A pass is one matrix product per block and two sweeps of the block while it lies in cache, in
float32 by default. It works on *lower bounds* of the costs: ‖x‖² + ‖y‖² − 2⟨x, y⟩ is off by at most
(d + 8)·u·(‖x‖² + ‖y‖²), which is taken off both norms beforehand, for nothing. So no violating pair
is missed; what is found is judged again by float64 direct differences (`Cost.pairs`). Where float32
cannot tell pairs apart, so that too many are found, the same pass runs in float64.

At n = m = 10,000, d = 10 a pass takes half the time of a k-d tree on lifted points
(``python -m benchmarks --suite exact_parts``): pruning has nothing to win at these sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from otdist.core.cost import Cost, where
from otdist.core.threads import each

_BLOCK = 2**19  # entries of a block: two megabytes of float32, the second-level cache
_Part = TypeVar("_Part")
_GROUP = 32  # columns behind one group minimum of `nearest`, at most
_THIN = 8  # ratio between one scale of `nearest` and the next


class Pricer:
    """Passes over the reduced costs of all pairs in one precision.

    Attributes:
        shape: (n, m).
        error: By how much the cost of a pass may exceed the true cost, in cost units.
    """

    def __init__(self, cost: Cost, dtype: torch.dtype = torch.float32) -> None:
        self.dtype, self.shape = dtype, cost.shape
        self.error = 4 * torch.finfo(dtype).eps * cost.largest
        self._given, self.cost = cost, cost
        self._lifted = cost.lifted(dtype)
        if self._lifted is None and cost.dtype != dtype:
            self.cost = cost.to(dtype)
            self.error = max(self.error, self.cost.rounding, 2 * self.cost.slack)

    def exact(self) -> Pricer:
        """The same passes in float64."""
        return Pricer(self._given.to(torch.float64), torch.float64)

    @property
    def T(self) -> Pricer:
        """Passes over columns."""
        return Pricer(self._given.T, self.dtype)

    def _sweep(self, work: Callable[[int, Tensor], _Part]) -> list[_Part]:
        """work(first row, block of costs) for all blocks, which it may overwrite, in order."""
        n, m = self.shape
        step = max(1, (_BLOCK if self.cost.device.type == "cpu" else 64 * _BLOCK) // m)
        done: dict[int, _Part] = {}

        def part(rows: slice) -> None:
            if self._lifted is None:
                block = self.cost.rows(rows.start, rows.stop)
            else:
                block = _power(torch.mm(self._lifted[0][rows], self._lifted[1]), self.cost.p)
            done[rows.start] = work(rows.start, block)

        each([slice(lo, min(lo + step, n)) for lo in range(0, n, step)], part, self.cost.device)
        return [done[lo] for lo in sorted(done)]

    def nearest(self, g: Tensor, k: int, farther: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """At least the k pairs of smallest c_ij − g_j in every row.

        With `farther`, also that many of the smallest in every 8th column, in every 64th, and so on
        as long as there are four times as many to choose from: pairs at all scales.

        The minima of groups of columns give a threshold below which at least k pairs lie, at the
        price of one sweep; ties with it are kept, so that rows may have a few pairs more.

        Returns:
            rows and columns of the pairs; the row minima, shape (n,), the c-transform of g in the
            precision of the pass; and the distance from each to its row's threshold.
        """
        m = self.shape[1]
        g, k = g.to(self.dtype), min(k, m)
        strides = [] if farther == 0 else list(_strides(m // (4 * farther)))
        width = min(_GROUP, max(1, m // (4 * k)))
        groups = m // width

        def work(lo: int, block: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            minima = block.sub_(g)
            if width > 1:
                minima = block[:, : groups * width].unflatten(1, (width, groups)).amin(1)
            least = torch.topk(minima, k, dim=1, largest=False).values
            pairs = [_where(block <= least[:, -1:], lo)]
            pairs += [_thinned(block, lo, farther, stride) for stride in strides]
            i, j = (torch.cat(part) for part in zip(*pairs, strict=True))
            return i, j, block.amin(1), least[:, -1] - least[:, 0]

        i, j, low, spread = (torch.cat(part) for part in zip(*self._sweep(work), strict=True))
        return i, j, low.double(), spread.double()

    def below(
        self, f: Tensor, g: Tensor, margin: float, limit: int
    ) -> tuple[Tensor, Tensor] | None:
        """Pairs with c_ij − f_i − g_j < margin; None as soon as there are more than `limit`."""
        f, g = (f + margin).to(self.dtype), g.to(self.dtype)
        found: list[int] = []

        def work(lo: int, block: Tensor) -> tuple[Tensor, Tensor]:
            if sum(found) > limit:
                return _where(block[:0] > 0, lo)
            hit = _where(block.sub_(g) < f[lo : lo + len(block), None], lo)
            found.append(len(hit[0]))
            return hit

        i, j = (torch.cat(part) for part in zip(*self._sweep(work), strict=True))
        return None if sum(found) > limit else (i, j)


def _power(squared: Tensor, p: float) -> Tensor:
    if p == 2:
        return squared
    squared.clamp_(min=0)
    return squared.sqrt_() if p == 1 else squared.pow_(p / 2)


def _strides(largest: int) -> Iterator[int]:
    """8, 64, … up to the largest."""
    stride = _THIN
    while stride <= largest:
        yield stride
        stride *= _THIN


def _thinned(block: Tensor, lo: int, k: int, stride: int) -> tuple[Tensor, Tensor]:
    """The k smallest entries of every row among its columns ≡ row (mod stride).

    Each row has columns of its own to choose from, so that no column is left out by all.
    """
    height, width = len(block), block.shape[1] // stride
    row = torch.arange(lo, lo + height, device=block.device)
    first = (row % stride)[:, None, None]
    chosen = block[:, : width * stride].unflatten(1, (width, stride))
    thin = chosen.take_along_dim(first, 2).squeeze(2)
    least = torch.topk(thin, k, dim=1, largest=False).indices
    j = least * stride + first[:, 0]
    return row[:, None].expand_as(j).reshape(-1), j.reshape(-1)


def _where(hit: Tensor, lo: int) -> tuple[Tensor, Tensor]:
    """Row and column indices of the true entries of a block that begins at row `lo`."""
    i, j = where(hit)
    return i + lo, j
