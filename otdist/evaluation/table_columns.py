r"""Columns of two tables: how far each has moved, for many labellings of the pooled rows at once.

A labelling gives every pooled row a *slot*: slots below n make up the reference, those from n on
the current table, in its order, so that a window of the current table is a range of slots. The
observed tables are the labelling that leaves every row in its place.

Numbers are compared by W_1. With F and G the shares of reference and window among the k smallest
pooled values and gaps δ_k between these, W_1 = Σ_k |F_k − G_k| δ_k: the values are sorted once.
Categories are compared by the total variation distance ½ Σ |p − q| of their shares.

Of a column with missing cells the others are compared, and which cells are missing is a column of
two categories of its own. A labelling then orders the cells that hold something, and as many of
them as in the observed tables make up each part: the test is exact given which cells are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse
import torch

Array = np.ndarray
Window = tuple[int, int]
"""First row of the current table and the one after the last."""

_MOST_INDICATORS = 100
"""Categories that still get coordinates in a joint comparison."""


@dataclass(frozen=True, eq=False)
class Column:
    """The cells of a column that hold something, in both tables, the reference's first.

    Attributes:
        name: Of the column.
        values: Numbers or codes of categories, shape (k,).
        there: Which of the N pooled rows they belong to, (N,).
        rows: Rows n of the reference.
        convention: What the distance is, in words.
        remark: What a reader must know.
    """

    name: str
    values: Array
    there: Array
    rows: int
    convention: str
    remark: str = ""

    @property
    def n(self) -> int:
        """Cells of the reference."""
        return int(self.there[: self.rows].sum())

    @property
    def constant(self) -> bool:
        """Whether all cells are the same, so that no labelling differs from another."""
        return bool((self.values == self.values[0]).all())

    def distances(self, slots: torch.Tensor, windows: Sequence[Window]) -> Array:
        """Distances of windows from the reference, (b, k), for slots (N, b); NaN where empty."""
        if not self.there.all():
            slots = slots[torch.from_numpy(self.there)].T.argsort(1).argsort(1).T
            before = np.concatenate([[0], np.cumsum(self.there[self.rows :])])
            windows = [(int(before[first]), int(before[last])) for first, last in windows]
        out = np.full((slots.shape[1], len(windows)), np.nan)
        held = [k for k, (first, last) in enumerate(windows) if last > first]
        out[:, held] = self._distances(slots, [windows[k] for k in held])
        return out

    def _distances(self, slots: torch.Tensor, windows: Sequence[Window]) -> Array:
        raise NotImplementedError

    @property
    def coordinates(self) -> Array:
        """Coordinates in a joint comparison, (N, c): 0 for a missing cell."""
        cells = self._coordinates
        out = np.zeros((len(self.there), cells.shape[1]))
        out[self.there] = cells
        return out

    @property
    def _coordinates(self) -> Array:
        raise NotImplementedError


class Numbers(Column):
    """A column of finite numbers, or of times in days."""

    quantity = "W_1"

    @cached_property
    def unit(self) -> float:
        """Standard deviation of the reference: what an effect is measured in; 0 has no effect."""
        return _spread(self.values[: self.n])

    @property
    def note(self) -> str:
        """What a reader must know."""
        words = "" if self.unit > 0 else "constant in the reference: no effect size"
        return "; ".join(filter(None, [self.remark, words]))

    @cached_property
    def _sorted(self) -> tuple[torch.Tensor, torch.Tensor]:
        order = np.argsort(self.values, kind="stable")
        return torch.from_numpy(order[:-1]), torch.from_numpy(np.diff(self.values[order]))

    def _distances(self, slots: torch.Tensor, windows: Sequence[Window]) -> Array:
        """W_1, from whole numbers: F − G = (k_F m − k_G n) / (n m), so that equal tables give 0."""
        order, gaps = self._sorted
        n = self.n

        def counted(inside: torch.Tensor) -> torch.Tensor:
            return inside.index_select(0, order).T.contiguous().cumsum(1, dtype=torch.int32)

        before = counted(slots < n)
        ranks = torch.arange(1, len(self.values), dtype=torch.int32)
        out = torch.empty(slots.shape[1], len(windows), dtype=torch.float64)
        for k, (first, last) in enumerate(windows):
            m = last - first
            if m == len(self.values) - n:  # all rows that are not of the reference
                inside = ranks - before
            else:
                inside = counted((slots >= n + first) & (slots < n + last))
            apart = inside.double().mul_(n).sub_(before, alpha=m).abs_()
            out[:, k] = apart @ gaps / (n * m)
        return out.numpy()

    @property
    def _coordinates(self) -> Array:
        """Standardised by the pooled mean and spread."""
        return (self.values[:, None] - self.values.mean()) / (_spread(self.values) or 1.0)


def _spread(values: Array) -> float:
    """Standard deviation, without overflow in the squares."""
    scale = float(np.abs(values).max()) or 1.0
    return scale * float((values / scale).std())


class Categories(Column):
    """A column of categories as codes from 0 on."""

    quantity = "total variation distance"
    unit = 1.0

    @property
    def kinds(self) -> int:
        """How many categories there are."""
        return int(self.values.max()) + 1

    @cached_property
    def _indicators(self) -> scipy.sparse.csr_array:
        rows, shape = np.arange(len(self.values)), (len(self.values), self.kinds)
        return scipy.sparse.csr_array((np.ones(len(rows)), (rows, self.values)), shape=shape)

    @property
    def note(self) -> str:
        """What a reader must know."""
        more = ", too many for the joint comparison" if self.kinds > _MOST_INDICATORS else ""
        return self.remark or f"{self.kinds} categories{more}"

    def _distances(self, slots: torch.Tensor, windows: Sequence[Window]) -> Array:
        """½ Σ |p − q|."""
        place = slots.numpy()
        shares = self._shares(place, -self.n, 0)
        found = [
            np.abs(shares - self._shares(place, first, last)).sum(0) / 2 for first, last in windows
        ]
        return np.stack(found, axis=1) if found else np.empty((place.shape[1], 0))

    def _shares(self, place: Array, first: int, last: int) -> Array:
        inside = (place >= self.n + first) & (place < self.n + last)
        return (self._indicators.T @ inside.astype(np.float64)) / (last - first)

    @property
    def _coordinates(self) -> Array:
        """Indicators such that two categories are at distance 1."""
        if self.kinds > _MOST_INDICATORS:
            return np.empty((len(self.values), 0))
        return self._indicators.toarray() / np.sqrt(2)


def labellings(
    number: int, block: int, count: int, rng: np.random.Generator, *, entries: int = 1 << 18
) -> Iterator[torch.Tensor]:
    """The observed labelling and `count` random ones, in pieces of shape (b, number).

    Args:
        number: Pooled rows, a multiple of `block`.
        block: Consecutive rows that stay together; whole blocks are exchanged.
        count: Random labellings.
        rng: Their source.
        entries: Slots at a time: what a column makes of them stays in the cache (2 MB), which is
            four times as fast as 1 << 20.
    """
    blocks, left = np.arange(number // block, dtype=np.int32), count + 1
    within = np.arange(block, dtype=np.int32)
    step = max(1, entries // number)
    while left > 0:
        b = min(step, left)
        places = np.tile(blocks, (b, 1))
        first = 1 if left == count + 1 else 0
        rng.permuted(places[first:], axis=1, out=places[first:])
        yield torch.from_numpy((places[..., None] * block + within).reshape(b, number))
        left -= b
