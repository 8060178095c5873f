"""Digits, 8×8 or enlarged, half for training: how near to the other half, does the critic know it?

Distances are in units of pixels scaled to [0, 1]: at 8×8 real against real has W_1 1.25, a Gaussian
fit 1.75. Enlarged digits (28×28, bilinear) are measured in pixels of [−1, 1], as guides scale them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.optim import Adam, RMSprop

from benchmarks.records import Row
from otdist import wasserstein, wgan
from otdist.critics.layers import lipschitz_bound

LATENT = 32
HIDDEN, SLOPE = 256, 0.2
"""Width of the dense layers of the convolutional networks, and the slope of their LeakyReLU."""
CATCH_UP = 500
"""Steps after which the critic's estimates are compared: before, it has not caught up."""


def _penalised(mode: str) -> dict[str, Any]:
    return {"use_gp": True, "mode": mode, "lambda_gp": 1.0, "lr": 5e-4}


RECIPES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "gp": ("plain", 256, _penalised("gp")),
    "lp": ("plain", 256, _penalised("lp")),
    "orthogonal": ("orthogonal", 128, {"use_gp": False, "clip_value": None, "lr": 1e-3}),
    "spectral": ("spectral", 128, {"use_gp": False, "clip_value": None, "lr": 1e-3}),
    "clipping": (
        "plain",
        256,
        {
            "use_gp": False,
            "clip_value": 0.01,
            "optimizers": (partial(Adam, lr=5e-4, betas=(0.0, 0.9)), partial(RMSprop, lr=2e-4)),
        },
    ),
    "relativistic": (
        "plain",
        256,
        {"loss": "relativistic", "mode": "r1-r2", "lambda_gp": 1.0, "lr": 2e-4, "n_critic": 1},
    ),
    "conv": ("conv", 16, {**_penalised("gp"), "lr": 1e-3}),
}
"""Layers of the critic, their width, and what the trainer is told.

A generator that follows a clipped critic by Adam settles, where one by RMSprop swings: W_1 after
750 and 1,000 steps (28×28, seed 1) was 9.18 and 9.15, but 9.32 and 9.49 by RMSprop of 2e-4; falling
rates, larger batches, wider critics and other clip values left 9.3 to 10.
`python -m benchmarks gan digits28 --critics clipping` measures the recipe.
"""
SMALL, LARGE = 8, 28
LARGE_STEPS = {"orthogonal": 1000, "clipping": 1000, "conv": 500}
"""Generator steps on enlarged digits where they are not 2,000."""
EVALUATED = 500
"""Rows of enlarged digits in exact transport, as in `wgan.Evaluation`."""


def halves(split: int = 0, side: int = SMALL) -> tuple[Tensor, Tensor]:
    """Training and held-out images (n, 1, side, side) in [−1, 1]."""
    from sklearn.datasets import load_digits

    images = torch.tensor(
        load_digits(return_X_y=True)[0].reshape(-1, 8, 8) / 8 - 1, dtype=torch.float32
    )[:, None]
    if side != SMALL:
        images = nn.functional.interpolate(images, size=side, mode="bilinear")
    order = torch.from_numpy(np.random.default_rng(split).permutation(len(images)))
    half = len(images) // 2
    rows = half if side == SMALL else EVALUATED
    return images[order[:half]], images[order[half : half + rows]]


def distance(a: Tensor, b: Tensor) -> float:
    """Exact W_1 in the units that the size of the images has in the tables."""
    unit = 2 if a.shape[-1] == SMALL else 1
    rows = [x.flatten(1).double().numpy() / unit for x in (a, b)]
    return wasserstein(*rows).distance


def build(critic: str, seed: int, side: int = SMALL) -> wgan.WGANTrainer:
    """The trainer of a recipe."""
    layers, width, options = RECIPES[critic]
    shape = (1, side, side)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if layers == "conv":
            generator, network = _convolutional(width, side // 4)
        else:
            norm = "batch" if side != SMALL and critic == "clipping" else None
            generator = wgan.MLPGenerator(LATENT, shape, (256, 256), norm=norm)
            network = wgan.MLPCritic(shape, (width, width), layers=layers)  # pyright: ignore[reportArgumentType]
    return wgan.WGANTrainer(generator, network, LATENT, ema=0.99, seed=seed, **options)


def _convolutional(maps: int, side: int) -> tuple[nn.Module, nn.Module]:
    """Convolutions between images of four times `side` and a dense hidden layer on either side.

    Dense layers right after wide kernels see how strokes fit together: W_1 after 200 steps (28×28,
    seed 0) was 9.8, but 10.5 with two strided convolutions of 4×4 in the critic. The critic's
    weights have He's scale: with torch's default, W_1 was 10.1.
    `python -m benchmarks gan digits28 --critics conv` measures the recipe.
    """
    generator = nn.Sequential(
        nn.Linear(LATENT, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, 2 * maps * side**2),
        nn.Unflatten(1, (2 * maps, side, side)),
        nn.BatchNorm2d(2 * maps),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * maps, maps, 4, 2, 1),
        nn.BatchNorm2d(maps),
        nn.ReLU(),
        nn.ConvTranspose2d(maps, 1, 4, 2, 1),
        nn.Tanh(),
    )
    critic = nn.Sequential(
        nn.Conv2d(1, maps, 8, 4, 2),
        nn.LeakyReLU(SLOPE),
        nn.Flatten(),
        nn.Linear(maps * side**2, HIDDEN),
        nn.LeakyReLU(SLOPE),
        nn.Linear(HIDDEN, 1),
    )
    for layer in critic:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return generator, critic


def run(
    critic: str,
    seed: int,
    steps: int,
    every: int = 250,
    side: int = SMALL,
    path: Path | None = None,
) -> Row:
    """Train with one kind of critic; draw samples into a file where one is named."""
    train, held_out = halves(side=side)
    trainer = build(critic, seed, side)
    noise = torch.randn(len(held_out), LATENT, generator=torch.Generator().manual_seed(seed))
    checkpoints: list[dict[str, float]] = []
    training = 0.0
    for step in (*range(every, steps, every), steps):
        start = time.process_time()
        trainer.train(train, steps=step)
        training += time.process_time() - start
        checkpoints.append({"step": step, **_figures(trainer, held_out, noise)})
    if path is not None:
        _draw(trainer.sample(40), path)
    late = [c for c in checkpoints if c["step"] >= CATCH_UP] or checkpoints
    return {
        "steps": steps,
        "cpu_seconds": round(training, 1),
        "w1": distance(trainer.sample(len(held_out)), held_out),
        "w1_floor": distance(train[: len(held_out)], held_out),
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
    """Draw a grid of samples of the critic gp, 8×8, and real images beside those of 28×28."""
    trainer = build("gp", seed)
    trainer.train(halves()[0], steps=steps)
    _draw(trainer.sample(100), path)
    real = path.with_name(f"{path.stem}28-real.png")
    _draw(halves(side=LARGE)[1][:40], real)
    say(f"wrote {path} and {real}")


def _draw(images: Tensor, path: Path) -> None:
    from otdist.wgan.plots import plot_samples

    path.parent.mkdir(parents=True, exist_ok=True)
    plot_samples(images, columns=20).savefig(path, dpi=120)
