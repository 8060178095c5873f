"""`WGANTrainer`: trains a Wasserstein GAN that can be left running, killed and resumed.

The trainer holds the networks, their optimisers and the noise. One step, and what surrounds a run,
live in files of their own: steps, batches, log, checkpoints, evaluation against exact transport.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
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
from otdist.critics.randomness import seeded
from otdist.wgan import checkpoint
from otdist.wgan.batches import (
    Source,
    identity_of,
    source_of,
)
from otdist.wgan.heldout import Evaluation
from otdist.wgan.objective import OBJECTIVES, named
from otdist.wgan.ranks import Ranks, bare
from otdist.wgan.run import Callback, Run
from otdist.wgan.runfolder import RunFolder
from otdist.wgan.schedules import Schedule, schedulers_of
from otdist.wgan.settings import BETAS, CLIP_VALUE, LAMBDA_GP, Make, Settings, TrainerOptions
from otdist.wgan.steps import Steps


class WGANTrainer(Steps):
    """Trains generator against critic, with a penalty, with clipping, or with a 1-Lipschitz critic.

    Where guides differ: every critic step sees a fresh real batch; the critic minimises E_fake −
    E_real; and what the critic's gap is worth is said in the log (`gap_means`), next to
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
            loss="wasserstein", or "relativistic": scores compared in pairs, as in R3GAN, best
            with mode="r1-r2".
            conditional=False. True: data are (samples, labels), and both networks are called
            with labels as their second argument.
            batch_size=64, for data that the trainer samples itself, on each rank.
            device, by default where the generator is.
            amp=False, forward passes in bfloat16; the penalty stays in float32.
            ema=None, decay of an average of the generator's weights, which `sample` then uses.
            grad_clip=None, the norm that gradients of each network are shortened to.
            seed=0, of noise and of the order of the data; None: fresh.

    Raises:
        ValueError: an option out of range or without effect beside the others, a critic with
            batch normalisation and a penalty, or a critic without penalty, clipping or bound.

    Attributes:
        critic_loss_fn: The critic's loss of scores of real and of generated samples, before any
            penalty. Another function may be put in its place, such as `hinge_critic_loss`.

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
        other = next((p.dtype for p in critic.parameters()), self.dtype)
        if other != self.dtype and not self.settings.amp:
            raise ValueError(
                f"generator and critic must have one dtype: got {self.dtype} and {other}"
            )
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
        self.critic_loss_fn = OBJECTIVES[self.settings.loss].critic
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
    def gap_means(self) -> str:
        """What the critic's gap is worth, in words: of the settings and of `critic_loss_fn`."""
        usual = self.critic_loss_fn is OBJECTIVES[self.settings.loss].critic
        if usual or not (self.settings.use_gp or self.settings.clips):
            return self.settings.gap_means
        return f"difference of mean scores by {named(self.critic_loss_fn)}, not W_1"

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
                that starts with the samples, followed by labels where the trainer is conditional;
                (samples, labels), two tensors or arrays, are then a data set, too.
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
            labelled = self.settings.conditional
            self.data = identity_of(dataset, labelled) if folder.path else {}
            if resume:
                self.restore(folder.load(self.device))
            limit, size = None if steps is not None else epochs, self.settings.batch_size
            how = {"batch_size": size, "epochs": limit, "seed": self.seed, "ranks": self.ranks}
            source = source_of(dataset, **how, labelled=labelled)
            source.continue_from(self.drawn, extend=not resume)
            folder.start(self.step, {**asdict(self.settings), "gap_means": self.gap_means})
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
            "losses": {"critic": named(self.critic_loss_fn)},
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
