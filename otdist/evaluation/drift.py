r"""drift(): which columns of a table have moved, by how much, and is that more than chance?

Per numeric column: W_1, with the effect size W_1 / std of the reference (free of units). Per
categorical column: the total variation distance ½ Σ |p − q|, an effect size itself. Jointly: the
energy distance of standardised numbers and indicators of categories. All p-values come from
permutations of rows, or of blocks of rows, and those of the columns are corrected for their number.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from otdist.core import checks, measure
from otdist.evaluation import table_columns as tables
from otdist.evaluation.corrections import CORRECTIONS, corrected
from otdist.evaluation.report import MetricResult, Report
from otdist.evaluation.report.evidence import keep
from otdist.evaluation.table_columns import Column, Window, labellings
from otdist.inference.permutation import TestResult, pvalue
from otdist.inference.statistics import EnergyStatistic

JOINT = "all columns jointly"
_JOINT_ROWS = 4000
_NO_INTERVAL = "the limit law is not the same for columns that have moved and that have not"


def drift(
    reference: Any,
    current: Any,
    columns: Sequence[str] | None = None,
    *,
    correction: str = "holm",
    n_permutations: int = 999,
    block: int = 1,
    window: int | None = None,
    step: int | None = None,
    seed: int | None = 0,
) -> Report:
    r"""How far every column of a table has moved, and all of them together.

    Rows must be exchangeable when nothing has moved. Those of a time series are not: there, blocks
    of consecutive rows are permuted (`block`), which holds approximately when the blocks are long
    compared with the time over which rows depend on each other, or effect sizes are read alone
    (``n_permutations=0``).

    Args:
        reference: A mapping from column names to values (a dict or a DataFrame), or an array (n, d)
            of numbers. Columns that are not numbers are compared as categories.
        current: The same columns, m rows; with `window`, in the order of time.
        columns: Names to compare, in this order; for arrays, the names of all columns. None takes
            all, and names those of arrays "0", "1", ….
        correction: Of the columns' p-values for their number: "holm" (valid under any dependence,
            uniformly better than Bonferroni), "bonferroni", "benjamini-hochberg" and
            "benjamini-yekutieli" (the expected share of false alarms), or "none".
        n_permutations: Random labellings; with K columns the smallest p-value after Holm's
            correction is K/(n_permutations + 1). 0 leaves p-values out.
        block: Consecutive rows that are permuted together; rows beyond whole blocks are left out.
        window: Compare the reference with windows of so many rows of `current`, one by one. A
            p-value then counts labellings in which *any* window of the column is as far: it holds
            for all windows together.
        step: Rows from one window to the next; a whole window when None.
        seed: Of the labellings; None draws fresh ones.

    Returns:
        A report with one result per column: distance, `effect` and p-value. Without windows one
        more stands under "all columns jointly" (at most 4,000 rows of each table, drawn at random;
        its p-value is not corrected). With windows, `samples` has one entry a window, in order.

    Raises:
        ValueError: columns differ, are unknown or of different kinds, have no rows, or hold NaN or
            infinity; windows or steps that are no whole blocks, or do not fit.

    Cost: O(N log N) a column, then O(N) per labelling, column and window.
    Reference: Holm (1979), A simple sequentially rejective multiple test procedure; Westfall and
        Young (1993), Resampling-based multiple testing, for the largest of many windows; Kirch
        (2007), Block permutation principles for the change analysis of dependent data.

    >>> import otdist
    >>> old = {"age": [30.0, 40.0, 50.0, 60.0] * 5, "city": ["Rome", "Oslo"] * 10}
    >>> new = {"age": [70.0, 80.0, 90.0, 99.0] * 5, "city": ["Rome", "Oslo"] * 10}
    >>> report = otdist.drift(old, new)
    >>> report.metrics["age"].estimate, report.metrics["city"].estimate
    (39.75, 0.0)
    >>> report.metrics["age"].pvalue < 0.01, report.metrics["city"].pvalue
    (True, 1.0)
    """
    started = time.perf_counter()
    checks.choice("correction", correction, CORRECTIONS)
    plan = _Plan(n_permutations, checks.whole("block", block), checks.generator(seed))
    columns = checks.optional(checks.names, "columns", columns)
    old = tables.read(reference, columns, "reference")
    new = tables.read(current, columns, "current")
    if set(old) != set(new):
        raise ValueError(f"the tables differ in columns: {sorted(set(old) ^ set(new))}")
    n, m = (plan.whole(name, table) for name, table in (("reference", old), ("current", new)))
    pairs = [tables.pooled(name, old[name][:n], new[name][:m]) for name in old]
    windows = {"current": (0, m)} if window is None else _windows(m, window, step, block)
    if window is None and step is not None:
        raise ValueError("step applies to windows only: pass window as well")
    found = plan.compare(pairs, n + m, list(windows.values()))
    words = f"columns, p-values corrected by {correction}" if n_permutations else "columns"
    left = (len(next(iter(old.values()))) - n, len(next(iter(new.values()))) - m)
    if any(left):
        words += f"; {left[0]} + {left[1]} last rows left out, no whole block"
    samples = _results(found, list(windows), correction, n)
    evidence = None
    if window is None:
        joint = np.concatenate([pair.coordinates for pair in pairs], axis=1)
        samples["current"][JOINT] = plan.joint(joint[:n], joint[n:])
        if joint.shape[1]:
            parts = {"reference": joint[:n], "current": joint[n:]}
            evidence = keep(parts, {}, "reference", seed)
    return Report(
        samples,
        {"reference": n, **{name: last - first for name, (first, last) in windows.items()}},
        len(old),
        words,
        seed,
        time.perf_counter() - started,
        reference="reference",
        evidence=evidence,
        windows={} if window is None else windows,
    )


def _windows(m: int, window: int, step: int | None, block: int) -> dict[str, Window]:
    """Name → rows, of all windows that fit."""
    step = window if step is None else step
    for name, value in (("window", window), ("step", step)):
        if checks.whole(name, value) % block:
            raise ValueError(f"{name} must be a multiple of block, {block}: got {value}")
    if window > m:
        raise ValueError(f"window must be at most the {m} rows of current: got {window}")
    starts = range(0, m - window + 1, step)
    return {f"{first}–{first + window - 1}": (first, first + window) for first in starts}


@dataclass(frozen=True)
class _Found:
    """What one column shows: (B + 1, k) distances for k windows, the observed ones first."""

    column: Column
    distances: np.ndarray
    seconds: float

    @property
    def null(self) -> np.ndarray:
        """The largest distance of any window, at each random labelling."""
        return self.distances[1:].max(1)

    def pvalues(self) -> list[float]:
        """Of every window, valid for all of them together."""
        return [pvalue(float(value), self.null) for value in self.distances[0]]


@dataclass(frozen=True)
class _Plan:
    """How labellings are drawn."""

    count: int
    block: int
    rng: np.random.Generator

    def __post_init__(self) -> None:
        checks.whole("n_permutations", self.count, least=0)

    def whole(self, name: str, table: dict[str, np.ndarray]) -> int:
        """Rows in whole blocks."""
        rows = len(next(iter(table.values())))
        if rows < self.block:
            raise ValueError(f"block must be at most the {rows} rows of {name}: got {self.block}")
        return rows - rows % self.block

    def compare(self, pairs: list[Column], number: int, windows: list[Window]) -> list[_Found]:
        """Every column at every labelling; the labellings are the same for all columns."""
        pieces: list[list[np.ndarray]] = [[] for _ in pairs]
        seconds = [0.0] * len(pairs)
        for slots in labellings(number, self.block, self.count, self.rng):
            for k, column in enumerate(pairs):
                started = time.perf_counter()
                pieces[k].append(column.distances(slots, windows))
                seconds[k] += time.perf_counter() - started
        return [
            _Found(column, np.concatenate(piece), time_taken)
            for column, piece, time_taken in zip(pairs, pieces, seconds, strict=True)
        ]

    def joint(self, old: np.ndarray, new: np.ndarray) -> MetricResult:
        """The energy distance in all coordinates at once, of whole blocks drawn at random."""
        words = "energy distance of standardised columns and indicators"
        if old.shape[1] == 0:
            return MetricResult(JOINT, words, None, note="no column has a place in it")
        started = time.perf_counter()
        old, new = self._drawn(old), self._drawn(new)
        n, number = len(old), len(old) + len(new)
        pieces = labellings(number, self.block, self.count, self.rng)
        labels = np.concatenate([slots.numpy() < n for slots in pieces])
        statistic = EnergyStatistic()
        values = statistic.values(measure.pair(old, new), labels, self.rng)
        test = None
        if self.count:
            test = _test(statistic.name, values, (n, len(new)), time.perf_counter() - started)
        return MetricResult(
            JOINT, words, float(values[0]), pvalue=None if test is None else test.pvalue,
            test=test, size=max(n, len(new)), no_interval=_NO_INTERVAL,
            seconds=time.perf_counter() - started,
        )  # fmt: skip

    def _drawn(self, rows: np.ndarray) -> np.ndarray:
        blocks = rows.reshape(-1, self.block, rows.shape[1])
        most = max(1, _JOINT_ROWS // self.block)
        if len(blocks) > most:
            blocks = blocks[np.sort(self.rng.permutation(len(blocks))[:most])]
        return blocks.reshape(-1, rows.shape[1])


def _test(name: str, values: np.ndarray, sizes: tuple[int, int], seconds: float) -> TestResult:
    """The first value is the observed one."""
    p = pvalue(float(values[0]), values[1:])
    return TestResult(float(values[0]), p, values[1:], name, *sizes, seconds)


def _results(
    found: list[_Found], names: list[str], correction: str, n: int
) -> dict[str, dict[str, MetricResult]]:
    """Window → column → result.

    A column's own p-value is its smallest. That of another window is corrected as if it were the
    column's: no larger a chance of a false alarm, since corrections grow with each p-value.
    """
    tested = len(found[0].distances) > 1
    raw = [one.pvalues() if tested else [] for one in found]
    least = [min(values, default=1.0) for values in raw]
    samples: dict[str, dict[str, MetricResult]] = {name: {} for name in names}
    for k, one in enumerate(found):
        column, observed = one.column, one.distances[0]
        farthest = int(observed.argmax())
        for w, name in enumerate(names):
            result = MetricResult(
                column.name,
                column.convention,
                float(observed[w]),
                effect=float(observed[w]) / column.unit if column.unit > 0 else None,
                size=n,
                no_interval=_NO_INTERVAL,
                note=column.note,
                seconds=one.seconds / len(names),
            )
            if tested:
                replaced = [*least[:k], raw[k][w], *least[k + 1 :]]
                result = result.with_(pvalue=corrected(replaced, correction)[k])
            if tested and w == farthest:
                values = np.concatenate([observed[[w]], one.null])
                title = column.quantity
                if len(names) > 1:
                    title = f"largest {title} of a window"
                sizes = (n, column.rows - n)
                result = result.with_(test=_test(title, values, sizes, one.seconds))
            samples[name][column.name] = result
    return samples
