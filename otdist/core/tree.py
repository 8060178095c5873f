"""The order of a balanced k-d tree: cells of neighbouring points as ranges of one order.

Every split halves the points of a cell along the axis on which they spread most. So cells are
ranges of the order, of equal numbers of points up to one, compact, and finer cells lie inside
coarser ones. All cells of one level are split by a single sort.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor


def split(points: Tensor, levels: int) -> np.ndarray:
    """The order of points (n, d) after so many levels of splits, shape (n,), int64."""
    x = points.numpy()
    order = np.arange(len(x))
    for level in range(levels):
        begin = starts(len(x), level)
        counts = np.diff(begin, append=len(x))
        mine = x[order]
        low, high = np.minimum.reduceat(mine, begin), np.maximum.reduceat(mine, begin)
        axis = np.repeat((high - low).argmax(1), counts)
        key = mine[np.arange(len(x)), axis].astype(np.float64)
        cell = np.repeat(np.arange(len(begin)), counts)
        order = order[np.lexsort((key, cell))]
    return order


def starts(n: int, levels: int) -> np.ndarray:
    """Where the 2^levels cells begin in the order of n points; halves of halves."""
    ends = np.array([0, n])
    for _ in range(levels):
        middle = (ends[:-1] + ends[1:] + 1) // 2
        ends = np.sort(np.concatenate([ends, middle]))
    return ends[:-1]
