r"""Pricing: which of all n·m pairs have a small reduced cost c_ij − f_i − g_j.

Column generation asks two questions of all pairs, and each is one pass over them:

* `nearest`: the k smallest reduced costs of every row (and, of the transpose, of every column),
  on request also the smallest among every 8th, every 64th, … pair of the row;
* `below`: every pair whose reduced cost lies under a margin.

A pass is one matrix product per block and a sweep or two of the block while it lies in cache, in
float32 by default. A block has whole rows up to 32,768 columns, from which entries are chosen where
they lie (`smallest`); above, it is some rows by one tile of columns, so that both factors of the
product stay in cache, and pairs are computed again. It works on *lower bounds* of the costs:
‖x‖² + ‖y‖² − 2⟨x, y⟩ is off by at most (d + 8)·u·(‖x‖² + ‖y‖²), which is taken off both norms
beforehand, for nothing. So no violating pair is missed; what is found is judged again by float64
direct differences (`Cost.pairs`). Where float32 cannot tell pairs apart, so that too many are
found, the same pass runs in float64.

At n = m = 10,000, d = 10 a pass takes half the time of a k-d tree on lifted points
(``python -m benchmarks --suite exact_parts``): pruning has nothing to win at these sizes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from otdist.core.cost import Cost, less, negative, where
from otdist.core.threads import each, held
from otdist.exact import smallest

_BLOCK = 2**20  # entries of a block: four megabytes of float32
_Part = TypeVar("_Part")
_WHOLE = 2**15
"""Columns up to which a block has all of them. Twelve nearest and some farther of 4,000 points in
3 to 64 dimensions take a third of the time with tiles, of 10,000 0.4, of 20,000 0.6."""
_TILE = 2048  # its columns: from 1,024 to 4,096 equally fast
_GROUPS = ((24, 32), (160, 16), (math.inf, 8))
"""Columns behind one group minimum of `nearest`, by the numbers of a point: members of a group are
computed again. 20,000 points, five nearest: 1.3 s in 64 dimensions with 32, 1.2 with 16; 4.2 s in
256 with 32, 2.7 with 8."""
_GATHERED = 2**21  # numbers gathered at once for pairs that are computed one by one
_CLASSES = 8  # of rows, each with other columns to choose from at larger scales
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

    @cached_property
    def _targets(self) -> Tensor:
        """The right factor with one row per target."""
        assert self._lifted is not None
        return self._lifted[1].T.contiguous()

    @property
    def _group(self) -> int:
        numbers = 0 if self._lifted is None else self._lifted[0].shape[1]
        return next(group for most, group in _GROUPS if numbers <= most)

    @property
    def _wide(self) -> int:
        """Columns of a tile; all of them where costs come in whole rows."""
        m = self.shape[1]
        if self._lifted is None or (self.cost.device.type == "cpu" and m <= _WHOLE):
            return m
        return min(_TILE if self.cost.device.type == "cpu" else 32 * _TILE, m)

    def _sweep(self, work: Callable[[slice], _Part]) -> list[_Part]:
        """work(rows) for blocks of rows, in order."""
        n = self.shape[0]
        step = max(1, (_BLOCK if self.cost.device.type == "cpu" else 64 * _BLOCK) // self._wide)
        done: dict[int, _Part] = {}

        def part(rows: slice) -> None:
            done[rows.start] = work(rows)

        each([slice(lo, min(lo + step, n)) for lo in range(0, n, step)], part, self.cost.device)
        return [done[lo] for lo in sorted(done)]

    def _tiles(self, rows: slice) -> Iterator[tuple[slice, Tensor]]:
        """(columns, costs of some rows there), tile by tile; the caller may overwrite the costs."""
        if self._lifted is None:
            yield slice(0, self.shape[1]), self.cost.rows(rows.start, rows.stop)
            return
        for at in range(0, self.shape[1], self._wide):
            columns = slice(at, min(at + self._wide, self.shape[1]))
            yield columns, self._product(rows, columns)

    def _product(self, rows: slice, columns: slice) -> Tensor:
        assert self._lifted is not None
        left, right = self._lifted
        left, right = left[rows], right[:, columns]
        block = held("reduced costs", (len(left), right.shape[1]), self.dtype, left.device)
        return self.cost.of_product_(torch.mm(left, right, out=block))

    def _chosen(self, rows: slice, cols: Tensor) -> Tensor:
        """Costs of each of some rows with columns of its own, shape (h, c) as `cols`."""
        assert self._lifted is not None
        left, out = self._lifted[0][rows], []
        step = max(1, _GATHERED // (cols.shape[1] * left.shape[1]))
        for lo in range(0, len(cols), step):
            part = slice(lo, lo + step)
            chosen = self._targets[cols[part]]
            out.append(torch.bmm(chosen, left[part, :, None])[..., 0])
        return self.cost.of_product_(torch.cat(out))

    def nearest(self, g: Tensor, k: int, farther: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The k pairs of smallest c_ij − g_j in every row.

        With `farther`, also that many of the smallest in every 8th column, in every 64th, and so on
        as long as there are four times as many to choose from: pairs at all scales. Whole rows give
        up to twice k.

        A sweep takes the minima of groups of columns; the k smallest of all lie in the k groups of
        smallest minima, whose pairs are computed again where costs come in tiles.

        Returns:
            rows and columns of the pairs; the row minima, shape (n,), the c-transform of g in the
            precision of the pass; and the distance from each to the k-th smallest of its row.
        """
        m, wide = self.shape[1], self._wide
        g, k = g.to(self.dtype), min(k, m)
        width = min(self._group, max(1, m // (4 * k)))
        whole = wide == m
        quick = whole and width >= smallest.FINE and self.cost.device.type == "cpu"
        groups, last = -(-wide // width), -(-((m - 1) % wide + 1) // width)
        strides = [] if farther == 0 else list(_strides(m // (4 * farther)))

        def work(rows: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            minima, block = [], None
            for columns, block in self._tiles(rows):
                block.sub_(g[columns])
                if quick:
                    few = self._few(rows, block, k, width, farther, strides)
                    if few is not None:
                        return few
                minima.append(smallest.grouped(block, width))
            kept = block if whole else None
            least, group = torch.topk(torch.cat(minima, 1), k, dim=1, largest=False)
            # Members of the chosen groups: every `groups`-th column of the tile.
            tile, place = group // groups, group % groups
            every = torch.where(tile == (m - 1) // wide, last, groups)
            member = torch.arange(width, device=g.device)
            within = place[..., None] + every[..., None] * member
            cols = (tile[..., None] * wide + within).flatten(1)
            beyond = ((within >= wide).flatten(1)) | (cols >= m)
            cols = cols.clamp(max=m - 1)
            if kept is None:
                reduced = self._chosen(rows, cols).sub_(g[cols])
            else:
                reduced = kept.gather(1, cols)
            reduced.masked_fill_(beyond, torch.inf)
            low, at = torch.topk(reduced, k, dim=1, largest=False)
            found = [_listed(rows, cols.gather(1, at))]
            found += [self._thinned(rows, kept, g, farther, stride) for stride in strides]
            i, j = (torch.cat(part) for part in zip(*found, strict=True))
            return i, j, torch.minimum(low[:, 0], least[:, 0]), low[:, -1] - low[:, 0]

        i, j, low, spread = (torch.cat(part) for part in zip(*self._sweep(work), strict=True))
        return i, j, low.double(), spread.double()

    def _few(
        self, rows: slice, block: Tensor, k: int, width: int, farther: int, strides: list[int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """What `nearest` finds in whole rows in cache; None where ties are too many."""
        fine = smallest.grouped(block, smallest.FINE).numpy()
        found = smallest.under(block.numpy(), fine, k, width)
        if found is None:
            return None
        i, j, low, spread = found
        if strides:
            far = smallest.scattered(block.numpy(), fine, farther, strides, rows.start)
            i = np.concatenate([i, np.arange(len(far)).repeat(far.shape[1])])
            j = np.concatenate([j, far.reshape(-1)])
        i, j, low, spread = (torch.from_numpy(part) for part in (i + rows.start, j, low, spread))
        return i, j, low, spread

    def _thinned(
        self, rows: slice, block: Tensor | None, g: Tensor, k: int, stride: int
    ) -> tuple[Tensor, Tensor]:
        """The k pairs of smallest c_ij − g_j of every row among one in `stride` of its columns.

        Rows choose from different columns, so that no column is left out by all.
        """
        height = rows.stop - rows.start
        at = torch.empty(height, k, dtype=torch.int64, device=g.device)
        width = self.shape[1] // stride
        for c in range(min(_CLASSES, height)):
            first = (rows.start + c) % _CLASSES * (stride // _CLASSES)
            first += rows.start // max(1, height) % (stride // _CLASSES)
            columns = slice(first, first + width * stride, stride)
            if block is None:
                mine = slice(rows.start + c, rows.stop, _CLASSES)
                thin = self._product(mine, columns).sub_(g[columns])
            else:
                thin = block[c::_CLASSES, columns]
            least = torch.topk(thin, k, dim=1, largest=False).indices
            at[c::_CLASSES] = least * stride + first
        return _listed(rows, at)

    def below(
        self, f: Tensor, g: Tensor, margin: float, limit: int
    ) -> tuple[Tensor, Tensor] | None:
        """Pairs with c_ij − f_i − g_j < margin; None as soon as there are more than `limit`.

        Where a product has the signs of reduced costs, and is no coarser than float32, at least
        those below 0.
        """
        signs = self._given.signs(f, g) if self.dtype == torch.float32 else None
        f, g = (f + margin).to(self.dtype), g.to(self.dtype)
        found: list[int] = []

        def marks(rows: slice) -> Iterator[tuple[int, Tensor]]:
            if signs is not None:
                yield 0, negative(signs[0][rows], signs[1])
                return
            for columns, block in self._tiles(rows):
                yield columns.start, less(block.sub_(g[columns]), f[rows, None])

        def work(rows: slice) -> list[tuple[Tensor, Tensor]]:
            if sum(found) > limit:
                return []
            hits = [where(hit, rows.start, at) for at, hit in marks(rows)]
            found.append(sum(len(i) for i, _ in hits))
            return hits

        none = torch.empty(0, dtype=torch.int64, device=g.device)
        hits = [(none, none), *itertools.chain.from_iterable(self._sweep(work))]
        if sum(found) > limit:
            return None
        i, j = (torch.cat(part) for part in zip(*hits, strict=True))
        return i, j


def _strides(largest: int) -> Iterator[int]:
    """8, 64, … up to the largest."""
    stride = _THIN
    while stride <= largest:
        yield stride
        stride *= _THIN


def _listed(rows: slice, cols: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column indices of the columns (h, c) of each row."""
    row = torch.arange(rows.start, rows.stop, device=cols.device)
    return row[:, None].expand_as(cols).reshape(-1), cols.reshape(-1)
