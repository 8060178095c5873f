"""Report: metrics of one or several samples as a table, JSON, a self-contained page, or a plot."""

from __future__ import annotations

import html
import io
import json
import math
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from otdist._extras import require


@dataclass(frozen=True)
class MetricResult:
    """One metric of one sample.

    Attributes:
        name: Key in the report.
        convention: What the figure is, in words.
        estimate: The figure, or None with the reason in `note`.
        higher_is_better: Direction.
        floor: The same metric between two disjoint halves of the real sample, at `floor_size`.
        at_floor: The metric between one of these halves and as many fake rows: compare with floor.
        floor_size: Rows of each side behind the last two; 0 where there are none.
        lower: Certified bound of the estimate, where one exists.
        upper: Certified bound.
        spread: Standard deviation over draws of rows; not an interval.
        interval: Confidence interval, or None for the reason in `no_interval`.
        no_interval: Why there is no interval.
        effect: The estimate free of units, where it has such a form.
        pvalue: Of a permutation test, where one was asked for and is valid.
        size: Most rows of a side that were used.
        converged: Whether every solver reached its tolerance.
        note: What else a reader must know.
        seconds: Wall-clock time, the floor's left out.

    >>> MetricResult("w1", "exact W_1", 0.5, floor=0.4).with_(pvalue=0.03).pvalue
    0.03
    """

    name: str
    convention: str
    estimate: float | None
    higher_is_better: bool = False
    floor: float | None = None
    at_floor: float | None = None
    floor_size: int = 0
    lower: float | None = None
    upper: float | None = None
    spread: float | None = None
    interval: tuple[float, float] | None = None
    no_interval: str = ""
    effect: float | None = None
    pvalue: float | None = None
    size: int = 0
    converged: bool = True
    note: str = ""
    seconds: float = 0.0

    def with_(self, **changes: Any) -> MetricResult:
        """The same result with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Report:
    """What `evaluate` and `drift` return.

    Attributes:
        samples: Name of a fake sample → name of a metric → result.
        sizes: Rows of each sample, the reference included.
        dimension: Columns of the features that were compared.
        features: What was compared, in words.
        seed: As given.
        seconds: Wall-clock time.
        reference: Name of what the samples are compared with.
        projections: Rows of each sample in two principal components of the reference; without
            them, a picture shows the effects.

    >>> import otdist
    >>> report = otdist.evaluate([[0.0], [1.0], [2.0], [3.0]], [[1.0], [2.0]], metrics=["w1"])
    >>> report.metrics["w1"].estimate, report.ranking
    (0.5, ['fake'])
    """

    samples: dict[str, dict[str, MetricResult]]
    sizes: dict[str, int]
    dimension: int
    features: str
    seed: int | None
    seconds: float
    reference: str = "real"
    projections: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def metrics(self) -> dict[str, MetricResult]:
        """Metrics of the only sample, or of the first in the ranking."""
        return self.samples[self.ranking[0]]

    @cached_property
    def ranking(self) -> list[str]:
        """Samples from the best mean rank over all metrics to the worst; ties keep their order."""
        names = list(self.samples)
        total = dict.fromkeys(names, 0.0)
        for key in next(iter(self.samples.values())):
            results = {name: self.samples[name][key] for name in names}
            if any(result.estimate is None for result in results.values()):
                continue
            sign = -1 if results[names[0]].higher_is_better else 1
            value = {name: sign * float(results[name].estimate or 0.0) for name in names}
            for name in names:
                total[name] += sum(other < value[name] for other in value.values())
        return sorted(names, key=lambda name: total[name])

    def __str__(self) -> str:
        from rich.console import Console

        out = io.StringIO()
        console = Console(file=out, width=110)
        for table in self.tables():
            console.print(table)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    def tables(self) -> list[Any]:
        """One rich table per sample, best first."""
        from rich import box
        from rich.table import Table

        tables = []
        for name in self.ranking:
            against = f"{self.reference} ({self.sizes[self.reference]:,} rows)"
            title = f"{name} ({self.sizes[name]:,}) against {against}"
            table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
            headings = columns(self.samples[name])
            for heading in headings:
                table.add_column(heading, justify="left" if heading in _WORDS else "right")
            for result in self.samples[name].values():
                table.add_row(*(_CELLS[heading](result) for heading in headings))
            tables.append(table)
        return tables

    def to_dict(self) -> dict[str, Any]:
        """Plain types; figures that do not exist are None, with the reason beside them."""
        return {
            "ranking": self.ranking,
            "reference": self.reference,
            "sizes": self.sizes,
            "dimension": self.dimension,
            "features": self.features,
            "seed": self.seed,
            "seconds": self.seconds,
            "samples": {
                name: {key: asdict(result) for key, result in results.items()}
                for name, results in self.samples.items()
            },
            "versions": versions(),
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Strict JSON (never NaN), also written to `path` when given."""
        text = json.dumps(_finite(self.to_dict()), indent=2, ensure_ascii=False, allow_nan=False)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_html(self, path: str | Path | None = None) -> str:
        """One page without any reference to the outside, also written to `path` when given.

        Raises:
            ImportError: matplotlib, which draws its picture, is not installed.
        """
        text = _page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def plot(self) -> Any:
        """A matplotlib figure: samples in two principal components of the real one, or effects.

        Raises:
            ImportError: matplotlib is not installed.
        """
        require("matplotlib", extra="plot")
        from matplotlib.figure import Figure

        names = self.ranking
        figure = Figure(figsize=(4.2 * len(names), 4), layout="constrained")
        axes = figure.subplots(1, len(names), squeeze=False, sharex=True, sharey=True)[0]
        draw = self._draw_points if self.projections else self._draw_effects
        for axis, name in zip(axes, names, strict=True):
            draw(axis, name)
            axis.set_title(f"{name} against {self.reference}")
        return figure

    def _draw_points(self, axis: Any, name: str) -> None:
        for side, colour in ((self.reference, "#999999"), (name, "#c0392b")):
            points = self.projections[side]
            heights = points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
            axis.scatter(points[:, 0], heights, s=7, alpha=0.5, c=colour, label=side, lw=0)
        axis.set_xlabel(f"first principal component of {self.reference}")
        axis.set_ylabel("second" if self.dimension > 1 else "")
        axis.legend(frameon=False, markerscale=2)

    def _draw_effects(self, axis: Any, name: str) -> None:
        results = self.samples[name].values()
        found = [(r.name, r.effect) for r in results if r.effect is not None][::-1]
        axis.barh([key for key, _ in found], [effect for _, effect in found], color="#c0392b")
        axis.set_xlabel("effect size")


def _estimate(result: MetricResult) -> str:
    spread = "" if result.spread is None else f" ± {result.spread:.1g}"
    return number(result.estimate) + spread


_CELLS: dict[str, Callable[[MetricResult], str]] = {
    "metric": lambda result: result.name,
    "estimate": _estimate,
    "at half size": lambda result: number(result.at_floor),
    "floor": lambda result: number(result.floor),
    "effect": lambda result: number(result.effect),
    "p": lambda result: number(result.pvalue),
    "note": lambda result: result.note,
}
_WORDS = ("metric", "note")


def columns(results: dict[str, MetricResult]) -> list[str]:
    """Headings of a table: those of figures that no metric has are left out."""
    empty = {"", number(None)}
    filled = ({cell(result) for result in results.values()} - empty for cell in _CELLS.values())
    always = ("metric", "estimate", "note")
    return [name for name, has in zip(_CELLS, filled, strict=True) if has or name in always]


def number(value: float | None) -> str:
    """Four significant digits, or a dash for what does not exist."""
    return "–" if value is None else f"{value:.4g}"


def versions() -> dict[str, str]:
    """Versions that figures depend on."""
    found = {"python": platform.python_version()}
    for package in ("otdist", "numpy", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
table { border-collapse: collapse; width: 100%; margin-bottom: 2rem; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
td:first-child small { display: block; color: #777; }
svg { max-width: 100%; height: auto; }
footer { color: #777; font-size: 13px; }
"""


def _page(report: Report) -> str:
    picture = io.StringIO()
    report.plot().savefig(picture, format="svg")
    drawing = picture.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    tables = "\n".join(_html_table(report, name) for name in report.ranking)
    title = f"{html.escape(', '.join(report.ranking))} against {html.escape(report.reference)}"
    made = ", ".join(f"{name} {number}" for name, number in versions().items())
    floor = (
        ""
        if not report.projections
        else (
            "<p><b>floor</b> is the metric between two disjoint halves of the real sample; "
            "<b>at half size</b> is the metric between one of these halves and as many fake rows. "
            "Compare these two: a fake whose figure is at its floor cannot be told from the real "
            "sample at this size. <b>±</b> is the spread over draws of rows, not an interval.</p>"
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>otdist report</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{title}</h1>\n{floor}\n{tables}\n{drawing}\n"
        f"<footer>Compared: {html.escape(report.features)}, {report.dimension} columns. "
        f"Seed {report.seed}. {report.seconds:.1f} s. {html.escape(made)}.</footer>\n"
        "</body></html>\n"
    )


def _html_table(report: Report, name: str) -> str:
    headings = columns(report.samples[name])
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    lines = []
    for result in report.samples[name].values():
        first, *cells = (html.escape(_CELLS[heading](result)) for heading in headings)
        label = f"<td>{first}<small>{html.escape(result.convention)}</small></td>"
        lines.append("<tr>" + label + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    title = f"{html.escape(name)}: {report.sizes[name]:,} rows against "
    title += f"{report.sizes[report.reference]:,}"
    return f"<h2>{title}</h2>\n<table><tr>{head}</tr>\n" + "\n".join(lines) + "</table>"
