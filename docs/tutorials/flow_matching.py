"""Flow matching from two moons to eight Gaussians, with independent and with optimal couplings.

A network learns the velocity x1 − x0 of straight lines between pairs (x0, x1). Which pairs is free:
drawn independently, lines cross and the flow that averages them is curved; drawn from the optimal
plan of the mini-batch, they hardly cross, and the flow is nearly straight (Tong et al. 2024,
Improving and generalizing flow-based generative models with minibatch optimal transport).
"""

import time
from pathlib import Path

# --8<-- [start:data]
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

import otdist
from otdist.problems import Mixture, eight_gaussians

TARGET = Mixture(3 * eight_gaussians().centres, 0.3)
BATCH = 256


def two_moons(n: int, rng: np.random.Generator) -> Tensor:
    """Two half circles of radius 1.8 with noise, shape (n, 2)."""
    angle, second = np.pi * rng.random(n), rng.random(n) < 0.5
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=1)
    points = 1.8 * np.where(second[:, None], -upper, upper)
    return torch.from_numpy(points + 0.1 * rng.normal(size=(n, 2))).float()


def eight(n: int, rng: np.random.Generator) -> Tensor:
    """Points of the ring of eight Gaussians, shape (n, 2)."""
    return torch.from_numpy(TARGET.draw(n, int(rng.integers(2**31)))).float()


# --8<-- [end:data]


# --8<-- [start:train]
def train(optimal: bool, steps: int) -> tuple[nn.Sequential, float]:
    """A velocity field (x, t) → v, and the share of the training time that couplings took."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    field = nn.Sequential(
        nn.Linear(3, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(),
        nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2),
    )  # fmt: skip
    optimizer = torch.optim.Adam(field.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    begin, coupling = time.perf_counter(), 0.0
    for step in range(steps):
        x0, x1 = two_moons(BATCH, rng), eight(BATCH, rng)
        if optimal:
            before = time.perf_counter()
            i, j = otdist.wasserstein(x0, x1, p=2).sample(BATCH, seed=step)
            x0, x1 = x0[i], x1[j]
            coupling += time.perf_counter() - before
        t = torch.rand(BATCH, 1)
        velocity = field(torch.cat([(1 - t) * x0 + t * x1, t], dim=1))
        loss = ((velocity - (x1 - x0)) ** 2).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return field, coupling / (time.perf_counter() - begin)


# --8<-- [end:train]


# --8<-- [start:flow]
@torch.no_grad()
def flow(field: nn.Module, start: Tensor, steps: int) -> Tensor:
    """Positions along the flow, shape (steps + 1, n, 2), by Euler's method."""
    path = [start]
    for k in range(steps):
        t = torch.full((len(start), 1), k / steps)
        path.append(path[-1] + field(torch.cat([path[-1], t], dim=1)) / steps)
    return torch.stack(path)


def detour(path: Tensor) -> float:
    """Length of the paths over the distance of their ends: 1 for straight ones."""
    length = (path[1:] - path[:-1]).norm(dim=2).sum(0)
    return float(length.sum() / (path[-1] - path[0]).norm(dim=1).sum())


# --8<-- [end:flow]


def main(folder: Path, short: bool = False) -> None:
    """Train twice, measure, draw."""
    steps, n = (30, 200) if short else (3000, 1500)
    # --8<-- [start:floor]
    rng = np.random.default_rng(1)
    start, held_out, other = two_moons(n, rng), eight(n, rng), eight(n, rng)
    floor = otdist.wasserstein(other, held_out, p=2)
    print(f"floor, W_2 between two samples of the data: {floor.distance.item():.3f}")
    # --8<-- [end:floor]

    # --8<-- [start:compare]
    paths = {}
    for optimal in (False, True):
        field, share = train(optimal, steps)
        path, name = flow(field, start, 100), "optimal" if optimal else "independent"
        few = flow(field, start, 4)[-1]
        fine, coarse = (otdist.wasserstein(z, held_out, p=2) for z in (path[-1], few))
        print(
            f"{name}: detour {detour(path):.3f}, W_2 {fine.distance.item():.3f} after 100 steps, "
            f"{coarse.distance.item():.3f} after 4; couplings {100 * share:.0f}% of the time"
        )
        assert fine.lower <= fine.upper
        paths[name] = path
    # --8<-- [end:compare]

    # --8<-- [start:picture]
    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    for axes, (name, path) in zip(figure.subplots(1, 2), paths.items(), strict=True):
        axes.plot(*path[:, :150].permute(2, 0, 1), color="#999999", linewidth=0.5, zorder=0)
        axes.scatter(*start.T, s=2, color="#2f6db3", linewidths=0)
        axes.scatter(*path[-1].T, s=2, color="#d9662b", linewidths=0)
        axes.set_title(f"{name} couplings", fontsize=10)
        axes.set(xticks=[], yticks=[], xlim=(-6, 6), ylim=(-6, 6))
        axes.set_aspect("equal")
    # --8<-- [end:picture]
    figure.savefig(folder / "flow-matching.png", dpi=110, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
