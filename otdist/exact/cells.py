r"""Cells of neighbouring points: the order of a balanced k-d tree, and the measure of its cells.

Every split halves the points of a cell along the axis on which they spread most. So cells are
ranges of the order, of equal numbers of points up to one, compact, and finer cells lie inside
coarser ones. All cells of one level are split by a single sort: a million points in the plane take
two seconds for 16 levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otdist.line.merge import Merged


@dataclass(frozen=True)
class Cells:
    """One sample divided into cells.

    Attributes:
        order: Indices of the points, cell after cell, shape (n,).
        starts: Where each cell begins in that order, shape (k,).
        centres: Means of the cells under the weights, float64, shape (k, d).
        masses: Weights of the cells, shape (k,).
        spread: Σ a ‖x − centre‖^p: what it costs to move every point to the centre of its cell.
    """

    order: np.ndarray
    starts: np.ndarray
    centres: np.ndarray
    masses: np.ndarray
    spread: float

    @property
    def merged(self) -> Merged:
        """The points in this order as members of their cells."""
        counts = np.diff(self.starts, append=len(self.order))
        group = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        first, masses = torch.from_numpy(self.starts), torch.from_numpy(self.masses)
        return Merged(first, masses, group, False)


def divide(points: Tensor, weights: Tensor, levels: int, p: float, order: np.ndarray) -> Cells:
    """The cells after so many levels of an order that was split to at least as many.

    Args:
        points: Shape (n, d).
        weights: Shape (n,), positive.
        levels: There are 2^levels cells; at most log₂ n.
        p: Exponent of the spread.
        order: From `split`.
    """
    starts = _starts(len(points), levels)
    x, a = points.double().numpy()[order], weights.numpy()[order]
    masses = np.add.reduceat(a, starts)
    centres = np.add.reduceat(a[:, None] * x, starts) / masses[:, None]
    x -= np.repeat(centres, np.diff(starts, append=len(x)), 0)
    spread = float(a @ np.square(x).sum(1) ** (p / 2))
    return Cells(order, starts, centres, masses, spread)


def split(points: Tensor, levels: int) -> np.ndarray:
    """The order of the points after so many levels of splits, shape (n,), int64."""
    x = points.numpy()
    order = np.arange(len(x))
    for level in range(levels):
        starts = _starts(len(x), level)
        counts = np.diff(starts, append=len(x))
        mine = x[order]
        low, high = np.minimum.reduceat(mine, starts), np.maximum.reduceat(mine, starts)
        axis = np.repeat((high - low).argmax(1), counts)
        key = mine[np.arange(len(x)), axis].astype(np.float64)
        cell = np.repeat(np.arange(len(starts)), counts)
        order = order[np.lexsort((key, cell))]
    return order


def _starts(n: int, levels: int) -> np.ndarray:
    """Beginnings of the cells: halves of halves, the first of which has the odd point."""
    ends = np.array([0, n])
    for _ in range(levels):
        middle = (ends[:-1] + ends[1:] + 1) // 2
        ends = np.sort(np.concatenate([ends, middle]))
    return ends[:-1]
