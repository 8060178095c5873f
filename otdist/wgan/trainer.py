"""`WGANTrainer`: trains a Wasserstein GAN that can be left running, killed and resumed.

The trainer holds the networks, their optimisers and the noise, and knows one step. What surrounds
a run lives in files of its own: batches, log, checkpoints, evaluation against exact transport.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor, nn

from otdist.critics.layers import lipschitz_bound
from otdist.critics.penalties import clip_weights, compute_gradient_penalty
from otdist.wgan import checkpoint, functional
from otdist.wgan.batches import source_of
from otdist.wgan.heldout import Evaluation
from otdist.wgan.run import Schedule, run
from otdist.wgan.runfolder import RunFolder
from otdist.wgan.settings import Settings, TrainerOptions


class WGANTrainer:
    """Trains generator against critic, with a penalty, with clipping, or with a 1-Lipschitz critic.

    Where guides differ: every critic step sees a fresh real batch; the critic minimises E_fake −
    E_real; and what the critic's gap is worth is said in the log (`settings.gap_means`), next to
    exact and sliced distances to held-out data when an `Evaluation` is given.

    Args:
        generator: Maps noise (n, latent_dim) to samples (n, …).
        critic: Maps samples to scores (n, …). Without sigmoid; without batch normalisation when
            there is a penalty.
        latent_dim: Length of a noise vector, standard normal.
        use_gp: Add a gradient penalty. Without: clip weights, or nothing when clip_value is None,
            for critics that are 1-Lipschitz by construction.
        lambda_gp: Weight of the penalty (10 for images; 0.1 suits points in the plane).
        n_critic: Critic steps per generator step.
        lr: Learning rate; None: Adam 1e-4, or RMSprop 5e-5 with clipping.
        betas: Of Adam.
        clip_value: Largest absolute weight when clipping.
        **options: mode="gp", the kind of penalty, as in `compute_gradient_penalty`.
            batch_size=64, for data that the trainer samples itself.
            device, by default where the generator is.
            amp=False, forward passes in bfloat16; the penalty stays in float32.
            ema=None, decay of an average of the generator's weights, which `sample` then uses.
            seed=0, of noise and of the order of the data; None: fresh.

    Raises:
        ValueError: a setting out of range, a critic with batch normalisation and a penalty, or a
            critic without penalty, clipping or bound.

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
        lambda_gp: float = 10,
        n_critic: int = 5,
        lr: float | None = None,
        betas: tuple[float, float] = (0, 0.9),
        clip_value: float | None = 0.01,
        **options: Unpack[TrainerOptions],
    ) -> None:
        self.settings = Settings(
            latent_dim, use_gp, lambda_gp, n_critic, lr, betas, clip_value, **options
        )
        _check_critic(critic, self.settings)
        where = next(generator.parameters(), None)
        if where is None:
            raise ValueError("the generator has no parameters to train")
        self.device = torch.device(self.settings.device or where.device)
        self.dtype = where.dtype
        self.generator, self.critic = generator.to(self.device), critic.to(self.device)
        self.average = None
        if self.settings.ema is not None:
            self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.critic_optimizer = self._optimizer(critic)
        self.generator_optimizer = self._optimizer(generator)
        seed = self.settings.seed
        self.seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
        self.random = torch.Generator(self.device).manual_seed(self.seed)
        self.step = self.drawn = 0

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
    ) -> list[dict[str, Any]]:
        """Train, from where the trainer stands, until so many epochs or steps are done.

        Args:
            dataset: A tensor or array (n, …) or a map-style dataset, which the trainer samples
                itself; or an iterable of batches, such as a DataLoader. A batch may be a tuple
                that starts with the samples.
            epochs: Passes over the data. One generator step uses n_critic batches.
            steps: Generator steps in all, counted over resumed parts too; takes the place of
                epochs.
            out: Folder of the run: config.json, log.jsonl, checkpoint.pt. Without one nothing is
                written.
            resume: Continue from the checkpoint in `out`. Bit-identical to a run without a break
                on the same machine, for data that the trainer samples itself on one device; with
                other iterables, data starts anew.
            evaluation: Distances to held-out data every so many steps.
            log_every: Steps between two records. Losses are checked for NaN then.
            checkpoint_every: Steps between two checkpoints.

        Returns:
            The records of the log, from the first step of the run: step, seconds, critic_loss,
            generator_loss, gap, penalty, score_real, score_fake, and what the evaluation adds.

        Raises:
            TrainingDiverged: a loss or weight is NaN or infinite. The last good checkpoint is kept.
            ValueError: no usable data, a folder that already holds a run, or a checkpoint of
                other settings.
        """
        schedule = Schedule(steps, log_every, checkpoint_every)
        folder = RunFolder.open(out, resume=resume)
        with self._own_randomness():
            if resume:
                self.restore(folder.load(self.device))
            limit = None if steps is not None else epochs
            source = source_of(
                dataset, batch_size=self.settings.batch_size, epochs=limit, seed=self.seed
            )
            source.continue_from(self.drawn, extend=not resume)
            folder.start(self.step, {**asdict(self.settings), "gap_means": self.settings.gap_means})
            run(self, source, folder, schedule, evaluation)
        return folder.log.records

    def train_step(self, real: Tensor | Sequence[Tensor]) -> dict[str, Tensor]:
        """n_critic critic steps, each on a batch of its own, then one generator step.

        Args:
            real: n_critic batches; or one tensor, whose rows are dealt out to the critic steps.

        Returns:
            Detached 0-d tensors of the last critic step and of the generator step.
        """
        if isinstance(real, Tensor):
            real = real.chunk(self.settings.n_critic)
        if len(real) != self.settings.n_critic:
            raise ValueError(
                f"each of the {self.settings.n_critic} critic steps needs a batch of its own: "
                f"got {len(real)}"
            )
        values: dict[str, Tensor] = {}
        for batch in real:
            values = self.train_critic_step(batch)
        values |= self.train_generator_step(len(real[-1]))
        self.step += 1
        return values

    def train_critic_step(self, real: Tensor) -> dict[str, Tensor]:
        """One step of the critic on a batch of real samples (n, …) and as many generated ones."""
        real = real.to(self.device, self.dtype)
        with self._forward():
            with torch.no_grad():
                fake = self.generator(self.noise(len(real)))
            score_real, score_fake = self.critic(real), self.critic(fake)
        loss = functional.critic_loss(score_real, score_fake)
        values = {"gap": -loss.detach()}
        if self.settings.use_gp:
            penalty = compute_gradient_penalty(
                self.critic,
                real,
                fake,
                self.settings.lambda_gp,
                mode=self.settings.mode,
                generator=self.random,
            )
            loss = loss + penalty
            values["penalty"] = penalty.detach()
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.critic_optimizer.step()
        if self.settings.clips and self.settings.clip_value is not None:
            clip_weights(self.critic, self.settings.clip_value)
        values["score_real"] = -functional.generator_loss(score_real.detach())
        values["score_fake"] = -functional.generator_loss(score_fake.detach())
        return values | {"critic_loss": loss.detach()}

    def train_generator_step(self, batch_size: int) -> dict[str, Tensor]:
        """One step of the generator on so many samples."""
        self.critic.requires_grad_(False)  # no gradients that nobody uses
        with self._forward():
            scores = self.critic(self.generator(self.noise(batch_size)))
        loss = functional.generator_loss(scores)
        self.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.generator_optimizer.step()
        self.critic.requires_grad_(True)
        self._average()
        return {"generator_loss": loss.detach()}

    def noise(self, count: int) -> Tensor:
        """Standard normal noise (count, latent_dim), from the trainer's own random numbers."""
        shape = (count, self.settings.latent_dim)
        return torch.randn(shape, generator=self.random, device=self.device, dtype=self.dtype)

    def sample(self, count: int, *, seed: int = 0) -> Tensor:
        """Generated samples (count, …), from the averaged generator where there is one.

        Args:
            count: How many.
            seed: Decides the noise; training is not affected.
        """
        network = self.generator if self.average is None else self.average
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

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        lr = self.settings.lr
        if self.settings.clips:
            return torch.optim.RMSprop(network.parameters(), lr=5e-5 if lr is None else lr)
        betas = self.settings.betas
        return torch.optim.Adam(network.parameters(), lr=1e-4 if lr is None else lr, betas=betas)

    def _forward(self) -> torch.autocast:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.settings.amp)

    def _average(self) -> None:
        """Move the averaged generator towards the present one; faster in the first steps."""
        if self.average is None or self.settings.ema is None:
            return
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            new = self.generator.state_dict()
            for key, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(new[key], 1 - decay)
                else:
                    value.copy_(new[key])

    @contextlib.contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Seeds torch's default generators, which dropout and datasets use; restores them after."""
        on_gpu = self.device.type == "cuda"
        with torch.random.fork_rng(devices=[self.device] if on_gpu else []):
            torch.default_generator.manual_seed(self.seed + self.step)
            if on_gpu:
                with torch.cuda.device(self.device):
                    torch.cuda.manual_seed(self.seed + self.step)
            yield

    def state(self) -> dict[str, Any]:
        """All that a later trainer with equal settings needs to continue."""
        on_gpu = self.device.type == "cuda"
        return {
            "step": self.step,
            "drawn": self.drawn,
            "settings": asdict(self.settings),
            "seed": self.seed,
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "critic_optimizer": self.critic_optimizer.state_dict(),
            "random": self.random.get_state(),
            "torch_random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if on_gpu else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state.

        Raises:
            ValueError: it was made with other settings.
        """
        mine, theirs = asdict(self.settings), state["settings"]
        other = [key for key in mine if mine[key] != theirs[key] and key != "device"]
        if other:
            text = ", ".join(f"{key} was {theirs[key]}, is {mine[key]}" for key in other)
            raise ValueError(f"the checkpoint was made with other settings: {text}")
        for name in ("generator", "critic", "generator_optimizer", "critic_optimizer"):
            getattr(self, name).load_state_dict(state[name])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.step, self.drawn, self.seed = state["step"], state["drawn"], state["seed"]
        self.random.set_state(state["random"].cpu())
        torch.set_rng_state(state["torch_random"].cpu())
        if state["cuda_random"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_random"].cpu(), self.device)


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and afterwards as it was."""
    was = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was)


def _check_critic(critic: nn.Module, settings: Settings) -> None:
    mixing = [m for m in critic.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if settings.use_gp and mixing:
        raise ValueError(
            "a critic with batch normalisation has no gradient of its own per sample: "
            "leave the normalisation out, or use nn.GroupNorm"
        )
    if not settings.use_gp and not settings.clips:
        bound = lipschitz_bound(critic)
        if bound > 1.01:
            raise ValueError(
                "without penalty and clipping the critic must be 1-Lipschitz by construction "
                f"(otdist.critics.layers): its bound is {bound:.3g}"
            )
