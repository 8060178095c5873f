"""Mixtures and a spiral in the plane: are all modes found, how near is exact transport?

After Gulrajani et al. (2017): penalty 0.1; ring of 8 Gaussians (radius 2, σ 0.02, divided by
1.414), grid of 25 (spacing 2, σ 0.05, divided by 2.828), Swiss roll (noise 0.25, columns 0 and 2,
divided by 7.5). A mode counts when a sample lies within 3σ of its centre. Networks are smaller
than in the paper (two hidden layers of 128), so that a run takes a minute on one core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from otdist import wasserstein, wgan

ROWS = 1000
"""Of each sample in exact transport."""


@dataclass(frozen=True)
class Toy:
    """A distribution in the plane: a mixture around centres, or the Swiss roll."""

    name: str
    centres: np.ndarray | None
    sigma: float
    steps: int

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Points, shape (n, 2)."""
        rng = np.random.default_rng(seed)
        if self.centres is not None:
            where = rng.integers(len(self.centres), size=n)
            return self.centres[where] + self.sigma * rng.normal(size=(n, 2))
        t = 1.5 * math.pi * (1 + 2 * rng.random(n))
        roll = np.stack((t * np.cos(t), t * np.sin(t)), axis=1)
        return (roll + 0.25 * rng.normal(size=(n, 2))) / 7.5

    def modes(self, samples: np.ndarray) -> dict[str, float]:
        """How many centres have a sample within 3σ, and the part of samples that are near one."""
        if self.centres is None:
            return {}
        distances = np.linalg.norm(samples[:, None] - self.centres[None], axis=-1)
        hit = distances.min(1) < 3 * self.sigma
        found = np.unique(distances.argmin(1)[hit])
        return {"modes": len(found), "of": len(self.centres), "near_a_mode": float(hit.mean())}


def _ring() -> np.ndarray:
    angles = np.arange(8) * math.pi / 4
    return 2 * np.stack((np.cos(angles), np.sin(angles)), axis=1) / 1.414


def _grid() -> np.ndarray:
    line = np.arange(-2, 3) * 2.0
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2) / 2.828


TOYS = {
    "ring": Toy("ring", _ring(), 0.02 / 1.414, 2000),
    "grid": Toy("grid", _grid(), 0.05 / 2.828, 2000),
    "swiss": Toy("swiss", None, 0.0, 4000),
}


PENALISED: dict[str, Any] = {"lambda_gp": 0.1, "lr": 5e-4}
"""What the trainer is told by default."""


def networks(seed: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Generator and critic, drawn from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = wgan.MLPGenerator(2, 2, (128,) * 3, bounded=False)
        return generator, wgan.MLPCritic(2, (128,) * 3)


def run(name: str, seed: int, steps: int | None = None, **options: Any) -> dict[str, Any]:
    """Train on one distribution; the row of the table."""
    toy = TOYS[name]
    steps = toy.steps if steps is None else steps
    trainer = wgan.WGANTrainer(
        *networks(seed), 2, batch_size=256, ema=0.999, seed=seed, **(options or PENALISED)
    )
    data = torch.from_numpy(toy.draw(50_000, 1000 + seed)).float()
    records = trainer.train(data, steps=steps)
    samples = trainer.sample(10_000).double().numpy()
    held_out, real = toy.draw(ROWS, 2000 + seed), toy.draw(ROWS, 3000 + seed)
    return {
        "experiment": name,
        "critic": "gp",
        "seed": seed,
        "steps": steps,
        "seconds": records[-1]["seconds"],
        **toy.modes(samples),
        "w1": wasserstein(samples[:ROWS], held_out).distance,
        "w1_floor": wasserstein(real, held_out).distance,
    }
