"""`Evaluation`: exact W_1 to held-out samples, with its floor, in the logs of `fit`."""

from __future__ import annotations

from typing import Any

from otdist.core import checks
from otdist.keras.backend import keras
from otdist.keras.model import WGAN
from otdist.wgan import heldout
from otdist.wgan.batches import Source, source_of


class Evaluation(keras.callbacks.Callback):
    """Adds exact and sliced W_1 between generated and held-out samples to the logs of a `WGAN`.

    Exact transport between finite samples is biased upwards, so a perfect generator reaches the
    floor, the same distance between held-out and other real data, and not 0. Put this before
    callbacks that read its logs, such as `ModelCheckpoint(monitor="w1")`.

    Args:
        held_out: Real samples that training does not see, shape (n, …).
        real: Samples of the training, for the floor; without them it is taken between halves of
            the held-out samples, of which the distance then uses as many rows.
        every: Epochs between two evaluations; the last epoch always has one.
        size: Rows used, at most; exact transport of 500 + 500 rows takes a fraction of a second.

    Logs: w1, w1_floor, sliced, sliced_floor; gap_held_out, the critic's gap on the same rows.

    >>> import numpy as np
    >>> held_out = np.random.default_rng(0).normal(size=(100, 2)).astype("float32")
    >>> Evaluation(held_out, every=5, size=50).every
    5
    """

    def __init__(self, held_out: Any, *, real: Any = None, every: int = 1, size: int = 500) -> None:
        super().__init__()
        self.every = checks.whole("every", every)
        self._evaluation = heldout.Evaluation(_tensor(held_out), size=size)
        self._source = Source()
        if real is not None:
            self._source = source_of(_tensor(real), batch_size=1, epochs=None, seed=0)

    def set_model(self, model: Any) -> None:
        """Called by `fit`; raises unless the model is a `WGAN`."""
        super().set_model(checks.instance("model", model, WGAN, "an otdist.keras.WGAN"))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure, and add to the logs."""
        last = epoch + 1 == (self.params or {}).get("epochs")
        if logs is not None and (last or (epoch + 1) % self.every == 0):
            sample, critic = self.model.sample, self.model.critic
            logs.update(self._evaluation.measure(sample, critic, self._source))


def _tensor(values: Any) -> Any:
    """Samples on the device of Keras."""
    return keras.ops.convert_to_tensor(values)
