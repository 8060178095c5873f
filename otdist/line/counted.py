r"""The cells of the monotone plan for given weights, in integers: a third of the time of `walk`.

Weights are counted in units of 2⁻⁶¹ of about their sum, so that cumulative sums and differences of
breakpoints are integers, one sort merges the breakpoints of both samples, and the last bit of each
says whose it is. What is lost is counted in `doubt`: about 1e-18 of the mass, which samples that
are not nearly equal never notice. Where it does show, `walk.WeightedWalk` has exact masses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from otdist.line.sorting import in_threads
from otdist.line.walk import PART, Array, Cells, slices

_UNIT = 2.0**61
"""Units of a sum of one: twice a sum of up to 1.5, and the bit of a side, fit into 64 bits."""


@dataclass(frozen=True)
class CountedWalk:
    """The walk of weights that are counted in units.

    Attributes:
        keys: Breakpoints of both samples, ascending, (n + m,): twice their units, and one more for
            those of y; the first is 0, the last twice the total.
        total: Units of all the mass.
        doubt: How far a breakpoint can be from its true place, in units of the total.
        before: Breakpoints of y among the keys before each part.
    """

    keys: Array
    total: int
    doubt: float
    before: list[int]

    def parts(self) -> list[slice]:
        """Ranges of cells."""
        size = len(self.keys) - 1
        return [slice(0, size)] if size <= PART else slices(size, PART)

    def cells(self, part: slice) -> Cells:
        """Some cells; a mass may be off by the doubt of both its ends."""
        start = part.start
        within = self.keys[start : part.stop + 1]
        cols = within[:-1] & 1
        if start > 0:
            cols[0] += self.before[start // PART]
        np.add.accumulate(cols, out=cols)
        mass = (within[1:] - within[:-1]) / (2 * self.total)  # the bits are in the doubt
        return Cells(np.arange(start, part.stop) - cols, cols, mass)


def counted(
    a: Array | None, b: Array | None, n: int, m: int, orders: tuple[Array, Array]
) -> CountedWalk:
    """The walk of weights a (n,) and b (m,), of any sum, in given orders; None means uniform."""
    ends, lost = [np.empty(0, dtype=np.int64)] * 2, [0.0, 0.0]

    def fill(side: int, weights: Array | None, size: int) -> None:
        if weights is None:
            ends[side] = _even(size)
        else:
            ends[side], lost[side] = _sums(weights, orders[side])

    in_threads([partial(fill, 0, a, n), partial(fill, 1, b, m)], n + m)
    return _merged(ends[0], ends[1], lost[0], lost[1])


def counted_few(a: Array, b: Array, orders: tuple[Array, Array]) -> CountedWalk:
    """The same for few weights of sums near one, in half the time: both sides share operations."""
    n = len(a)
    rest = np.empty(n + len(b))
    a.take(orders[0], out=rest[:n], mode="clip")  # other modes make a copy
    b.take(orders[1], out=rest[n:], mode="clip")
    rest *= _UNIT
    ends = rest.astype(np.int64)
    rest -= ends
    np.add.accumulate(ends, out=ends)
    ends += np.add.accumulate(rest, out=rest).astype(np.int64)
    ends[n:] -= ends[n - 1]
    lost = 2 + len(ends) ** 2 * 2.0**-53  # the rests of x are in the sums of y, and in their start
    return _merged(ends[:n], ends[n:], lost, lost)


def _merged(of_x: Array, of_y: Array, lost_x: float, lost_y: float) -> CountedWalk:
    """The walk through breakpoints of both sides, (n,) and (m,), which may lack so many units."""
    total, other, n = int(of_x[-1]), int(of_y[-1]), len(of_x)
    keys = np.empty(n + len(of_y), dtype=np.int64)
    keys[0], keys[-1], within = 0, 2 * total, keys[n:-1]
    np.left_shift(of_x[:-1], 1, out=keys[1:n])
    np.left_shift(of_y[:-1], 1, out=within)
    change = (total - other) / other
    if change:
        within += (within * change).astype(np.int64)
        lost_y = lost_y * (1 + abs(change)) + 1 + abs(change) * 2.0**10
    within |= 1
    keys[1:-1].sort(kind="stable")  # two ascending runs, which a merge sort finds
    before = [0]
    if len(keys) > PART:
        for part in slices(len(keys) - 1, PART)[:-1]:
            before.append(before[-1] + int(np.count_nonzero(keys[part] & 1)))
    return CountedWalk(keys, total, (lost_x + lost_y + 2) / total, before)


def _sums(weights: Array, order: Array) -> tuple[Array, float]:
    """Cumulative sums of n weights in units, (n,), and how many may be missing from one."""
    n, found = len(weights), np.empty(len(weights), dtype=np.int64)
    total = float(np.add.reduce(weights))
    unit = _UNIT if 0.5 < total < 1.5 else math.ldexp(_UNIT, -math.frexp(total)[1])
    whole_before, rest_before = 0, 0.0
    for part in slices(n, PART):
        rest = weights.take(order[part])
        rest *= unit
        whole = rest.astype(np.int64)
        rest -= whole
        whole[0] += whole_before
        rest[0] += rest_before
        np.cumsum(whole, out=whole)
        np.cumsum(rest, out=rest)
        whole_before, rest_before = whole[-1], rest[-1]
        whole += rest.astype(np.int64)
        found[part] = whole
    return found, 1 + n * n * 2.0**-53


def _even(n: int) -> Array:
    """k/n in units for k = 1 … n."""
    each, more = divmod(int(_UNIT), n)
    k = np.arange(1, n + 1)
    return k * each + k * more // n
