"""Which labellings of pooled rows a permutation test looks at: of rows, of groups, or within pairs.

A labelling (N,) says which pooled rows make up the first sample; the first one is the observed one.
Where there are no more arrangements than labellings asked for, all are taken, each once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from otdist.core import checks
from otdist.discrepancy.rows import canonical

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Scheme:
    """What may be exchanged under the null.

    Attributes:
        unit: For each pooled row the unit that it moves with, (N,), whole numbers.
        first: Whether each row is of the first sample where its unit has mark 1, (N,).
        observed: The mark of each unit, (U,); the number of ones is kept, unless `free`.
        free: Whether each unit has its mark on its own, as the swap of a pair has.
        words: What is exchanged, in words.
    """

    unit: Array
    first: Array
    observed: Array
    free: bool
    words: str

    @property
    def arrangements(self) -> int:
        """How many labellings there are."""
        ones = int(self.observed.sum())
        return 2 ** len(self.observed) if self.free else math.comb(len(self.observed), ones)

    def labels(self, count: int, rng: np.random.Generator) -> Array:
        """The observed labelling and `count` random ones, or all others, (B + 1, N), bool."""
        if self.arrangements <= count + 1:
            others = [m for m in self._all() if not np.array_equal(m, self.observed)]
            marks = np.array([self.observed, *others])
        elif self.free:
            marks = rng.random((count + 1, len(self.observed))) < 0.5
        else:
            marks = rng.permuted(np.tile(self.observed, (count + 1, 1)), axis=1)
        marks[0] = self.observed
        return marks[:, self.unit] == self.first

    def _all(self) -> Iterator[Array]:
        units = len(self.observed)
        if self.free:
            yield from (np.array(bits) for bits in product([True, False], repeat=units))
            return
        for chosen in combinations(range(units), int(self.observed.sum())):
            yield np.isin(np.arange(units), chosen)

    def note(self, count: int) -> str:
        """What a reader must know where few arrangements bound the p-value."""
        if self.arrangements > count + 1:
            return ""
        least = 1 / self.arrangements
        return f"all {self.arrangements} arrangements of {self.words}: no p-value below {least:.3g}"


def of_groups(x: Any, y: Any, n: int, m: int) -> Scheme:
    """Whole groups are exchanged, such as donors with all their cells.

    Args:
        x: Names of the groups of the rows of x, (n,).
        y: Likewise for y, (m,); a group is in one sample only.
        n: Rows of x.
        m: Rows of y.

    Raises:
        TypeError, ValueError: no names, a group in both samples, or a single one in each.
    """
    if x is None or y is None:
        raise ValueError("groups_x and groups_y must both be given, or paired=True")
    of_x, of_y = _names("groups_x", x, n), _names("groups_y", y, m)
    kinds, inverse = np.unique(np.concatenate([of_x, of_y]), return_inverse=True)
    both = np.intersect1d(of_x, of_y)
    if len(both):
        raise ValueError(
            f"a group must be in one sample only: got {checks.shown(both[0].item())} in both x "
            "and y; where each has rows in both, pair them: paired=True (--paired)"
        )
    if len(kinds) == 2:
        raise ValueError(
            "groups_x and groups_y must name at least three groups: with one in each sample there "
            "is nothing to exchange"
        )
    observed = np.isin(kinds, of_x)
    words = f"{observed.sum()} + {(~observed).sum()} groups"
    return Scheme(inverse, np.ones(n + m, dtype=bool), observed, False, words)


def of_pairs(x: Array, y: Array, groups: Any) -> Scheme:
    """Row i of x and row i of y change places, on their own or with those of one group.

    Args:
        x: Rows, shape (n, d).
        y: Rows, shape (n, d).
        groups: Names of groups of pairs that swap together, (n,), or None.

    Raises:
        TypeError, ValueError: samples of different lengths; no names.
    """
    n = len(x)
    if n != len(y):
        raise ValueError(f"paired samples must have as many rows: got {n} and {len(y)}")
    if groups is None:  # in an order that does not depend on that of the pairs
        unit = np.empty(n, dtype=np.int64)
        unit[canonical(np.concatenate([x, y], axis=1))] = np.arange(n)
        words = f"{n} pairs"
    else:
        kinds, unit = np.unique(_names("groups_x", groups, n), return_inverse=True)
        words = f"{len(kinds)} groups of pairs"
    first = np.arange(2 * n) < n
    units = int(unit.max()) + 1
    return Scheme(np.tile(unit, 2), first, np.ones(units, dtype=bool), True, words)


def _names(name: str, value: Any, rows: int) -> Array:
    """One name a row, (n,), as text or whole numbers."""
    found = np.asarray(value.tolist() if hasattr(value, "tolist") else value)
    if found.shape != (rows,):
        raise ValueError(
            f"{name} must hold the group of each row, shape ({rows},): got shape {found.shape}"
        )
    if found.dtype.kind not in "iuUb":
        raise TypeError(f"{name} must be texts or whole numbers: got {checks.shown(found[0])}")
    return found
