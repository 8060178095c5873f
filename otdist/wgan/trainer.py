"""`WGANTrainer`: trains a Wasserstein GAN that can be left running, killed and resumed.

The trainer holds the networks, their optimisers and the noise, and knows one step. What surrounds
a run lives in files of its own: batches, log, checkpoints, evaluation against exact transport.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from otdist.core import checks
from otdist.critics import penalties
from otdist.critics.penalties import check_scores
from otdist.critics.randomness import seeded
from otdist.wgan import checkpoint, functional
from otdist.wgan.batches import Source, check_shapes, first, identity_of, source_of
from otdist.wgan.descent import descend, follow, forward_pass
from otdist.wgan.heldout import Evaluation
from otdist.wgan.modes import evaluating, frozen
from otdist.wgan.ranks import Ranks, bare
from otdist.wgan.run import Callback, Run
from otdist.wgan.runfolder import RunFolder
from otdist.wgan.schedules import Schedule, schedulers_of
from otdist.wgan.settings import BETAS, CLIP_VALUE, LAMBDA_GP, Make, Settings, TrainerOptions


class WGANTrainer:
    """Trains generator against critic, with a penalty, with clipping, or with a 1-Lipschitz critic.

    Where guides differ: every critic step sees a fresh real batch; the critic minimises E_fake −
    E_real; and what the critic's gap is worth is said in the log (`settings.gap_means`), next to
    exact and sliced distances to held-out data when an `Evaluation` is given. Frozen layers stay.

    Networks in `DistributedDataParallel` are trained by all ranks together, as one process would
    with their batches joined; rank 0 writes. Batch normalisation sees the batch of its rank.

    Args:
        generator: Maps noise (n, latent_dim) to samples (n, …).
        critic: Maps samples to scores (n, …); no batch normalisation when there is a penalty.
        latent_dim: Length of a noise vector, standard normal.
        use_gp: Add a gradient penalty. Without: clip weights, or nothing when clip_value is None,
            for critics that are 1-Lipschitz by construction.
        lambda_gp: Weight of the penalty: 10 suits images, 0.1 points in the plane.
        n_critic: Critic steps per generator step.
        lr: Learning rate; None: Adam 1e-4, or RMSprop 5e-5 with clipping.
        betas: Of Adam; (0, 0.9) when left out.
        clip_value: Largest absolute weight when clipping; 0.01 when left out.
        optimizers: Those of generator and critic, or functions that make them of parameters.
        schedulers: Of their learning rates, or functions that make them of optimizers; they step
            after every generator step, and are kept in checkpoints.
        **options: mode="gp", the kind of penalty, as in `compute_gradient_penalty`.
            batch_size=64, for data that the trainer samples itself, on each rank.
            device, by default where the generator is.
            amp=False, forward passes in bfloat16; the penalty stays in float32.
            ema=None, decay of an average of the generator's weights, which `sample` then uses.
            grad_clip=None, the norm that gradients of each network are shortened to.
            seed=0, of noise and of the order of the data; None: fresh.

    Raises:
        ValueError: an option out of range or without effect beside the others, a critic with
            batch normalisation and a penalty, or a critic without penalty, clipping or bound.

    >>> from otdist.wgan import MLPCritic, MLPGenerator
    >>> trainer = WGANTrainer(MLPGenerator(2, 2, (8,)), MLPCritic(2, (8,)), latent_dim=2)
    >>> records = trainer.train(torch.randn(320, 2), epochs=1)
    >>> trainer.step, trainer.sample(3).shape
    (1, torch.Size([3, 2]))
    """

    def __init__(
        self,
        generator: nn.Module,
        critic: nn.Module,
        latent_dim: int = 100,
        use_gp: bool = True,
        *,
        lambda_gp: float = LAMBDA_GP,
        n_critic: int = 5,
        lr: float | None = None,
        betas: tuple[float, float] = BETAS,
        clip_value: float | None = CLIP_VALUE,
        optimizers: tuple[Optimizer | Make, Optimizer | Make] | None = None,
        schedulers: tuple[LRScheduler | Schedule, LRScheduler | Schedule] | None = None,
        **options: Unpack[TrainerOptions],
    ) -> None:
        self.settings = Settings(
            latent_dim, use_gp, lambda_gp, n_critic, lr, betas, clip_value, **options
        )
        checks.instance("generator", generator, nn.Module, "a module")
        checks.instance("critic", critic, nn.Module, "a module")
        self.ranks = Ranks.of(generator, critic)
        self.settings.check_critic(bare(critic), self.ranks.world)
        where = next(generator.parameters(), None)
        if where is None:
            raise ValueError("the generator has no parameters to train")
        self.device = torch.device(self.settings.device or where.device)
        self.dtype = where.dtype
        self.generator, self.critic = generator.to(self.device), critic.to(self.device)
        self.average = None
        if self.settings.ema is not None:
            self.average = copy.deepcopy(bare(self.generator)).eval().requires_grad_(False)
        made = self.settings.optimizers(optimizers, (self.generator, self.critic))
        self.generator_optimizer, self.critic_optimizer = made
        self.schedulers = schedulers_of(schedulers, made)
        seed = self.settings.seed
        self.seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self.random = torch.Generator(self.device).manual_seed(self.seed)
        self.step = self.drawn = 0
        self.data: dict[str, str] = {}

    def __repr__(self) -> str:
        names = (type(bare(network)).__name__ for network in (self.generator, self.critic))
        return f"WGANTrainer({' against '.join(names)}, {self.settings.words}, step {self.step})"

    @property
    def gen_optimizer(self) -> Optimizer:
        """The optimizer of the generator, by its name in guides."""
        return self.generator_optimizer

    @property
    def critic_loss_fn(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The critic's loss of real and of generated scores, before any penalty."""
        return functional.critic_loss

    def train(
        self,
        dataset: Any,
        epochs: int = 1,
        *,
        steps: int | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        evaluation: Evaluation | None = None,
        log_every: int = 10,
        checkpoint_every: int = 500,
        callbacks: Sequence[Callback] = (),
    ) -> list[dict[str, Any]]:
        """Train, from where the trainer stands, until so many epochs or steps are done.

        Args:
            dataset: A tensor or array (n, …) or a map-style dataset, which the trainer samples
                itself; or an iterable of batches, such as a DataLoader. A batch may be a tuple
                that starts with the samples.
            epochs: Passes over the data. One generator step uses n_critic batches.
            steps: Generator steps in all, counted over resumed parts too, instead of epochs.
            out: Folder of the run: config.json, log.jsonl, checkpoint.pt; None writes nothing.
            resume: Continue from the checkpoint in `out`. Bit-identical to a run without a break
                on the same machine, for data that the trainer samples itself on one device; with
                other iterables, data starts anew.
            evaluation: Distances to held-out data every so many steps, and at the last one.
            log_every: Steps between two records; the last step is always recorded. Losses are
                checked for NaN then.
            checkpoint_every: Steps between two checkpoints. Ctrl-C keeps one, after the step.
            callbacks: Called after steps, records, evaluations, checkpoints, and at the end.

        Returns:
            The records of the log, from the first step of the run: step, seconds, critic_loss,
            generator_loss, gap, penalty, score_real, score_fake, and what the evaluation adds.

        Raises:
            TrainingDiverged: a loss or weight is NaN or infinite. The last good checkpoint is kept.
            ValueError: no usable data, samples whose shapes differ, a folder that already holds a
                run, or a checkpoint of other settings, data, networks or optimizers.
        """
        checks.sizes(epochs=epochs, log_every=log_every, checkpoint_every=checkpoint_every)
        checks.optional(checks.whole, "steps", steps)
        checks.optional(checks.instance, "out", out, kind=(str, Path), what="a folder or None")
        checks.flag("resume", resume)
        kind = {"kind": Evaluation, "what": "an Evaluation or None"}
        checks.optional(checks.instance, "evaluation", evaluation, **kind)
        checks.instances("callbacks", callbacks, Callback, "callbacks")
        folder = RunFolder.open(out, resume=resume, writes=self.ranks.rank == 0)
        self.ranks.wait()
        # dropout and datasets draw from torch's own generators, on each rank others
        with seeded(self.seed + self.step + (self.ranks.rank << 40), self.device):
            self.data = identity_of(dataset) if folder.path else {}
            if resume:
                self.restore(folder.load(self.device))
            limit, size = None if steps is not None else epochs, self.settings.batch_size
            how = {"batch_size": size, "epochs": limit, "seed": self.seed, "ranks": self.ranks}
            source = source_of(dataset, **how)
            source.continue_from(self.drawn, extend=not resume)
            folder.start(self.step, {**asdict(self.settings), "gap_means": self.settings.gap_means})
            Run(
                self, source, folder, steps, log_every, checkpoint_every, evaluation, callbacks
            ).go()
        return folder.records

    def advance(self, source: Source) -> dict[str, Tensor] | None:
        """Take one step on the next batches of a source; None where it has ended."""
        batches = list(islice(source, self.settings.n_critic))
        if len(batches) < self.settings.n_critic:
            return None
        values = self.train_step(batches)
        self.drawn = source.drawn
        return values

    def train_step(self, real: Tensor | Sequence[Tensor]) -> dict[str, Tensor]:
        """n_critic critic steps, each on a batch of its own, then one generator step.

        Args:
            real: n_critic batches; or one tensor, whose rows are dealt out to the critic steps.

        Returns:
            Detached 0-d tensors of the last critic step and of the generator step.
        """
        count = self.settings.n_critic
        batches = real.chunk(count) if isinstance(real, Tensor) else [first(b) for b in real]
        if len(batches) != count:
            raise ValueError(
                f"each of the {count} critic steps needs a batch of its own: got {len(batches)}"
            )
        check_shapes(**{f"batch_{k}": batch for k, batch in enumerate(batches, 1)})
        values: dict[str, Tensor] = {}
        for batch in batches:
            values = self.train_critic_step(batch)
        values |= self.train_generator_step(len(batches[-1]))
        for scheduler in self.schedulers.values():
            scheduler.step()
        self.step += 1
        return values

    def train_critic_step(self, real: Tensor, fake: Tensor | None = None) -> dict[str, Tensor]:
        """One step of the critic on real samples (n, …), against new samples or given ones."""
        check_shapes(data=real)
        real = real.to(self.device, self.dtype)
        with forward_pass(self.device, self.settings.amp):
            if fake is None:
                with torch.no_grad():
                    fake = bare(self.generator)(self.noise(len(real)))
            else:
                check_shapes(generated=fake)
                fake = fake.detach().to(self.device, self.dtype)
            assert fake is not None
            check_shapes(data=real, generated=fake)
            score_real, score_fake = self.critic(real), self.critic(fake)
        check_scores(score_real, len(real))
        loss = functional.critic_loss(score_real, score_fake)
        values = {"gap": -loss.detach()}
        if self.settings.use_gp:
            weight, mode = self.settings.lambda_gp, self.settings.mode
            penalty = penalties.penalty(self.critic, real, fake, weight, mode, self._uniform)
            loss = loss + penalty
            values["penalty"] = penalty.detach()
        descend(loss, self.critic, self.critic_optimizer, self.settings.grad_clip)
        if self.settings.clips and self.settings.clip_value is not None:
            penalties.clamp(penalties.trainable(self.critic), self.settings.clip_value)
        values["score_real"] = -functional.generator_loss(score_real.detach())
        values["score_fake"] = -functional.generator_loss(score_fake.detach())
        return values | {"critic_loss": loss.detach()}

    def train_generator_step(self, batch_size: int) -> dict[str, Tensor]:
        """One step of the generator on so many samples."""
        with frozen(self.critic):  # no gradients that nobody uses
            with forward_pass(self.device, self.settings.amp):
                scores = bare(self.critic)(self.generator(self.noise(batch_size)))
            loss = functional.generator_loss(scores)
            descend(loss, self.generator, self.generator_optimizer, self.settings.grad_clip)
        if self.average is not None and self.settings.ema is not None:
            follow(self.average, bare(self.generator), self.settings.ema, self.step)
        return {"generator_loss": loss.detach()}

    def noise(self, count: int) -> Tensor:
        """Noise (count, latent_dim), from the trainer's own random numbers."""
        shape, how = (count, self.settings.latent_dim), {"device": self.device, "dtype": self.dtype}
        return self.ranks.share(torch.randn, shape, generator=self.random, **how)

    def sample(self, count: int, *, seed: int = 0) -> Tensor:
        """Generated samples (count, …), from the averaged generator where there is one.

        Args:
            count: How many.
            seed: Decides the noise; training is not affected.
        """
        count, seed = checks.whole("count", count), checks.seed(seed, none=False) or 0
        network = bare(self.generator) if self.average is None else self.average
        shape = (count, self.settings.latent_dim)
        random = torch.Generator(self.device).manual_seed(seed)
        noise = torch.randn(shape, generator=random, device=self.device, dtype=self.dtype)
        with evaluating(network), torch.no_grad():
            return torch.cat([network(part) for part in noise.split(1024)])

    def save(self, path: str | Path) -> None:
        """Write a checkpoint of networks, optimisers and random numbers, atomically."""
        checkpoint.save(self.state(), Path(path))

    def load(self, path: str | Path) -> None:
        """Take over a checkpoint that a trainer with equal settings wrote."""
        self.restore(checkpoint.load(Path(path), self.device))

    def state(self) -> dict[str, Any]:
        """All that a later trainer with equal settings needs to continue."""
        parts, on_gpu = self._parts(), self.device.type == "cuda"
        return {
            "format": checkpoint.FORMAT,
            "step": self.step,
            "drawn": self.drawn,
            "settings": asdict(self.settings),
            "data": self.data,
            "seed": self.seed,
            **{name: part.state_dict() for name, part in parts.items()},
            "optimizers": {k: type(v).__name__ for k, v in parts.items() if k.endswith("er")},
            "random": self.random.get_state(),
            "torch_random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if on_gpu else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state.

        Raises:
            ValueError: it was made with other settings, data, networks or optimizers.
        """
        checkpoint.check_same(self.state(), state)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.drawn, self.seed = (state[key] for key in ("step", "drawn", "seed"))
        self.data = self.data or state["data"]
        self.random.set_state(state["random"].cpu())
        if self.ranks.rank == 0:  # the other ranks go on with numbers of their own
            torch.set_rng_state(state["torch_random"].cpu())
            if state["cuda_random"] is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(state["cuda_random"].cpu(), self.device)

    def _parts(self) -> dict[str, Any]:
        """What has a state of its own."""
        parts = {
            "generator": bare(self.generator),
            "critic": bare(self.critic),
            "average": self.average,
            "generator_optimizer": self.generator_optimizer,
            "critic_optimizer": self.critic_optimizer,
            **self.schedulers,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _uniform(self, shape: tuple[int, ...], **how: Any) -> Tensor:
        return self.ranks.share(torch.rand, shape, generator=self.random, **how)
