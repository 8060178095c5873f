"""Drift in a table: which columns moved, by how much, and from which row on.

First a table of wines, of which one half is compared with the other before and after two faults of
the laboratory: one instrument reads too high, another has become noisy, which leaves its mean where
it was. Then a series whose rows depend on each other, where permuting single rows would cry wolf.
"""

import sys
from pathlib import Path

# --8<-- [start:imports]
import numpy as np
from scipy.signal import lfilter
from sklearn.datasets import load_wine

import otdist
from otdist.evaluation.drift import JOINT

# --8<-- [end:imports]


# --8<-- [start:tables]
def halves(seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Two random halves of the wines: seven measurements and the cultivar, a category."""
    data = load_wine()
    order = np.random.default_rng(seed).permutation(len(data.data))
    names = list(data.feature_names)[:7]
    table = {name: data.data[:, i] for i, name in enumerate(names)}
    table["cultivar"] = np.array(["A", "B", "C"])[data.target]
    first, second = order[: len(order) // 2], order[len(order) // 2 :]
    return tuple({name: column[part] for name, column in table.items()} for part in (first, second))


def faulty(table: dict[str, np.ndarray], seed: int = 1) -> dict[str, np.ndarray]:
    """Alcohol reads half a percentage point too high; magnesium keeps its mean, at three times the
    spread.
    """
    magnesium = table["magnesium"]
    noise = np.random.default_rng(seed).normal(size=len(magnesium))
    noisy = magnesium + 2.8 * magnesium.std() * (noise - noise.mean())
    return {**table, "alcohol": table["alcohol"] + 0.5, "magnesium": noisy}


# --8<-- [end:tables]
# --8<-- [start:moved]
def moved(report: otdist.Report, level: float = 0.05) -> list[str]:
    """Columns whose corrected p-value is at most the level."""
    return [
        name
        for name, result in report.metrics.items()
        if name != JOINT and result.pvalue is not None and result.pvalue <= level
    ]


# --8<-- [end:moved]
# --8<-- [start:series]
def series(n: int, rng: np.random.Generator, persistence: float = 0.9) -> np.ndarray:
    """A series of unit variance in which every row remembers the one before."""
    noise = rng.normal(size=n + 200) * np.sqrt(1 - persistence**2)
    return lfilter([1], [1, -persistence], noise)[200:]


# --8<-- [end:series]


def main(folder: Path, short: bool = False) -> None:
    """Compare tables, then a series in windows."""
    permutations = 199 if short else 999
    # --8<-- [start:compare]
    before, after = halves()
    quiet = otdist.drift(before, after, n_permutations=permutations)
    report = otdist.drift(before, faulty(after), n_permutations=permutations)
    print(report)
    print("moved without faults:", moved(quiet), " with them:", moved(report))
    # --8<-- [end:compare]
    assert moved(quiet) == []
    assert moved(report) == ["alcohol", "magnesium"]
    report.plot("effects").savefig(folder / "drift.png", dpi=110, transparent=True)

    trials = 10 if short else 60
    # --8<-- [start:alarms]
    # Pairs of series from the same distribution: how many alarms at 5%, all of them false?
    rng = np.random.default_rng(2)
    alarms = {1: 0, 50: 0}
    for _ in range(trials):
        pair = [{"v": series(1000, rng)} for _ in range(2)]
        for block in alarms:
            found = otdist.drift(*pair, block=block, n_permutations=99)
            alarms[block] += "v" in moved(found)
    print(f"false alarms in {trials}: {alarms[1]} permuting rows, {alarms[50]} permuting blocks")
    # --8<-- [end:alarms]
    assert alarms[1] > 0.5 * trials
    assert alarms[50] < 0.2 * trials

    # --8<-- [start:windows]
    # A temperature and a state of a machine; from row 1,200 of the current series it runs hotter.
    past, current = (
        {"temperature": series(2000, rng), "state": rng.choice(["on", "idle"], 2000)}
        for _ in range(2)
    )
    current["temperature"][1200:] += 2
    windows = otdist.drift(
        past, current, block=50, window=200, step=100, n_permutations=permutations
    )
    late = {
        name: [w for w, r in windows.samples.items() if r[name].pvalue <= 0.05] for name in past
    }
    print("windows that moved:", late)
    # --8<-- [end:windows]
    assert late["state"] == []
    assert late["temperature"][0] in ("1100–1299", "1200–1399", "1300–1499")
    windows.plot("windows").savefig(folder / "drift-windows.png", dpi=110, transparent=True)


if __name__ == "__main__":
    main(Path("docs/assets"), short="--short" in sys.argv)
