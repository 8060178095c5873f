r"""Is a difference visible at all? Where it is not, no limit here is normal and intervals are void.

A permutation test at level 1% on at most 2,000 rows of each sample, with a statistic that vanishes
exactly where the one of the interval does: the energy distance for those that are 0 for equal laws
only; a polynomial kernel of degree 2 for Fréchet (equal means and covariances), 3 for KID.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from otdist.core.measure import Measure, Pair
from otdist.inference.linear import NoIntervalError
from otdist.inference.permutation import labellings, pvalue
from otdist.inference.statistics import EnergyStatistic

SEEN = 0.01
"""p-value up to which the samples count as different."""
_LABELLINGS = 199
_ROWS = 2000


def check_visible(pair: Pair, degree: int | None, seed: int | None) -> None:
    """Raise unless the samples differ visibly.

    Args:
        pair: The samples.
        degree: Of the polynomial kernel; None is the energy distance.
        seed: Of draws and labellings.

    Raises:
        NoIntervalError: p above 1%.
    """
    p = visible(pair, degree, seed)
    if p > SEEN:
        what = "energy test" if degree is None else f"test of moments up to order {degree}"
        raise NoIntervalError(
            f"the samples do not differ visibly ({what}, p = {p:.3g}): without a difference the "
            "limit is not normal; use two_sample_test"
        )


def visible(pair: Pair, degree: int | None, seed: int | None) -> float:
    """The p-value behind `check_visible`."""
    rng = np.random.default_rng(seed)
    x, y = (_some(z, rng) for z in (pair.x, pair.y))
    labels = labellings(len(x.points), len(y.points), _LABELLINGS, rng)
    if degree is None:
        small = Pair(x, y, pair.kind, pair.scale, pair.centre)
        values = EnergyStatistic().values(small, labels, rng)
    else:
        values = _polynomial(torch.cat([x.points, y.points]), pair, degree, labels)
    return pvalue(float(values[0]), values[1:])


def _some(sample: Measure, rng: np.random.Generator) -> Measure:
    points = sample.points.detach().double()
    if len(points) > _ROWS:
        points = points[torch.from_numpy(rng.permutation(len(points))[:_ROWS]).to(points.device)]
    even = torch.full((len(points),), 1 / len(points), dtype=torch.float64, device=points.device)
    return Measure(points, even, True)


def _polynomial(z: Tensor, pair: Pair, degree: int, labels: np.ndarray) -> np.ndarray:
    """MMD² of (⟨z, z'⟩/d + 1)^degree for every labelling.

    At degree 3 that is KID's kernel of the caller's coordinates; at degree 2 points are centred and
    scaled to unit variance on average, which changes no question about two moments.
    """
    if degree == 3:
        z = z * pair.scale + pair.centre.double()
    else:
        z = z - z.mean(0)
        z = z / z.square().mean().sqrt().clamp(min=torch.finfo(z.dtype).tiny)
    marks = torch.from_numpy(np.ascontiguousarray(labels.T)).to(z.device)
    first = int(labels[0].sum())
    weights = marks.double() / first - (~marks).double() / (len(z) - first)
    kernel = (z @ z.T / z.shape[1] + 1) ** degree
    return (weights * (kernel @ weights)).sum(0).cpu().numpy()
