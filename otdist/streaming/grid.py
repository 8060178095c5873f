r"""A sample on the line in bounded memory: cells of a grid whose width is a power of two.

A cell [k·h, (k + 1)·h) keeps four numbers: its mass, the mean of its points, the lowest and the
highest. Only cells that hold points are kept, and while there are no more *distinct values* than
cells allowed, every value has a cell of its own (h = 0): the sketch is then the sample itself.
When cells run out, h becomes the smallest power of two with which they suffice.

Grids of widths 2^i ≤ 2^j nest, so that sketches of any widths join without loss beyond the coarser
one. And since a part of a sample never needs coarser cells than the whole, the sketch is a
function of the multiset of points alone: neither the order of the batches nor the shape of a merge
tree matters, except for the rounding of the means.

Replacing every point by its cell's mean moves no mass farther than h, in every W_p, p = ∞
included; equal cells are therefore the right ones for transport, and quantiles are not. What a
pair of sketches proves about W_p is in `bounds`.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray

_FINEST = 60
"""Cells are at least 2^-60 of the largest absolute value wide: below its rounding, and above what
overflows when divided by the width."""
_BATCH = 1 << 22
"""Points that are sorted at a time."""


class _Room(threading.local):
    """Arrays of this thread that are used again: fetched from the system page by page each time,
    as a worker of Dask does with all that is large, they cost as much as the sorting.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Array] = {}

    def of(self, name: str, size: int) -> Array:
        """An uninitialised float64 array, valid until the next call with this name."""
        held = self.arrays.get(name)
        if held is None or len(held) < size:
            held = self.arrays[name] = np.empty(size)
        return held[:size]


_room = _Room()


def _none() -> Array:
    return np.empty(0)


@dataclass(frozen=True)
class Grid:
    """Cells in ascending order, at most `cells` of them; immutable.

    Attributes:
        cells: How many cells are allowed, at least 2.
        width: h, a power of two, or 0 where every distinct value has its cell.
        count: Points so far.
        weighted: Whether any of them came with a weight other than one.
        mass: Sum of the weights in each cell, (k,), positive.
        mean: Mean of the points of each cell, (k,).
        low: Lowest point of each cell, (k,).
        high: Highest point of each cell, (k,).

    >>> sketch = Grid(cells=4).add(np.array([3.0, 1.0, 1.0]))
    >>> sketch.low.tolist(), sketch.mass.tolist(), sketch.width
    ([1.0, 3.0], [2.0, 1.0], 0.0)
    >>> coarse = sketch.add(np.linspace(0.0, 15.0, 16))
    >>> coarse.width, coarse.mass.tolist(), coarse.high.tolist()
    (4.0, [7.0, 4.0, 4.0, 4.0], [3.0, 7.0, 11.0, 15.0])
    """

    cells: int
    width: float = 0.0
    count: int = 0
    weighted: bool = False
    mass: Array = field(default_factory=_none)
    mean: Array = field(default_factory=_none)
    low: Array = field(default_factory=_none)
    high: Array = field(default_factory=_none)

    def add(self, values: Array, weights: Array | None = None) -> Grid:
        """The sketch with a batch of finite points (n,) more; weights (n,), 1 each when None."""
        if weights is not None:
            used = weights > 0
            values, weights = values[used], np.asarray(weights[used], np.float64)
        grid = self
        for start in range(0, len(values), _BATCH):
            part = slice(start, start + _BATCH)
            grid = grid.join(grid._of(values[part], None if weights is None else weights[part]))
        return grid

    def _of(self, values: Array, weights: Array | None) -> Grid:
        """A sketch of one batch of points, no finer than this one."""
        sorted_values = _room.of("values", len(values))
        if weights is None:
            np.copyto(sorted_values, values)
            sorted_values.sort()
        else:
            order = np.argsort(values)
            np.copyto(sorted_values, values[order])
            weights = weights[order]
        width = self.width
        if len(values) > self.cells and _number(sorted_values, width) > self.cells:
            width = _fitting_width(sorted_values, self.cells, width)
        columns = _of_points(sorted_values, weights, width)
        return Grid(
            self.cells, count=len(values), weighted=weights is not None, **_named(columns, width)
        )

    def join(self, other: Grid) -> Grid:
        """The sketch of both samples together, with the smaller number of cells of the two."""
        cells = min(self.cells, other.cells)
        width = max(self.width, other.width)
        parts = [(g.mass, g.mean, g.low, g.high) for g in (self, other) if len(g.mass)]
        columns = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
        merged = _combine(columns, width) if columns else (_none(),) * 4
        if len(merged[0]) > cells:
            width = _fitting_width(merged[2], cells, width)
            merged = _combine(merged, width)
        return Grid(
            cells,
            count=self.count + other.count,
            weighted=self.weighted or other.weighted,
            **_named(merged, width),
        )

    @property
    def exact(self) -> bool:
        """Whether every cell holds one value: the sketch is the sample itself."""
        return bool((self.low == self.high).all())

    @property
    def nbytes(self) -> int:
        """Bytes of the four arrays."""
        return 4 * self.mass.nbytes


def _named(columns: tuple[Array, ...], width: float) -> dict:
    return {"width": width, **dict(zip(("mass", "mean", "low", "high"), columns, strict=True))}


def _keys(low: Array, width: float) -> Array:
    """A number for each cell, non-decreasing where `low` is; valid until the next call."""
    if width == 0:
        return low
    keys = _room.of("keys", len(low))
    np.multiply(low, 1 / width, out=keys)  # exact: the width is a power of two
    return np.floor(keys, out=keys)


def _new(keys: Array) -> Array:
    """Where a new key begins among sorted ones; valid until the next call."""
    new = _room.of("new", len(keys) // 8 + 1).view(np.bool_)[: len(keys)]
    new[0] = True
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return new


def _starts(keys: Array) -> Array:
    """The places where a new key begins."""
    return np.flatnonzero(_new(keys))


def _of_points(values: Array, weights: Array | None, width: float) -> tuple[Array, ...]:
    """Columns (mass, mean, low, high) of sorted points."""
    keys = _keys(values, width)
    starts = _starts(keys)
    ends = np.append(starts[1:], len(values))
    low, high = values[starts], values[ends - 1]
    if weights is None:
        mass = (ends - starts).astype(np.float64)
    else:
        mass = np.add.reduceat(weights, starts)
    if width == 0:
        return mass, low, low, high
    corner = keys[starts] * width
    keys *= -width
    keys += values  # offsets in the cell, all of one size: their sums lose nothing
    if weights is not None:
        keys *= weights
    mean = corner + np.add.reduceat(keys, starts) / mass
    return mass, np.clip(mean, low, high), low, high


def _combine(columns: tuple[Array, ...], width: float) -> tuple[Array, ...]:
    """Columns of cells of finer widths, in any order, as columns of one width."""
    order = np.argsort(columns[2], kind="stable")  # a few ascending runs, which a merge sort finds
    mass, mean, low, high = (column[order] for column in columns)
    keys = _keys(low, width)
    starts = _starts(keys)
    total = np.add.reduceat(mass, starts)
    lowest, highest = low[starts], np.maximum.reduceat(high, starts)
    if width == 0:
        return total, lowest, lowest, highest
    corner = keys[starts] * width
    middle = corner + np.add.reduceat(mass * (mean - keys * width), starts) / total
    return total, np.clip(middle, lowest, highest), lowest, highest


def _fitting_width(low: Array, cells: int, width: float) -> float:
    """The smallest power of two above `width` of which `cells` cells suffice; `low` ascends."""
    largest = max(abs(float(low[0])), abs(float(low[-1])))
    finest = max(math.frexp(largest)[1] - _FINEST, -1000)
    if width > 0:
        finest = max(finest, math.frexp(width)[1])
    spread = float(low[-1] / 2 - low[0] / 2)
    exponent = max(math.frexp(spread / cells)[1], finest)
    if _number(low, math.ldexp(1.0, exponent)) <= cells:
        while exponent > finest and _number(low, math.ldexp(1.0, exponent - 1)) <= cells:
            exponent -= 1
    else:
        while _number(low, math.ldexp(1.0, exponent)) > cells:
            exponent += 1
    return math.ldexp(1.0, exponent)


def _number(low: Array, width: float) -> int:
    """How many cells of a width hold points."""
    return int(np.count_nonzero(_new(_keys(low, width))))
