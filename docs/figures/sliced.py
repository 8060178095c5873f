"""The picture of docs/sliced.md: error of a sliced distance against the number of directions.

    python docs/figures/sliced.py [docs/assets/sliced-error.svg]

Root mean square error over 30 seeds, relative to the value of 2^16 directions.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "otdist"

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from otdist.drawing.style import HOUSE  # noqa: E402
from otdist.sliced import directions as families  # noqa: E402
from otdist.sliced_distances import sliced_wasserstein  # noqa: E402

COUNTS = (32, 64, 128, 256, 512)
SEEDS = 30
POINTS = 200
mpl.rcParams["axes.prop_cycle"] = mpl.cycler(color=HOUSE)


def clouds(d: int) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian cloud and a shifted one with another scale along each axis."""
    rng = np.random.default_rng(d)
    x, y = rng.standard_normal((2, POINTS, d))
    y = y * np.linspace(0.5, 2, d)
    y[:, 0] += 1
    return x, y


def errors(d: int) -> dict[str, list[float]]:
    """Relative RMS error by kind of directions, for each of COUNTS."""
    x, y = clouds(d)
    kind = "qmc" if d <= 3 else "orthogonal"
    truth = sliced_wasserstein(x, y, p=2, n_projections=1 << 16, directions=kind).distance

    def rms(kind: str, count: int) -> float:
        found = [
            sliced_wasserstein(x, y, p=2, n_projections=count, directions=kind, seed=s).distance
            for s in range(SEEDS)
        ]
        return float(np.sqrt(np.mean((np.array(found) / truth - 1) ** 2)))

    return {kind: [rms(kind, count) for count in COUNTS] for kind in families.KINDS}


def main(path: Path) -> None:
    """Draw and write the picture."""
    dimensions = (2, 3, 10, 64)
    figure, grid = plt.subplots(2, 2, figsize=(7.6, 5.6), sharey=True)
    axes = grid.ravel()
    for axis, d in zip(axes, dimensions, strict=True):
        for kind, values in errors(d).items():
            axis.loglog(COUNTS, np.maximum(values, 1e-6), "o-", ms=3, label=kind)
        axis.set_title(f"d = {d}", fontsize=10)
        axis.set_xlabel("directions")
        axis.set_xticks(COUNTS[::2], [str(count) for count in COUNTS[::2]])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    for axis in grid[:, 0]:
        axis.set_ylabel("relative error (RMS)")
    axes[0].set_ylim(1e-6, 0.3)
    axes[0].legend(frameon=False, fontsize=9)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, transparent=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/assets/sliced-error.svg"))
