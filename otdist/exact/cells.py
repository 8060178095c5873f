"""The measure of the cells of a balanced tree (`core.tree`): centres, masses and spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otdist.core.tree import starts
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

    def medoids(self, points: Tensor) -> Tensor:
        """The index of the point nearest to the centre of each cell, shape (k,).

        Args:
            points: As of `divide`.
        """
        cell = np.repeat(np.arange(len(self.starts)), np.diff(self.starts, append=len(self.order)))
        away = np.square(points.double().numpy()[self.order] - self.centres[cell]).sum(1)
        return torch.from_numpy(self.order[np.lexsort((away, cell))[self.starts]])


def divide(points: Tensor, weights: Tensor, levels: int, p: float, order: np.ndarray) -> Cells:
    """The cells after so many levels of an order that was split to at least as many.

    Args:
        points: Shape (n, d).
        weights: Shape (n,), positive.
        levels: There are 2^levels cells; at most log₂ n.
        p: Exponent of the spread.
        order: From `core.tree.split`.
    """
    begin = starts(len(points), levels)
    x, a = points.double().numpy()[order], weights.numpy()[order]
    masses = np.add.reduceat(a, begin)
    centres = np.add.reduceat(a[:, None] * x, begin) / masses[:, None]
    x -= np.repeat(centres, np.diff(begin, append=len(x)), 0)
    spread = float(a @ np.square(x).sum(1) ** (p / 2))
    return Cells(order, begin, centres, masses, spread)
