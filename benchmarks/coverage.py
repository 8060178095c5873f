"""What intervals cover, and how often tests reject where nothing differs.

Simulations from distributions whose distance is known; parts are statistics of intervals, `tails`
(intervals under heavy tails), `alarms` (tests), and `monitor` (streams).
The same seed gives the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from typer import Option

from benchmarks import coverage_levels as levels
from benchmarks import coverage_tails as tails
from benchmarks import page
from benchmarks.coverage_cases import Case, cases, exponential, lognormal
from benchmarks.experiment import ROOT, Cases, Experiment
from benchmarks.records import Row

if TYPE_CHECKING:
    from otdist.discrepancy.limit import ConfidenceInterval

LEVEL, ALPHA = 0.95, 0.05
Ask = Callable[[Case, np.ndarray, np.ndarray, int], "ConfidenceInterval"]
"""(case, x, y, seed) → interval; an error where none is given."""


def interval(case: Case, x: np.ndarray, y: np.ndarray, seed: int) -> ConfidenceInterval:
    """As users ask for it."""
    import otdist

    return otdist.confidence_interval(x, y, case.statistic, level=LEVEL, seed=seed, **case.options)


def from_any_tails(case: Case, x: np.ndarray, y: np.ndarray, seed: int) -> ConfidenceInterval:
    """The same without the limit on the share of one row."""
    from otdist import discrepancy
    from otdist.inference.visible import check_visible

    chosen = discrepancy.named(case.statistic, case.options, "interval")
    samples = chosen.frame(x, y)
    limit = chosen.limit(samples, seed)
    check_visible(samples, chosen, seed)
    return limit.interval(LEVEL, most=1.0)


def cover(case: Case, n: int, m: int, trials: int, ask: Ask = interval) -> Row:
    """Coverage of one case at one size, over the trials that were not refused."""
    rng = np.random.default_rng([n, m, *case.laws.encode()])
    found, estimates = [], []
    for trial in range(trials):
        x, y = case.draw(rng, n, m)
        try:
            given = ask(case, x, y, trial)
        except ValueError:
            continue
        found.append((given.lower, given.upper))
        estimates.append(given.estimate)
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
    case = Case("frechet", laws, TAILED[laws], None)
    with_limit, without = (cover(case, n, n, trials, ask) for ask in (interval, from_any_tails))
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
