"""What intervals cover, and how often tests cry wolf: `python -m benchmarks.coverage [NAME…]`.

Simulations from laws whose distance is known. Rows go to `benchmarks/results/coverage.json`, in
place of earlier ones of the same case, and the tables into `docs/statistics.md`; `table` writes the
tables alone. The same seed gives the same rows.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import coverage_truth as truth
from benchmarks import page, records

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "coverage.json"
PAGE = ROOT / "docs" / "statistics.md"
MARK = "table of benchmarks/coverage, {}"
KEY = ("experiment", "statistic", "options", "laws", "n", "m", "d")
LEVEL, ALPHA = 0.95, 0.05
Row = dict[str, Any]
Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """Two laws and what an interval between samples of them should cover.

    Attributes:
        statistic: Of `confidence_interval`.
        laws: In words.
        draw: (rng, n, m) → samples.
        target: The true value; None where it is the expectation at these sizes, which the mean
            over all trials estimates.
        options: Of the statistic.
        sizes: (n, m) of each row.
    """

    statistic: str
    laws: str
    draw: Draw
    target: float | None
    options: dict[str, Any] = field(default_factory=dict)
    sizes: tuple[tuple[int, int], ...] = ((60, 50), (300, 250))


def normal(d: int, shift: float, spread: float) -> Draw:
    """N(0, I) against N(shift e_1, spread² I)."""

    def draw(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
        y = spread * rng.standard_normal((m, d))
        y[:, 0] += shift
        return rng.standard_normal((n, d)), y

    return draw


def exponential(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Two exponential laws of mean 1 and 1.6."""
    return rng.standard_exponential((n, 1)), 1.6 * rng.standard_exponential((m, 1))


def atoms(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Two laws on the same four points of the plane."""
    x, y = (rng.choice(4, size, p=law) for size, law in zip((n, m), truth.WEIGHTS, strict=True))
    return truth.ATOMS[x], truth.ATOMS[y]


def half_equal(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """On the line: equal above 0, shifted by 1 below −10."""
    x, y = rng.standard_normal((n, 1)), rng.standard_normal((m, 1))
    for z, to in ((x, -10.0), (y, -11.0)):
        low = z < 0
        z[low] = to + z[low] / 10
    return x, y


def cases() -> list[Case]:
    """Laws that differ plainly, then hard ones."""
    d, shift, spread = 3, 1.0, 1.5
    plain, words = normal(d, shift, spread), "N(0, I), N(e₁, 1.5² I), d = 3"
    line, on_line = normal(1, 1.0, 1.5), "N(0, 1), N(1, 1.5²)"
    near, weak = normal(d, 0.3, 1.0), "N(0, I), N(0.3 e₁, I), d = 3"
    largest = truth.along_best(shift, spread)
    sizes = ((60, 50), (300, 250), (1000, 800))
    return [
        Case("wasserstein", on_line, line, truth.line_w1(1.0, 1.5), {"p": 1}, sizes),
        Case("wasserstein", on_line, line, truth.line_w2(1.0, 1.5), {"p": 2}, sizes),
        Case("wasserstein", "N(0, 1), N(0, 2²)", normal(1, 0.0, 2.0), math.sqrt(2 / math.pi),
             {"p": 1}, sizes),
        Case("wasserstein", "exponential, means 1 and 1.6", exponential, 0.6, {"p": 1}, sizes),
        Case("wasserstein", "equal above 0, apart below", half_equal, 0.5, {"p": 1}, sizes),
        Case("wasserstein", words, plain, None),
        Case("sliced", words, plain, truth.sliced_w2(d, shift, spread)),
        Case("sliced", "N(0, I), N(e₁, 1.5² I), d = 20", normal(20, shift, spread),
             truth.sliced_w2(20, shift, spread)),
        Case("max_sliced", words, plain, largest),
        Case("sinkhorn", words, plain, truth.sinkhorn(d, shift, spread, 1.0), {"eps": 1.0}),
        Case("sinkhorn", "on four points", atoms, truth.atoms_sinkhorn(0.5), {"eps": 0.5}),
        Case("energy", words, plain, truth.energy(d, shift, spread)),
        Case("mmd", words, plain, truth.mmd(d, shift, spread, 2.0), {"bandwidth": 2.0}),
        Case("kid", words, plain, truth.kid(d, shift, spread), sizes=sizes),
        Case("frechet", words, plain, None, sizes=sizes),
        Case("frechet", "N(0, I), N(e₁, 1.5² I), d = 15", normal(15, shift, spread), None),
        Case("sliced", weak, near, truth.sliced_w2(d, 0.3, 1.0), sizes=sizes),
        Case("energy", weak, near, truth.energy(d, 0.3, 1.0), sizes=sizes),
        Case("energy", "equal: N(0, I), d = 3", normal(d, 0.0, 1.0), 0.0),
        Case("frechet", "equal: N(0, I), d = 3", normal(d, 0.0, 1.0), None),
    ]  # fmt: skip


def cover(case: Case, n: int, m: int, trials: int) -> Row:
    """Coverage of one case at one size, over the trials that were not refused."""
    import otdist

    rng = np.random.default_rng([n, m, *case.laws.encode()])
    found, estimates = [], []
    for trial in range(trials):
        x, y = case.draw(rng, n, m)
        try:
            interval = otdist.confidence_interval(
                x, y, case.statistic, level=LEVEL, seed=trial, **case.options
            )
        except ValueError:
            continue
        found.append((interval.lower, interval.upper))
        estimates.append(interval.estimate)
    target = case.target
    if target is None and estimates:
        target = float(np.mean(estimates))
    inside = [low <= target <= high for low, high in found] if target is not None else []
    widths = [high - low for low, high in found if math.isfinite(high)]
    return {
        "experiment": "coverage",
        "statistic": case.statistic,
        "options": case.options,
        "laws": case.laws,
        "n": n,
        "m": m,
        "trials": trials,
        "given": len(found),
        "covered": sum(map(bool, inside)),
        "target": target,
        "mean": float(np.mean(estimates)) if estimates else None,
        "width": float(np.median(widths)) if widths else None,
    }


TESTS: dict[str, tuple[dict[str, Any], int]] = {
    "sliced": ({"n_projections": 10}, 4),
    "energy": ({}, 4),
    "mmd": ({}, 4),
    "wasserstein": ({}, 1),
    "sinkhorn": ({}, 1),
}
"""Statistics of `two_sample_test`, their options, and how many times the trials they can afford."""


def false_alarms(statistic: str, n: int, m: int, d: int, trials: int) -> Row:
    """How often a test rejects at 5% where both samples are of one law, Student's t_3."""
    import otdist

    options, factor = TESTS[statistic]
    trials *= factor
    rng = np.random.default_rng([n, m, d])
    rejected = 0
    for trial in range(trials):
        z = rng.standard_t(3, size=(n + m, d))
        result = otdist.two_sample_test(
            z[:n], z[n:], statistic, n_permutations=39, seed=trial, **options
        )
        rejected += result.pvalue <= ALPHA
    return {"experiment": "false alarms", "statistic": statistic, "n": n, "m": m, "d": d,
            "trials": trials, "rejected": rejected}  # fmt: skip


def keep(row: Row, path: Path) -> None:
    """Add the row to the file, and show it."""
    print(row, flush=True)
    records.keep(row, path, KEY, os.cpu_count() or 1)


def between(hits: int, trials: int) -> str:
    """A share with twice its binomial standard error, in percent."""
    share = hits / trials
    return f"{100 * share:.1f} ± {200 * math.sqrt(share * (1 - share) / trials):.1f}"


def coverage_table(rows: list[Row]) -> str:
    """Markdown, in the order of `cases`."""
    lines = [
        "| statistic | laws | n, m | target | mean | given | covered, % |",
        "|---|---|---|---|---|---|---|",
    ]
    order = [(case.statistic, case.laws) for case in cases()]
    rows = [row for row in rows if row["experiment"] == "coverage"]
    rows = [row for row in rows if (row["statistic"], row["laws"]) in order]
    for row in sorted(rows, key=lambda r: order.index((r["statistic"], r["laws"]))):
        options = ", ".join(f"{name} = {value:g}" for name, value in row["options"].items())
        name = f"`{row['statistic']}`" + (f", {options}" if options else "")
        given, trials = row["given"], row["trials"]
        enough = given >= 0.05 * trials
        covered = between(row["covered"], given) if enough else "–"
        known = f"{row['target']:.4g}" if enough else "–"
        mean = f"{row['mean']:.4g}" if enough else "–"
        lines.append(
            f"| {name} | {row['laws']} | {row['n']}, {row['m']} | {known} | {mean} | "
            f"{given} of {trials} | {covered} |"
        )
    return "\n".join(lines)


def alarms_table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| statistic | n, m | d | trials | p ≤ 0.05, % |", "|---|---|---|---|---|"]
    rows = [row for row in rows if row["experiment"] == "false alarms"]
    for row in sorted(rows, key=lambda r: (list(TESTS).index(r["statistic"]), r["d"])):
        lines.append(
            f"| `{row['statistic']}` | {row['n']}, {row['m']} | {row['d']} | {row['trials']:,} | "
            f"{between(row['rejected'], row['trials'])} |"
        )
    return "\n".join(lines)


TABLES: dict[str, Callable[[list[Row]], str]] = {
    "intervals": coverage_table,
    "false alarms": alarms_table,
}


def into(path: Path, rows: list[Row]) -> None:
    """Put the tables between their marks on the page."""
    for name, render in TABLES.items():
        page.put(path, MARK.format(name), render(rows))


def main() -> None:
    """Run the named statistics, all by default; `alarms` for the tests, `table` for the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    names = options.names or [case.statistic for case in cases()] + ["alarms", "table"]
    for case in cases():
        if case.statistic in names:
            for n, m in case.sizes:
                keep(cover(case, n, m, options.trials), options.out)
    if "alarms" in names:
        for statistic in TESTS:
            for n, m, d in ((11, 9, 2), (25, 25, 20)):
                keep(false_alarms(statistic, n, m, d, options.trials), options.out)
    if "table" in names:
        into(PAGE, records.read(options.out))


if __name__ == "__main__":
    main()
