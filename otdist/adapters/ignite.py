"""A handler of Ignite that watches a generator; needs the extra `ignite`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from otdist.core import checks
from otdist.wgan.heldout import Watch


class HeldOutDistances:
    """Writes how far samples are from held-out rows into `engine.state.metrics`.

    Written are exact W_1 and sliced W_1, as `w1` and `sliced`, and both between held-out and other
    real rows, as `w1_floor` and `sliced_floor`, which a perfect generator reaches.

    Args:
        held_out: Real rows that training does not see, shape (n, …), n ≥ 4.
        sample: Called with a number of rows; returns these rows, shape (rows, …).
        module: What is put in evaluation mode meanwhile; none when None.
        size: Most rows of each side.
    """

    def __init__(
        self,
        held_out: Any,
        sample: Callable[[int], Any],
        module: nn.Module | None = None,
        *,
        size: int = 500,
    ) -> None:
        self.watch = Watch(held_out, size)
        self.sample = checks.function("sample", sample)
        self.module = checks.optional(
            checks.instance, "module", module, kind=nn.Module, what="a torch.nn.Module"
        )

    def attach(self, engine: Engine, every: int = 1) -> None:
        """Measure after every so many epochs of the engine."""
        event = Events.EPOCH_COMPLETED(every=checks.whole("every", every))
        engine.add_event_handler(event, self)

    def __call__(self, engine: Engine) -> None:
        """Measure now."""
        engine.state.metrics.update(self.watch.measure(self.sample, self.module))
