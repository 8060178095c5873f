"""The loop of a training run: steps, records, evaluations, checkpoints; it stops at a NaN."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from otdist.core.progress import Say, progress
from otdist.wgan.batch import check_shapes
from otdist.wgan.batches import Source
from otdist.wgan.heldout import Evaluation
from otdist.wgan.runfolder import RunFolder

if TYPE_CHECKING:
    from otdist.wgan.trainer import WGANTrainer


class TrainingDiverged(RuntimeError):
    """A loss or a parameter is NaN or infinite; the message says where the last good state is.

    >>> from otdist import wgan
    >>> critic = wgan.MLPCritic(2, hidden=(8,))
    >>> _ = torch.nn.init.constant_(next(critic.parameters()), float("inf"))
    >>> generator = wgan.MLPGenerator(2, 2, hidden=(8,), bounded=False)
    >>> try:
    ...     _ = wgan.WGANTrainer(generator, critic, latent_dim=2).train(torch.rand(64, 2), steps=1)
    ... except wgan.TrainingDiverged as error:
    ...     print("not finite at step 1" in str(error))
    True
    """


class Callback:
    """What a run calls as it goes; override the methods that you need.

    >>> from otdist import wgan
    >>> class Slower(Callback):
    ...     def on_step(self, trainer, values):
    ...         trainer.critic_optimizer.param_groups[0]["lr"] *= 0.5
    >>> networks = wgan.MLPGenerator(2, 2, (8,)), wgan.MLPCritic(2, (8,))
    >>> trainer = wgan.WGANTrainer(*networks, latent_dim=2, lr=1.0)
    >>> _ = trainer.train(torch.rand(64, 2), steps=3, callbacks=[Slower()])
    >>> trainer.critic_optimizer.param_groups[0]["lr"]
    0.125
    """

    def on_step(self, trainer: WGANTrainer, values: dict[str, Tensor]) -> None:
        """After each generator step, with its losses and scores as 0-d tensors."""

    def on_log(self, trainer: WGANTrainer, record: dict[str, Any]) -> None:
        """After a record was written."""

    def on_evaluation(self, trainer: WGANTrainer, figures: dict[str, float]) -> None:
        """After distances to held-out data were measured."""

    def on_checkpoint(self, trainer: WGANTrainer, path: Path | None) -> None:
        """After a checkpoint was written; the path is None where nothing is."""

    def on_end(self, trainer: WGANTrainer, records: list[dict[str, Any]]) -> None:
        """After the last step, unless an error or Ctrl-C ended the run."""


@dataclass(frozen=True)
class Run:
    """One call of `WGANTrainer.train`.

    Attributes:
        trainer: Knows a step, and holds the state.
        source: Of real batches.
        folder: Of records and checkpoints.
        steps: When to stop, in generator steps; None: where the source ends.
        log_every: Steps between two records.
        checkpoint_every: Steps between two checkpoints.
        evaluation: Distances to held-out data, if any.
        callbacks: Told what happens.
    """

    trainer: WGANTrainer
    source: Source
    folder: RunFolder
    steps: int | None
    log_every: int
    checkpoint_every: int
    evaluation: Evaluation | None
    callbacks: Sequence[Callback]

    def go(self) -> None:
        """Train until the steps are done, the source ends, or Ctrl-C ends the step in progress."""
        trainer = self.trainer
        first, values, clock = trainer.step, None, self._clock()
        if self.evaluation is not None:
            labels = None if self.evaluation.labels is None else self.evaluation.labels[:2]
            some = trainer.sample(2, labels=labels)
            check_shapes(held_out=self.evaluation.held_out, generated=some)
        if first == 0:
            self.folder.save(trainer.state())
        with (
            progress("training", total=self.steps) as say,
            _ctrl_c(trainer.ranks.world == 1) as stopped,
        ):
            while self.steps is None or trainer.step < self.steps:
                found = trainer.advance(self.source)
                if found is None:
                    break
                values, step = found, trainer.step
                self._tell("on_step", values)
                evaluate = self.evaluation is not None and step % self.evaluation.every == 0
                if evaluate or step % self.log_every == 0:
                    self._log(values, evaluate, clock(), say)
                if step % self.checkpoint_every == 0:
                    self._keep()
                if stopped():
                    self._keep()
                    raise KeyboardInterrupt(f"after step {step}. {self.folder.last_good()}")
            if values is not None:
                self._finish(values, clock(), say)
        if trainer.step == 0:
            raise ValueError(
                f"the data holds fewer than the n_critic={trainer.settings.n_critic} batches of "
                "one step: lower batch_size or n_critic, or ask for more epochs"
            )
        self._tell("on_end", self.folder.records)

    def _clock(self) -> Callable[[], float]:
        start = time.perf_counter() - self.folder.seconds
        return lambda: round(time.perf_counter() - start, 3)

    def _finish(self, values: dict[str, Tensor], seconds: float, say: Say) -> None:
        """Log, evaluate and keep the last step, as far as that has not been done."""
        last = self.folder.records[-1] if self.folder.records else {}
        evaluate = self.evaluation is not None and self.trainer.step % self.evaluation.every != 0
        if last.get("step") != self.trainer.step or evaluate:
            self._log(values, evaluate, seconds, say)
        if self.trainer.step % self.checkpoint_every:
            self._keep()

    def _log(
        self,
        values: dict[str, Tensor],
        evaluate: bool,
        seconds: float,
        say: Say,
    ) -> None:
        """Write a record of finite values, with distances to held-out data when due."""
        step = self.trainer.step
        record = {"step": step, **self.trainer.ranks.means(values)}
        wrong = [name for name, value in record.items() if not math.isfinite(value)]
        if wrong:
            self._diverged(", ".join(wrong))
        record["seconds"] = seconds
        if evaluate and self.evaluation is not None:
            figures = self.evaluation.measure(self.trainer.sample, self.trainer.critic, self.source)
            record |= figures
            self._tell("on_evaluation", figures)
        self.folder.log(record)
        self._tell("on_log", record)
        say(f"step {step}, gap {record['gap']:.4g}", step)

    def _keep(self) -> None:
        """Write a checkpoint, of finite parameters only."""
        state = self.trainer.state()
        for name in ("generator", "critic"):
            for key, value in state[name].items():
                if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                    self._diverged(f"{key} of the {name}")
        self.folder.save(state)
        self._tell("on_checkpoint", self.folder.checkpoint if self.folder.path else None)

    def _diverged(self, what: str) -> None:
        raise TrainingDiverged(
            f"{what} not finite at step {self.trainer.step}: lower lr, raise lambda_gp or look at "
            f"the scale of the data. {self.folder.last_good()}"
        )

    def _tell(self, event: str, *news: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self.trainer, *news)


@contextmanager
def _ctrl_c(wait: bool) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C wait for the end of a step; the second one interrupts as usual.

    Args:
        wait: Otherwise nothing changes. Nor does it outside the main thread, or where somebody
            else handles the signal.

    Yields:
        A function that says whether it was pressed.
    """
    pressed: list[int] = []

    def note(number: int, frame: Any) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    main = threading.current_thread() is threading.main_thread()
    if wait and main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, note)
        try:
            yield lambda: bool(pressed)
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        yield lambda: False
