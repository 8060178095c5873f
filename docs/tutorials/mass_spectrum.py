"""A histogram of particle physics: counts are weights of bins, and their distance has units.

The invariant mass of pairs of leptons has a peak on a falling background. Two runs of a detector
whose energy scales differ, and a simulation, are compared as histograms: W_1 is in GeV, and grows
with the shift, where a comparison bin by bin saturates. The average of the runs keeps one peak.
"""

from pathlib import Path

# --8<-- [start:data]
import numpy as np
from matplotlib.figure import Figure

import otdist

EDGES = np.linspace(60.0, 120.0, 121)  # GeV


def counts(n: int, scale: float, seed: int) -> np.ndarray:
    """Counts of one run, shape (120,): three quarters are in the peak, at 91.2 GeV times scale."""
    rng = np.random.default_rng(seed)
    peak = 91.2 + 1.25 * rng.standard_cauchy(n * 3 // 4) + 1.5 * rng.standard_normal(n * 3 // 4)
    background = 60 + rng.exponential(30.0, n - len(peak))
    values = scale * np.concatenate([peak, background])
    return np.histogram(values, EDGES)[0]


# --8<-- [end:data]


# --8<-- [start:distance]
def distance(first: np.ndarray, second: np.ndarray) -> float:
    """W_1 between two histograms, in GeV."""
    (x, a), (y, b) = (otdist.histogram(run, EDGES) for run in (first, second))
    return otdist.wasserstein(x, y, a=a, b=b).distance


# --8<-- [end:distance]


def main(folder: Path, short: bool = False) -> None:
    """Draw the distance against the shift, and the average of two runs."""
    n, places = (2_000, 4) if short else (50_000, 13)
    # --8<-- [start:shift]
    simulated = counts(n, 1.0, 0)
    floor = distance(simulated, counts(n, 1.0, 1))
    shifts = np.linspace(0, 0.06, places)
    runs = [counts(n, 1 + shift, 2) for shift in shifts]
    moved = [distance(simulated, run) for run in runs]
    shares = simulated / simulated.sum()
    binwise = [np.abs(shares - run / run.sum()).sum() / 2 for run in runs]
    print(f"two runs of one scale: W_1 = {floor:.3f} GeV; scale off by 6%: {moved[-1]:.2f} GeV")
    # --8<-- [end:shift]

    # --8<-- [start:average]
    low, high = counts(n, 0.97, 3), counts(n, 1.03, 4)
    average = otdist.barycenter([otdist.histogram(run, EDGES) for run in (low, high)])
    print(
        f"mean W_2² of both runs to their average {average.cost:.2f} GeV², "
        f"and none has less than {average.lower:.2f}"
    )
    # --8<-- [end:average]

    # --8<-- [start:picture]
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(100 * shifts, moved, color="#d9662b", label="W_1 in GeV")
    left.plot(100 * shifts, binwise, color="#2f6db3", label="share of counts that differ")
    left.set(xlabel="error of the energy scale in %")
    left.legend(fontsize=8, frameon=False)
    width, middles = EDGES[1] - EDGES[0], (EDGES[1:] + EDGES[:-1]) / 2
    for run, name, shade in ((low, "scale 0.97", "#a8a8a8"), (high, "scale 1.03", "#5a5a5a")):
        right.step(middles, run / run.sum() / width, where="mid", color=shade, label=name)
    shown, _ = np.histogram(average.points, EDGES, weights=average.weights)
    right.step(middles, shown / width, where="mid", color="#d9662b", label="barycenter")
    right.set(xlabel="invariant mass in GeV", ylabel="density")
    right.legend(fontsize=8, frameon=False)
    # --8<-- [end:picture]
    figure.savefig(folder / "mass-spectrum.png", dpi=130, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"))
