"""Intervals under heavy tails: how many are given, and how many of those miss.

On the line the interval of `confidence_interval` is compared with the basic bootstrap that it is
made from, for all samples and for those in which no row carries more than 30% of the variance. That
limit chooses samples that lack a rare row: what is left of them misses more often, not less.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import coverage_truth as truth
from benchmarks import page
from benchmarks.records import Row

LEVEL = 0.95
SHARE = 0.3
"""The limit that is tried on the line."""
RESAMPLES = 399
POWERS = (1, 2)
SIZES = (30, 300, 1000)


@dataclass(frozen=True)
class Laws:
    """Two distributions on the line.

    Attributes:
        draw: (rng, n) → points of both, n each.
        w: W_1 and W_2 of the distributions.
    """

    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]
    w: tuple[float, float]


def _lognormal(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.exp(rng.standard_normal(n)), np.exp(0.5 + rng.standard_normal(n))


def _exponential(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_exponential(n), 1.6 * rng.standard_exponential(n)


def _student(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_t(3, n), 1 + 1.5 * rng.standard_t(3, n)


def _normal(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal(n), 1 + 1.5 * rng.standard_normal(n)


LAWS = {
    "lognormal, medians 1 and √e": Laws(
        _lognormal, (math.e - math.sqrt(math.e), math.e * (math.sqrt(math.e) - 1))
    ),
    "exponential, means 1 and 1.6": Laws(_exponential, (0.6, 0.6 * math.sqrt(2))),
    "t₃, 1 + 1.5 t₃": Laws(_student, (truth.line_student(1.0, 1.5), math.sqrt(1 + 0.25 * 3))),
    "N(0, 1), N(1, 1.5²)": Laws(_normal, (truth.line_w1(1.0, 1.5), truth.line_w2(1.0, 1.5))),
}


def on_the_line(p: int, laws: str, n: int, trials: int) -> Row:
    """Of W_p, n rows of both samples: the basic bootstrap with and without a limit, and ours."""
    import otdist

    case, rng = LAWS[laws], np.random.default_rng([p, n, *laws.encode()])
    target = case.w[p - 1]
    found = {"trials": trials, "basic": 0, "given_share": 0, "missed_share": 0}
    found |= {"given": 0, "below": 0, "above": 0}
    widths: list[tuple[float, float]] = []
    for trial in range(trials):
        x, y = case.draw(rng, n)
        low, high = basic(x, y, p, trial)
        missed = not low <= target <= high
        found["basic"] += missed
        if largest_share(x, y, p) <= SHARE:
            found["given_share"] += 1
            found["missed_share"] += missed
        try:
            interval = otdist.confidence_interval(x, y, "wasserstein", p=p, level=LEVEL, seed=trial)
        except otdist.inference.NoIntervalError:
            continue
        found["given"] += 1
        found["below"] += target > interval.upper
        found["above"] += target < interval.lower
        widths.append((interval.upper - interval.lower, high - low))
    wider = float(np.median([mine / usual for mine, usual in widths])) if widths else None
    return {**found, "wider": wider}


def basic(x: np.ndarray, y: np.ndarray, p: int, seed: int) -> tuple[float, float]:
    """The basic bootstrap interval of W_p between samples of n points each."""
    rng = np.random.default_rng(seed)
    draws = (np.sort(z[rng.integers(len(z), size=(RESAMPLES, len(z)))], axis=1) for z in (x, y))
    values = (np.abs(np.subtract(*draws)) ** p).mean(1) ** (1 / p)
    value = (np.abs(np.sort(x) - np.sort(y)) ** p).mean() ** (1 / p)
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return 2 * value - high, 2 * value - low


def largest_share(x: np.ndarray, y: np.ndarray, p: int) -> float:
    """The largest share of one row in the variance that the dual potentials estimate."""
    from otdist.line import univariate

    potentials = univariate.potentials(torch.from_numpy(x), torch.from_numpy(y), p)
    squares = np.concatenate([np.square((f - f.mean()).numpy() / len(f)) for f in potentials])
    return float(squares.max() / squares.sum())


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    rows = [row for row in rows if row["experiment"] == "tails" and "given_share" in row]
    order, lines = list(LAWS), []
    for row in sorted(rows, key=lambda r: (-r["options"]["p"], order.index(r["laws"]), r["n"])):
        given, trials = row["given"], row["trials"]
        missed = row["below"] + row["above"]
        wider = f"{row['wider']:.2f}" if row["wider"] and given >= 0.05 * trials else "–"
        cells = [f"W_{row['options']['p']}", row["laws"], row["n"], share(row["basic"], trials)]
        cells += [share(row["missed_share"], row["given_share"])]
        lines.append([*cells, f"{given} of {trials}", share(missed, given), wider])
    titles = [
        "", "distributions", "n, m", "basic bootstrap misses, %", "the same, no row above 30%",
        "given", "misses, %", "width to basic",
    ]  # fmt: skip
    return "\n".join(page.table(titles, lines))


def share(hits: int, trials: int) -> str:
    """Percent with twice its binomial standard error, or the numbers where they are few."""
    if trials < 40:
        return f"{hits} of {trials}"
    part = hits / trials
    return f"{100 * part:.1f} ± {200 * math.sqrt(part * (1 - part) / trials):.1f}"
