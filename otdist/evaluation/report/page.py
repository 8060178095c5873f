"""The page of a report: tables, pictures, conventions, environment in one file that loads nothing.

Colours follow the screen's scheme: text, lines and what is black in a picture are light on dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from otdist.core import record
from otdist.drawing.style import svg
from otdist.evaluation.report.look import SORT, STYLE
from otdist.evaluation.report.result import MetricResult
from otdist.evaluation.report.tables import WORDS, Cells
from otdist.evaluation.report.verdict import RULE

if TYPE_CHECKING:
    from otdist.evaluation.report.report import Report

FIRST = ("metric", "estimate", "at half size", "floor", "p", "effect")
"""Columns of a page's table that stand first, and so are seen on a phone."""
MOVED = 0.05
"""P-value up to which a column is marked as moved."""

_FLOOR = (
    "<p><b>floor</b> is the metric between two disjoint halves of the real sample; <b>at half size"
    "</b> is the metric between one of these halves and as many fake rows, both the mean over 20 "
    "random halves. Compare these two: a fake whose figure is at its floor cannot be told from the "
    "real sample at this size. <b>±</b> is the spread over draws of rows, not an interval. A "
    "number before an <b>interval</b> is the estimate without its bias, which it is around. "
    "<b>certified</b> bounds hold for the rows that were compared, whatever the solver did.</p>"
)


def page(
    report: Report,
    tables: Sequence[tuple[str, Cells]],
    pictures: Sequence[tuple[str, str, Any]],
    columns: Sequence[tuple[str, str, Any]] = (),
) -> str:
    """The whole page: the verdict, then the figures that it rests on, then what explains them.

    Args:
        report: What it is about.
        tables: Titles and tables, as text.
        pictures: Captions, alternative texts and matplotlib figures.
        columns: Names, alternative texts and figures of the columns of a table.
    """
    results = next(iter(report.samples.values())).values()
    floors = any(result.floor is not None for result in results)
    names = ["windows of the series"] if report.windows else report.ranking
    title = escape(f"{', '.join(names)} against {report.reference}")
    lead = f"Compared: {report.features}, {report.dimension} columns. Seed {report.seed}. "
    shown = [f"<h2>{escape(words)}</h2>\n{_table(cells, words)}" for words, cells in tables]
    body = [
        f"<header><h1>{title}</h1>",
        f"{_verdict(report)}</header>",
        *shown[:1],
        f'<p class="lead">{escape(lead)}{report.seconds:.1f} s.</p>',
        "".join(f"<p>{escape(note)}</p>" for note in report.notes),
        _FLOOR + f"<p>{escape(RULE)}</p>" if floors else "",
        *shown[1:],
        "<h2>Columns, the largest effect first</h2>" if columns else "",
        *(
            f"<section><h3>{escape(name)}{_badges(report, name)}</h3>\n"
            f"<figure>{svg(figure, told)}</figure></section>"
            for name, told, figure in columns
        ),
        "<h2>Pictures</h2>" if pictures else "",
        *(
            f"<figure><figcaption>{escape(caption)}</figcaption>\n{svg(figure, told)}</figure>"
            for caption, told, figure in pictures
        ),
        f"<h2>Conventions</h2>\n{_conventions(report)}",
        f"<h2>Environment</h2>\n{_list([(k, v, '') for k, v in record.environment().items()])}",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>otdist: {title}</title><style>{STYLE}</style></head><body><main>\n"
        + "\n".join(part for part in body if part)
        + f"\n</main><script>{SORT}</script></body></html>\n"
    )


def fragment(report: Report, tables: Sequence[tuple[str, Cells]]) -> str:
    """The verdict and the tables alone, as a notebook shows them in a page of its own."""
    parts = (f"<h4>{escape(words)}</h4>\n{_table(table, words)}" for words, table in tables)
    return _verdict(report) + "\n".join(parts)


def _verdict(report: Report) -> str:
    """One line for each sentence, the name of its sample in bold."""
    lines = []
    for line in report.verdict.split("\n"):
        name, colon, rest = line.partition(": ")
        told = name in report.samples and colon
        words = f"<strong>{escape(name)}</strong>: {escape(rest)}" if told else escape(line)
        lines.append(f'<p class="verdict">{words}</p>')
    return "".join(lines)


def _table(table: Cells, label: str) -> str:
    """A table that scrolls by itself, also by keyboard; the first cell of a row is its heading."""
    headings, rows = table
    order = sorted(range(len(headings)), key=lambda k: _place(headings[k], k))
    kind = [' class="words"' if headings[k] in (*WORDS, "rows") else "" for k in order]
    head = "".join(
        f'<th scope="col"{k}>{escape(headings[at])}</th>' for k, at in zip(kind, order, strict=True)
    )
    lines = []
    for row in rows:
        first, *others = (escape(row[k]) for k in order)
        cells = "".join(f"<td{k}>{cell}</td>" for k, cell in zip(kind[1:], others, strict=True))
        lines.append(f'<tr><th scope="row"{kind[0]}>{first}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>" + "\n".join(lines) + "</tbody></table></div>"
    )


def _place(heading: str, place: int) -> int:
    """Order of a column; those of a ranking keep theirs."""
    return FIRST.index(heading) - len(FIRST) if heading in FIRST[:5] else place


def _badges(report: Report, name: str) -> str:
    """Effect size and p-value of a column, and the share of its missing cells, in few words."""
    result = report.metrics[name]
    moved = result.pvalue is not None and result.pvalue <= MOVED
    words = "not tested" if result.pvalue is None else f"p = {result.pvalue:.2g}"
    effect = "" if result.effect is None else f"effect {result.effect:.2g}, "
    verdict = "moved, " if moved else "" if result.pvalue is None else "not shown to have moved, "
    found = [(f"{verdict}{effect}{words}", moved)]
    if any(report.columns[name].missing):
        gaps = report.metrics.get(f"{name}: missing")
        before, after = report.columns[name].missing
        p = None if gaps is None else gaps.pvalue
        tested = "" if p is None else f", p = {p:.2g}"
        found.append((f"missing {before:.1%} → {after:.1%}{tested}", (p or 1.0) <= MOVED))
    return "".join(
        f' <span class="badge{" moved" if mark else ""}">{escape(text)}</span>'
        for text, mark in found
    )


def _conventions(report: Report) -> str:
    """What each figure is, and what its interval covers or why there is none.

    Where that differs between samples, it says of which it speaks.
    """
    items = []
    for key, first in next(iter(report.samples.values())).items():
        about: dict[str, list[str]] = {}
        for name in report.ranking:
            about.setdefault(_about_interval(report.samples[name][key]), []).append(name)
        parts = [
            f"{', '.join(names)}: {words}" if len(about) > 1 else words
            for words, names in about.items()
            if words
        ]
        items.append((key, first.convention, "; ".join(parts)))
    return _list(items)


def _about_interval(result: MetricResult) -> str:
    if result.interval is not None:
        return f"the interval covers {result.target}" if result.target else ""
    return f"no interval: {result.no_interval}" if result.no_interval else ""


def _list(items: Sequence[tuple[str, str, str]]) -> str:
    lines = [
        f"<dt>{escape(name)}</dt><dd>{escape(text)}"
        + (f"<small>{escape(more)}</small>" if more else "")
        + "</dd>"
        for name, text, more in items
    ]
    return "<dl>" + "\n".join(lines) + "</dl>"
