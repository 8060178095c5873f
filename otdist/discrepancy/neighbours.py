"""Metrics from nearest neighbours, in blocks: memory O(n + m), never n × m.

* Precision, recall (Kynkäänniemi et al. 2019, Improved precision and recall metric), density and
  coverage (Naeem et al. 2020, Reliable fidelity and diversity metrics): balls around each point
  that reach to its k-th neighbour within its own sample.
  Where rows repeat so often that a radius is 0, the ball holds the rows that are equal to it.
* The leave-one-out nearest-neighbour classifier (Lopez-Paz and Oquab 2017, Revisiting classifier
  two-sample tests): how often the nearest other row of the pooled sample comes from the same side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from otdist.core.measure import SamplePair
from otdist.core.point_cost import PointCost
from otdist.discrepancy.base import Discrepancy, Figure, Labelled, only, pooled

_RIM = 1e-12
"""Squared distances that should be equal to the radius differ from it by rounding: a point so near
to the rim of a ball is on it."""
_NEAR = 1e-12
"""Squared distance, in scaled units, up to which rows are compared for equality."""

TITLES = {
    "precision": "fakes within a ball of the reals, k = 5",
    "recall": "reals within a ball of the fakes, k = 5",
    "density": "balls of the reals per fake, over k",
    "coverage": "balls of the reals that hold a fake",
}


def shares(pair: SamplePair, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage with k neighbours; "points", balls of radius 0.

    Args:
        pair: Reals, more than one row, and fakes; k is lowered to n − 1 and m − 1 at most.
        k: Neighbours that the radius of a ball reaches to, the point itself not counted.
    """
    x, y = pair.x.points.detach(), pair.y.points.detach()
    k = min(k, len(x) - 1, len(y) - 1)
    around_x, around_y = radii(x, k), radii(y, k)
    hits = torch.zeros(len(y), dtype=torch.int64)
    recalled = torch.zeros(len(x), dtype=torch.bool)
    covered = torch.zeros(len(x), dtype=torch.bool)
    for part, c in PointCost(x, y, 2).blocks():
        hit = inside(c, x[part], y, around_x[part, None])
        hits += hit.sum(0)
        covered[part] = hit.any(1)
        recalled[part] = inside(c, x[part], y, around_y).any(1)
    return {
        "precision": float((hits > 0).double().mean()),
        "recall": float(recalled.double().mean()),
        "density": float(hits.double().mean()) / k,
        "coverage": float(covered.double().mean()),
        "points": int((around_x == 0).sum() + (around_y == 0).sum()),
    }


def inside(c: Tensor, x: Tensor, y: Tensor, squared: Tensor, *, rim: bool = False) -> Tensor:
    """Which pairs at squared distances c (k, m) are within a ball; its rim is outside unless `rim`.

    A ball of radius 0 holds equal rows, whose distance may be off 0 by rounding.
    """
    points = squared == 0
    found = c < squared * (1 + _RIM if rim else 1 - _RIM)
    if bool(points.any()):
        i, j = ((c <= _NEAR) & points).nonzero(as_tuple=True)
        found[i, j] = (x[i] == y[j]).all(1)
    return found


def radii(points: Tensor, k: int) -> Tensor:
    """Squared distance to the k-th other point."""
    squared, _ = PointCost(points, points, 2).nearest(points.new_zeros(len(points)), k + 1)
    return squared[:, k]


@dataclass(frozen=True)
class PrecisionRecall(Discrepancy):
    """Precision, recall, density and coverage, one of which is the value."""

    output: str = field(default="precision", compare=False, metadata=only())

    higher_is_better: ClassVar[bool] = True
    least_rows: ClassVar[int] = 2
    spread: ClassVar[bool] = True
    title: ClassVar[str] = "balls to the fifth neighbour"
    no_limit: ClassVar[str] = (
        "no central limit theorem is known: ± is the spread of 5 draws of half of the rows"
    )
    titles: ClassVar[dict[str, str]] = TITLES

    def words(self, name: str) -> str:
        """What each output counts."""
        return self.titles.get(name, self.title)

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The output."""
        return self.figures([self.output], pair, seed)[self.output]

    def figures(
        self, names: Sequence[str], pair: SamplePair, seed: int | None
    ) -> dict[str, Figure]:
        """Several outputs of one search."""
        found = shares(pair)
        points = found["points"]
        note = (
            f"{points:.0f} of {pair.size} balls have radius 0, because rows repeat"
            if points
            else ""
        )
        return {name: Figure(found[name], note=note) for name in names}


@dataclass(frozen=True)
class Classifier(Labelled):
    """Accuracy of the leave-one-out nearest-neighbour classifier; each sample counts half."""

    least_rows: ClassVar[int] = 2
    quick: ClassVar[bool] = True
    title: ClassVar[str] = "accuracy of the nearest neighbour, 0.5 is chance"
    no_limit: ClassVar[str] = (
        "neighbours are shared between rows, and no central limit theorem is known"
    )

    @property
    def quantity(self) -> str:
        """The name of the accuracy."""
        return "accuracy of the nearest neighbour"

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """The neighbours do not depend on the labels."""
        z = pooled(pair)
        _, at = PointCost(z, z, 2).nearest(z.new_zeros(len(z)), 2)
        own = torch.arange(len(z), device=z.device)
        nearest = torch.where(at[:, 0] == own, at[:, 1], at[:, 0]).cpu().numpy()
        right = labels == labels[:, nearest]
        first = labels.sum(1)
        of_x, of_y = (right & labels).sum(1) / first, (right & ~labels).sum(1) / (len(z) - first)
        return (of_x + of_y) / 2
