"""Mapped: samples in memory maps, whose rows are read when a batch asks for them.

A map of 10⁶ points in 64 dimensions, float32, is a file of 256 MB; as two samples in float64 with
the copies that validation and splits make, it would be ten times that. Here only indices and
held-out points are in memory. They are a random choice, at most `HELD` of either sample for
validation and as many for the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from otdist.core import measure
from otdist.core.measure import SamplePair
from otdist.critics.samples import Frame, Supply

HELD = 2**17
"""Points of either sample that are held out for validation, and again for the test, at most."""

IN_MEMORY = 2**24
"""Numbers in both samples up to which maps are read as a whole, like other arrays."""


def is_large_map(samples: tuple[Any, Any]) -> bool:
    """Whether the samples are arrays, at least one of them in a map, of more than `IN_MEMORY`."""
    arrays = all(isinstance(s, np.ndarray) and s.ndim in (1, 2) for s in samples)
    mapped = any(isinstance(s, np.memmap) for s in samples)
    return arrays and mapped and sum(s.size for s in samples) > IN_MEMORY


class Mapped(Supply):
    """Two unweighted samples in memory maps, and which of their rows train, validate and test.

    Args:
        samples: Arrays of shape (n, d) and (m, d), or (n,) and (m,) on the line.
        parts: Indices (i, j) of the rows of both samples in each of the three parts.
        generator: Of the batches, which are drawn with replacement.

    Raises:
        TypeError: not numbers.
        ValueError: NaN or infinite among the rows that are read; dimensions differ.
    """

    plenty = True

    def __init__(
        self,
        samples: tuple[NDArray[Any], NDArray[Any]],
        parts: Sequence[tuple[Tensor, Tensor]],
        generator: torch.Generator,
    ) -> None:
        self._samples, self._generator = samples, generator
        self._train = parts[0]
        self.validation, self.test = (self._pair(part, HELD) for part in parts[1:])
        self.frame = Frame.of(self.corner(HELD))

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Rows drawn with replacement."""
        drawn = [
            index[torch.randint(len(index), (size,), generator=self._generator)]
            for index in self._train
        ]
        x, y = (self.frame.enter(points).float() for points in self._rows(drawn))
        return x, y

    def corner(self, most: int) -> SamplePair:
        """The first training points, which are in random order."""
        return self._pair(self._train, most)

    def _pair(self, part: Sequence[Tensor], most: int) -> SamplePair:
        return measure.pair(*self._rows([index[:most] for index in part]))

    def _rows(self, part: Sequence[Tensor]) -> list[Tensor]:
        """Rows of both samples, validated, in their order in the file while they are read."""
        found = []
        for values, index, name in zip(self._samples, part, "xy", strict=True):
            order = index.sort()
            rows = np.empty((len(index), *values.shape[1:]), values.dtype)
            rows[order.indices.numpy()] = values[order.values.numpy()]
            found.append(measure.sample(rows, name))
        return found
