r"""KID of samples larger than memory: the mean of unbiased MMD² over disjoint blocks.

All pairs of n points cost O(n²) and need all points at hand. The *block estimator* cuts both
samples into blocks of B points and averages the unbiased MMD² of block against block: O(n B) time,
unbiased too, with blocks that are independent where the rows are, which gives an honest standard
error (Zaremba, Gretton, Blaschko 2013, B-test). The variance is about n/B times that of all pairs
where the distributions are equal, and of the same order where they differ.

Unlike the other accumulators, the value depends on which points share a block: on the order of
the batches and of merges, within its standard error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from torch import Tensor

from otdist.core import checks, measure
from otdist.moments import kernels
from otdist.streaming.accumulator import Accumulator


@dataclass(frozen=True)
class KIDEstimate:
    """Result of `KID`.

    Attributes:
        estimate: Unbiased estimate of MMD², in the kernel's units; it can be negative.
        stderr: Standard error over blocks; NaN for a single block.
        blocks: Number of blocks that were averaged.

    >>> float(KIDEstimate(0.25, 0.01, 10))
    0.25
    """

    estimate: float
    stderr: float
    blocks: int

    def __float__(self) -> float:
        return self.estimate

    def __repr__(self) -> str:
        return f"KID = {self.estimate:.5g} ± {self.stderr:.2g}  {self.blocks} blocks"


@dataclass(frozen=True)
class _Waiting:
    """Points that wait for a full block."""

    count: int = 0
    rows: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    def add(self, points: np.ndarray) -> _Waiting:
        if self.rows.size and points.shape[1] != self.rows.shape[1]:
            raise ValueError(
                f"batches must have one dimension: got {self.rows.shape[1]} and {points.shape[1]}"
            )
        rows = np.concatenate([self.rows, points]) if self.rows.size else points
        return _Waiting(self.count + len(points), rows)

    def join(self, other: _Waiting) -> _Waiting:
        if not other.rows.size:
            return replace(self, count=self.count + other.count)
        return replace(self.add(other.rows), count=self.count + other.count)

    def without(self, number: int) -> _Waiting:
        return replace(self, rows=self.rows[number:].copy())


@dataclass(frozen=True)
class _Average:
    """Number, mean and sum of squared deviations of the blocks' values."""

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def join(self, other: _Average) -> _Average:
        number = self.number + other.number
        if number == 0:
            return self
        shift = other.mean - self.mean
        return _Average(
            number,
            self.mean + shift * other.number / number,
            self.squares + other.squares + shift**2 * self.number * other.number / number,
        )


class KID(Accumulator):
    """Kernel inception distance, batch by batch: MMD² of the kernel (⟨x, y⟩/d + 1)³ over blocks.

    Args:
        block: Points of each sample in a block, at least 2. Points that do not fill a block at the
            end are left out, unless there is no full block at all.

    Raises:
        ValueError: block below 2; weights, which a block estimator cannot use; batches of different
            dimensions.

    Cost: O(n · block · d) time, and at most a block of waiting points of each sample where both
        come along together; the points of one that runs ahead wait for the other.
    Reference: Bińkowski et al. (2018), Demystifying MMD GANs; Zaremba et al. (2013), B-test.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> kid = KID(block=100)
    >>> for _ in range(20):
    ...     kid = kid.update(x=rng.normal(size=(150, 8)), y=rng.normal(0.5, 1, size=(150, 8)))
    >>> result = kid.compute()
    >>> result.blocks, bool(abs(result.estimate - 0.95) < 5 * result.stderr < 0.3)
    (30, True)
    """

    def __init__(self, block: int = 1000) -> None:
        self.block = checks.whole("block", block, least=2)
        self.x = self.y = _Waiting()
        self._average = _Average()

    def update(self, x: Any = None, y: Any = None, *, a: Any = None, b: Any = None) -> Self:
        """Take in a batch of either sample, or of both; weights must be None.

        Raises:
            ValueError: as for every accumulator, and for weights.
        """
        if a is not None or b is not None:
            raise ValueError("a and b must be None: the blocks of KID have no weights")
        super().update(x, y)
        return self._settle()

    def compute(self) -> KIDEstimate:
        """The mean over blocks and its standard error.

        Raises:
            ValueError: a sample has fewer than two points yet.
        """
        for name in "xy":
            if getattr(self, name).count < 2:
                raise ValueError(f"{name} must have at least two points: update({name}=batch)")
        average = self._average
        if average.number == 0:
            average = _Average(1, _block_value(self.x.rows, self.y.rows), 0.0)
        number = average.number
        spread = math.sqrt(average.squares / (number - 1) / number) if number > 1 else math.nan
        return KIDEstimate(average.mean, spread, number)

    def _join(self, other: KID) -> None:
        super()._join(other)
        self._average = self._average.join(other._average)
        self._settle()

    def _settle(self) -> Self:
        """Turn pairs of full blocks into their values."""
        full = min(len(self.x.rows), len(self.y.rows)) // self.block * self.block
        for start in range(0, full, self.block):
            part = slice(start, start + self.block)
            value = _block_value(self.x.rows[part], self.y.rows[part])
            self._average = self._average.join(_Average(1, value, 0.0))
        if full:
            self.x, self.y = self.x.without(full), self.y.without(full)
        return self

    def _absorb(
        self, sketch: _Waiting, name: str, points: Tensor, weights: Tensor | None
    ) -> _Waiting:
        return sketch.add(points.cpu().double().numpy())

    def _settings(self) -> dict[str, Any]:
        return {"block": self.block}


def _block_value(x: np.ndarray, y: np.ndarray) -> float:
    pair = measure.pair(x, y)
    return float(kernels.mmd_squared(pair, "polynomial", None, unbiased=True))
