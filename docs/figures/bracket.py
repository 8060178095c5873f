"""The idea in one picture: whichever solver answered, its bracket contains the exact distance."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from sklearn.datasets import load_digits

import otdist

SOLVERS = {
    "Sliced, 128 directions": lambda mean: otdist.Sliced(n_projections=128),
    "Sinkhorn, eps = mean cost / 5": lambda mean: otdist.Sinkhorn(eps=mean / 5),
    "Sinkhorn, eps = mean cost / 20": lambda mean: otdist.Sinkhorn(eps=mean / 20),
    "Sinkhorn, eps = mean cost / 100": lambda mean: otdist.Sinkhorn(eps=mean / 100),
    "Exact": lambda mean: otdist.Exact(),
}


def write_twin(path: Path) -> None:
    """Write the twin for dark pages without the style sheet of the site, whose filter it applies.

    Lightness is reversed, black becoming 0.9, and hues are kept: invert, then turn hues by 180°.
    """
    picture = imread(path)
    inverted = 0.9 - 0.8 * picture[..., :3]
    turn = [[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]]
    dark = np.dstack([(inverted @ np.transpose(turn)).clip(0, 1), picture[..., 3]])
    imsave(path.with_name(f"{path.stem}-dark.png"), dark)


def main(folder: Path, short: bool = False) -> None:
    """Solve one problem five times and draw the brackets."""
    rng = np.random.default_rng(0)
    x = rng.permutation(load_digits().data / 16)[: 150 if short else 898]
    y = rng.multivariate_normal(x.mean(axis=0), np.cov(x.T), size=len(x) + 2).clip(0, 1)
    mean = float(((x[:, None, :] - y[None, :100]) ** 2).sum(axis=-1).mean())

    figure = Figure(figsize=(8, 2.9), layout="constrained")
    axes = figure.subplots()
    exact = float(otdist.wasserstein(x, y, p=2).distance)
    axes.axvline(exact, color="#d9662b", linewidth=1.2)
    axes.text(exact, -0.75, f"  exact $W_2$ = {exact:.4f}", color="#d9662b", fontsize=9)
    for row, make in enumerate(SOLVERS.values()):
        result = otdist.wasserstein(x, y, p=2, solver=make(mean))
        assert result.lower <= exact * (1 + 1e-12)
        assert result.upper >= exact * (1 - 1e-12)
        ends = ([result.lower, result.upper], [row, row])
        axes.plot(*ends, color="#2f6db3", linewidth=7, alpha=0.45, solid_capstyle="butt")
        axes.plot(*ends, "|", color="#2f6db3", markersize=14)
        text = f"  {result.gap:.2g}" if result.gap > 1e-3 else f"  {result.gap:.0e}"
        axes.text(result.upper, row, text, va="center", fontsize=8, color="#2f6db3")
    axes.set_yticks(range(len(SOLVERS)), list(SOLVERS), fontsize=9)
    axes.set_ylim(len(SOLVERS) - 0.5, -1.1)
    axes.set_xlabel("certified bracket on $W_2$, its width beside it")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(folder / "bracket.png", dpi=150, transparent=True)
    write_twin(folder / "bracket.png")


if __name__ == "__main__":
    main(Path("docs/assets"))
