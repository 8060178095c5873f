"""Starts: what critics of each kind begin from, and at which rate they learn.

Funnels begin in two ways. 256 of them take centres and heights from exact transport of a thousand
points: best on most pairs that are not in the class of funnels. Or their centres are those of
clusters of up to 16,384 points, and all heights are 0: best on ray-monotone pairs in every
dimension. How many there should be is left to a race.

Mean cosine to the optimal slopes from 36,000 training points, 64 true funnels, seed 0, 1,000 steps:

| D | 256, exact | 64 of all points | 128 | 256 |
|---|---|---|---|---|
| 16 | 0.956 | 0.931 | 0.970 | 0.979 |
| 64 | 0.861 | 0.870 | 0.913 | 0.900 |
| 128 | 0.592 | 0.637 | 0.659 | 0.631 |

In many dimensions a lower rate overfits less: in 128 dimensions 128 funnels at 0.03 reach 0.667
after 500 steps, and 0.608 at 0.1; in 64 dimensions 0.915 and 0.910. From 7,200 points in 128
dimensions, 16 funnels have a limit of 0.66 of W_1 at 0.024, and of 0.62 at 0.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from otdist.core.measure import SamplePair
from otdist.critics.critics import (
    Funnels,
    around_means,
    mcshane,
    mean_difference,
    relu_network,
    sorting_network,
)
from otdist.critics.samples import Frame, Supply

FUNNEL_RATE, SORTING_RATE, USUAL_RATE = 0.1, 2e-3, 1e-3
"""Learning rates in the frame; that of K funnels is 0.1 · K^(−1/d), a share of the distance between
neighbouring centres."""

FREE = 32
"""Dimensions up to which that rate is right for clusters; beyond, it falls as their inverse."""

MCSHANE_POINTS, FEW_POINTS = 1500, 400
"""Points of either sample that exact potentials are extended from, and of a first look at them,
which takes a tenth of the time: in many dimensions they are far behind with any number."""

FUNNELS, START_POINTS = 256, 1024
"""Trained funnels, and points of the other sample whose exact transport they start from."""

CLUSTERS, CLUSTER_POINTS = (64, 16, 32, 128, 256), 2**14
"""Numbers of funnels that start at centres of clusters, the first for all of them while kinds are
compared, and points that are clustered, where so many can be had."""


LOOKED = 500
"""Points of either sample on which funnels are looked at to choose their temperature."""


@dataclass(frozen=True)
class Start:
    """A critic at the beginning.

    Attributes:
        make: Makes it, on points of the frame.
        rate: Its learning rate, a function of the critic.
    """

    make: Callable[[], nn.Module]
    rate: Callable[[nn.Module], float] = lambda critic: USUAL_RATE


def starts(name: str, supply: Supply, seed: int, *, all_sizes: bool = False) -> list[Start]:
    """Starts of a kind of critic.

    Args:
        name: Of the kind.
        supply: Of points of the frame.
        seed: Of first weights, and of clusters.
        all_sizes: Whether several numbers of funnels or points compete, the usual one last.
    """
    frame = supply.frame
    if name == "mcshane":
        pair = supply.corner(MCSHANE_POINTS)
        sizes = (FEW_POINTS, MCSHANE_POINTS) if all_sizes else (MCSHANE_POINTS,)
        return [Start(partial(_extended, frame, pair, size)) for size in sizes]
    if name == "linear":
        return [Start(partial(_along_means, supply))]
    if name in ("peaks", "valleys"):
        peaks = name == "peaks"
        exact = Start(partial(_from_exact, supply, peaks), _rate)
        if not all_sizes:
            return [exact]
        points = frame.sides(_many(supply))[not peaks].float()
        return [*(_clustered(points, k, peaks, seed) for k in CLUSTERS), exact]
    d = len(frame.centre)
    if name == "sorting":
        return [Start(lambda: sorting_network(d, seed=seed), lambda critic: SORTING_RATE)]
    return [Start(lambda: relu_network(d, seed=seed))]


def temperature(critic: Funnels, supply: Supply) -> float:
    """The unit of temperatures: how far the highest funnel is above the next, mean over points."""
    sides = supply.frame.sides(supply.corner(LOOKED), LOOKED)
    return critic.lead(torch.cat(sides).to(critic.centres))


def _many(supply: Supply) -> SamplePair:
    """As many training points as a start may take."""
    return supply.corner(CLUSTER_POINTS if supply.plenty else START_POINTS)


def _extended(frame: Frame, pair: SamplePair, most: int) -> Funnels:
    x, y = frame.sides(pair, most)
    a, b = (side.weights[:most] for side in (pair.x, pair.y))
    return mcshane(x, y, a / a.sum(), b / b.sum())


def _along_means(supply: Supply) -> nn.Linear:
    pair = _many(supply)
    sides = zip(supply.frame.sides(pair), (pair.x, pair.y), strict=True)
    return mean_difference(*((side.weights @ points)[None].float() for points, side in sides))


def _from_exact(supply: Supply, peaks: bool) -> Funnels:
    x, y = supply.start(START_POINTS)
    x, y = (x[:FUNNELS], y) if peaks else (x, y[:FUNNELS])
    return mcshane(x, y, peaks=peaks)


def _clustered(points: Tensor, size: int, peaks: bool, seed: int) -> Start:
    make = partial(around_means, points, min(size, len(points)), peaks=peaks, seed=seed)
    d = points.shape[1]
    return Start(make, lambda critic: _rate(critic) * min(1.0, FREE / d))


def _rate(critic: nn.Module) -> float:
    assert isinstance(critic, Funnels)
    k, d = critic.centres.shape
    return FUNNEL_RATE * k ** (-1 / d)
