"""Image critics of known slope, ours and those of other packages: how much of W_1 do they prove?

Digits 0 to 4 against digits 5 to 9, enlarged to 32×32 with pixels of [−1, 1]. Each critic is
trained on batches of both for as many steps, to the largest gap of its mean scores. The gap on all
images, divided by a bound of the critic's slope, is below W_1 between the two samples; its share of
the exact W_1 is what the critic proves. Convolutions halve the side three times in every network.
What a package has no strided layer for starts with a rearrangement of pixels, which keeps lengths.

Packages that are not installed have a row that says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.records import Row
from otdist import wasserstein, wgan
from otdist.critics.layers import lipschitz_bound

SIDE, MAPS, BATCH = 32, 8, 64
STEPS, RATE = 300, 1e-3


def halves() -> tuple[Tensor, Tensor]:
    """Images (n, 1, 32, 32) of the first five digits and of the others."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    small = torch.tensor(images.reshape(-1, 1, 8, 8) / 8 - 1, dtype=torch.float32)
    large = nn.functional.interpolate(small, size=SIDE, mode="bilinear")
    low = torch.from_numpy(labels < 5)
    return large[low], large[~low]


def _widths(maps: int) -> list[tuple[int, int]]:
    return list(pairwise((1, maps, 2 * maps, 4 * maps)))


def _orthogonium(maps: int) -> nn.Module:
    """The plan of `LipschitzCritic`, by orthogonal convolutions of orthogonium."""
    from orthogonium.layers import AdaptiveOrthoConv2d, MaxMin, OrthoLinear

    layers: list[nn.Module] = []
    for before, after in _widths(maps):
        layers += [AdaptiveOrthoConv2d(before, after, 4, stride=2, padding=1), MaxMin()]
        layers += [AdaptiveOrthoConv2d(after, after, 3, padding=1), MaxMin()]
    width = 4 * maps * (SIDE // 8) ** 2
    return nn.Sequential(
        *layers, nn.Flatten(), OrthoLinear(width, 128), MaxMin(), OrthoLinear(128, 1)
    )


def _torchlip(maps: int) -> nn.Module:
    """The same, by convolutions whose reshaped kernels are orthonormal, of deel-torchlip."""
    from deel.torchlip import FrobeniusLinear, GroupSort2, SpectralConv2d, SpectralLinear

    layers: list[nn.Module] = []
    for before, after in _widths(maps):
        layers += [nn.PixelUnshuffle(2), SpectralConv2d(4 * before, after, 3, padding=1)]
        layers += [GroupSort2(), SpectralConv2d(after, after, 3, padding=1), GroupSort2()]
    width = 4 * maps * (SIDE // 8) ** 2
    head = [SpectralLinear(width, 128), GroupSort2(), FrobeniusLinear(128, 1)]
    return nn.Sequential(*layers, nn.Flatten(), *head)


CRITICS: dict[str, Callable[[int], nn.Module]] = {
    "LipschitzCritic": lambda maps: wgan.LipschitzCritic(1, maps, SIDE),
    "SNWGANCritic": lambda maps: wgan.SNWGANCritic(1, maps),
    "MLPCritic, orthogonal": lambda maps: wgan.MLPCritic(
        (1, SIDE, SIDE), (8 * maps, 8 * maps), layers="orthogonal"
    ),
    "orthogonium": _orthogonium,
    "deel-torchlip": _torchlip,
}
OURS = ("LipschitzCritic", "SNWGANCritic", "MLPCritic, orthogonal")
"""Whose bound is computed; of the others it is the 1 that their packages state."""


def run(name: str, seed: int, steps: int = STEPS, maps: int = MAPS) -> Row:
    """Train one critic, and what its gap proves afterwards."""
    first, second = halves()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            critic = CRITICS[name](maps)
            seconds = _train(critic, first, second, seed, steps)
    except ImportError as error:
        return {"missing": str(error.name)}
    critic.eval()
    with torch.no_grad():
        scores = [torch.cat([critic(z) for z in side.split(256)])[:, 0] for side in (first, second)]
    gap = float(scores[0].mean() - scores[1].mean())
    bound = lipschitz_bound(critic) if name in OURS else 1.0
    w1 = wasserstein(*(z.flatten(1).double().numpy() for z in (first, second))).distance
    return {
        "steps": steps,
        "maps": maps,
        "parameters": sum(p.numel() for p in critic.parameters()),
        "w1": w1,
        "share": gap / bound / w1,
        "bound": bound,
        "slope": _slope(torch.cat([first, second]), torch.cat(scores)),
        "milliseconds": 1e3 * seconds / max(steps, 1),
    }


def _train(critic: nn.Module, first: Tensor, second: Tensor, seed: int, steps: int) -> float:
    """Seconds of the processor in so many steps of Adam on the negative gap."""
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(critic.parameters(), lr=RATE, betas=(0.5, 0.9))
    critic.train()
    started = time.process_time()
    for _ in range(steps):
        x, y = (z[torch.randint(len(z), (BATCH,), generator=rng)] for z in (first, second))
        loss = critic(y).mean() - critic(x).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.process_time() - started


def _slope(images: Tensor, scores: Tensor) -> float:
    """The largest slope of the scores between two images, over all pairs."""
    apart = torch.cdist(images.flatten(1).double(), images.flatten(1).double())
    rise = (scores[:, None] - scores[None]).abs().double()
    return float(rise[apart > 0].div(apart[apart > 0]).max())


def lines(rows: Sequence[Row]) -> list[list[Any]]:
    """Cells under `TITLES` by critic: means over seeds, the worst bounds and slopes."""
    lines: list[list[Any]] = []
    for name in CRITICS:
        group = [r for r in rows if r["critic"] == name]
        if not group:
            continue
        if "missing" in group[0]:
            lines.append([name, "–", "not installed", "–", "–", "–", "–"])
            continue
        means = {k: float(np.mean([r[k] for r in group])) for k in ("share", "milliseconds")}
        worst = {k: max(r[k] for r in group) for k in ("bound", "slope")}
        lines.append(
            [
                name, len(group), f"{means['share']:.3f}", f"{worst['bound']:.4f}",
                f"{worst['slope']:.3f}", f"{group[0]['parameters']:,}",
                f"{means['milliseconds']:.0f}",
            ]
        )  # fmt: skip
    return lines


TITLES = [
    "critic of 32×32", "seeds", "share of W_1 that is proved", "bound of the slope",
    "largest slope between two images", "parameters", "CPU ms a step",
]  # fmt: skip
