"""What critic and generator minimise, and networks that are given labels.

| loss | critic | generator |
|---|---|---|
| wasserstein | E_fake − E_real | −E_fake |
| relativistic | E log(1 + exp(fake − real)) over pairs | E log(1 + exp(real − fake)) over pairs |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from otdist.wgan import functional

Loss = Literal["wasserstein", "relativistic"]
OfScores = Callable[[Tensor, Tensor], Tensor]
"""A loss, to be minimised, of scores of real samples and scores of generated ones."""


@dataclass(frozen=True)
class Objective:
    """Losses of scores.

    Attributes:
        critic: What the critic minimises.
        generator: What the generator minimises.
        paired: Whether the generator's loss looks at scores of real samples, too.
    """

    critic: OfScores
    generator: OfScores
    paired: bool


def _of_fake(real: Tensor, fake: Tensor) -> Tensor:
    return functional.generator_loss(fake)


OBJECTIVES: dict[str, Objective] = {
    "wasserstein": Objective(functional.critic_loss, _of_fake, paired=False),
    "relativistic": Objective(
        functional.relativistic_critic_loss, functional.relativistic_generator_loss, paired=True
    ),
}


def named(loss: OfScores) -> str:
    """Return the name of a loss, as a checkpoint keeps it."""
    return getattr(loss, "__qualname__", type(loss).__name__)


@dataclass(frozen=True)
class Given:
    """A network with labels held fixed, where there are any: a function of samples or noise.

    Samples that are several times as many as labels are read as so many copies of a batch.
    """

    func: nn.Module
    labels: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Apply the network to samples (n, …) and their labels."""
        if self.labels is None:
            return self.func(x)
        copies = len(x) // len(self.labels)
        return self.func(x, self.labels.repeat(copies, *[1] * (self.labels.dim() - 1)))
