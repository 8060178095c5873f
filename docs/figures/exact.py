"""The picture of docs/exact.md: time and memory of exact transport against n, beside POT.

    python docs/figures/exact.py [docs/assets/exact-growth.svg]

Every point is one process of its own, so that its peak memory is its own too; what importing takes
is subtracted. Minutes on two cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "otdist"

import matplotlib.pyplot as plt  # noqa: E402

SIZES = {"otdist": (1500, 3000, 6000, 12000), "POT": (1500, 3000)}
DIMENSIONS = (2, 10, 64)
RUN = """
import json, resource, sys, time
import numpy as np, ot, otdist
name, n, d = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = np.random.default_rng(0)
x, y = rng.normal(size=(n, d)), 1.2 * rng.normal(size=(n, d)) + 0.5
def solve(x, y):
    if name == "otdist":
        return otdist.wasserstein(x, y, p=2).cost
    return ot.emd2([], [], ot.dist(x, y), numItermax=10**8)
solve(x[:50], y[:50])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, begin = peak(), time.perf_counter()
solve(x, y)
print(json.dumps([time.perf_counter() - begin, max(peak() - before, 1.0)]))
"""


def measure(name: str, n: int, d: int) -> tuple[float, float]:
    """Seconds, and megabytes above those of the imports, in a process of its own."""
    command = [sys.executable, "-c", RUN, name, str(n), str(d)]
    seconds, megabytes = json.loads(subprocess.check_output(command, text=True))
    print(f"{name:6} n = {n:6,} d = {d:2}: {seconds:7.2f} s {megabytes:7.0f} MB", flush=True)
    return seconds, megabytes


def main(path: Path) -> None:
    """Measure, draw, write."""
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.4))
    for colour, d in zip(("C0", "C1", "C2"), DIMENSIONS, strict=True):
        for (name, sizes), style in zip(SIZES.items(), ("o-", "s--"), strict=True):
            figures = [measure(name, n, d) for n in sizes]
            for axis, values in zip(axes, zip(*figures, strict=True), strict=True):
                axis.loglog(sizes, values, style, color=colour, ms=4, label=f"{name}, d = {d}")
    for axis, label in zip(axes, ("seconds", "megabytes"), strict=True):
        axis.set(xlabel="n = m", ylabel=label)
        axis.set_xticks(SIZES["otdist"], [f"{n:,}" for n in SIZES["otdist"]])
        low, high = axis.get_ylim()
        ticks = [t for k in range(-3, 5) for t in (10.0**k, 3 * 10.0**k) if low < t < high]
        axis.set_yticks(ticks, [f"{t:g}" for t in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/assets/exact-growth.svg"))
