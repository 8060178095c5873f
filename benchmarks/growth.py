"""The pictures of docs/exact.md: how time and memory of exact transport grow with n.

W_2 in the dimensions with several sizes: of normal clouds beside other libraries, and of mixtures
to an accuracy of 1% beside the exact answer, with the exponent of the time. Medians of time; memory
is what one call adds to the peak. A point that ran into the time limit is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import OURS
from benchmarks.plots import LOOKS, OUR_LOOK, figure_of, saved
from benchmarks.records import Row

PEERS = ("exact", "normal clouds")
ACCURACY = ("scale", "mixtures to 1%")
"""Suite and problem of the pictures."""
NAMES = dict(zip((OURS, "POT emd2", "SciPy assignment"), (OUR_LOOK, *LOOKS[:2]), strict=True))
WAYS = {OURS: ("rtol = 0.01", OUR_LOOK), "otdist, exact": ("exact", LOOKS[0])}
LINES = {2: "-", 10: "--"}
DIMENSIONS = (2, 10, 64)
SIZES = (100, 300, 1000, 4000, 20000)
LARGE_SIZES = (5000, 20000, 50000)


def select(
    rows: Sequence[Row], name: str, d: int, what: tuple[str, str] = PEERS
) -> list[tuple[int, float, float]]:
    """Size, seconds and megabytes of one solver in one dimension, by size."""
    return sorted(
        (row["n"], row["seconds"]["median"], max(row["peak_mb"], 0.05))
        for row in rows
        if (row["suite"], row["problem"], row["quantity"]) == (*what, "W_2")
        and (row["competitor"], row["d"], row["status"]) == (name, d, "ok")
        and row["n"] >= SIZES[0]
    )


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The power of n that seconds grow with, by least squares of logarithms.

    >>> round(exponent([10, 100, 1000], [1.0, 100.0, 10_000.0]), 6)
    2.0
    """
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the picture beside other libraries; where a line has no point, it is left out."""
    figure, axes = figure_of(2, size=(9.6, 3.4))
    for d, line in LINES.items():
        for name, (colour, marker) in NAMES.items():
            if found := select(rows, name, d):
                sizes, *figures = zip(*found, strict=True)
                for axis, values in zip(axes, figures, strict=True):
                    look = {"color": colour, "marker": marker, "ms": 4, "linestyle": line}
                    axis.loglog(sizes, values, label=f"{name}, d = {d}", **look)
    for axis, label in zip(axes, ("seconds", "megabytes"), strict=True):
        _label(axis, label, SIZES)
    axes[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    saved(figure, path)


def draw_accuracy(rows: Sequence[Row], path: Path) -> None:
    """Write the picture of 1% beside the exact answer, a panel a dimension; none without sizes."""
    figure, axes = figure_of(len(DIMENSIONS), size=(9.6, 3.2))
    for axis, d in zip(axes, DIMENSIONS, strict=True):
        for name, (words, (colour, marker)) in WAYS.items():
            found = select(rows, name, d, ACCURACY)
            if len(found) > 1:
                sizes, seconds, _ = zip(*found, strict=True)
                label = f"{words}: n to the {exponent(sizes, seconds):.1f}"
                axis.loglog(sizes, seconds, color=colour, marker=marker, ms=4, label=label)
        _label(axis, "seconds", LARGE_SIZES)
        axis.set_title(f"d = {d}", fontsize=10)
        if axis.lines:
            axis.legend(frameon=False, fontsize=8)
    if any(axis.lines for axis in axes):
        saved(figure, path)
    else:
        path.unlink(missing_ok=True)


def _label(axis: Any, label: str, sizes: Sequence[int]) -> None:
    axis.set(xlabel="n = m", ylabel=label)
    axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
    low, high = axis.get_ylim()
    ticks = [10.0**k for k in range(-4, 5) if low < 10.0**k < high]
    axis.set_yticks(ticks, [f"{t:,g}" for t in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
