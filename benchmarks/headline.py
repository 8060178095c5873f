"""The table that leads the README: otdist against the fastest other library on each problem.

`benchmarks.publish` writes it between its marks, with the command and the machine above it. Cases
that differ only in size share a line; those where otdist is slower have a line of their own, and
these come first. Suites that train are left out: their competitors differ in what they reach, not
in time. So are answers that are off by more than 1% where otdist's is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import page
from benchmarks.case import OURS
from benchmarks.records import Row
from benchmarks.report import by, by_suite, command

SUITES = {
    "small": "small calls",
    "exact": "exact",
    "metrics": "ground metrics",
    "univariate": "on the line",
    "sliced": "sliced",
    "entropic": "entropic",
    "unbalanced": "unbalanced",
    "images": "images",
    "batches": "many small pairs",
    "pairwise": "many samples",
    "evaluation": "evaluation",
}
"""Suites in the order of the table, with the words for their problems."""
ACCURATE = 0.01


class Comparison(NamedTuple):
    """The fastest other answer to one case; `ratio` is its time over that of otdist."""

    row: Row
    ratio: float


def headline(rows: Sequence[Row]) -> list[str]:
    """Lines of the table."""
    groups: dict[tuple[str, str, bool], list[Comparison]] = {}
    for suite, words in SUITES.items():
        cases = by([row for row in rows if row["suite"] == suite], "case")
        for found in filter(None, (_against(case) for _, case in cases)):
            what = ", ".join(filter(None, (found.row["quantity"], found.row["problem"])))
            problem = f"{words}: {what}"
            key = (problem, found.row["competitor"], found.ratio > 1)
            groups.setdefault(key, []).append(found)
    losses_first = sorted(groups.items(), key=lambda item: item[0][2])
    lines = [
        [problem, _sizes([f.row for f in group]), name, _verdict([f.ratio for f in group])]
        for (problem, name, _), group in losses_first
    ]
    return page.table(["problem", "size", "fastest other", "otdist is"], lines)


def _against(case: list[Row]) -> Comparison | None:
    """The fastest other competitor that answered about as well as otdist did."""
    ours = next(row for row in case if row["competitor"] == OURS)
    if ours["status"] != "ok":
        return None
    allowed = max(ACCURATE, ours["error"] or 0.0)
    others = [
        row
        for row in case
        if not row["competitor"].startswith(OURS)
        and row.get("ratio")
        and row["value"] is not None
        and (row["error"] or 0.0) <= allowed
    ]
    if not others:
        return None
    best = min(others, key=lambda row: row["ratio"]["median"])
    return Comparison(best, best["ratio"]["median"])


def _sizes(rows: Sequence[Row]) -> str:
    parts = [f"n = {_span({row['n'] for row in rows})}"]
    parts += ["n ≠ m too"] if any(row["n"] != row["m"] for row in rows) else []
    parts.append(f"d = {_span({row['d'] for row in rows})}")
    for name in rows[0]["parameters"]:
        values = {row["parameters"].get(name) for row in rows}
        value = values.pop()
        shown = f"{value:.3g}" if isinstance(value, float) else value
        parts += [] if values else [f"{name} {shown}"]
    return ", ".join(parts)


def _span(values: set[int]) -> str:
    """One number, two, or the first and the last of more.

    >>> _span({1000}), _span({2, 10}), _span({100, 300, 1000})
    ('1,000', '2, 10', '100 to 1,000')
    """
    low, *rest = (f"{value:,}" for value in sorted(values))
    return low if not rest else f"{low}, {rest[0]}" if len(rest) == 1 else f"{low} to {rest[-1]}"


def _verdict(ratios: Sequence[float]) -> str:
    """In words, as factors above one.

    >>> _verdict([2.04, 241.0]), _verdict([0.5, 0.75]), _verdict([1.03])
    ('2 to 240 times as fast', '**slower**, 1.3 to 2 times as long', 'as fast')
    """
    slower = ratios[0] <= 1
    factors = sorted(1 / ratio if slower else ratio for ratio in ratios)
    low, high = (f"{float(f'{factor:.2g}'):g}" for factor in (factors[0], factors[-1]))
    span = low if low == high else f"{low} to {high}"
    if span == "1":
        return "as fast"
    return f"**slower**, {span} times as long" if slower else f"{span} times as fast"


def section(runs: Sequence[dict[str, Any]]) -> str:
    """What stands between the marks."""
    rows = [
        row
        for suite, parts in by_suite(runs)
        if suite in SUITES
        for _, found in parts
        for row in found
    ]
    suites = {row["suite"] for row in rows}
    commands: dict[str, list[str]] = {}
    for run in runs:
        if suites & {row["suite"] for row in run["rows"]}:
            machine = run["machine"]
            sorts = f", NumPy sorts with {machine['sort']}" if "sort" in machine else ""
            where = f"On {machine['cpu']}, {machine['threads']} threads{sorts}"
            commands.setdefault(where, []).append(f"`{command(run)}`")
    where = [f"{where}: {', '.join(names)}." for where, names in commands.items()]
    return "\n".join([*where, "", *headline(rows)])


def into(path: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Write the section between its marks on a page."""
    page.put(path, "benchmarks", section(runs))
