"""Who is ahead at which error: the least time within 10%, 1% and 0.1% of the truth, and exact.

A rung of a problem is the fastest answer whose error is at most that of the rung, ours beside the
best of the others. The picture has error against time, one panel a problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import page
from benchmarks.case import OURS
from benchmarks.plots import figure_of, finished, looks_of
from benchmarks.records import Row
from benchmarks.report import by, duration

SUITE = "ladder"
RUNGS = {"10%": 0.1, "1%": 0.01, "0.1%": 0.001, "exact": 1e-9}
NOT_MEASURED = "Not measured yet: `python -m benchmarks --suite ladder` does it."
PICTURE = "ladder.svg"
FLOOR = 1e-10
"""Errors below are drawn here: they are rounding."""


def answers(rows: Sequence[Row]) -> list[Row]:
    """The rows of the suite with a time and a known error."""
    return [
        row
        for row in rows
        if row["suite"] == SUITE and row["status"] == "ok" and row["error"] is not None
    ]


def fastest(rows: Sequence[Row], error: float, ours: bool) -> Row | None:
    """The least time within an error, of ours or of the others."""
    found = [
        row for row in rows if row["error"] <= error and row["competitor"].startswith(OURS) == ours
    ]
    return min(found, key=_seconds) if found else None


def _seconds(row: Row) -> float:
    return row["seconds"]["median"]


def section(rows: Sequence[Row]) -> str:
    """The table, a line for each rung of a problem; the faster time is bold."""
    lines = []
    for case, group in by(answers(rows), "case"):
        for index, (name, error) in enumerate(RUNGS.items()):
            best = [fastest(group, error, ours) for ours in (True, False)]
            least = min((_seconds(row) for row in best if row), default=0.0)
            cells = [_cell(row, least) for row in best]
            lines.append(["" if index else case, name, *cells])
    if not lines:
        return NOT_MEASURED
    table = page.table(["problem", "error at most", "otdist", "others"], lines)
    return "\n".join([*table, "", f"![error against time, one panel a problem]({PICTURE})"])


def _cell(row: Row | None, least: float) -> str:
    if row is None:
        return "none"
    time, mark = duration(_seconds(row)), "**" if _seconds(row) == least else ""
    proof = "" if row["gap"] is None else f", proved to {row['gap'] / abs(row['value']):.1g}"
    return f"{mark}{time}{mark}, {row['competitor']}{proof}"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Error against time, down and left is better; nothing where nothing was measured."""
    problems = by(answers(rows), "case")
    path.unlink(missing_ok=True)
    if not problems:
        return
    figure, axes = figure_of(len(problems), columns=min(len(problems), 3))
    looks = looks_of(library(row["competitor"]) for _, group in problems for row in group)
    for ax, (_, group) in zip(axes, problems, strict=True):
        for row in group:
            colour, marker = looks[library(row["competitor"])]
            ax.scatter(_seconds(row), max(row["error"], FLOOR), color=colour, marker=marker, s=40)
        first = group[0]
        title = f"{first['quantity']}, n = {first['n']:,}, d = {first['d']}"
        ax.set(
            xscale="log", yscale="log", xlabel="seconds (median)", ylabel="relative error",
            title=title,
        )  # fmt: skip
    finished(figure, path, looks, columns=len(looks))


def library(competitor: str) -> str:
    """Whose answer it is.

    >>> [library(name) for name in ("otdist, rtol 0.1", "POT lazy 0.01", "OTT-JAX 0.1")]
    ['otdist', 'POT', 'OTT-JAX']
    """
    return competitor.replace(",", " ").split()[0]
