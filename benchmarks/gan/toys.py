"""Mixtures and a spiral in the plane: are all modes found, how near is exact transport?

After Gulrajani et al. (2017): penalty 0.1, and the distributions of `otdist.problems`. A mode
counts when a sample lies within 3σ of its centre. Networks are smaller than in the paper (two
hidden layers of 128), so that a run takes a minute on one core.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from benchmarks.records import Row
from otdist import problems, wasserstein, wgan

ROWS = 1000
"""Of each sample in exact transport."""
RECIPES: dict[str, dict[str, Any]] = {
    "gp": {"lambda_gp": 0.1, "lr": 5e-4},
    "relativistic": {"loss": "relativistic", "mode": "r1-r2", "lambda_gp": 0.02, "lr": 5e-4},
}
"""What the trainer is told."""
TOYS = {"ring": 2000, "grid": 2000, "swiss": 4000}
"""Generator steps of the recipes."""
MIXTURES = {"ring": problems.eight_gaussians(), "grid": problems.twenty_five_gaussians()}


def draw(name: str, n: int, seed: int) -> np.ndarray:
    """Points of a distribution, shape (n, 2)."""
    return (MIXTURES[name].draw if name in MIXTURES else problems.swiss_roll)(n, seed)


def modes(name: str, samples: np.ndarray) -> Row:
    """How many centres have a sample within 3σ, and the share of samples that are near one."""
    if name not in MIXTURES:
        return {}
    found = MIXTURES[name]
    near = {"modes": found.modes(samples), "of": len(found.centres)}
    return {**near, "near_a_mode": found.quality(samples)}


def networks(seed: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Generator and critic, drawn from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = wgan.MLPGenerator(2, 2, (128,) * 3, bounded=False)
        return generator, wgan.MLPCritic(2, (128,) * 3)


def run(name: str, seed: int, steps: int | None = None, **options: Any) -> Row:
    """Train on one distribution."""
    steps = TOYS[name] if steps is None else steps
    trainer = wgan.WGANTrainer(
        *networks(seed), 2, batch_size=256, ema=0.999, seed=seed, **(options or RECIPES["gp"])
    )
    data = torch.from_numpy(draw(name, 50_000, 1000 + seed)).float()
    start = time.process_time()
    trainer.train(data, steps=steps)
    seconds = time.process_time() - start
    samples = trainer.sample(10_000).double().numpy()
    held_out, real = draw(name, ROWS, 2000 + seed), draw(name, ROWS, 3000 + seed)
    return {
        "steps": steps,
        "cpu_seconds": round(seconds, 1),
        **modes(name, samples),
        "w1": wasserstein(samples[:ROWS], held_out).distance,
        "w1_floor": wasserstein(real, held_out).distance,
    }
