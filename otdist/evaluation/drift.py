r"""drift(): which columns of a table have moved, by how much, and is that more than chance?

Per numeric column: W_1, with the effect size W_1 / std of the reference (free of units). Per
categorical column: the total variation distance ½ Σ |p − q|, an effect size itself. Jointly: the
energy distance of standardised numbers and indicators of categories. All p-values come from
permutations of rows, and those of the columns are corrected for their number.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from otdist.distances import wasserstein
from otdist.evaluation.features import flat
from otdist.inference.permutation import pvalue, two_sample_test
from otdist.report import MetricResult, Report
from otdist.solvers.sliced import check_count

JOINT = "all columns jointly"
_JOINT_ROWS = 4000
CORRECTIONS = ("holm", "bonferroni", "none")


def drift(
    reference: Any,
    current: Any,
    columns: Sequence[str] | None = None,
    *,
    correction: str = "holm",
    n_permutations: int = 999,
    seed: int | None = 0,
) -> Report:
    r"""How far every column of a table has moved, and all of them together.

    Rows must be exchangeable when nothing has moved: for the rows of a time series the p-values do
    not hold, the distances and effect sizes do.

    Args:
        reference: A mapping from column names to values (a dict or a DataFrame), or an array (n, d)
            of numbers. Columns that are not numbers are compared as categories.
        current: The same columns, m rows.
        columns: Names to compare, in this order; for arrays, the names of all columns. None takes
            all, and names those of arrays "0", "1", ….
        correction: Of the columns' p-values for their number: "holm" (valid under any dependence,
            uniformly better than Bonferroni), "bonferroni" or "none".
        n_permutations: Random labellings; with K columns the smallest corrected p-value is
            K/(n_permutations + 1).
        seed: Of the labellings; None draws fresh ones.

    Returns:
        A report with one result per column and one under "all columns jointly" (at most 4,000 rows
        of each table, drawn at random; its p-value is not corrected): distance, `effect` and
        p-value.

    Raises:
        ValueError: columns differ or are unknown, have no rows, or hold NaN or infinity.

    Reference: Holm (1979), A simple sequentially rejective multiple test procedure.

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
    if correction not in CORRECTIONS:
        raise ValueError(f"correction must be one of {', '.join(CORRECTIONS)}: got {correction!r}")
    check_count(n_permutations, "n_permutations")
    old, new = _table(reference, columns, "reference"), _table(current, columns, "current")
    if set(old) != set(new):
        raise ValueError(f"the tables differ in columns: {sorted(set(old) ^ set(new))}")
    rng = np.random.default_rng(seed)
    results, parts = {}, []
    for name, before in old.items():
        before, after, numeric = _pair_of(name, before, new[name])
        compare = _numbers if numeric else _categories
        results[name], coordinates = compare(name, before, after, n_permutations, rng)
        parts.append(coordinates)
    corrected = _corrected([float(r.pvalue or 0) for r in results.values()], correction)
    for name, p in zip(list(results), corrected, strict=True):
        results[name] = results[name].with_(pvalue=p)
    joint = [np.concatenate([part[side] for part in parts], axis=1) for side in (0, 1)]
    results[JOINT] = _joint(joint, n_permutations, rng)
    sizes = {"reference": len(joint[0]), "current": len(joint[1])}
    words = f"columns, p-values corrected by {correction}" if correction != "none" else "columns"
    return Report(
        {"current": results},
        sizes,
        len(old),
        words,
        seed,
        time.perf_counter() - started,
        reference="reference",
    )


Coordinates = tuple[np.ndarray, np.ndarray]
"""Columns of both tables that the joint comparison uses, (n, k) and (m, k)."""


def _table(value: Any, columns: Sequence[str] | None, name: str) -> dict[str, np.ndarray]:
    """Column name → values (n,)."""
    if isinstance(value, Mapping) or hasattr(value, "columns"):
        found = {str(key): np.asarray(value[key]) for key in getattr(value, "columns", value)}
        wanted = list(found) if columns is None else list(columns)
        missing = [key for key in wanted if key not in found]
        if missing:
            raise ValueError(f"{name} has no column {', '.join(missing)}: it has {list(found)}")
        table = {key: found[key] for key in wanted}
    else:
        rows = flat(value, name)
        names = [str(i) for i in range(rows.shape[1])] if columns is None else list(columns)
        if len(names) != rows.shape[1]:
            raise ValueError(f"{name} has {rows.shape[1]} columns: got {len(names)} names")
        table = dict(zip(names, rows.T, strict=True))
    lengths = {len(column) if column.ndim == 1 else -1 for column in table.values()}
    if len(lengths) != 1 or min(lengths) < 1:
        raise ValueError(f"{name} must hold columns of one length, at least 1")
    return table


def _pair_of(name: str, old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Both columns as finite float64, or both as text."""
    if old.dtype.kind in "fiu" and new.dtype.kind in "fiu":
        old, new = old.astype(np.float64), new.astype(np.float64)
        for values in (old, new):
            if not np.isfinite(values).all():
                row = int((~np.isfinite(values)).argmax())
                raise ValueError(f"column {name!r} must be finite: got {values[row]} at row {row}")
        return old, new, True
    return old.astype(str), new.astype(str), False


def _numbers(
    name: str, old: np.ndarray, new: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[MetricResult, Coordinates]:
    # The test's own value is summed in float32, which is enough to rank labellings.
    estimate = float(wasserstein(old, new).distance)
    test = two_sample_test(old, new, n_permutations=count, seed=int(rng.integers(2**31)))
    spread = float(old.std())
    notes = [] if spread > 0 else ["constant in the reference: no effect size"]
    result = MetricResult(
        name,
        "W_1, units of the column",
        estimate,
        effect=estimate / spread if spread > 0 else None,
        pvalue=test.pvalue,
        size=max(len(old), len(new)),
        no_interval="not computed",
        note="; ".join(notes),
        seconds=test.seconds,
    )
    unit = float(np.concatenate([old, new]).std()) or 1.0
    return result, (old[:, None] / unit, new[:, None] / unit)


def _categories(
    name: str, old: np.ndarray, new: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[MetricResult, Coordinates]:
    """Permuting labels draws the first table's counts without replacement from the pooled ones."""
    started = time.perf_counter()
    kinds, codes = np.unique(np.concatenate([old, new]), return_inverse=True)
    n, m, k = len(old), len(new), len(kinds)
    pooled = np.bincount(codes, minlength=k)
    counts = np.bincount(codes[:n], minlength=k)[None]
    drawn = rng.multivariate_hypergeometric(pooled, n, size=count)
    first = np.concatenate([counts, drawn])
    values = np.abs(first / n - (pooled - first) / m).sum(1) / 2
    result = MetricResult(
        name,
        "total variation distance of the categories",
        float(values[0]),
        effect=float(values[0]),
        pvalue=pvalue(float(values[0]), values[1:]),
        size=max(n, m),
        no_interval="not computed",
        note=f"{k} categories",
        seconds=time.perf_counter() - started,
    )
    # Two different categories are at distance 1.
    indicators = np.eye(k)[codes] / np.sqrt(2) if k <= 100 else np.empty((n + m, 0))
    if k > 100:
        result = result.with_(note=f"{k} categories, too many for the joint comparison")
    return result, (indicators[:n], indicators[n:])


def _joint(tables: list[np.ndarray], count: int, rng: np.random.Generator) -> MetricResult:
    words = "energy distance of standardised columns and indicators"
    if tables[0].shape[1] == 0:
        return MetricResult(JOINT, words, None, note="no column has a place in it")
    old, new = (t[rng.permutation(len(t))[:_JOINT_ROWS]] for t in tables)
    test = two_sample_test(old, new, "energy", n_permutations=count, seed=int(rng.integers(2**31)))
    return MetricResult(
        JOINT, words, test.statistic, pvalue=test.pvalue, size=max(len(old), len(new)),
        no_interval="not computed", seconds=test.seconds,
    )  # fmt: skip


def _corrected(values: list[float], correction: str) -> list[float]:
    """p-values that hold for all columns together, at most 1."""
    p = np.array(values)
    k = len(p)
    if correction == "none":
        return values
    if correction == "bonferroni":
        return [float(v) for v in np.minimum(p * k, 1)]
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (k - np.arange(k)))
    out = np.empty(k)
    out[order] = np.minimum(stepped, 1)
    return [float(v) for v in out]
