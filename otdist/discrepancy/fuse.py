r"""MMD-FUSE: the MMDs of many kernels at once, so that no bandwidth need be chosen.

With kernels k and what normalises each, N_k² the mean of k(z, z')² over pairs of pooled rows,

.. math::  \frac1λ \log \frac1K \sum_k \exp\Big(λ \frac{\mathrm{MMD}²_k}{N_k}\Big), \qquad
           λ = \sqrt{n (n - 1)}

is near the largest of the normalised MMD². It depends on which rows are x and on nothing else, so
that a permutation test of it is valid like any other; it finds fine differences that the median
bandwidth smooths away.

Reference: Biggs, Schrab and Gretton (2023), MMD-FUSE: Learning and combining kernels for two-sample
testing without data splitting, NeurIPS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.measure import SamplePair
from otdist.core.progress import portions
from otdist.discrepancy.base import Labelled, only, pooled
from otdist.discrepancy.kernel_means import of_labellings
from otdist.discrepancy.rows import some_of
from otdist.moments import kernels

KERNELS = ("gaussian", "laplacian")
_ENDS = (0.05, 0.95)
"""Quantiles of the distances between pooled rows: bandwidths are evenly spaced from half of the
first to twice the second, as the authors have them."""
_ROWS = 500
"""Rows whose distances these are of."""
_LEAST = 1e-30
"""Mean square of a kernel so narrow that it vanishes between all rows, where MMD² does too."""


@dataclass(frozen=True)
class MmdFuse(Labelled):
    """The soft maximum of normalised MMD² over Gaussian and Laplacian kernels.

    Attributes:
        n_bandwidths: Of each kernel.
        bandwidths: In the units of x, set by the pooled sample.
    """

    n_bandwidths: int = 10
    bandwidths: Any = field(default=None, metadata=only())

    quick: ClassVar[bool] = True
    least_rows: ClassVar[int] = 2
    title: ClassVar[str] = "soft maximum of normalised MMD² over 20 kernels (MMD-FUSE)"
    no_limit: ClassVar[str] = "no central limit theorem is known for a maximum over kernels"

    def __post_init__(self) -> None:
        checks.settle(self, n_bandwidths=checks.whole("n_bandwidths", self.n_bandwidths))

    @property
    def quantity(self) -> str:
        """As it is known."""
        return "MMD-FUSE"

    def fitted(self, pair: SamplePair) -> Self:
        """With bandwidths from the distances between pooled rows."""
        if self.bandwidths is not None:
            return self
        distances = torch.pdist(some_of(pooled(pair), _ROWS)).cpu().numpy()
        apart = distances[distances > 0]
        low, high = np.quantile(apart, _ENDS) if len(apart) else (1.0, 1.0)
        widths = np.linspace(low / 2, 2 * high, self.n_bandwidths) * kernels.unit(pair)
        return replace(self, bandwidths=tuple(widths.tolist()))

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """N² kernel values once for each kernel, then a product per pair and labelling."""
        z, first = pooled(pair), labels.sum(1)
        least = np.minimum(first, len(z) - first)
        scale = np.sqrt(least * (least - 1.0))
        exponents = []
        chosen = [(kernel, width) for kernel in KERNELS for width in self.bandwidths]
        for kernel, width in portions(chosen):
            squares: list[float] = []
            rows = _with_squares(kernels.kernel_rows(pair, kernel, width, z), squares)
            values = of_labellings(rows, labels, torch.ones_like(z[:, 0]))
            mean = (sum(squares) - len(z)) / (len(z) * (len(z) - 1.0))
            exponents.append(scale * values / max(mean, _LEAST) ** 0.5)
        return np.logaddexp.reduce(exponents) / scale - np.log(len(exponents)) / scale


def _with_squares(
    blocks: Iterable[tuple[slice, Tensor]], squares: list[float]
) -> Iterator[tuple[slice, Tensor]]:
    """The blocks, and the sum of squares of each, before they are overwritten."""
    for part, k in blocks:
        squares.append(float(k.square().sum()))
        yield part, k
