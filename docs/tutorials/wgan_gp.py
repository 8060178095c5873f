"""WGAN-GP twice: 25 Gaussians in the plane, and handwritten digits.

A generator maps noise to samples; the gradient of a critic, whose slope a gradient penalty keeps
near one (Gulrajani et al. 2017), moves them towards the data. The critic's gap estimates W_1
without a proof. Therefore exact W_1 to held-out data is logged during training, with its floor: the
distance between two real samples of the same sizes, which a perfect generator would reach.
"""

import sys
from pathlib import Path

# --8<-- [start:data]
import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import Tensor

from otdist import wgan

BLUE, ORANGE = "#2f6db3", "#d9662b"
SIGMA = 0.05 / 2.828


def grid(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points of a mixture of 25 Gaussians, and its centres."""
    line = torch.arange(-2, 3) * 2 / 2.828
    centres = torch.cartesian_prod(line, line)
    random = torch.Generator().manual_seed(seed)
    chosen = centres[torch.randint(25, (n,), generator=random)]
    return chosen + SIGMA * torch.randn(n, 2, generator=random), centres


def digits() -> tuple[Tensor, Tensor]:
    """Images to train on and held-out ones, (n, 1, 8, 8) in [−1, 1]."""
    images = torch.tensor(load_digits().images / 8 - 1, dtype=torch.float32)[:, None]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order[:898]], images[order[898:1796]]


# --8<-- [end:data]


# --8<-- [start:networks]
def networks(shape: tuple[int, ...] | int, latent: int, hidden: tuple[int, ...]) -> tuple:
    """Generator and critic of the same hidden layers, drawn from one seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        bounded = not isinstance(shape, int)
        generator = wgan.MLPGenerator(latent, shape, hidden, bounded=bounded)
        return generator, wgan.MLPCritic(shape, hidden)


# --8<-- [end:networks]


# --8<-- [start:train]
def on_the_grid(steps: int) -> tuple[list[dict], Tensor, int, float]:
    """Train on the grid; the log, samples, how many modes have one within 3σ, and its share."""
    options = {"lambda_gp": 0.1, "n_critic": 3, "lr": 1e-3, "betas": (0.5, 0.9)}
    trainer = wgan.WGANTrainer(
        *networks(2, 2, (128, 128, 128)), 2, batch_size=256, ema=0.999, **options
    )
    held_out = wgan.Evaluation(grid(1000, seed=1)[0], every=max(steps // 20, 1))
    log = trainer.train(grid(50_000, seed=0)[0], steps=steps, evaluation=held_out)
    samples = trainer.sample(10_000)
    gaps = torch.cdist(samples, grid(1, seed=0)[1])
    near = gaps.min(1).values < 3 * SIGMA
    return log, samples, len(gaps.argmin(1)[near].unique()), float(near.float().mean())


def on_digits(steps: int) -> tuple[list[dict], Tensor]:
    """Train on digits; the log, and samples."""
    images, held_out = digits()
    trainer = wgan.WGANTrainer(
        *networks((1, 8, 8), 32, (256, 256)), 32, lambda_gp=1.0, lr=5e-4, ema=0.99
    )
    beside = wgan.Evaluation(held_out, every=max(steps // 20, 1))
    log = trainer.train(images, steps=steps, evaluation=beside)
    return log, trainer.sample(40)


def last(log: list[dict]) -> tuple[float, float]:
    """Exact W_1 to held-out data and its floor at the end of a run."""
    record = [record for record in log if "w1" in record][-1]
    return record["w1"], record["w1_floor"]


# --8<-- [end:train]


# --8<-- [start:picture]
def curve(axes, log: list[dict], title: str) -> None:
    """Exact W_1 and its floor over steps."""
    seen = [record for record in log if "w1" in record]
    steps = [record["step"] for record in seen]
    axes.plot(steps, [record["w1"] for record in seen], color=BLUE, label="exact $W_1$ to held-out")
    floor = [record["w1_floor"] for record in seen]
    axes.plot(steps, floor, "--", color="#7a7a7a", label="floor: real to held-out")
    axes.set(title=title, xlabel="generator steps", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def tiles(images: Tensor) -> np.ndarray:
    """40 images in four rows, each with a white frame."""
    rows = images[:, 0].reshape(4, 10, 8, 8).numpy()
    framed = np.pad(rows, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-1)
    return np.block([list(row) for row in framed])


def draw(samples: Tensor, found: str, grid_log: list[dict], images: Tensor, log: list[dict]):
    """Samples on the left, exact W_1 during training on the right."""
    figure = Figure(figsize=(10, 6.2), layout="constrained")
    (top_left, top_right), (left, right) = figure.subplots(2, 2)
    top_left.scatter(*samples[:2500].T, s=2, color=BLUE, label="generated")
    top_left.scatter(*grid(2500, seed=3)[0].T, s=2, color=ORANGE, label="data")
    top_left.set(title=found, aspect="equal", xticks=[], yticks=[])
    top_left.legend(
        frameon=False, fontsize=8, markerscale=4, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    curve(top_right, grid_log, "25 Gaussians")
    left.imshow(tiles(images), cmap="gray_r", vmin=-1, vmax=1)
    left.set(title="generated digits", xticks=[], yticks=[])
    curve(right, log, "digits, units of pixels in [−1, 1]")
    return figure


# --8<-- [end:picture]


def main(folder: Path, short: bool = False) -> None:
    """Both runs, one picture."""
    steps, digit_steps = (40, 40) if short else (4000, 2000)
    # --8<-- [start:grid]
    grid_log, samples, modes, share = on_the_grid(steps)
    w1, floor = last(grid_log)
    found = f"{modes} of 25 modes found, {share:.0%} of the points within 3σ of one"
    print(f"25 Gaussians: {found}; W_1 {w1:.3f}, floor {floor:.3f}, {w1 / floor:.1f} times that")
    # --8<-- [end:grid]
    assert short or (modes >= 23 and w1 < 3 * floor)

    # --8<-- [start:digits]
    log, images = on_digits(digit_steps)
    w1, floor = last(log)
    print(f"digits: W_1 {w1:.2f}, floor {floor:.2f}, {w1 / floor - 1:.0%} above")
    # --8<-- [end:digits]
    assert short or w1 < 1.25 * floor

    figure = draw(samples, found, grid_log, images, log)
    figure.savefig(folder / "wgan-gp.png", dpi=110, transparent=True)


if __name__ == "__main__":
    torch.set_num_threads(1)  # sums in another order make another generator in the end
    main(Path("docs/assets"), short="--short" in sys.argv)
