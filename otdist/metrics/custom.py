"""Distances that a caller writes: a function of two blocks of points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.cost import block_entries
from otdist.core.metric import Metric

_CACHED = 2**18  # coordinates of differences
_CHUNK = 32  # pairs at a time: the diagonal of a block of so many rows and columns


@dataclass(frozen=True)
class Custom(Metric):
    """A function of two blocks, (k, d) and (m, d), that returns their distances (k, m).

    It is given float64 tensors, or float64 numpy arrays where it cannot take tensors. The bracket
    holds for distances as the function computes them.

    Attributes:
        function: Deterministic, non-negative; written with torch where gradients are wanted.
        negative_type: The power up to which the caller knows its distances to be of negative type,
            which energy distances, kernels and Sinkhorn divergences rest on; 0 where unknown.

    >>> import otdist
    >>> steps = otdist.metrics.Custom(lambda x, y: (x[:, None] - y).abs().ceil().sum(2))
    >>> otdist.wasserstein([[0.0, 0.0]], [[0.5, 1.5]], metric=steps).distance
    3.0
    """

    function: Callable[[Any, Any], Any]
    negative_type: float = 0.0
    name: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        checks.function("function", self.function)
        power = checks.number("negative_type", self.negative_type, least=0)
        checks.settle(self, negative_type=power)

    def enter(self, points: Tensor, name: str) -> Tensor:
        """Points as they are, float64."""
        return points.double()

    def block(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Metric`.

        In parts whose differences (k, m, d) stay in the cache of the CPU, where functions that
        broadcast take a quarter of the time.

        Raises:
            ValueError: another shape, NaN, infinite or negative distances.
        """
        return self._rows(x, y, 0)

    def _rows(self, x: Tensor, y: Tensor, first: int) -> Tensor:
        """A block whose first row errors call `first`."""
        step = max(1, _CACHED // y.numel()) if x.device.type == "cpu" else len(x)
        if step >= len(x):
            return self._part(x, y, first)
        parts = [self._part(x[lo : lo + step], y, first + lo) for lo in range(0, len(x), step)]
        return torch.cat(parts)

    def _part(self, x: Tensor, y: Tensor, first: int) -> Tensor:
        found = self._call(x, y)
        if tuple(found.shape) != (len(x), len(y)):
            raise ValueError(
                f"metric must return distances of shape {(len(x), len(y))} for blocks of shapes "
                f"{tuple(x.shape)} and {tuple(y.shape)}: got shape {tuple(found.shape)}"
            )
        plain = found.detach()
        low, high = torch.aminmax(plain)  # one pass, in which NaN shows as well
        if not (low >= 0 and high < math.inf):
            bad = ~(torch.isfinite(plain) & (plain >= 0))
            i, j = bad.nonzero()[0].tolist()
            raise ValueError(
                f"metric must return finite distances of at least 0: got {float(plain[i, j]):.6g} "
                f"between row {first + i} of the first block, {x[i].tolist()}, and row {j} of the "
                f"second, {y[j].tolist()}"
            )
        return found.to(x.dtype)

    def _call(self, x: Tensor, y: Tensor) -> Tensor:
        try:
            found = self.function(x, y)
        except Exception as error:  # such as of numpy, to which a tensor with a graph means nothing
            arrays = (z.detach().cpu().numpy() for z in (x, y))
            try:
                found = self.function(*arrays)
            except Exception:
                raise ValueError(
                    f"metric failed for blocks of shapes {tuple(x.shape)} and {tuple(y.shape)}: "
                    f"{error}"
                ) from error
        if not isinstance(found, Tensor):
            found = torch.as_tensor(np.asarray(found, dtype=float))
        return found.to(x.device)

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Metric`."""
        parts = [
            self.block(x[lo : lo + _CHUNK], y[lo : lo + _CHUNK]).diagonal()
            for lo in range(0, len(x), _CHUNK)
        ]
        return torch.cat(parts) if parts else x.new_zeros(0)

    def grid(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Metric`."""
        return self.block(x, y)

    def of_negative_type(self, d: int) -> float:
        """As the caller says."""
        return self.negative_type

    def largest(self, x: Tensor, y: Tensor) -> float:
        """The largest of all distances, in one pass, whose errors name rows of the samples."""
        step = max(1, block_entries(x.device) // len(y))
        return max(
            float(self._rows(x[lo : lo + step], y, lo).detach().max())
            for lo in range(0, len(x), step)
        )
