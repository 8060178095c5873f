"""A barycentre in the plane: points that move until they are, on average, nearest to three shapes.

On the line the average of quantiles solves the problem. In the plane the points of the barycentre
are variables, and gradient descent on the mean sliced W_2² to the shapes moves them (Bonneel et al.
2015). Exact W_2 to each shape says whether the result lies between them.
"""

from pathlib import Path

# --8<-- [start:setup]
import numpy as np
import torch
from matplotlib.figure import Figure

import otdist
from otdist.losses import SlicedWassersteinLoss
from otdist.problems import swiss_roll


def shapes(n: int) -> dict[str, torch.Tensor]:
    """A ring, a cross and a spiral, n points each."""
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * rng.random(n)
    ring = (1.6 + 0.1 * rng.standard_normal((n, 1))) * np.stack([np.cos(angle), np.sin(angle)], 1)
    arm = np.stack([rng.uniform(-2, 2, n), 0.1 * rng.standard_normal(n)], axis=1)
    cross = np.where(rng.random((n, 1)) < 0.5, arm, arm[:, ::-1])
    return {
        "ring": torch.from_numpy(ring),
        "cross": torch.from_numpy(cross),
        "spiral": torch.from_numpy(swiss_roll(n)),
    }


def barycentre(targets: list[torch.Tensor], weights: list[float], steps: int) -> torch.Tensor:
    """Minimise the weighted mean of sliced W_2² from a normal cloud."""
    n = len(targets[0])
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(n, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    loss = SlicedWassersteinLoss(p=2, n_projections=40, generator=generator)
    for step in range(steps):
        value = sum(w * loss(points, t) for w, t in zip(weights, targets, strict=True))
        (gradient,) = torch.autograd.grad(value, points)
        points.data -= (0.8 if step < steps // 2 else 0.2) * n * gradient
    return points.detach()


# --8<-- [end:setup]
def main(folder: Path, short: bool = False) -> None:
    """Draw the shapes and the barycentres between them."""
    n, steps = (80, 20) if short else (800, 150)
    # --8<-- [start:steps]
    targets = shapes(n)
    mixes = {
        "ring and cross": [0.5, 0.5, 0.0],
        "cross and spiral": [0.0, 0.5, 0.5],
        "all three": [1 / 3, 1 / 3, 1 / 3],
    }
    drawn = {name: (points, "#d9662b") for name, points in targets.items()}
    for name, weights in mixes.items():
        points = barycentre(list(targets.values()), weights, steps)
        drawn[name] = (points, "#2f6db3")
        distances = [otdist.wasserstein(points, t, p=2).distance.item() for t in targets.values()]
        print(f"{name}: exact W_2 to ring {distances[0]:.2f}, cross {distances[1]:.2f}, "
              f"spiral {distances[2]:.2f}")  # fmt: skip
        used = [d for d, w in zip(distances, weights, strict=True) if w]
        assert max(used) < 1.0
    # --8<-- [end:steps]

    # --8<-- [start:picture]
    figure = Figure(figsize=(7, 4.9), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    for axes, (name, (points, colour)) in zip(panels, drawn.items(), strict=True):
        axes.scatter(*points.T, s=2.5, color=colour, linewidths=0)
        axes.set_title(name, fontsize=10)
        axes.set(xlim=(-2.3, 2.3), ylim=(-2.3, 2.3), xticks=[], yticks=[])
        axes.set_aspect("equal")
    # --8<-- [end:picture]
    figure.savefig(folder / "free-support-barycentre.png", dpi=130, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
