"""Digits, 8×8, half for training: how near to the other half, and does the critic know it?

Distances are in units of pixels scaled to [0, 1]: real against real has W_1 1.25, a Gaussian fit
1.75.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from benchmarks.records import Row
from otdist import wasserstein, wgan
from otdist.critics.layers import lipschitz_bound

LATENT = 32
CATCH_UP = 500
"""Steps after which the critic's estimates are compared: before, it has not caught up."""


def _penalised(mode: str) -> dict[str, Any]:
    return {"use_gp": True, "mode": mode, "lambda_gp": 1.0, "lr": 5e-4}


RECIPES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "gp": ("plain", 256, _penalised("gp")),
    "lp": ("plain", 256, _penalised("lp")),
    "orthogonal": ("orthogonal", 128, {"use_gp": False, "clip_value": None, "lr": 1e-3}),
    "spectral": ("spectral", 128, {"use_gp": False, "clip_value": None, "lr": 1e-3}),
    "clipping": ("plain", 256, {"use_gp": False, "clip_value": 0.01, "lr": 2e-4}),
}
"""Layers of the critic, their width, and what the trainer is told."""


def halves(split: int = 0) -> tuple[Tensor, Tensor]:
    """Training and held-out images (n, 1, 8, 8) in [−1, 1]."""
    from sklearn.datasets import load_digits

    images = torch.tensor(
        load_digits(return_X_y=True)[0].reshape(-1, 8, 8) / 8 - 1, dtype=torch.float32
    )[:, None]
    order = torch.from_numpy(np.random.default_rng(split).permutation(len(images)))
    half = len(images) // 2
    return images[order[:half]], images[order[half : 2 * half]]


def distance(a: Tensor, b: Tensor) -> float:
    """Exact W_1 in units of pixels in [0, 1]."""
    rows = [x.flatten(1).double().numpy() / 2 for x in (a, b)]
    return wasserstein(*rows).distance


def build(critic: str, seed: int) -> wgan.WGANTrainer:
    """The trainer of a recipe."""
    layers, width, options = RECIPES[critic]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = wgan.MLPGenerator(LATENT, (1, 8, 8), (256, 256))
        network = wgan.MLPCritic((1, 8, 8), (width, width), layers=layers)  # pyright: ignore[reportArgumentType]
    return wgan.WGANTrainer(generator, network, LATENT, ema=0.99, seed=seed, **options)


def run(critic: str, seed: int, steps: int, every: int = 250) -> Row:
    """Train with one kind of critic."""
    train, held_out = halves()
    trainer = build(critic, seed)
    noise = torch.randn(len(held_out), LATENT, generator=torch.Generator().manual_seed(seed))
    checkpoints: list[dict[str, float]] = []
    training = 0.0
    for step in range(every, steps + 1, every):
        start = time.perf_counter()
        trainer.train(train, steps=step)
        training += time.perf_counter() - start
        checkpoints.append({"step": step, **_figures(trainer, held_out, noise)})
    late = [c for c in checkpoints if c["step"] >= CATCH_UP] or checkpoints
    return {
        "steps": steps,
        "seconds": round(training, 1),
        "w1": distance(trainer.sample(len(held_out)), held_out),
        "w1_floor": distance(train, held_out),
        "spearman": _rank_correlation(late),
        "spearman_all": _rank_correlation(checkpoints),
        "lipschitz": lipschitz_bound(trainer.critic),
        "checkpoints": checkpoints,
    }


def _figures(trainer: wgan.WGANTrainer, held_out: Tensor, noise: Tensor) -> dict[str, float]:
    """The critic's estimate and exact W_1, of the generator that the critic trains against."""
    with torch.no_grad():
        fake = trainer.generator(noise)
        gap = trainer.critic(held_out).mean() - trainer.critic(fake).mean()
    return {"estimate": float(gap) / 2, "w1": distance(fake, held_out)}


def _rank_correlation(checkpoints: list[dict[str, float]]) -> float | None:
    if len(checkpoints) < 3:
        return None
    ranks = [rankdata([c[key] for c in checkpoints]) for key in ("estimate", "w1")]
    return float(np.corrcoef(ranks)[0, 1])  # Spearman's


def picture(path: Path, seed: int, steps: int, say: Callable[[str], None]) -> None:
    """Draw a grid of samples of the critic gp."""
    from otdist.wgan.plots import plot_samples

    trainer = build("gp", seed)
    trainer.train(halves()[0], steps=steps)
    plot_samples(trainer.sample(100), columns=20).savefig(path, dpi=120)
    say(f"wrote {path}")
