"""Is a difference visible at all? Where it is not, no limit is normal and intervals are void.

A permutation test at level 1% on at most 2,000 rows of each sample, with a statistic that vanishes
exactly where the one of the interval does.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from otdist.core.measure import Measure, SamplePair
from otdist.discrepancy import Energy
from otdist.discrepancy.base import Discrepancy, even
from otdist.discrepancy.limit import NoIntervalError
from otdist.inference.permutation import permuted, pvalue

SEEN = 0.01
"""p-value up to which the samples count as different."""
_LABELLINGS = 199
_ROWS = 2000


def check_visible(pair: SamplePair, chosen: Discrepancy, seed: int | None) -> None:
    """Raise unless the samples differ visibly in what `chosen` can see.

    Raises:
        NoIntervalError: p above 1%.
    """
    by, words = chosen.seen_by() or (Energy(), "")
    rng = np.random.default_rng(seed)
    small = replace(pair, x=_some(pair.x, rng), y=_some(pair.y, rng))
    values = permuted(by.fitted(small), small, _LABELLINGS, seed)
    p = pvalue(float(values[0]), values[1:])
    if p > SEEN:
        what = f"test of {words}" if words else "energy test"
        raise NoIntervalError(
            f"the samples do not differ visibly ({what}, p = {p:.3g}): without a difference the "
            "limit is not normal; use two_sample_test"
        )


def _some(sample: Measure, rng: np.random.Generator) -> Measure:
    points = sample.points.detach().double()
    if len(points) > _ROWS:
        points = points[torch.from_numpy(rng.permutation(len(points))[:_ROWS]).to(points.device)]
    return even(points)
