"""The pictures of docs/metrics.md: great circles, times of the day, directions.

    python docs/figures/metrics.py [docs/assets/ground-metrics.svg]

Points are made up; lines are the pairs that an optimal plan joins.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "otdist"

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from otdist import metrics, wasserstein  # noqa: E402

SUPPLY, DEMAND = "#1f77b4", "#d62728"


def cities(axis: plt.Axes) -> None:
    """Where a plan by great circles takes goods on a made-up map, across the date line."""
    rng = np.random.default_rng(4)
    ports = np.column_stack([rng.uniform(-50, 60, 9), rng.uniform(110, 178, 9)])
    towns = np.column_stack([rng.uniform(-50, 60, 9), rng.uniform(-178, -110, 9)])
    plan = wasserstein(ports, towns, metric="haversine").plan
    for i, j in zip(*plan.coords, strict=True):
        axis.plot([ports[i, 1], towns[j, 1] + 360], [ports[i, 0], towns[j, 0]], "0.6", lw=1)
    axis.plot(ports[:, 1], ports[:, 0], "o", color=SUPPLY)
    axis.plot(towns[:, 1] + 360, towns[:, 0], "s", color=DEMAND)
    axis.axvline(180, color="0.8", ls=":")
    axis.set(title="haversine", xlabel="longitude", ylabel="latitude")


def hours(axis: plt.Axes) -> None:
    """Which times meet around midnight."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(22.5, 1.5, 14) % 24, rng.normal(3, 2, 14) % 24
    plan = wasserstein(x, y, metric=metrics.Periodic(24)).plan
    at = [np.exp(1j * (np.pi / 2 - z * np.pi / 12)) for z in (x, y)]
    for i, j in zip(*plan.coords, strict=True):
        ends = np.array([at[0][i], 1.15 * at[1][j]])
        axis.plot(ends.real, ends.imag, "0.6", lw=1)
    axis.plot(at[0].real, at[0].imag, "o", color=SUPPLY)
    axis.plot(1.15 * at[1].real, 1.15 * at[1].imag, "s", color=DEMAND)
    for hour in (0, 6, 12, 18):
        place = 0.8 * np.exp(1j * (np.pi / 2 - hour * np.pi / 12))
        axis.text(place.real, place.imag, str(hour), ha="center", va="center")
    turn = np.exp(2j * np.pi * np.linspace(0, 1, 200))
    for radius in (1, 1.15):
        axis.plot((radius * turn).real, (radius * turn).imag, "0.85", lw=1, zorder=0)
    limits = (-1.3, 1.3)
    axis.set(aspect="equal", xticks=[], yticks=[], xlim=limits, ylim=limits, title="Periodic(24)")


def directions(axis: plt.Axes) -> None:
    """Which vectors meet by their directions, whatever their lengths."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 10, 2))
    plan = wasserstein(x, y, metric="cosine").plan
    for i, j in zip(*plan.coords, strict=True):
        axis.plot([x[i, 0], y[j, 0]], [x[i, 1], y[j, 1]], "0.6", lw=1)
    axis.plot(*x.T, "o", color=SUPPLY)
    axis.plot(*y.T, "s", color=DEMAND)
    axis.plot(0, 0, "k+")
    axis.set(title="cosine", aspect="equal", xticks=[], yticks=[])


def main(path: Path) -> None:
    """Draw and write the picture."""
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.4))
    for axis, draw in zip(axes, (cities, hours, directions), strict=True):
        draw(axis)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/assets/ground-metrics.svg"))
