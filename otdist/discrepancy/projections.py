"""Sliced distances of samples that are projected already.

A report computes a figure, its floor over 20 splits, and an interval along the same directions.
Projected once, the rows of both samples serve all of them: of 5,000 + 5,000 rows of 2,048 columns
and 1,000 directions that is a sixth of the time (`python -m benchmarks --suite evaluation`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from otdist.core.measure import SamplePair, pair
from otdist.discrepancy.base import Discrepancy, Figure
from otdist.discrepancy.limit import Linear
from otdist.line.staircase import HIGH
from otdist.sliced.directions import Directions
from otdist.sliced.slices import mean_slice_cost

MOST = 1 << 24
"""Projections that are kept, of all samples together: 128 MiB in float64."""


@dataclass(frozen=True)
class Projections(Discrepancy):
    """SW_p of rows (n, L), whose columns are the projections.

    Attributes:
        p: Exponent.
        unit: Of the projections, in that of the points.
        figure: SW_p in units of the points → the value.
        linear: SamplePair of projections, and a seed → their `Linear`.
    """

    p: float
    unit: float
    figure: Callable[[float], float] = field(compare=False)
    linear: Callable[[SamplePair, int | None], Linear] = field(compare=False)

    title: ClassVar[str] = "a sliced distance of projections"
    no_limit: ClassVar[str] = ""

    def numbers(self, pair: SamplePair) -> int:
        """Projections."""
        return pair.size * pair.x.points.shape[1]

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The value in the caller's units."""
        mean, _ = mean_slice_cost(pair.x.points, pair.y.points, None, self.p)
        return Figure(self.figure(float(mean) ** (1 / self.p) * pair.scale * self.unit))

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Linear:
        """That of the distance which was projected."""
        return self.linear(pair, seed)


def project(
    samples: Sequence[np.ndarray], p: float, chosen: Directions
) -> tuple[list[np.ndarray], float] | None:
    """Projections of every sample and their unit; None where they would be too many to keep.

    The samples are put in one frame before: an offset that all share costs no digits.
    """
    d, rows = samples[0].shape[1], sum(map(len, samples))
    if d == 1 or p > HIGH or rows * len(chosen) > MOST:
        return None
    framed = pair(samples[0], np.concatenate(samples[1:]), p=p)
    matrix = torch.from_numpy(chosen.rows.T).to(framed.x.points)
    found = [(z.points @ matrix).cpu().numpy() for z in (framed.x, framed.y)]
    ends = np.cumsum([len(z) for z in samples[1:]])[:-1]
    return [found[0], *np.split(found[1], ends)], framed.scale
