"""Cells of a report's tables, as text: the same for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from otdist.evaluation.report.result import MetricResult

Cells = tuple[list[str], list[list[str]]]
"""Headings, and rows of cells."""


def number(value: float | None) -> str:
    """Four significant digits, or a dash for what does not exist."""
    return "–" if value is None else f"{value:.4g}"


def _between(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"[{low:.5g}, {high:.5g}]"


def _spread(value: float | None) -> str:
    return "" if value is None else f" ± {value:.1g}"


def _estimate(result: MetricResult) -> str:
    return number(result.estimate) + _spread(result.spread)


def _interval(result: MetricResult) -> str:
    centre = "" if result.centre is None else f"{number(result.centre)} "
    return centre + _between(*(result.interval or (None, None)))


CELLS: dict[str, Callable[[MetricResult], str]] = {
    "metric": lambda result: result.name,
    "estimate": _estimate,
    "certified": lambda result: _between(result.lower, result.upper),
    "at half size": lambda result: number(result.at_floor),
    "floor": lambda result: number(result.floor) + _spread(result.floor_spread),
    "interval": lambda result: _interval(result),
    "effect": lambda result: number(result.effect),
    "p": lambda result: number(result.pvalue),
    "note": lambda result: result.note,
}
WORDS = ("metric", "note")


def of_sample(results: Mapping[str, MetricResult]) -> Cells:
    """One row a metric; columns of figures that no metric has are left out."""
    rows = [[cell(result) for cell in CELLS.values()] for result in results.values()]
    used = [
        i
        for i, heading in enumerate(CELLS)
        if heading in ("metric", "estimate") or any(row[i] not in ("", "–") for row in rows)
    ]
    return [list(CELLS)[i] for i in used], [[row[i] for i in used] for row in rows]


def of_ranking(samples: Mapping[str, Mapping[str, MetricResult]], ranking: Sequence[str]) -> Cells:
    """One row a metric, one column a sample, the best first, with p where it was tested; the floor
    where there is one. A star marks the best of a row.
    """
    rows, floors = [], []
    for key in samples[ranking[0]]:
        found = [samples[name][key] for name in ranking]
        values = [result.estimate for result in found if result.estimate is not None]
        best = None
        if len(set(values)) > 1:
            best = max(values) if found[0].higher_is_better else min(values)
        cells = [_estimate(r) + (" *" if r.estimate == best is not None else "") for r in found]
        tested = ["" if r.pvalue is None else f" (p = {r.pvalue:.3g})" for r in found]
        floors.append(CELLS["floor"](found[0]))
        rows.append([key, *map("".join, zip(cells, tested, strict=True))])
    if any(floor != "–" for floor in floors):
        return ["metric", "floor", *ranking], [
            [row[0], floor, *row[1:]] for row, floor in zip(rows, floors, strict=True)
        ]
    return ["metric", *ranking], rows


def of_windows(samples: Mapping[str, Mapping[str, MetricResult]]) -> Cells:
    """One row a window, one column a column of the series: effect size and p-value."""
    names = list(next(iter(samples.values())))
    rows = []
    for window, results in samples.items():
        cells = []
        for result in results.values():
            shown = result.effect if result.effect is not None else result.estimate
            p = "" if result.pvalue is None else f" (p = {result.pvalue:.3g})"
            cells.append(number(shown) + p)
        rows.append([window, *cells])
    return ["rows", *names], rows
