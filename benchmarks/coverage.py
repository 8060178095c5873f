"""What intervals cover, and how often tests reject where nothing differs.

Simulations from distributions whose distance is known; parts are statistics of intervals, `tails`
(intervals under heavy tails), `alarms` (tests), and `monitor` (streams).
The same seed gives the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Annotated, Any

import numpy as np
from typer import Option

from benchmarks import coverage_levels as levels
from benchmarks import coverage_tails as tails
from benchmarks import coverage_truth as truth
from benchmarks import page
from benchmarks.experiment import ROOT, Cases, Experiment
from benchmarks.records import Row

LEVEL, ALPHA = 0.95, 0.05
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


def lognormal(rng: np.random.Generator, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Exponentials of N(0, 1) and of N(0.5, 1)."""
    return np.exp(rng.standard_normal((n, 1))), np.exp(0.5 + rng.standard_normal((m, 1)))


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
        Case("kid", "exponential, means 1 and 1.6", exponential, truth.exponential_kid(1.6),
             sizes=sizes),
        Case("kid", "lognormal, medians 1 and √e", lognormal, truth.lognormal_kid(0.5),
             sizes=sizes),
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
    "mmd_fuse": ({}, 1),
    "wasserstein": ({}, 1),
    "sinkhorn": ({}, 1),
}
"""Statistics of `two_sample_test`, their options, and how many times the trials they can afford."""


def false_alarms(statistic: str, n: int, m: int, d: int, trials: int) -> Row:
    """How often a test rejects at 5% where both samples are of one law, Student's t_3."""
    import otdist

    options, factor = TESTS.get(statistic, ({}, 2))
    trials *= factor
    rng = np.random.default_rng([n, m, d])
    rejected = 0
    for trial in range(trials):
        if statistic in levels.STRUCTURED:
            rejected += levels.STRUCTURED[statistic](rng, n, m, d, trial) <= ALPHA
            continue
        z = rng.standard_t(3, size=(n + m, d))
        result = otdist.two_sample_test(
            z[:n], z[n:], statistic, n_permutations=39, seed=trial, **options
        )
        rejected += result.pvalue <= ALPHA
    return {"trials": trials, "rejected": int(rejected)}


def between(hits: int, trials: int) -> str:
    """A share with twice its binomial standard error, in percent."""
    share = hits / trials
    return f"{100 * share:.1f} ± {200 * math.sqrt(share * (1 - share) / trials):.1f}"


def coverage_table(rows: Sequence[Row]) -> str:
    """Markdown, in the order of `cases`."""
    order = [(case.statistic, case.laws) for case in cases()]
    rows = [row for row in rows if row["experiment"] == "coverage"]
    rows = [row for row in rows if (row["statistic"], row["laws"]) in order]
    lines = []
    for row in sorted(rows, key=lambda r: order.index((r["statistic"], r["laws"]))):
        options = ", ".join(f"{name} = {value:g}" for name, value in row["options"].items())
        name = f"`{row['statistic']}`" + (f", {options}" if options else "")
        given, trials, shown = row["given"], row["trials"], ["–"] * 3
        if given >= 0.05 * trials:
            covered = between(row["covered"], given)
            shown = [f"{row['target']:.4g}", f"{row['mean']:.4g}", covered]
        cells = [name, row["laws"], f"{row['n']}, {row['m']}", *shown[:2]]
        lines.append([*cells, f"{given} of {trials}", shown[2]])
    titles = ["statistic", "laws", "n, m", "target", "mean", "given", "covered, %"]
    return "\n".join(page.table(titles, lines))


def alarms_table(rows: Sequence[Row]) -> str:
    """Markdown."""
    rows = [row for row in rows if row["experiment"] == "false alarms"]
    lines = []
    order = [*TESTS, *levels.STRUCTURED]
    for row in sorted(rows, key=lambda r: (order.index(r["statistic"]), r["d"])):
        share, sizes = between(row["rejected"], row["trials"]), f"{row['n']}, {row['m']}"
        lines.append([f"`{row['statistic']}`", sizes, row["d"], f"{row['trials']:,}", share])
    return "\n".join(page.table(["statistic", "n, m", "d", "trials", "p ≤ 0.05, %"], lines))


def monitors_table(rows: Sequence[Row]) -> str:
    """Markdown."""
    rows = [row for row in rows if row["experiment"] == "monitor"]
    lines = []
    for row in sorted(rows, key=lambda r: (r["horizon"], r["shift"], r["alpha"])):
        end = f"{row['rows']:,}" if row["horizon"] else "none"
        delay = "–" if row["delay"] is None or not row["shift"] else f"{row['delay']:.0f}"
        moved = f"by {row['shift']:g}" if row["shift"] else "no"
        shares = [between(row[name], row["trials"]) for name in ("false", "alarms")]
        found = shares[1] if row["shift"] else "–"
        cells = [f"{100 * row['alpha']:g}%", end, moved, row["trials"], shares[0], found, delay]
        lines.append(cells)
    titles = [
        "`alpha`",
        "`horizon`",
        "moved",
        "runs",
        "false alarms, %",
        "alarms, %",
        "delay, rows",
    ]
    return "\n".join(page.table(titles, lines))


TAILED = {"lognormal, medians 1 and √e": lognormal, "exponential, means 1 and 1.6": exponential}
"""Distributions of the Fréchet distance under heavy tails."""


def heavy(laws: str, n: int, trials: int) -> Row:
    """Intervals of Fréchet distances that miss with the limit on the share of one row, and without.

    The target is the mean over the trials.
    """
    from otdist.discrepancy import limit

    case, usual = Case("frechet", laws, TAILED[laws], None), limit.LARGEST_SHARE
    with_limit = cover(case, n, n, trials)
    try:
        limit.LARGEST_SHARE = 1.0
        without = cover(case, n, n, trials)
    finally:
        limit.LARGEST_SHARE = usual
    found = {"trials": trials}
    for words, row in (("with", with_limit), ("without", without)):
        found |= {f"given_{words}": row["given"], f"missed_{words}": row["given"] - row["covered"]}
    return found


def tails_table(rows: Sequence[Row]) -> str:
    """Markdown."""
    rows = [row for row in rows if row["experiment"] == "tails" and row["statistic"] == "frechet"]
    lines = []
    for row in sorted(rows, key=lambda r: (r["laws"], r["n"])):
        shown = [f"{row[f'missed_{w}']} of {row[f'given_{w}']}" for w in ("without", "with")]
        lines.append(["`frechet`", row["laws"], row["n"], *shown])
    titles = ["statistic", "laws", "n, m", "missed without a limit", "missed with it"]
    return "\n".join(page.table(titles, lines))


@dataclass(frozen=True)
class Settings:
    """Options of the command."""

    trials: Annotated[int, Option(min=1, help="Of every case.")] = 500


def _intervals(statistic: str, settings: Settings) -> Cases:
    for case in cases():
        for n, m in case.sizes if case.statistic == statistic else ():
            known = {"experiment": "coverage", "statistic": statistic, "options": case.options}
            measured = partial(cover, case, n, m, settings.trials)
            yield {**known, "laws": case.laws, "n": n, "m": m}, measured


def _alarms(settings: Settings) -> Cases:
    for statistic in (*TESTS, *levels.STRUCTURED):
        for n, m, d in ((11, 9, 2), (25, 25, 20)):
            known = {"experiment": "false alarms", "statistic": statistic, "n": n, "m": m, "d": d}
            yield known, partial(false_alarms, statistic, n, m, d, settings.trials)


def _monitors(settings: Settings) -> Cases:
    for horizon in (False, True):
        for alpha, shift in ((0.05, 0.0), (0.05, 1.0), (0.05, 2.0)):
            known = {"experiment": "monitor", "alpha": alpha, "horizon": horizon, "shift": shift}
            known |= {"rows": 300, "d": 3}
            if shift:
                trials = settings.trials // 5
                yield known, partial(levels.monitored, alpha, horizon, shift, 300, 3, trials)
            else:
                yield known, partial(levels.quiet, alpha, horizon, 300, 3, 8 * settings.trials)


def _tails(settings: Settings) -> Cases:
    for p, laws, n in product((2, 1), tails.LAWS, tails.SIZES):
        known = {"experiment": "tails", "statistic": "wasserstein", "options": {"p": p}}
        measured = partial(tails.on_the_line, p, laws, n, settings.trials)
        yield {**known, "laws": laws, "n": n, "m": n}, measured
    for laws, n in product(TAILED, (30, 300)):
        known = {"experiment": "tails", "statistic": "frechet", "laws": laws, "n": n}
        yield known, partial(heavy, laws, n, settings.trials)


STATISTICS = (
    "wasserstein", "sliced", "max_sliced", "sinkhorn", "energy", "mmd", "kid", "frechet",
)  # fmt: skip
EXPERIMENT = Experiment(
    "coverage",
    __doc__ or "",
    Settings,
    {
        **{name: partial(_intervals, name) for name in STATISTICS},
        "tails": _tails,
        "alarms": _alarms,
        "monitor": _monitors,
    },
    ("experiment", "statistic", "options", "laws", "n", "m", "d", "alpha", "horizon", "shift"),
    ROOT / "docs" / "statistics.md",
    {
        "table of benchmarks/coverage, intervals": coverage_table,
        "table of benchmarks/coverage, false alarms": alarms_table,
        "table of benchmarks/coverage, monitors": monitors_table,
        "table of benchmarks/coverage, tails on the line": tails.table,
        "table of benchmarks/coverage, heavy tails": tails_table,
    },
)
