r"""The cells of the monotone plan, with masses that are exact or of known error.

The plan between sorted points visits n + m − 1 cells (i, j) from (0, 0) to (n − 1, m − 1), and the
mass of a cell is the difference of neighbouring *breakpoints*, the
cumulative weights of both samples in one ascending list. An error of 1e-17 in a mass that crosses a
gap g shows as g·1e-17^(1/p) in the distance, which at p = 2 is the eighth digit and at p = 60 the
first. So cumulative sums are not rounded where that can be avoided:

* uniform weights are counted in integers, 1/(n m) apiece;
* other weights are cut into three pieces, multiples of one power of two each, whose cumulative
  sums have no rounding; a breakpoint is the sum of three floats (Zielke and Drygalla 2003, Genaue
  Lösung linearer Gleichungssysteme, cut sums in this way);
* what is lost all the same, beyond the 104th or the 150th bit, is counted in `doubt`.

Cells come in parts that stay in the cache, for as many threads as torch would use: whole arrays of
10^6 numbers cost as much in fresh memory as in work (``python -m benchmarks --suite univariate``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from otdist.line.sorting import in_threads

Array = np.ndarray

PART = 1 << 15
"""Cells of a part."""
_KEPT = 1 << 12
"""Points of both samples up to which the cells of uniform weights are kept: at most 6 MB in all."""
HEAD = 2.0**-51
"""Heads are multiples of this: sums of up to four of weights of sum one have no rounding."""
_EXACT_COUNT = 1 << 26
"""Points up to which k/n has an exact remainder."""


class Cells(NamedTuple):
    """Some neighbouring cells of a walk: places in sorted x and y, (k,) each, and their masses."""

    rows: Array
    cols: Array
    mass: Array


@dataclass(frozen=True)
class UniformWalk:
    """The walk of uniform weights, by integers: breakpoints k/n and l/m are k·m and l·n."""

    n: int
    m: int
    doubt = 0.0

    def parts(self) -> list[slice]:
        """Ranges of rows."""
        return slices(self.n, max(1, PART * self.n // (self.n + self.m)))

    def cells(self, part: slice) -> Cells:
        """The cells of some rows: each from the column where it begins to that where it ends."""
        if self.n + self.m <= _KEPT:
            return _all_cells(self.n, self.m)
        return self.new_cells(part)

    def new_cells(self, part: slice) -> Cells:
        """The same, always computed."""
        n, m = self.n, self.m
        ends = np.arange(part.start, part.stop + 1) * m
        first = ends // n
        last = np.minimum(first[1:], m - 1)
        count = last - first[:-1] + 1
        stop = count.cumsum()
        rows = np.arange(part.start, part.stop).repeat(count)
        cols = np.arange(stop[-1]) + (last - stop + 1).repeat(count)
        places = (cols + 1) * n
        places[stop - 1] = ends[1:]
        return Cells(rows, cols, np.diff(places, prepend=ends[0]) / (n * m))


@lru_cache(maxsize=64)
def _all_cells(n: int, m: int) -> Cells:
    """All cells of a small walk, which calls on samples of the same sizes share."""
    found = UniformWalk(n, m).new_cells(slice(0, n))
    for part in found:
        part.flags.writeable = False
    return found


@dataclass(frozen=True)
class WeightedWalk:
    """The walk of given weights.

    Attributes:
        n: Points of x; the breakpoints of x come first in `ends`.
        ends: Breakpoints of both samples, in three parts (3, n + m − 2).
        total: The last breakpoint, (3,).
        order: The indices that sort the breakpoints.
        doubt: How far a breakpoint can be from its true place, in units of the total.
    """

    n: int
    ends: Array
    total: Array
    order: Array
    doubt: float

    def parts(self) -> list[slice]:
        """Ranges of cells."""
        return slices(len(self.order) + 1, PART)

    def cells(self, part: slice) -> Cells:
        """Some cells; a mass may be negative by less than the doubt."""
        start, size, inner = part.start, part.stop - part.start, self.n - 1
        cols = np.zeros(size, dtype=np.int64)
        np.cumsum(self.order[start : part.stop - 1] >= inner, out=cols[1:])
        if start > 0:
            before = int(self.order[start - 1])  # the breakpoint that the first cell begins at
            cols += start - (before + 1) if before < inner else before - inner + 1
        within = self.order[max(start - 1, 0) : part.stop]
        ends, at = np.zeros(size + 1), int(start == 0)
        mass = 0.0
        for row, total in zip(self.ends, self.total, strict=True):  # the largest pieces first
            ends[at : at + len(within)] = row.take(within)
            if part.stop > len(self.order):
                ends[-1] = total
            mass = mass + np.diff(ends)
        return Cells(np.arange(start, part.stop) - cols, cols, mass / self.total.sum())


def walk(
    a: Array | None, b: Array | None, n: int, m: int, orders: tuple[Array, Array] | None = None
) -> UniformWalk | WeightedWalk:
    """The walk of weights a (n,) and b (m,), in sorted order or in what `orders` make of it.

    None means uniform.
    """
    a, b = varied(a), varied(b)
    if a is None and b is None:
        return UniformWalk(n, m)
    ends, totals, doubts = np.empty((3, n + m - 2)), np.empty((2, 3)), [0.0, 0.0]
    sides = (ends[:, : n - 1], ends[:, n - 1 :])

    def fill(side: int, weights: Array | None) -> None:
        order = None if orders is None else orders[side]
        fill = _fill_even if weights is None else partial(_fill, weights, order)
        totals[side], doubts[side] = fill(sides[side])

    in_threads([partial(fill, 0, a), partial(fill, 1, b)], n + m)
    fixed = 1 if a is None else 0  # the side whose total both get
    total, doubt = totals[fixed], sum(doubts) + _multiply(sides[1 - fixed], totals, fixed)
    order = _order(ends)
    return WeightedWalk(n, ends, total, order, doubt / float(total.sum()))


def varied(weights: Array | None) -> Array | None:
    """Weights, or None where all are equal."""
    if weights is None or weights[0] != weights[-1]:  # which mostly tells
        return weights
    return None if (weights == weights[0]).all() else weights


def _fill(weights: Array, order: Array | None, ends: Array) -> tuple[Array, float]:
    """Write cumulative sums of n weights in some order, but the last, into (3, n − 1).

    Returns:
        The last sum (3,), and a bound on what is missing from them.
    """
    n, digits, lost = len(weights), max(2, len(weights).bit_length()), 0.0
    total = float(weights.sum())
    shift = 0 if 0.5 < total < 1.5 else -math.frexp(total)[1]
    units = HEAD, 2.0 ** (digits - 104), 2.0 ** (2 * digits - 157)  # n rests stay exact in each
    before = np.zeros(4)
    for part in slices(n, PART):
        rest = weights[part] if order is None else weights.take(order[part])
        if shift:
            rest = np.ldexp(rest, shift)
        sums = np.empty((4, len(rest)))
        for unit, into in zip(units, sums, strict=False):
            into[:], rest = cut(rest, unit)
        sums[3] = rest
        # n roundings of n rests, and one of the third part, a rounding of the second's least bit.
        size = float(np.abs(rest).sum())
        lost += n * 2.0**-53 * size + (2.0**-130 if size else 0.0)
        sums[:, 0] += before
        np.cumsum(sums, axis=1, out=sums)
        before = sums[:, -1].copy()
        sums[2] += sums[3]
        inner = slice(part.start, min(part.stop, n - 1))
        ends[:, inner] = sums[:3, : inner.stop - inner.start]
    before[2] += before[3]
    return before[:3], lost


def _fill_even(ends: Array) -> tuple[Array, float]:
    """Write k/n for k = 1 … n − 1 into (3, n − 1); as `_fill`."""
    n = ends.shape[1] + 1
    k = np.arange(1.0, n)
    ends[0], ends[1:] = k / n, 0.0
    if n > _EXACT_COUNT:
        return np.array([1.0, 0.0, 0.0]), 2.0**-52
    large, small = cut(ends[0], 2.0**-26)
    ends[1] = (k - large * n - small * n) / n
    return np.array([1.0, 0.0, 0.0]), 2.0**-104


def _multiply(ends: Array, totals: Array, fixed: int) -> float:
    """Multiply sums such that their total becomes that of side `fixed`; how far off they may be."""
    change = float((totals[fixed] - totals[1 - fixed]).sum())
    if change == 0:
        return 0.0
    change /= float(totals[1 - fixed, 0])
    for part in slices(ends.shape[1], PART):
        ends[2, part] += (ends[0, part] + ends[1, part]) * change
    return abs(change) * 2.0**-50 + 2.0**-104


def cut(values: Array, unit: float) -> tuple[Array, Array]:
    """Values up to 2^51 units as multiples of a unit, a power of two, and the rests."""
    anchor = 3 * 2.0**51 * unit  # from here to a third more, floats are multiples of the unit
    multiples = (values + anchor) - anchor
    return multiples, values - multiples


def _order(ends: Array) -> Array:
    """The indices that sort breakpoints, in the order of all their digits."""
    key = ends[0] + (ends[1] + ends[2])
    order = key.argsort(kind="stable")  # two ascending runs, which a merge sort finds
    for part in slices(len(order), PART):
        some = order[part.start : part.stop + 1]
        near = key.take(some)
        ties = np.flatnonzero(near[1:] == near[:-1])
        if len(ties):
            large, middle, small = ends[:, some[ties + 1]] - ends[:, some[ties]]
            if (large + middle + small < 0).any():
                rest = ((ends[0] - key) + ends[1]) + ends[2]
                return np.lexsort((rest, key))
    return order


def slices(size: int, step: int) -> list[slice]:
    """The slices of so many entries in steps."""
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]
