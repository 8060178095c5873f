r"""drift(): which columns of a table have moved, by how much, and is that more than chance?

Per column of numbers or times: W_1, with the effect size W_1 / std of the reference (free of
units). Per column of categories: the total variation distance ½ Σ |p − q|, an effect size itself.
Jointly: the energy distance of standardised numbers and indicators of categories. All p-values come
from permutations of rows, or of blocks of rows, and those of the columns are corrected for their
number.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from otdist.core import checks
from otdist.core.progress import progress as shown
from otdist.core.shapes import check_shapes
from otdist.evaluation import column_kinds as kinds
from otdist.evaluation.corrections import CORRECTIONS, corrected
from otdist.evaluation.drift_plan import NO_INTERVAL, Found, Plan, test_of
from otdist.evaluation.report import MetricResult, Report
from otdist.evaluation.report.columns import kept
from otdist.evaluation.report.evidence import keep
from otdist.evaluation.report.verdict import JOINT
from otdist.evaluation.table_columns import Window
from otdist.io.reading import Reading, read_each


def drift(
    reference: Any,
    current: Any,
    columns: Sequence[str] | None = None,
    *,
    correction: str = "holm",
    n_permutations: int | None = None,
    block: int = 1,
    window: int | None = None,
    step: int | None = None,
    seed: int | None = 0,
    exclude: Sequence[str] = (),
    missing: Sequence[Any] | None = None,
    categories: Sequence[str] = (),
    progress: bool = True,
) -> Report:
    r"""How far every column of a table has moved, and all of them together.

    Rows must be exchangeable when nothing has moved. Those of a time series are not: there, blocks
    of consecutive rows are permuted (`block`), which holds approximately when the blocks are long
    compared with the time over which rows depend on each other, or effect sizes are read alone
    (``n_permutations=0``).

    Args:
        reference: Columns by name (a dict, a data frame, an Arrow table), the path of a file of
            `otdist.io.read_columns` or what was read of it, or an array (n, d) of numbers.
            Numbers are measurements, text and truth values categories, times are compared in days;
            identifiers are left out. The report's `notes` say what was taken for what.
        current: The same columns, m rows; with `window`, in the order of time.
        columns: Names to compare, in this order and whatever they are; for arrays, the names of all
            columns. None takes all, and names those of arrays "0", "1", ….
        correction: Of the columns' p-values for their number: "holm" (valid under any dependence,
            uniformly better than Bonferroni), "bonferroni", "benjamini-hochberg" and
            "benjamini-yekutieli" (the expected share of false alarms), or "none".
        n_permutations: Random labellings B; no p-value of K columns is below K/(B + 1) after Holm's
            correction. None takes 999, and so many more for columns with small p-values that they
            can reach 0.01 (at most 19,999). 0 leaves p-values out.
        block: Consecutive rows that are permuted together; rows beyond whole blocks are left out.
        window: Compare the reference with windows of so many rows of `current`, one by one. A
            p-value then counts labellings in which *any* window of the column is as far: it holds
            for all windows together.
        step: Rows from one window to the next; a whole window when None.
        seed: Of the labellings; None draws fresh ones.
        exclude: Names to leave out.
        missing: Words and numbers that mean a missing cell, besides None, NaN and empty text; the
            words NA, N/A, null and the like unless stated.
        categories: Names of columns whose numbers are categories.
        progress: Show which labellings are being computed, in a terminal or a notebook.

    Returns:
        A report with one result per column: distance, `effect` and p-value. A column with missing
        cells has two: the cells that hold something, and "name: missing", the difference of the
        shares of those that do not. Without windows one more stands under "all columns jointly" (at
        most 4,000 rows of each table, drawn at random; its p-value is not corrected). With windows,
        `samples` has one entry a window, in order.

    Raises:
        ValueError: columns differ, are unknown or of different kinds, have no rows, or hold
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
    plan = Plan(n_permutations, checks.whole("block", block), checks.generator(seed))
    rule = Reading(columns=columns, missing=missing, categories=categories, exclude=exclude)
    given = {"reference": reference, "current": current}
    check_shapes({name: np.shape(v)[1:] for name, v in given.items() if not kinds.is_table(v)})
    readers = [partial(kinds.read, v, rule, name) for name, v in given.items()]
    old, new = read_each(readers, rule.exclude)
    if set(old) != set(new):
        raise ValueError(f"the tables differ in columns: {sorted(set(old) ^ set(new))}")
    n, m = (plan.whole(name, table) for name, table in (("reference", old), ("current", new)))
    asked = columns or () if kinds.is_table(reference) else old
    left = (len(next(iter(old.values()))) - n, len(next(iter(new.values()))) - m)
    old, new = ({name: t[name][:k] for name in old} for t, k in ((old, n), (new, m)))
    pairs, notes = kinds.compared(old, new, asked)
    windows = {"current": (0, m)} if window is None else _windows(m, window, step, block)
    if window is None and step is not None:
        raise ValueError("step applies to windows only: pass window as well")
    with shown("labellings", quiet=not checks.flag("progress", progress), total=plan.count) as say:
        found = plan.compare(pairs, n + m, list(windows.values()), correction, say)
    words = f"columns, p-values corrected by {correction}" if n_permutations != 0 else "columns"
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
        notes=(*notes, *plan.unreachable(pairs, correction)),
        corrected=True,
        columns=kept(old, new) if window is None else {},
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


def _results(
    found: list[Found], names: list[str], correction: str, n: int
) -> dict[str, dict[str, MetricResult]]:
    """Window → column → result.

    A column's own p-value is its smallest. That of another window is corrected as if it were the
    column's: no larger a chance of a false alarm, since corrections grow with each p-value.
    """
    tested = len(found[0].distances) > 1
    raw = [one.pvalues() if tested else [] for one in found]
    least = {k: min(raw[k]) for k, one in enumerate(found) if tested and not one.column.constant}
    samples: dict[str, dict[str, MetricResult]] = {name: {} for name in names}
    for k, one in enumerate(found):
        column, observed = one.column, one.distances[0]
        farthest = int(np.nan_to_num(observed).argmax())
        for w, name in enumerate(names):
            there = bool(np.isfinite(observed[w]))
            result = MetricResult(
                column.name,
                column.convention,
                float(observed[w]) if there else None,
                effect=float(observed[w]) / column.unit if there and column.unit > 0 else None,
                size=n,
                no_interval=NO_INTERVAL,
                note=column.note if there else "all cells of this window are missing",
                seconds=one.seconds / len(names),
            )
            if tested:
                replaced = {**least, k: raw[k][w]} if k in least else {k: 1.0}
                p = corrected(list(replaced.values()), correction)
                result = result.with_(pvalue=p[list(replaced).index(k)])
            if tested and there and w == farthest:
                values = np.concatenate([observed[[w]], one.null])
                title = column.quantity
                if len(names) > 1:
                    title = f"largest {title} of a window"
                sizes = (n, len(column.there) - n)
                result = result.with_(test=test_of(title, values, sizes, one.seconds))
            samples[name][column.name] = result
    return samples
