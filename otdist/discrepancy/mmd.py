"""The maximum mean discrepancy of a kernel, and KID, which is one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch

from otdist import metrics
from otdist.core import checks
from otdist.core.gradient import root
from otdist.core.measure import SamplePair
from otdist.discrepancy.base import (
    Discrepancy,
    Figure,
    Limit,
    masses,
    only,
    pooled,
    refuse_blocks,
)
from otdist.discrepancy.kernel_means import Means, kernel_means, of_labellings
from otdist.discrepancy.limit import NoIntervalError
from otdist.discrepancy.rows import some_of
from otdist.moments import few, kernels

_COUNTING = 20
"""Rows that must count in a polynomial kernel. With 10, intervals between exponential samples of
1,000 rows covered 78% where 18% of the trials had one; with 20, 1% have one, 97% of normal samples
of 300 rows in three dimensions, and few of 60 (`python -m benchmarks coverage kid`)."""


@dataclass(frozen=True)
class Mmd(Discrepancy):
    """MMD over all pairs, or its unbiased square."""

    bandwidth: float | None = None
    kernel: str = field(default="gaussian", metadata=only("distance", "test", "interval"))
    statistic: str = field(default="V", metadata=only("distance"))
    metric: Any = field(default="euclidean", metadata=only("distance", "test"))

    quick: ClassVar[bool] = True
    weighted: ClassVar[bool] = True
    no_limit: ClassVar[str] = ""
    title: ClassVar[str] = (
        "MMD, Gaussian kernel, bandwidth the median distance within all samples (root)"
    )

    def __post_init__(self) -> None:
        kernels.check_kernel(self.kernel, self.bandwidth)
        checks.choice("statistic", self.statistic, ("U", "V"))
        width = checks.optional(checks.positive, "bandwidth", self.bandwidth)
        checks.settle(self, bandwidth=width, metric=metrics.named(self.metric))
        if self.metric is not None and self.kernel == "polynomial":
            raise ValueError(
                "metric applies to the gaussian and the laplacian kernel: the polynomial one is of "
                f"inner products, got {self.metric.name!r}"
            )

    @property
    def negative_type(self) -> float:
        """Squared distances for a Gaussian, distances for a Laplacian kernel."""
        return {"gaussian": 2.0, "laplacian": 1.0}.get(self.kernel, 0.0)

    @property
    def quantity(self) -> str:
        """MMD, or its square."""
        return "MMD" if self.statistic == "V" else "MMD²"

    @property
    def unbiased(self) -> bool:
        """Whether the value is the unbiased square."""
        return self.statistic == "U"

    def fitted(self, pair: SamplePair) -> Self:
        """With the median of positive distances between pooled rows as bandwidth."""
        if self.bandwidth is not None or self.kernel == "polynomial":
            return self
        width = kernels.median_apart(some_of(pooled(pair)), pair.metric)
        return replace(self, bandwidth=width * kernels.unit(pair))

    def quickly(self, x: Any, y: Any, a: Any, b: Any, **call: Any) -> float | None:
        """MMD of few plain points by the kernels of distances."""
        if self.metric is not None or self.kernel == "polynomial" or self.unbiased:
            return None
        both = few.plain(x, y, a, b)
        squared = None if both is None else few.mmd_squared(both, self.kernel, self.bandwidth)
        return None if squared is None else math.sqrt(max(squared, 0.0))

    def answer(self, pair: SamplePair, seed: int | None = 0) -> Any:
        """MMD, or its unbiased square."""
        squared = kernels.mmd_squared(pair, self.kernel, self.bandwidth, unbiased=self.unbiased)
        return pair.kind.number(squared if self.unbiased else root(squared.clamp(min=0), 2))

    def streamed(self, x: Any, y: Any, a: Any, b: Any, seed: int | None = 0) -> Any:
        """Over all pairs of blocks."""
        from otdist.outofcore.functions import mmd

        refuse_blocks(self.metric)
        options: Any = {"kernel": self.kernel, "bandwidth": self.bandwidth}
        return mmd(x, y, a=a, b=b, statistic=self.statistic, **options)

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """MMD, or its unbiased square."""
        means = kernel_means(pair, self.kernel, self.bandwidth)
        return Figure(means.u if self.unbiased else means.v**0.5, details=means)

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """N² kernel values once, then a product per pair and labelling."""
        own = torch.cat(kernels.own_values(pair, self.kernel, self.bandwidth))
        blocks = kernels.kernel_rows(pair, self.kernel, self.bandwidth, pooled(pair))
        squared = of_labellings(blocks, labels, own if self.unbiased else None, masses(pair))
        return squared if self.unbiased else np.sqrt(squared.clip(min=0))

    def limit(self, pair: SamplePair, seed: int | None, figure: Figure | None = None) -> Limit:
        """Normal, around the unbiased square."""
        if self.kernel != "polynomial" and self.bandwidth is None:
            raise ValueError("bandwidth must be given: it is part of what the interval is for")
        means: Means = (figure or self.value(pair, seed)).details
        if self.kernel == "polynomial":
            _refuse_few(means)
        at = "" if self.bandwidth is None else f", bandwidth {self.bandwidth:.4g}"
        return means.linear("MMD²", f"the population's MMD², {self.kernel} kernel{at}", p=2)

    def seen_by(self) -> tuple[Discrepancy, str] | None:
        """KID's kernel sees three moments only."""
        return (self, "moments up to order 3") if self.kernel == "polynomial" else None


@dataclass(frozen=True)
class Kid(Mmd):
    """Unbiased MMD² of the kernel (⟨x, y⟩/d + 1)³."""

    bandwidth: float | None = field(default=None, metadata=only())
    kernel: str = field(default="polynomial", metadata=only())
    statistic: str = field(default="U", metadata=only())
    metric: Any = field(default="euclidean", metadata=only())

    least_rows: ClassVar[int] = 2
    quick: ClassVar[bool] = False
    weighted: ClassVar[bool] = False
    squared: ClassVar[bool] = False
    title: ClassVar[str] = "KID: unbiased MMD² of the kernel (xy/d + 1)³, all pairs"


def _refuse_few(means: Means) -> None:
    """Raise where few rows make up the values k(x, x) of a kernel that grows without bound.

    (Σ k)²/Σ k² is the number of rows that count; the mean of the kernel is known no better.

    Raises:
        NoIntervalError: fewer than `_COUNTING` rows of a sample count.
    """
    for name, own in zip("xy", means.own, strict=True):
        counting = float(own.sum()) ** 2 / float(np.square(own).sum())
        if counting < _COUNTING:
            raise NoIntervalError(
                f"{counting:.0f} rows of {name} make up its kernel values, fewer than {_COUNTING}: "
                "the tails are too heavy, or the rows too few, for a limit to be near"
            )
