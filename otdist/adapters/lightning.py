"""A callback of Lightning that watches a generator; needs the extra `lightning`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from otdist.core import checks
from otdist.wgan.heldout import Watch


class HeldOutDistances(Callback):
    """Logs how far a module's samples are from held-out rows, after every so many epochs.

    Logged are exact W_1 and sliced W_1, as `w1` and `sliced`, and both between held-out and other
    real rows, as `w1_floor` and `sliced_floor`, which a perfect generator reaches.

    Args:
        held_out: Real rows that training does not see, shape (n, …), n ≥ 4.
        sample: Called with the module and a number of rows; returns these rows, shape (rows, …).
            The module's method `sample` when None.
        every: Epochs from one evaluation to the next.
        size: Most rows of each side.
        prefix: Before each name, such as "test/".
    """

    def __init__(
        self,
        held_out: Any,
        sample: Callable[[Any, int], Any] | None = None,
        *,
        every: int = 1,
        size: int = 500,
        prefix: str = "",
    ) -> None:
        self.watch = Watch(held_out, size)
        self.sample = checks.optional(checks.function, "sample", sample)
        self.every = checks.whole("every", every)
        self.prefix = checks.instance("prefix", prefix, str, "text")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, on the first process alone, and log."""
        if (trainer.current_epoch + 1) % self.every or trainer.sanity_checking:
            return
        if trainer.is_global_zero:
            sample: Any = self.sample or (lambda module, rows: module.sample(rows))
            found = self.watch.measure(lambda rows: sample(pl_module, rows), pl_module)
            named = {self.prefix + name: value for name, value in found.items()}
            pl_module.log_dict(named, rank_zero_only=True)
