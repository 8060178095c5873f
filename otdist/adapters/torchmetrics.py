"""Accumulators of `otdist.streaming` as metrics of torchmetrics; needs the extra `torchmetrics`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
import torch.distributed as dist
from torchmetrics import Metric

from otdist.core import checks
from otdist.streaming import Accumulator


class StreamingMetric(Metric):
    """A distance between two samples that arrive in batches, such as fake and real ones.

    Under `torch.distributed`, `compute` gathers what all ranks have seen.

    Args:
        accumulator: Any of `otdist.streaming`, with its options; it is copied.
        **options: As for every metric, such as `process_group`.

    >>> from otdist.streaming import Frechet
    >>> metric = StreamingMetric(Frechet())
    >>> metric.update([[0.0], [2.0]], [[3.0], [5.0]])
    >>> metric.compute()
    tensor(3., dtype=torch.float64)
    """

    full_state_update = False
    higher_is_better = False
    is_differentiable = False

    def __init__(self, accumulator: Accumulator, **options: Any) -> None:
        super().__init__(**options)
        what = "an accumulator of otdist.streaming"
        self.accumulator = deepcopy(checks.instance("accumulator", accumulator, Accumulator, what))
        self.accumulator.reset()

    def update(self, x: Any = None, y: Any = None) -> None:
        """Take in a batch of either sample, or of both."""
        self.accumulator.update(_detached(x), _detached(y))

    def compute(self) -> torch.Tensor:
        """The distance between what has been seen of the two samples, a 0-d float64 tensor."""
        found = self.accumulator
        if dist.is_available() and dist.is_initialized():
            found = found.reduce(self.process_group)
        return torch.tensor(float(found.compute()), dtype=torch.float64, device=self.device)

    def forward(self, x: Any = None, y: Any = None) -> torch.Tensor:
        """Take in a batch, and return the distance within this batch."""
        self.update(x, y)
        self._computed = None
        batch = deepcopy(self.accumulator).reset().update(_detached(x), _detached(y))
        return torch.tensor(float(batch.compute()), dtype=torch.float64, device=self.device)

    def reset(self) -> None:
        """Forget all batches."""
        super().reset()
        self.accumulator.reset()


def _detached(batch: Any) -> Any:
    """A batch outside of any graph."""
    return batch.detach() if isinstance(batch, torch.Tensor) else batch
