"""What a training run is asked to do: checked when built, and written to the run's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

from torch import nn
from torch.optim import Adam, Optimizer, RMSprop

from otdist.core import checks
from otdist.critics.lipschitz import lipschitz_bound
from otdist.critics.penalties import Mode, check_penalty, check_unmixed
from otdist.wgan.objective import OBJECTIVES, Loss

LAMBDA_GP, BETAS, CLIP_VALUE = 10.0, (0.0, 0.9), 0.01
"""Defaults of options that not every recipe has. They are told from given values by identity, so
that signatures show what guides show, and `clip_value=0.01` beside a penalty still raises."""


Make = Callable[[Iterator[nn.Parameter]], Optimizer]
"""Makes an optimizer of parameters, such as `functools.partial(torch.optim.Adam, lr=1e-4)`."""


class TrainerOptions(TypedDict, total=False):
    """Further keyword arguments of `WGANTrainer`."""

    mode: Mode
    loss: Loss
    conditional: bool
    batch_size: int
    device: str | None
    amp: bool
    ema: float | None
    grad_clip: float | None
    seed: int | None


@dataclass(frozen=True)
class Settings:
    """The choices of a `WGANTrainer`; its docstring says what each one does."""

    latent_dim: int = 100
    use_gp: bool = True
    lambda_gp: float = LAMBDA_GP
    n_critic: int = 5
    lr: float | None = None
    betas: tuple[float, float] = BETAS
    clip_value: float | None = CLIP_VALUE
    mode: Mode = "gp"
    loss: Loss = "wasserstein"
    conditional: bool = False
    batch_size: int = 64
    device: str | None = None
    amp: bool = False
    ema: float | None = None
    grad_clip: float | None = None
    seed: int | None = 0

    def __post_init__(self) -> None:
        """Check types, ranges, and that each given option applies."""
        checks.settle(self, use_gp=checks.flag("use_gp", self.use_gp))
        self._check_use()
        check_penalty(self.mode, self.lambda_gp)
        checks.choice("loss", self.loss, OBJECTIVES)
        checks.settle(
            self,
            latent_dim=checks.whole("latent_dim", self.latent_dim),
            n_critic=checks.whole("n_critic", self.n_critic),
            batch_size=checks.whole("batch_size", self.batch_size),
            lambda_gp=float(self.lambda_gp),
            lr=checks.optional(checks.positive, "lr", self.lr),
            clip_value=checks.optional(checks.positive, "clip_value", self.clip_value),
            conditional=checks.flag("conditional", self.conditional),
            amp=checks.flag("amp", self.amp),
            ema=checks.optional(checks.share, "ema", self.ema),
            grad_clip=checks.optional(checks.positive, "grad_clip", self.grad_clip),
            seed=checks.seed(self.seed),
        )
        if self.device is not None:
            checks.device(self.device)
        if self.betas is not BETAS:
            checks.settle(self, betas=checks.numbers("betas", self.betas, 2, least=0, below=1))

    def _check_use(self) -> None:
        """Raise where a given option has no effect beside the others."""
        if self.use_gp:
            if self.clip_value is not None and self.clip_value is not CLIP_VALUE:
                raise ValueError("clip_value has no effect with use_gp=True: leave one of them out")
            return
        if self.mode != "gp":
            raise ValueError(f"mode={self.mode!r} has no effect with use_gp=False")
        if self.lambda_gp is not LAMBDA_GP:
            raise ValueError("lambda_gp has no effect with use_gp=False: there is no penalty")
        if self.clips and self.betas is not BETAS:
            raise ValueError("betas have no effect with clipping, which trains by RMSprop")

    def optimizers(self, given: Any, networks: tuple[nn.Module, nn.Module]) -> list[Optimizer]:
        """Optimizers of two networks: given ones, or functions that make them, or the recipe's."""
        if given is None:
            lr = self.lr or (5e-5 if self.clips else 1e-4)
            recipe = (
                partial(RMSprop, lr=lr) if self.clips else partial(Adam, lr=lr, betas=self.betas)
            )
            given = (recipe, recipe)
        elif self.lr is not None or self.betas is not BETAS:
            raise ValueError("lr and betas have no effect beside optimizers, which have their own")
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise ValueError(
                f"optimizers must be two, of generator and critic: got {checks.shown(given)}"
            )
        made = [
            checks.instance(
                "each of optimizers",
                one(network.parameters()) if callable(one) else one,
                Optimizer,
                "an optimizer of torch, or a function that makes one",
            )
            for one, network in zip(given, networks, strict=True)
        ]
        for name, optimizer, network, other in zip(
            ("generator", "critic"), made, networks, networks[::-1], strict=True
        ):
            held = {id(p) for group in optimizer.param_groups for p in group["params"]}
            own, others = ({id(p) for p in one.parameters()} for one in (network, other))
            if not held & own or held & (others - own):
                raise ValueError(
                    f"the optimizer of the {name} must hold parameters of the {name}, and none of "
                    "the other network: optimizers are those of generator and critic, in this order"
                )
        return made

    def check_critic(self, critic: nn.Module, ranks: int) -> None:
        """Raise where nothing would hold a critic's slope, or batches of ranks cannot be joined."""
        if self.use_gp:
            check_unmixed(critic)
            if self.mode == "dragan" and ranks > 1:
                raise ValueError("mode='dragan' needs the spread of the whole batch: not on ranks")
        elif not self.clips and (bound := lipschitz_bound(critic)) > 1.01:
            raise ValueError(
                "without penalty and clipping the critic must be 1-Lipschitz by construction "
                f"(otdist.critics.layers): its bound is {bound:.3g}"
            )

    @property
    def clips(self) -> bool:
        """Whether weights are clipped."""
        return not self.use_gp and self.clip_value is not None

    @property
    def words(self) -> str:
        """The recipe in a few words."""
        how = f"{self.mode} penalty {self.lambda_gp:g}" if self.use_gp else "no penalty"
        how = f"weights within {self.clip_value:g}" if self.clips else how
        kind = f"{self.loss}, " if self.loss != "wasserstein" else ""
        return f"{kind}{how}, n_critic={self.n_critic}"

    @property
    def gap_means(self) -> str:
        """What the critic's gap is worth, for logs and plots."""
        if self.loss != "wasserstein":
            return f"difference of mean scores of a {self.loss} critic, not W_1"
        if self.conditional:
            return "score of a conditional critic: its gap concerns distributions given a label"
        if self.use_gp:
            return "estimate of W_1 by a penalised critic, not certified"
        if self.clips:
            return "score of a clipped critic (K-Lipschitz, K unknown), not W_1"
        return "lower bound of W_1, up to sampling"
