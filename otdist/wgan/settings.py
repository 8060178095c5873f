"""What a training run is asked to do: checked when built, and written to the run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from otdist.critics.penalties import Mode, check_mode


class TrainerOptions(TypedDict, total=False):
    """Further keyword arguments of `WGANTrainer`."""

    mode: Mode
    batch_size: int
    device: str | None
    amp: bool
    ema: float | None
    seed: int | None


@dataclass(frozen=True)
class Settings:
    """The choices of a `WGANTrainer`; its docstring says what each one does."""

    latent_dim: int = 100
    use_gp: bool = True
    lambda_gp: float = 10.0
    n_critic: int = 5
    lr: float | None = None
    betas: tuple[float, float] = (0.0, 0.9)
    clip_value: float | None = 0.01
    mode: Mode = "gp"
    batch_size: int = 64
    device: str | None = None
    amp: bool = False
    ema: float | None = None
    seed: int | None = 0

    def __post_init__(self) -> None:
        """Check the ranges; torch's Adam takes betas as floats only, so they are cast."""
        check_mode(self.mode)
        if not self.use_gp and self.mode != "gp":
            raise ValueError(f"mode={self.mode!r} has no effect with use_gp=False")
        for name in ("latent_dim", "n_critic", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1: got {getattr(self, name)}")
        if self.lambda_gp < 0:
            raise ValueError(f"lambda_gp must not be negative: got {self.lambda_gp}")
        if self.lr is not None and not self.lr > 0:
            raise ValueError(f"lr must be positive: got {self.lr}")
        if self.clip_value is not None and not self.clip_value > 0:
            raise ValueError(f"clip_value must be positive: got {self.clip_value}")
        if len(self.betas) != 2 or not all(0 <= b < 1 for b in self.betas):
            raise ValueError(f"betas must be two numbers in [0, 1): got {self.betas}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must lie between 0 and 1: got {self.ema}")
        object.__setattr__(self, "betas", tuple(float(b) for b in self.betas))

    @property
    def clips(self) -> bool:
        """Whether weights are clipped."""
        return not self.use_gp and self.clip_value is not None

    @property
    def gap_means(self) -> str:
        """What the critic's gap is worth, for logs and plots."""
        if self.use_gp:
            return "estimate of W_1 by a penalised critic, not certified"
        if self.clips:
            return "score of a clipped critic (K-Lipschitz, K unknown), not W_1"
        return "lower bound of W_1, up to sampling"
