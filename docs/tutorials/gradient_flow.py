"""Gradient flow: a cloud of points follows the sliced loss onto a spiral.

Every point moves along the negative gradient of the sliced W_2^2 to the target. Exact W_2, which
the loss only approximates from slices, is computed alongside and falls as well.
"""

from pathlib import Path

# --8<-- [start:setup]
import torch
from matplotlib.figure import Figure

import otdist
from otdist.losses import SlicedWassersteinLoss
from otdist.problems import swiss_roll


# --8<-- [end:setup]
def main(folder: Path, short: bool = False) -> None:
    """Flow, keep a few frames, draw."""
    n, steps = (100, 20) if short else (800, 300)
    # --8<-- [start:steps]
    target = torch.from_numpy(swiss_roll(n, seed=1))
    generator = torch.Generator().manual_seed(0)
    points = 0.3 * torch.randn(n, 2, dtype=torch.float64, generator=generator)
    points.requires_grad_()
    loss = SlicedWassersteinLoss(p=2, n_projections=50, generator=generator)

    frames, curve = {}, []
    shown = (0, steps // 20, steps // 5, steps)
    for step in range(steps + 1):
        if step in shown:
            frames[step] = points.detach().clone()
        if step % max(1, steps // 30) == 0:
            curve.append((step, otdist.wasserstein(points.detach(), target, p=2).distance.item()))
        (gradient,) = torch.autograd.grad(loss(points, target), points)
        # The gradient at one of n points is 1/n of its velocity; 2 is the dimension.
        points.data -= 0.25 * 2 * n * gradient

    print(f"exact W_2: {curve[0][1]:.3f} at the start, {curve[-1][1]:.3f} after {steps} steps")
    assert curve[-1][1] < 0.5 * curve[0][1]
    # --8<-- [end:steps]

    # --8<-- [start:picture]
    figure = Figure(figsize=(9.6, 2.3), layout="constrained")
    *panels, last = figure.subplots(1, len(shown) + 1)
    for axes, (step, frame) in zip(panels, frames.items(), strict=True):
        axes.scatter(*target.T, s=2, color="#d9662b", alpha=0.5, linewidths=0)
        axes.scatter(*frame.T, s=4, color="#2f6db3", linewidths=0)
        axes.set_title(f"step {step}", fontsize=10)
        axes.set(xticks=[], yticks=[], xlim=(-2.1, 2.1), ylim=(-2.1, 2.1))
        axes.set_aspect("equal")
    last.plot(*zip(*curve, strict=True), color="#2f6db3")
    last.set_title("exact $W_2$ against the step", fontsize=10)
    last.set(ylim=(0, None))
    last.spines[["top", "right"]].set_visible(False)
    # --8<-- [end:picture]
    figure.savefig(folder / "gradient-flow.png", dpi=120, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
