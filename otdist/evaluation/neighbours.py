"""Metrics from nearest neighbours, in blocks: memory O(n + m), never n × m.

* Precision, recall (Kynkäänniemi et al. 2019, Improved precision and recall metric), density and
  coverage (Naeem et al. 2020, Reliable fidelity and diversity metrics): balls around each point
  that reach to its k-th neighbour within its own sample.
* The leave-one-out nearest-neighbour classifier (Lopez-Paz and Oquab 2017, Revisiting classifier
  two-sample tests): how often the nearest other row of the pooled sample comes from the same side.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from otdist.core.measure import pair
from otdist.core.point_cost import PointCost
from otdist.inference.permutation import labellings, pvalue

_INSIDE = 1 - 1e-12
"""A point on the rim of a ball is outside: squared distances that should be equal to the radius
differ from it by rounding."""


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage with k neighbours.

    Args:
        real: Shape (n, d), more than one row; k is lowered to n − 1 and m − 1 at most.
        fake: Shape (m, d).
        k: Neighbours that the radius of a ball reaches to, the point itself not counted.
    """
    both = pair(real, fake)
    x, y = both.x.points, both.y.points
    k = min(k, len(x) - 1, len(y) - 1)
    around_x, around_y = _radii(x, k), _radii(y, k)
    hits = torch.zeros(len(y), dtype=torch.int64)
    recalled = torch.zeros(len(x), dtype=torch.bool)
    covered = torch.zeros(len(x), dtype=torch.bool)
    for part, c in PointCost(x, y, 2).blocks():
        inside = c < around_x[part, None]
        hits += inside.sum(0)
        covered[part] = inside.any(1)
        recalled[part] = (c < around_y).any(1)
    return {
        "precision": float((hits > 0).double().mean()),
        "recall": float(recalled.double().mean()),
        "density": float(hits.double().mean()) / k,
        "coverage": float(covered.double().mean()),
    }


def _radii(points: Tensor, k: int) -> Tensor:
    """Squared distance to the k-th other point."""
    squared, _ = PointCost(points, points, 2).nearest(points.new_zeros(len(points)), k + 1)
    return squared[:, k] * _INSIDE


def neighbour_accuracy(
    real: np.ndarray, fake: np.ndarray, n_permutations: int, seed: int | None
) -> tuple[float, float | None]:
    """Accuracy of the leave-one-out nearest-neighbour classifier, and its permutation p-value.

    Args:
        real: Shape (n, d).
        fake: Shape (n, d), as many rows, so that chance is one half.
        n_permutations: Labellings of the fixed neighbour graph; with 0 there is no p-value.
        seed: Of the labellings.
    """
    both = pair(real, fake)
    z = torch.cat([both.x.points, both.y.points])
    _, at = PointCost(z, z, 2).nearest(z.new_zeros(len(z)), 2)
    own = torch.arange(len(z))
    nearest = torch.where(at[:, 0] == own, at[:, 1], at[:, 0]).numpy()
    rng = np.random.default_rng(seed)
    labels = labellings(len(real), len(fake), n_permutations, rng)
    values = (labels == labels[:, nearest]).mean(1)
    p = pvalue(values[0], values[1:]) if n_permutations else None
    return float(values[0]), p
