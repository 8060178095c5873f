"""The picture of docs/exact.md: time and memory of exact transport against n, beside others.

    python docs/figures/exact.py [docs/assets/exact-growth.svg]

Drawn from the figures of the table there, benchmarks/results/exact.json: W_2 of normal clouds, in
the dimensions with several sizes. Medians of time; memory is what one call adds to the peak. A
point that ran into the time limit is left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "otdist"

import matplotlib.pyplot as plt  # noqa: E402

FIGURES = Path("benchmarks/results/exact.json")
NAMES = {"otdist": ("C0", "o"), "POT emd2": ("C1", "s"), "SciPy assignment": ("C2", "^")}
LINES = {2: "-", 10: "--"}
SIZES = (100, 300, 1000, 4000, 20000)


def select(rows: list[dict[str, Any]], name: str, d: int) -> list[tuple[int, float, float]]:
    """Size, seconds and megabytes of one solver in one dimension, by size."""
    return sorted(
        (row["n"], row["seconds"]["median"], max(row["peak_mb"], 0.05))
        for row in rows
        if (row["competitor"], row["d"], row["status"]) == (name, d, "ok")
        and (row["problem"], row["quantity"]) == ("normal clouds", "W_2")
    )


def main(path: Path) -> None:
    """Read, draw, write."""
    rows = json.loads(FIGURES.read_text(encoding="utf-8"))["rows"]
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.4))
    for d, line in LINES.items():
        for name, (colour, marker) in NAMES.items():
            sizes, *figures = zip(*select(rows, name, d), strict=True)
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
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/assets/exact-growth.svg"))
