"""Slices of a sample that comes in batches: a grid for each direction.

Projections are float64 products in blocks, each direction is sorted into its grid in one of the
threads, and what is kept is cells × directions × four numbers, whatever the size of the sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from otdist.core.threads import run
from otdist.streaming.grid import Grid
from otdist.streaming.moments import Moments

_ENTRIES = 1 << 24
"""Projections that are held at a time: 128 MB."""


@dataclass(frozen=True)
class SliceGrids:
    """The projections of one sample on L directions, each in a grid; immutable.

    Attributes:
        directions: Unit rows, (L, d).
        grids: One for each direction.
        spread: Means, variances and ranges of the coordinates.

    >>> empty = SliceGrids.empty(np.eye(2), cells=8)
    >>> [grid.low.tolist() for grid in empty.add(torch.tensor([[1.0, 2.0]])).grids]
    [[1.0], [2.0]]
    """

    directions: np.ndarray
    grids: tuple[Grid, ...]
    spread: Moments

    @staticmethod
    def empty(directions: np.ndarray, cells: int) -> SliceGrids:
        """Grids without points."""
        return SliceGrids(directions, (Grid(cells),) * len(directions), Moments(full=False))

    @property
    def count(self) -> int:
        """Points so far."""
        return self.spread.count

    def add(self, points: Tensor, weights: Tensor | None = None) -> SliceGrids:
        """The grids with finite points (n, d) more; weights (n,), 1 each when None."""
        rows = torch.from_numpy(self.directions).to(points.device)
        grids = list(self.grids)
        step = max(1, _ENTRIES // len(rows))
        for start in range(0, len(points), step):
            part = slice(start, start + step)
            projected = torch.mm(rows, points[part].double().T).cpu().numpy()
            weight = None if weights is None else weights[part].cpu().numpy()

            def absorb(index: int, values: np.ndarray, weight: np.ndarray | None) -> None:
                grids[index] = grids[index].add(values[index], weight)

            run([partial(absorb, index, projected, weight) for index in range(len(grids))])
        return replace(self, grids=tuple(grids), spread=self.spread.add(points, weights))

    def join(self, other: SliceGrids) -> SliceGrids:
        """The grids of both samples together."""
        if not other.count:
            return self
        return replace(
            self,
            grids=tuple(x.join(y) for x, y in zip(self.grids, other.grids, strict=True)),
            spread=self.spread.join(other.spread),
        )
