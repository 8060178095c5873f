"""The page of a report: tables, pictures, conventions, environment in one file that loads nothing.

Colours follow the screen's scheme: text, lines and what is black in a picture are light on dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from otdist.core import record
from otdist.drawing.style import svg
from otdist.evaluation.report.result import MetricResult
from otdist.evaluation.report.tables import WORDS, Cells
from otdist.evaluation.report.verdict import RULE

if TYPE_CHECKING:
    from otdist.evaluation.report.report import Report

_STYLE = """
:root { color-scheme: light dark; --ink: #22262b; --paper: #fff; --soft: #656d76; --line: #d7dce1;
        --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --paper: #14181c; --soft: #9aa5af; --line: #363e46; --band: #1c2227; }
}
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
       color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; margin-bottom: .3rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.lead { color: var(--soft); margin-top: 0; } p.verdict { font-size: 1.1rem; margin: .4rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line);
         white-space: nowrap; }
th { background: var(--band); font-weight: 600; }
th.words, td.words { text-align: left; white-space: normal; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; }
dt { font-weight: 600; } dd { margin: 0; } dd small { color: var(--soft); display: block; }
figure { margin: 1.5rem 0; } figcaption { color: var(--soft); margin-bottom: .4rem; }
svg { max-width: 100%; height: auto; }
"""

_FLOOR = (
    "<p><b>floor</b> is the metric between two disjoint halves of the real sample; <b>at half size"
    "</b> is the metric between one of these halves and as many fake rows, both the mean over 20 "
    "random halves. Compare these two: a fake whose figure is at its floor cannot be told from the "
    "real sample at this size. <b>±</b> is the spread over draws of rows, not an interval. A "
    "number before an <b>interval</b> is the estimate without its bias, which it is around. "
    "<b>certified</b> bounds hold for the rows that were compared, whatever the solver did.</p>"
)


def page(
    report: Report, tables: Sequence[tuple[str, Cells]], pictures: Sequence[tuple[str, Any]]
) -> str:
    """The whole page.

    Args:
        report: What it is about.
        tables: Titles and tables, as text.
        pictures: Captions and matplotlib figures.
    """
    results = next(iter(report.samples.values())).values()
    floors = any(result.floor is not None for result in results)
    names = ["windows of the series"] if report.windows else report.ranking
    title = escape(f"{', '.join(names)} against {report.reference}")
    lead = f"Compared: {report.features}, {report.dimension} columns. Seed {report.seed}. "
    body = [
        f"<h1>{title}</h1>",
        _verdict(report),
        f'<p class="lead">{escape(lead)}{report.seconds:.1f} s.</p>',
        "".join(f"<p>{escape(note)}</p>" for note in report.notes),
        *(f"<h2>{escape(words)}</h2>\n{_table(table)}" for words, table in tables),
        _FLOOR + f"<p>{escape(RULE)}</p>" if floors else "",
        "<h2>Pictures</h2>" if pictures else "",
        *(
            f"<figure><figcaption>{escape(caption)}</figcaption>\n{svg(figure, caption)}</figure>"
            for caption, figure in pictures
        ),
        f"<h2>Conventions</h2>\n{_conventions(report)}",
        f"<h2>Environment</h2>\n{_list([(k, v, '') for k, v in record.environment().items()])}",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>otdist: {title}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def fragment(report: Report, tables: Sequence[tuple[str, Cells]]) -> str:
    """The verdict and the tables alone, as a notebook shows them in a page of its own."""
    parts = (f"<h4>{escape(words)}</h4>\n{_table(table)}" for words, table in tables)
    return _verdict(report) + "\n".join(parts)


def _verdict(report: Report) -> str:
    """One line for each sentence."""
    return "".join(f'<p class="verdict">{escape(line)}</p>' for line in report.verdict.split("\n"))


def _table(table: Cells) -> str:
    headings, rows = table
    kind = [' class="words"' if heading in (*WORDS, "rows") else "" for heading in headings]
    head = "".join(f"<th{k}>{escape(h)}</th>" for k, h in zip(kind, headings, strict=True))
    lines = [
        "<tr>"
        + "".join(f"<td{k}>{escape(c)}</td>" for k, c in zip(kind, row, strict=True))
        + "</tr>"
        for row in rows
    ]
    return f'<div class="scroll"><table><tr>{head}</tr>\n' + "\n".join(lines) + "</table></div>"


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
