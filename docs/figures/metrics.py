"""The pictures of docs/metrics.md: great circles, times of the day, directions.

    python docs/figures/metrics.py [docs/assets/ground-metrics.svg]

Points are made up; lines are the pairs that an optimal plan joins.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "otdist"

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from otdist import metrics, wasserstein  # noqa: E402

SUPPLY, DEMAND = "#1f77b4", "#d62728"


def cities(axis: Any) -> None:
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


def on_clock(times: np.ndarray, radius: float) -> np.ndarray:
    """Points (n, 2) on the face of a clock of 24 hours."""
    angle = times * np.pi / 12
    return radius * np.column_stack([np.sin(angle), np.cos(angle)])


def hours(axis: Any) -> None:
    """Which times meet around midnight."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(22.5, 1.5, 14) % 24, rng.normal(3, 2, 14) % 24
    plan = wasserstein(x, y, metric=metrics.Periodic(24)).plan
    inner, outer = on_clock(x, 1), on_clock(y, 1.15)
    for i, j in zip(*plan.coords, strict=True):
        axis.plot([inner[i, 0], outer[j, 0]], [inner[i, 1], outer[j, 1]], "0.6", lw=1)
    axis.plot(*inner.T, "o", color=SUPPLY)
    axis.plot(*outer.T, "s", color=DEMAND)
    for hour in (0, 6, 12, 18):
        axis.text(*on_clock(np.array([hour]), 0.8)[0], str(hour), ha="center", va="center")
    for radius in (1, 1.15):
        axis.plot(*on_clock(np.linspace(0, 24, 200), radius).T, "0.85", lw=1, zorder=0)
    limits = (-1.3, 1.3)
    axis.set(aspect="equal", xticks=[], yticks=[], xlim=limits, ylim=limits, title="Periodic(24)")


def directions(axis: Any) -> None:
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
