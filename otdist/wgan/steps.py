"""One step of critic and generator: losses of their scores, penalties, and samples of them.

`Steps` is the base of `WGANTrainer`, which builds what is named here and runs many steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from otdist.core import checks
from otdist.critics import penalties
from otdist.critics.penalties import check_scores
from otdist.wgan import functional
from otdist.wgan.batch import Batch, batch_of, check_shapes, first, labels_of
from otdist.wgan.descent import descend, follow, forward_pass
from otdist.wgan.modes import evaluating, frozen
from otdist.wgan.objective import OBJECTIVES, Given, OfScores
from otdist.wgan.ranks import Ranks, bare
from otdist.wgan.settings import Settings


class Steps:
    """Networks that are trained against each other, and what a step of them needs."""

    settings: Settings
    generator: nn.Module
    critic: nn.Module
    average: nn.Module | None
    generator_optimizer: Optimizer
    critic_optimizer: Optimizer
    schedulers: dict[str, LRScheduler]
    critic_loss_fn: OfScores
    device: torch.device
    dtype: torch.dtype
    random: torch.Generator
    ranks: Ranks
    step: int

    def train_step(self, real: Tensor | Sequence[Any]) -> dict[str, Tensor]:
        """n_critic critic steps, each on a batch of its own, then one generator step.

        Args:
            real: n_critic batches; or one tensor, whose rows the critic steps share.
                Of a conditional trainer, each batch is a tuple (samples, labels).

        Returns:
            Detached 0-d tensors of the last critic step and of the generator step.
        """
        count, labelled = self.settings.n_critic, self.settings.conditional
        if isinstance(real, Tensor) or (
            labelled and len(real) == 2 and isinstance(real[1], Tensor)
        ):
            real = self._batch(real).dealt(count)
        batches = list(real)
        if len(batches) != count:
            raise ValueError(
                f"each of the {count} critic steps needs a batch of its own: got {len(batches)}"
            )
        check_shapes(**{f"batch_{k}": first(batch) for k, batch in enumerate(batches, 1)})
        batches = [self._batch(one) for one in batches]
        values: dict[str, Tensor] = {}
        for batch in batches:
            values = self.train_critic_step(batch)
        values |= self.train_generator_step(len(batches[-1]), batches[-1])
        for scheduler in self.schedulers.values():
            scheduler.step()
        self.step += 1
        return values

    def train_critic_step(
        self, real: Tensor | tuple[Tensor, Tensor] | Batch, fake: Tensor | None = None
    ) -> dict[str, Tensor]:
        """One step of the critic on real samples (n, …), against new samples or given ones.

        A conditional trainer takes (samples, labels); given fake samples have the same labels.
        """
        batch = self._batch(real)
        real, labels = batch.samples, batch.labels
        critic = self.critic if labels is None else Given(self.critic, labels)
        with forward_pass(self.device, self.settings.amp):
            if fake is None:
                with torch.no_grad():
                    fake = Given(bare(self.generator), labels)(self.noise(len(real)))
            else:
                check_shapes(generated=fake)
                fake = fake.detach().to(self.device, self.dtype)
            assert fake is not None
            check_shapes(data=real, generated=fake)
            score_real, score_fake = critic(real), critic(fake)
        check_scores(score_real, len(real))
        loss = self.critic_loss_fn(score_real, score_fake)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise TypeError(f"critic_loss_fn must return one number: got {checks.shown(loss)}")
        values = {"gap": -functional.critic_loss(score_real.detach(), score_fake.detach())}
        if self.settings.use_gp:
            weight, mode = self.settings.lambda_gp, self.settings.mode
            penalty = penalties.penalty(critic, real, fake, weight, mode, self._uniform)
            loss = loss + penalty
            values["penalty"] = penalty.detach()
        descend(loss, self.critic, self.critic_optimizer, self.settings.grad_clip)
        if self.settings.clips and self.settings.clip_value is not None:
            penalties.clamp(penalties.trainable(self.critic), self.settings.clip_value)
        values["score_real"] = -functional.generator_loss(score_real.detach())
        values["score_fake"] = -functional.generator_loss(score_fake.detach())
        return values | {"critic_loss": loss.detach()}

    def train_generator_step(
        self, batch_size: int, real: Tensor | tuple[Tensor, Tensor] | Batch | None = None
    ) -> dict[str, Tensor]:
        """One step of the generator on so many samples.

        Args:
            batch_size: How many.
            real: Real samples, to whose scores a relativistic loss compares, or samples and
                labels, which a conditional generator is given.
        """
        objective, labelled = OBJECTIVES[self.settings.loss], self.settings.conditional
        batch = None if real is None else self._batch(real)
        if (labelled or objective.paired) and (batch is None or len(batch) != batch_size):
            raise ValueError(
                f"the generator's step needs a real batch of {batch_size} samples beside its own "
                f"(loss={self.settings.loss!r}, conditional={labelled}): "
                f"got {'none' if batch is None else len(batch)}"
            )
        labels = None if batch is None else batch.labels
        with frozen(self.critic):  # no gradients that nobody uses
            with forward_pass(self.device, self.settings.amp):
                critic = Given(bare(self.critic), labels)
                fake = critic(Given(self.generator, labels)(self.noise(batch_size)))
                with torch.no_grad():
                    scores = critic(batch.samples) if batch and objective.paired else fake
            loss = objective.generator(scores, fake)
            descend(loss, self.generator, self.generator_optimizer, self.settings.grad_clip)
        if self.average is not None and self.settings.ema is not None:
            follow(self.average, bare(self.generator), self.settings.ema, self.step)
        return {"generator_loss": loss.detach()}

    def noise(self, count: int) -> Tensor:
        """Noise (count, latent_dim), from the trainer's own random numbers."""
        shape, how = (count, self.settings.latent_dim), {"device": self.device, "dtype": self.dtype}
        return self.ranks.share(torch.randn, shape, generator=self.random, **how)

    def _batch(self, item: Any) -> Batch:
        """A batch where the trainer computes."""
        check_shapes(data=first(item))
        batch = item if isinstance(item, Batch) else batch_of(item, self.settings.conditional)
        return batch.to(self.device, self.dtype)

    def sample(self, count: int, *, labels: Any = None, seed: int = 0) -> Tensor:
        """Generated samples (count, …), from the averaged generator where there is one.

        Args:
            count: How many.
            labels: Of a conditional generator: one for each sample, shape (count, …).
            seed: Decides the noise; training is not affected.
        """
        count, seed = checks.whole("count", count), checks.seed(seed, none=False) or 0
        labels = labels_of(count, labels, self.settings.conditional, self.device)
        network = bare(self.generator) if self.average is None else self.average
        shape = (count, self.settings.latent_dim)
        random = torch.Generator(self.device).manual_seed(seed)
        noise = torch.randn(shape, generator=random, device=self.device, dtype=self.dtype)
        with evaluating(network), torch.no_grad():
            return torch.cat(
                [
                    Given(network, None if labels is None else labels[at : at + 1024])(part)
                    for at, part in zip(range(0, count, 1024), noise.split(1024), strict=True)
                ]
            )

    def _uniform(self, shape: tuple[int, ...], **how: Any) -> Tensor:
        return self.ranks.share(torch.rand, shape, generator=self.random, **how)
