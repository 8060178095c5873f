"""The energy distance: MMD of the kernel −‖x − y‖."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otdist import metrics
from otdist.core import checks
from otdist.core.cost import Cost
from otdist.core.gradient import root
from otdist.core.measure import SamplePair
from otdist.core.task import ground
from otdist.discrepancy.base import (
    Discrepancy,
    Figure,
    Limit,
    masses,
    only,
    pooled,
    refuse_blocks,
)
from otdist.discrepancy.kernel_means import energy_means, of_labellings
from otdist.moments import few, kernels


@dataclass(frozen=True)
class Energy(Discrepancy):
    """The energy distance, a root as in SciPy, over all pairs."""

    metric: Any = field(default="euclidean", metadata=only("distance", "test"))

    quick: ClassVar[bool] = True
    weighted: ClassVar[bool] = True
    no_limit: ClassVar[str] = ""
    title: ClassVar[str] = "energy distance (root, V-statistic)"

    def __post_init__(self) -> None:
        checks.settle(self, metric=metrics.named(self.metric))

    @property
    def negative_type(self) -> float:
        """Distances themselves."""
        return 1.0

    @property
    def quantity(self) -> str:
        """Its name."""
        return "energy distance"

    def quickly(self, x: Any, y: Any, a: Any, b: Any, **call: Any) -> float | None:
        """The distance of few plain points."""
        both = few.plain(x, y, a, b) if self.metric is None else None
        return None if both is None else math.sqrt(max(few.energy(both) * both.scale, 0.0))

    def answer(self, pair: SamplePair, seed: int | None = 0) -> Any:
        """The distance."""
        return pair.kind.number(root(kernels.energy(pair) * pair.scale, 2))

    def streamed(self, x: Any, y: Any, a: Any, b: Any, seed: int | None = 0) -> Any:
        """Over all pairs of blocks."""
        from otdist.outofcore.functions import energy_distance

        refuse_blocks(self.metric)
        return energy_distance(x, y, a=a, b=b)

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The distance."""
        means = energy_means(pair)
        return Figure(means.v**0.5, details=means)

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """N² distances once, then a product per pair and labelling."""
        cost, unit = ground(pair, 1)
        z = pooled(pair)
        blocks = _negative_distances(cost.between(z, z))
        squared = of_labellings(blocks, labels, mass=masses(pair))
        return np.sqrt(squared.clip(min=0) * (pair.scale * unit))

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Limit:
        """Normal, around the unbiased square."""
        means = (figure or self.value(pair, seed)).details
        target = "the population's squared energy distance"
        return means.linear("squared energy distance", target, p=2)


def _negative_distances(within: Cost) -> Iterator[tuple[slice, Tensor]]:
    for part, c in within.blocks():
        # An expansion reaches the 0 of a point to itself only to a root of the rounding error.
        own = torch.arange(part.start, part.stop, device=within.device)
        c[own - part.start, own] = 0
        yield part, c.neg_()
