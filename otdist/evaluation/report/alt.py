"""What is seen in each picture, in words, for who cannot see it: the figures that it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from otdist.evaluation.report.columns import Column
    from otdist.evaluation.report.report import Report

_MOST = 6


def _listed(parts: list[str]) -> str:
    more = f"; and {len(parts) - _MOST} more" if len(parts) > _MOST else ""
    return "; ".join(parts[:_MOST]) + more


def _p(value: float | None) -> str:
    return "" if value is None else f" (p = {value:.2g})"


def _windows(report: Report) -> str:
    parts = []
    for key in next(iter(report.samples.values())):
        found = {n: r[key].effect for n, r in report.samples.items() if r[key].effect is not None}
        if found:
            name = max(found, key=lambda n: found[n] or 0.0)
            parts.append(f"{key} is largest in rows {name}, {found[name]:.2g}")
    return _listed(parts)


def _effects(report: Report) -> str:
    results = [r for r in next(iter(report.samples.values())).values() if r.effect is not None]
    results.sort(key=lambda r: -(r.effect or 0.0))
    return _listed([f"{r.name} {r.effect:.2g}{_p(r.pvalue)}" for r in results])


def _samples(report: Report) -> str:
    evidence = report.evidence
    if evidence is None:
        return ""
    real = evidence.planes[evidence.reference]
    unit = float(np.sqrt(real.var(0).sum())) or 1.0
    parts = []
    for name in evidence.fakes:
        apart = np.linalg.norm(evidence.planes[name].mean(0) - real.mean(0)) / unit
        spread = np.sqrt(evidence.planes[name].var(0).sum()) / unit
        parts.append(f"{name} has its centre {apart:.2g} spreads away and {spread:.2g} the spread")
    return f"beside {evidence.reference}, {_listed(parts)}"


def _worst(report: Report) -> str:
    matches = {} if report.evidence is None else report.evidence.matches
    return _listed(
        [
            f"the farthest row of {name} travels {m.distance[0]:.3g}, its median row "
            f"{np.median(m.distance):.3g}"
            for name, m in matches.items()
        ]
    )


def _growth(report: Report) -> str:
    growth = {} if report.evidence is None else report.evidence.growth
    return _listed(
        [
            f"{name} goes from {g.value[0]:.3g} at {g.size[0]} rows to {g.value[-1]:.3g} at "
            f"{g.size[-1]}, the floor from {g.floor[0]:.3g} to {g.floor[-1]:.3g}"
            for name, g in growth.items()
        ]
    )


def _null(report: Report) -> str:
    tests = [
        (f"{key} of {name}", result.test)
        for name in report.ranking
        for key, result in report.samples[name].items()
        if result.test is not None
    ]
    return _listed(
        [
            f"{key} lies above {np.mean(test.null < test.statistic):.0%} of the random labellings"
            for key, test in tests
        ]
    )


_SEEN: dict[str, Callable[[Report], str]] = {
    "windows": _windows,
    "effects": _effects,
    "samples": _samples,
    "worst": _worst,
    "growth": _growth,
    "null": _null,
}


def seen(kind: str, title: str, report: Report) -> str:
    """The alternative text of one picture of a report."""
    words = _SEEN.get(kind, lambda report: ", ".join([report.reference, *report.ranking]))(report)
    return f"{title}: {words}"


def of_column(name: str, found: Column, names: tuple[str, str]) -> str:
    """The alternative text of the picture of a column."""
    if found.quantiles is not None:
        parts = []
        for table, quantiles in zip(names, found.quantiles, strict=True):
            low, middle, high = quantiles[[9, 49, 89]]
            parts.append(f"{table} has a median of {middle:.3g}, 80% from {low:.3g} to {high:.3g}")
        return f"{name}: {'; '.join(parts)}"
    change = np.abs(found.shares[1] - found.shares[0])
    k = int(change.argmax())
    before, after = found.shares[:, k]
    return (
        f"{name}: '{found.labels[k]}' changes most, from {before:.0%} to {after:.0%} of the cells"
    )
