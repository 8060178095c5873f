"""The picture of docs/exact.md: time and memory of exact transport against n, beside others.

W_2 of normal clouds, in the dimensions with several sizes. Medians of time; memory is what one call
adds to the peak. A point that ran into the time limit is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.case import OURS
from benchmarks.plots import LOOKS, OUR_LOOK, figure_of, saved
from benchmarks.records import Row

NAMES = dict(zip((OURS, "POT emd2", "SciPy assignment"), (OUR_LOOK, *LOOKS[:2]), strict=True))
LINES = {2: "-", 10: "--"}
SIZES = (100, 300, 1000, 4000, 20000)


def select(rows: Sequence[Row], name: str, d: int) -> list[tuple[int, float, float]]:
    """Size, seconds and megabytes of one solver in one dimension, by size."""
    return sorted(
        (row["n"], row["seconds"]["median"], max(row["peak_mb"], 0.05))
        for row in rows
        if (row["suite"], row["competitor"], row["d"], row["status"]) == ("exact", name, d, "ok")
        and (row["problem"], row["quantity"]) == ("normal clouds", "W_2")
        and row["n"] >= SIZES[0]
    )


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the picture; where a line has no point, it is left out."""
    figure, axes = figure_of(2, size=(9.6, 3.4))
    for d, line in LINES.items():
        for name, (colour, marker) in NAMES.items():
            if found := select(rows, name, d):
                sizes, *figures = zip(*found, strict=True)
                for axis, values in zip(axes, figures, strict=True):
                    look = {"color": colour, "marker": marker, "ms": 4, "linestyle": line}
                    axis.loglog(sizes, values, label=f"{name}, d = {d}", **look)
    for axis, label in zip(axes, ("seconds", "megabytes"), strict=True):
        axis.set(xlabel="n = m", ylabel=label)
        axis.set_xticks(SIZES, [f"{n:,}" for n in SIZES])
        low, high = axis.get_ylim()
        ticks = [10.0**k for k in range(-4, 5) if low < 10.0**k < high]
        axis.set_yticks(ticks, [f"{t:,g}" for t in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    saved(figure, path)
