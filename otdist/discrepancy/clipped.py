r"""Clipped density and coverage (Salvy, Talbot and Thirion 2025, arXiv 2507.01761).

Density and coverage from balls around the reals, made robust: a ball of the density is no wider
than the median ball, so that an outlying real does not vouch for fakes far from all others; and no
fake counts for more than k balls, no ball for more than k fakes. Both are then put on a scale on
which a share of good fakes, the others lying in no ball, has that share as its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from scipy.special import betaln, gammaln
from torch import Tensor

from otdist.core.measure import SamplePair
from otdist.core.point_cost import PointCost
from otdist.discrepancy.base import Figure, only
from otdist.discrepancy.neighbours import PrecisionRecall, inside, radii

_TITLES = {
    "clipped_density": "balls of the reals per fake, each at most k and the median ball, over that "
    "of the reals",
    "clipped_coverage": "fakes per ball of the reals, each at most k, as a share of good fakes",
}


def shares(pair: SamplePair, k: int = 5) -> dict[str, float]:
    """Clipped density and coverage with k neighbours.

    Args:
        pair: Reals, more than one row, and fakes; k is lowered to n − 1 at most.
        k: Neighbours that the radius of a ball reaches to, the point itself not counted.
    """
    x, y = pair.x.points.detach(), pair.y.points.detach()
    k = min(k, len(x) - 1)
    around = radii(x, k)
    narrow = around.clamp(max=float(np.median(around.sqrt().cpu().numpy())) ** 2)
    fakes = torch.zeros(len(y), dtype=torch.int64, device=x.device)
    covered = 0
    for part, c in PointCost(x, y, 2).blocks():
        fakes += inside(c, x[part], y, narrow[part, None], rim=True).sum(0)
        counts = inside(c, x[part], y, around[part, None]).sum(1)
        covered += int(counts.clamp(max=k).sum())
    reals = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    for part, c in PointCost(x, x, 2).blocks():
        found = inside(c, x[part], x, narrow[part, None], rim=True)
        own = torch.arange(part.start, part.stop, device=x.device)
        found[own - part.start, own] = False
        reals += found.sum(0)
    density = _clipped(fakes, k) / _clipped(reals, k)
    expected = expected_coverage(len(x), len(y), k)
    good = np.interp(covered / (k * len(x)), expected, np.arange(len(y) + 1) / len(y))
    return {"clipped_density": min(density, 1.0), "clipped_coverage": float(good)}


def _clipped(counts: Tensor, k: int) -> float:
    return float(counts.clamp(max=k).double().mean())


def expected_coverage(n: int, m: int, k: int) -> np.ndarray:
    """Mean of min(fakes in a ball, k)/k where 0, …, m fakes are distributed as n reals, (m + 1,).

    The mass of a ball to the k-th of n − 1 neighbours has the distribution Beta(k, n − k), whatever
    that of the reals, so that the number of fakes in it is beta-binomial.
    """
    good = np.arange(m + 1, dtype=np.float64)
    mean = np.full(m + 1, float(k))
    for j in range(k):
        some = good[j:]
        log = gammaln(some + 1) - gammaln(j + 1) - gammaln(some - j + 1)
        log += betaln(k + j, n - k + some - j) - betaln(k, n - k)
        mean[j:] -= (k - j) * np.exp(log)
    return np.maximum.accumulate(mean / k)


@dataclass(frozen=True)
class Clipped(PrecisionRecall):
    """Clipped density and coverage, one of which is the value."""

    output: str = field(default="clipped_density", compare=False, metadata=only())

    titles: ClassVar[dict[str, str]] = _TITLES

    def figures(
        self, names: Sequence[str], pair: SamplePair, seed: int | None
    ) -> dict[str, Figure]:
        """Both outputs of one search."""
        found = shares(pair)
        return {name: Figure(found[name]) for name in names}
