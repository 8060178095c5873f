"""The pictures of docs/metrics.md: great circles, times of the day, embeddings of words.

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
from otdist.drawing.style import BLUE, ORANGE  # noqa: E402

SUPPLY, DEMAND = BLUE, ORANGE


def great_circle(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Latitudes and longitudes (30, 2) of the shortest way, longitudes from 0 to 360."""
    u, v = (
        np.array([np.cos(t) * np.cos(o), np.cos(t) * np.sin(o), np.sin(t)])
        for t, o in np.radians([start, end])
    )
    angle = np.arccos(u @ v)
    share = np.linspace(0, 1, 30)[:, None]
    way = (np.sin((1 - share) * angle) * u + np.sin(share * angle) * v) / np.sin(angle)
    longitude = np.degrees(np.arctan2(way[:, 1], way[:, 0])) % 360
    return np.column_stack([np.degrees(np.arcsin(way[:, 2])), longitude])


def cities(axis: Any) -> None:
    """Where a plan by great circles takes goods on a made-up map, across the date line."""
    rng = np.random.default_rng(4)
    ports = np.column_stack([rng.uniform(-50, 60, 9), rng.uniform(110, 178, 9)])
    towns = np.column_stack([rng.uniform(-50, 60, 9), rng.uniform(-178, -110, 9)])
    plan = wasserstein(ports, towns, metric="haversine").plan
    for i, j in zip(*plan.coords, strict=True):
        way = great_circle(ports[i], towns[j])
        axis.plot(way[:, 1], way[:, 0], "0.6", lw=1, zorder=1)
    axis.plot(ports[:, 1], ports[:, 0], "o", color=SUPPLY)
    axis.plot(towns[:, 1] + 360, towns[:, 0], "s", color=DEMAND)
    axis.axvline(180, color="0.8", ls=":")
    ticks, labels = [140, 160, 180, 200, 220, 240], ["140°E", "", "180°", "", "140°W", ""]
    axis.set_xticks(ticks, labels)
    axis.set(title="haversine", ylabel="latitude")


def on_clock(times: np.ndarray, radius: float | np.ndarray) -> np.ndarray:
    """Points (n, 2) on the face of a clock of 24 hours."""
    angle = times * np.pi / 12
    return np.column_stack([radius * np.sin(angle), radius * np.cos(angle)])


def hours(axis: Any) -> None:
    """Which times meet around midnight."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(22.5, 1.5, 14) % 24, rng.normal(3, 2, 14) % 24
    plan = wasserstein(x, y, p=2, metric=metrics.Periodic(24)).plan
    inner, outer, share = on_clock(x, 0.85), on_clock(y, 1.15), np.linspace(0, 1, 20)
    for i, j in zip(*plan.coords, strict=True):
        shorter = (y[j] - x[i] + 12) % 24 - 12
        axis.plot(*on_clock(x[i] + share * shorter, 0.85 + 0.3 * share).T, "0.6", lw=1, zorder=1)
    axis.plot(*inner.T, "o", color=SUPPLY)
    axis.plot(*outer.T, "s", color=DEMAND)
    for hour in (0, 6, 12, 18):
        axis.text(*on_clock(np.array([hour]), 0.65)[0], str(hour), ha="center", va="center")
    for radius in (0.85, 1.15):
        axis.plot(*on_clock(np.linspace(0, 24, 100), radius).T, "0.85", lw=1, zorder=0)
    limits = (-1.3, 1.3)
    axis.set(aspect="equal", xticks=[], yticks=[], xlim=limits, ylim=limits, title="Periodic(24)")


def tokens(axis: Any) -> None:
    """Which words of two languages meet by the directions of their embeddings."""
    rng = np.random.default_rng(3)
    english = ["sun", "moon", "rain", "tea", "milk", "salt"]
    spanish = ["sol", "luna", "lluvia", "té", "leche", "sal"]
    angle = np.linspace(0.3, 5.7, 6)
    samples = []
    for shift in (0.0, 0.2):
        at = angle + shift + rng.normal(0, 0.05, 6)
        size = rng.uniform(0.6, 1.6, (6, 1))
        samples.append(size * np.column_stack([np.cos(at), np.sin(at)]))
    x, y = samples
    plan = wasserstein(x, y, metric="cosine").plan
    for i, j in zip(*plan.coords, strict=True):
        axis.plot([x[i, 0], y[j, 0]], [x[i, 1], y[j, 1]], "0.4", lw=1, ls="--")
    for points, words, color, mark in ((x, english, SUPPLY, "o"), (y, spanish, DEMAND, "s")):
        for (u, v), word in zip(points, words, strict=True):
            axis.plot([0, u], [0, v], color=color, lw=1, alpha=0.5)
            axis.plot(u, v, mark, color=color, ms=5)
            out = 1 + 0.27 / np.hypot(u, v)
            axis.text(u * out, v * out, word, ha="center", va="center", fontsize=8, color=color)
    limits = (-1.7, 1.7)
    axis.set(title="cosine", aspect="equal", xticks=[], yticks=[], xlim=limits, ylim=limits)


def main(path: Path) -> None:
    """Draw and write the picture."""
    figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.4))
    for axis, draw in zip(axes, (cities, hours, tokens), strict=True):
        draw(axis)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None}, transparent=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/assets/ground-metrics.svg"))
