r"""Columns of two tables: how far each has moved, for many labellings of the pooled rows at once.

A labelling gives every pooled row a *slot*: slots below n make up the reference, those from n on
the current table, in its order, so that a window of the current table is a range of slots. The
observed tables are the labelling that leaves every row in its place.

Numbers are compared by W_1. With F and G the shares of reference and window among the k smallest
pooled values and gaps δ_k between these, W_1 = Σ_k |F_k − G_k| δ_k: the values are sorted once.
Categories are compared by the total variation distance ½ Σ |p − q| of their shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
import torch

from otdist.evaluation.feature_functions import flat

Array = np.ndarray
Window = tuple[int, int]
"""First row of the current table and the one after the last."""

_MOST_INDICATORS = 100
"""Categories that still get coordinates in a joint comparison."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column of finite numbers, the reference's rows first; n of them, shape (N,)."""

    name: str
    values: Array
    n: int
    quantity = "W_1"
    convention = "W_1, units of the column"

    @property
    def rows(self) -> int:
        """Pooled rows N."""
        return len(self.values)

    @property
    def unit(self) -> float:
        """Standard deviation of the reference: what an effect is measured in; 0 has no effect."""
        return float(self.values[: self.n].std())

    @property
    def note(self) -> str:
        """What a reader must know."""
        return "" if self.unit > 0 else "constant in the reference: no effect size"

    @cached_property
    def _sorted(self) -> tuple[torch.Tensor, torch.Tensor]:
        order = np.argsort(self.values, kind="stable")
        return torch.from_numpy(order[:-1]), torch.from_numpy(np.diff(self.values[order]))

    def distances(self, slots: torch.Tensor, windows: Sequence[Window]) -> Array:
        """W_1 between the reference and each window, shape (b, k), for slots of shape (b, N)."""
        order, gaps = self._sorted
        along = slots.index_select(1, order)
        shares = (along < self.n).cumsum(1, dtype=torch.float64).div_(self.n)
        out = torch.empty(len(slots), len(windows), dtype=torch.float64)
        for k, (first, last) in enumerate(windows):
            inside = (along >= self.n + first) & (along < self.n + last)
            inside = inside.cumsum(1, dtype=torch.float64).div_(last - first)
            out[:, k] = inside.sub_(shares).abs_() @ gaps
        return out.numpy()

    @property
    def coordinates(self) -> Array:
        """Standardised by the pooled spread, (N, 1)."""
        return self.values[:, None] / (float(self.values.std()) or 1.0)


@dataclass(frozen=True, eq=False)
class Categories:
    """A column of categories as codes from 0 on, the reference's rows first, shape (N,)."""

    name: str
    codes: Array
    n: int
    quantity = "total variation distance"
    convention = "total variation distance of the categories"
    unit = 1.0

    @property
    def rows(self) -> int:
        """Pooled rows N."""
        return len(self.codes)

    @property
    def kinds(self) -> int:
        """How many categories there are."""
        return int(self.codes.max()) + 1

    @cached_property
    def _indicators(self) -> scipy.sparse.csr_array:
        rows, shape = np.arange(self.rows), (self.rows, self.kinds)
        return scipy.sparse.csr_array((np.ones(self.rows), (rows, self.codes)), shape=shape)

    @property
    def note(self) -> str:
        """What a reader must know."""
        more = ", too many for the joint comparison" if self.kinds > _MOST_INDICATORS else ""
        return f"{self.kinds} categories{more}"

    def distances(self, slots: torch.Tensor, windows: Sequence[Window]) -> Array:
        """½ Σ |p − q| between the reference and each window, shape (b, k)."""
        place = slots.numpy()
        shares = self._shares(place, -self.n, 0)
        found = [
            np.abs(shares - self._shares(place, first, last)).sum(1) / 2 for first, last in windows
        ]
        return np.stack(found, axis=1)

    def _shares(self, place: Array, first: int, last: int) -> Array:
        inside = (place >= self.n + first) & (place < self.n + last)
        return (inside.astype(np.float64) @ self._indicators) / (last - first)

    @property
    def coordinates(self) -> Array:
        """Indicators such that two categories are at distance 1, (N, kinds)."""
        if self.kinds > _MOST_INDICATORS:
            return np.empty((self.rows, 0))
        return self._indicators.toarray() / np.sqrt(2)


Column = Numbers | Categories


def read(value: Any, columns: Sequence[str] | None, name: str) -> dict[str, Array]:
    """Column name → values (n,), of a mapping, a data frame or an array (n, d).

    Raises:
        ValueError: unknown columns, no rows, or columns of several lengths.
    """
    if isinstance(value, Mapping) or hasattr(value, "columns"):
        found = {str(key): np.asarray(value[key]) for key in getattr(value, "columns", value)}
        wanted = list(found) if columns is None else list(columns)
        missing = [key for key in wanted if key not in found]
        if missing:
            raise ValueError(f"{name} has no column {', '.join(missing)}: it has {list(found)}")
        table = {key: found[key] for key in wanted}
    else:
        rows = flat(value, name)
        names = [str(i) for i in range(rows.shape[1])] if columns is None else list(columns)
        if len(names) != rows.shape[1]:
            raise ValueError(f"{name} has {rows.shape[1]} columns: got {len(names)} names")
        table = dict(zip(names, rows.T, strict=True))
    lengths = {len(column) if column.ndim == 1 else -1 for column in table.values()}
    if len(lengths) != 1 or min(lengths) < 1:
        raise ValueError(f"{name} must hold columns of one length, at least 1")
    return table


def pooled(name: str, old: Array, new: Array) -> Column:
    """Both parts of a column as one.

    Raises:
        ValueError: numbers in one table and text in the other, dates, NaN or infinity.
    """
    numeric = [part.dtype.kind in "fiu" for part in (old, new)]
    if numeric[0] != numeric[1]:
        kinds = " and ".join("numbers" if is_number else "categories" for is_number in numeric)
        raise ValueError(f"column {name!r} must be of one kind: got {kinds}")
    if {old.dtype.kind, new.dtype.kind} & set("mM"):
        raise ValueError(f"column {name!r} must hold numbers or categories: got dates or times")
    if all(numeric):
        for part in (old, new):
            bad = ~np.isfinite(part)
            if bad.any():
                row = int(bad.argmax())
                raise ValueError(f"column {name!r} must be finite: got {part[row]} at row {row}")
        values = np.concatenate([old.astype(np.float64), new.astype(np.float64)])
        return Numbers(name, values, len(old))
    text = np.concatenate([old.astype(str), new.astype(str)])
    return Categories(name, np.unique(text, return_inverse=True)[1], len(old))


def labellings(
    number: int, block: int, count: int, rng: np.random.Generator, *, entries: int = 1 << 20
) -> Iterator[torch.Tensor]:
    """The observed labelling and `count` random ones, in pieces of shape (b, number).

    Args:
        number: Pooled rows, a multiple of `block`.
        block: Consecutive rows that stay together; whole blocks are exchanged.
        count: Random labellings.
        rng: Their source.
        entries: Slots at a time.
    """
    blocks, left = np.arange(number // block), count + 1
    within = np.arange(block)
    step = max(1, entries // number)
    while left > 0:
        b = min(step, left)
        places = np.tile(blocks, (b, 1))
        first = 1 if left == count + 1 else 0
        rng.permuted(places[first:], axis=1, out=places[first:])
        yield torch.from_numpy((places[..., None] * block + within).reshape(b, number))
        left -= b
