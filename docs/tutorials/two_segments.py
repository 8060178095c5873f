"""Two segments: the example that Wasserstein GANs were invented on.

P is uniform on the segment {0} × [0, 1], Q on {θ} × [0, 1]. For θ ≠ 0 they share no point, so that
the Jensen–Shannon divergence is log 2, total variation 1 and Kullback–Leibler infinite, near or
far. W_1 is |θ|: it says how far, and its gradient says which way (Arjovsky, Chintala, Bottou 2017,
example 1).
"""

from pathlib import Path

# --8<-- [start:setup]
import numpy as np
import torch
from matplotlib.figure import Figure

import otdist
from otdist.problems import parallel_segments


def divergences(theta: float) -> dict[str, float]:
    """The exact values for the two laws."""
    apart = theta != 0
    return {
        "Jensen–Shannon": np.log(2) if apart else 0.0,
        "total variation": 1.0 if apart else 0.0,
        "Kullback–Leibler": np.inf if apart else 0.0,
    }


# --8<-- [end:setup]
def main(folder: Path, short: bool = False) -> None:
    """Sweep θ, then let the gradient of W_1 find it."""
    n = 20 if short else 100
    # --8<-- [start:step_1]
    thetas = np.linspace(-1, 1, 21)
    distances = []
    for theta in thetas:
        problem = parallel_segments(n=n, theta=theta)
        result = otdist.wasserstein(problem.x, problem.y)
        np.testing.assert_allclose(result.distance, abs(theta), atol=1e-9)
        distances.append(result.distance)
    # --8<-- [end:step_1]

    # --8<-- [start:step_2]
    # A generator with one parameter, trained by W_1: it moves at unit speed until it arrives,
    # and then stays within one step.
    height = torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    real = torch.stack([torch.zeros_like(height), height], dim=1)
    theta = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    path = [theta.item()]
    for _ in range(25):
        fake = torch.stack([theta.expand(n), height], dim=1)
        (gradient,) = torch.autograd.grad(otdist.wasserstein(real, fake).distance, theta)
        theta.data -= 0.05 * gradient
        path.append(theta.item())
    print(f"θ after 25 steps of size 0.05: {theta.item():.3f}")
    assert abs(theta.item()) < 0.06
    # --8<-- [end:step_2]

    # --8<-- [start:picture]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(thetas, distances, color="#2f6db3", linewidth=2.5, label="$W_1$")
    looks = zip(("#d9662b", "#4d9e64"), ("Jensen–Shannon", "total variation"), strict=True)
    for colour, name in looks:
        left.plot(
            thetas, [divergences(t)[name] for t in thetas], "o", ms=3, color=colour, label=name
        )
    left.plot([], [], " ", label="Kullback–Leibler: ∞ for θ ≠ 0")
    left.set(xlabel="θ", ylim=(-0.05, 1.6), xticks=[-1, -0.5, 0, 0.5, 1])
    left.legend(frameon=False, fontsize=8, ncols=2, loc="upper center")
    right.plot(path, color="#2f6db3")
    right.axhline(0, color="#7a7a7a", linewidth=0.8)
    right.set(xlabel="step along the gradient of $W_1$", ylabel="θ")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    # --8<-- [end:picture]
    figure.savefig(folder / "two-segments.png", dpi=120, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
