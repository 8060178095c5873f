"""The loop of a training run: steps, records, evaluations, checkpoints; it stops at a NaN."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from otdist.core.progress import progress
from otdist.wgan.batches import Source
from otdist.wgan.heldout import Evaluation
from otdist.wgan.runfolder import RunFolder

if TYPE_CHECKING:
    from otdist.wgan.trainer import WGANTrainer


class TrainingDiverged(RuntimeError):
    """A loss or a parameter is NaN or infinite; the message says where the last good state is.

    >>> import torch
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


@dataclass(frozen=True)
class Schedule:
    """When to stop, to log and to keep a checkpoint, in generator steps."""

    steps: int | None
    log_every: int
    checkpoint_every: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        if min(self.log_every, self.checkpoint_every, self.steps or 1) < 1 or self.steps == 0:
            raise ValueError("steps, log_every and checkpoint_every must be at least 1")


def run(
    trainer: WGANTrainer,
    source: Source,
    folder: RunFolder,
    schedule: Schedule,
    evaluation: Evaluation | None,
) -> None:
    """Train until the steps are done or the source ends."""
    start, before, first = time.perf_counter(), folder.seconds, trainer.step
    per_step = trainer.settings.n_critic
    if first == 0:
        folder.save(trainer.state())
    with progress("training") as say:
        while schedule.steps is None or trainer.step < schedule.steps:
            batches = list(islice(source, per_step))
            if len(batches) < per_step:
                break
            values = trainer.train_step(batches)
            step, trainer.drawn = trainer.step, source.drawn
            evaluate = evaluation is not None and step % evaluation.every == 0
            if step % schedule.log_every == 0 or step == schedule.steps or evaluate:
                record = _record(step, values, folder)
                record["seconds"] = round(before + time.perf_counter() - start, 3)
                if evaluate and evaluation is not None:
                    record |= evaluation.measure(trainer.sample, trainer.critic, source)
                folder.log.write(record)
                of = "" if schedule.steps is None else f" of {schedule.steps}"
                say(f"step {step}{of}, gap {record['gap']:.4g}")
            if step % schedule.checkpoint_every == 0:
                _keep(trainer, folder)
    if trainer.step == 0:
        raise ValueError(
            f"the data holds fewer than the n_critic={per_step} batches of one step: "
            "lower batch_size or n_critic, or ask for more epochs"
        )
    if trainer.step > first:
        _keep(trainer, folder)


def _record(step: int, values: dict[str, Tensor], folder: RunFolder) -> dict[str, Any]:
    """The values as floats, all of them finite."""
    record: dict[str, Any] = {"step": step}
    record |= {name: float(value) for name, value in values.items()}
    wrong = [name for name, value in record.items() if not math.isfinite(value)]
    if wrong:
        raise TrainingDiverged(
            f"{', '.join(wrong)} not finite at step {step}: lower lr, raise lambda_gp or look at "
            f"the scale of the data. {folder.last_good()}"
        )
    return record


def _keep(trainer: WGANTrainer, folder: RunFolder) -> None:
    """Write a checkpoint, of finite parameters only."""
    for name, network in (("generator", trainer.generator), ("critic", trainer.critic)):
        for key, value in network.state_dict().items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise TrainingDiverged(
                    f"{key} of the {name} is not finite at step {trainer.step}: lower lr or raise "
                    f"lambda_gp. {folder.last_good()}"
                )
    folder.save(trainer.state())
