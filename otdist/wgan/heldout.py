"""`Evaluation`: what stands next to the critic's estimate, exact and sliced W_1 to held-out data.

Exact transport between finite samples is biased upwards, so each distance comes with its *floor*:
the same distance, at the same number of rows, between held-out and other real data. A perfect
generator reaches the floor, not 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from otdist.core import checks
from otdist.core.arrays import as_tensor
from otdist.critics.layers import lipschitz_bound
from otdist.distances import wasserstein
from otdist.sliced_distances import sliced_wasserstein
from otdist.wgan.batch import check_real, check_shapes, labels_of
from otdist.wgan.batches import Source
from otdist.wgan.modes import evaluating
from otdist.wgan.objective import Given


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Distances between generated and held-out samples, every so many steps and at the last one.

    Args:
        held_out: Real samples that training does not see, shape (n, …); a tensor or an array.
        every: Generator steps between two evaluations.
        size: Rows used, at most; exact transport of 500 + 500 rows takes a fraction of a second.
        labels: Of the held-out rows, shape (n, …), for conditional trainers: samples are made for
            the same labels.

    >>> Evaluation(torch.randn(100, 2), every=50).size
    500
    """

    held_out: Tensor
    every: int = 500
    size: int = 500
    labels: Tensor | None = None

    def __post_init__(self) -> None:
        """Check the options; arrays become tensors."""
        object.__setattr__(self, "held_out", as_tensor(self.held_out, "held_out"))
        check_real(self.held_out, "held_out")
        size = checks.whole("size", self.size, least=2)
        checks.settle(self, every=checks.whole("every", self.every), size=size)
        if len(self.held_out) < 4:
            raise ValueError(f"held_out must hold at least 4 rows: got {len(self.held_out)}")
        if self.labels is not None:
            object.__setattr__(self, "labels", labels_of(len(self.held_out), self.labels, True))

    def measure(
        self, sample: Callable[..., Tensor], critic: nn.Module, source: Source
    ) -> dict[str, float]:
        """Measure the generator as it is now.

        Args:
            sample: Draws so many samples, always from the same noise; called with labels=, where
                the evaluation has some.
            critic: The critic in training.
            source: The real data of the training; where its rows cannot be picked, the floor is
                taken between halves of the held-out data.

        Returns:
            w1, sliced: exact and sliced W_1 between generated and held-out rows. w1_floor,
            sliced_floor: the same between real and held-out rows. gap_held_out: the critic's gap
            on the same rows. lipschitz, w1_lower: a bound of the critic's constant and gap /
            bound, a certified lower bound of w1, where the critic's layers are known and it is
            not given labels.
        """
        rows = min(self.size, len(self.held_out))
        other = source.rows(rows)
        if other is None or len(other) < 2:
            rows = min(self.size, len(self.held_out) // 2)
            other = self.held_out[-rows:]
        rows = min(rows, len(other))
        real, other = self.held_out[:rows], other[:rows]
        labels = None if self.labels is None else self.labels[:rows]
        fake = sample(rows) if labels is None else sample(rows, labels=labels)
        check_shapes(held_out=real, generated=fake, data=other)
        return _beside(real, fake, other) | _critic_figures(critic, real, fake, labels)


class Watch:
    """Distances between samples and held-out rows, for training loops of other frameworks.

    Args:
        held_out: Real rows, shape (n, …), n ≥ 4.
        size: Most rows of each side.
    """

    def __init__(self, held_out: Any, size: int = 500) -> None:
        self._given = Evaluation(held_out, size=size)

    def measure(
        self, sample: Callable[[int], Any], module: nn.Module | None = None
    ) -> dict[str, float]:
        """The figures w1, w1_floor, sliced and sliced_floor of `Evaluation`.

        The floor is between halves of the held-out rows, and the samples are as many as a half.

        Args:
            sample: Draws so many rows, without a graph.
            module: What is in evaluation mode meanwhile.
        """
        held_out = self._given.held_out
        rows = min(self._given.size, len(held_out) // 2)
        with torch.no_grad(), nullcontext() if module is None else evaluating(module):
            fake = as_tensor(sample(rows), "what sample returns")
        if len(fake) != rows:
            raise ValueError(f"sample must return as many rows as asked, {rows}: got {len(fake)}")
        check_shapes(held_out=held_out, generated=fake)
        return _beside(held_out[:rows], fake, held_out[-rows:])


def _beside(real: Tensor, fake: Tensor, other: Tensor) -> dict[str, float]:
    """Exact and sliced W_1 from real rows to fake ones, and to as many other real ones."""
    result: dict[str, float] = {}
    for end, rival in (("", fake), ("_floor", other)):
        x, y = (s.detach().reshape(len(s), -1).double().cpu().numpy() for s in (real, rival))
        result["w1" + end] = wasserstein(x, y).distance
        result["sliced" + end] = float(sliced_wasserstein(x, y).distance)
    return result


def _critic_figures(
    critic: nn.Module, real: Tensor, fake: Tensor, labels: Tensor | None
) -> dict[str, float]:
    given = Given(critic, None if labels is None else labels.to(fake.device))
    with evaluating(critic), torch.no_grad():
        gap = float(given(real.to(fake)).double().mean() - given(fake).double().mean())
        if labels is not None:  # it bounds a mean of W_1 given the label, not W_1
            return {"gap_held_out": gap}
        try:
            bound = lipschitz_bound(critic)
        except TypeError:  # a layer without a known constant: the gap stays uncertified
            bound = math.inf
    if not 0 < bound < math.inf:
        return {"gap_held_out": gap}
    return {"gap_held_out": gap, "lipschitz": bound, "w1_lower": max(0.0, gap) / bound}
