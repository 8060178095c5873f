"""Which pictures a report has, and what each is drawn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from otdist.drawing import figures
from otdist.drawing import samples as drawn
from otdist.drawing.columns import columns as draw_columns
from otdist.evaluation.report.columns import Column
from otdist.evaluation.report.evidence import Evidence

if TYPE_CHECKING:
    from otdist.evaluation.report.report import Report

Shape = tuple[int, ...] | None


@dataclass(frozen=True)
class Picture:
    """One kind of picture.

    Attributes:
        title: What it shows, in words.
        exists: Whether a report has what it takes.
        draw: The matplotlib figure.
    """

    title: str
    exists: Callable[[Report, Shape], bool]
    draw: Callable[[Report, Shape], Any]


def _evidence(report: Report) -> Evidence:
    if report.evidence is None:
        raise ValueError("this report keeps no rows to draw")
    return report.evidence


def _named(report: Report) -> list[str]:
    """Fakes in the order of the ranking, as far as rows of them were kept."""
    return [name for name in report.ranking if name in _evidence(report).rows]


def _samples(report: Report, shape: Shape) -> Any:
    evidence = _evidence(report)
    names = [report.reference, *_named(report)]
    planes = {name: evidence.planes[name] for name in names}
    return drawn.planes(planes, report.reference, evidence.dimension)


def _images(report: Report, shape: Shape) -> dict[str, np.ndarray]:
    """Images by name, the reference first; empty where rows are no images of one size."""
    if report.evidence is None:
        return {}
    names = [report.reference, *_named(report)]
    found = {name: report.evidence.images(name, shape) for name in names}
    images = {name: image for name, image in found.items() if image is not None}
    alike = len(images) == len(names) and len({image.shape[1:] for image in images.values()}) == 1
    return images if alike else {}


def _worst(report: Report, shape: Shape) -> Any:
    evidence, images = _evidence(report), _images(report, shape)
    matches = {name: evidence.matches[name] for name in _named(report)}
    reference = report.reference
    if images:
        pairs = {
            name: (images[name][match.fake], images[reference][match.real], match.distance)
            for name, match in matches.items()
        }
        return drawn.matched_images(pairs, reference)
    rows = {
        name: (match.fake, match.real, evidence.indices[name][match.fake])
        for name, match in matches.items()
    }
    return drawn.matched_points(evidence.planes, rows, reference)


def _growth(report: Report, shape: Shape) -> Any:
    curves = {name: _evidence(report).growth[name] for name in _named(report)}
    return figures.growth(curves, report.reference)


def _tests(report: Report) -> list[tuple[str, Any]]:
    many = len(report.samples) > 1
    return [
        (f"{key} of {name}" if many else key, result.test)
        for name in report.ranking
        for key, result in report.samples[name].items()
        if result.test is not None
    ]


def _effects(report: Report, shape: Shape) -> Any:
    return figures.effects(
        {
            f"{name} against {report.reference}": [
                (r.name, r.effect, r.pvalue)
                for r in report.samples[name].values()
                if r.effect is not None
            ]
            for name in report.ranking
        }
    )


def _has_effects(report: Report, shape: Shape) -> bool:
    results = [r for found in report.samples.values() for r in found.values()]
    return any(result.effect is not None for result in results)


def _windows(report: Report, shape: Shape) -> Any:
    names = list(report.windows)
    centres = np.array([(first + last - 1) / 2 for first, last in report.windows.values()])
    curves = {}
    for key in report.samples[names[0]]:
        found = [report.samples[name][key] for name in names]
        figured = [
            [np.nan if value is None else value for value in values]
            for values in zip(*((r.effect, r.pvalue) for r in found), strict=True)
        ]
        curves[key] = tuple(np.array(values) for values in figured)
    return figures.windows(centres, curves)


def _several_rows(report: Report) -> bool:
    """Enough kept rows for W_1 at several sizes."""
    rows = {} if report.evidence is None else report.evidence.rows
    return report.reference == "real" and min(map(len, rows.values()), default=0) >= 32


_COLUMNS = 20
"""Most columns that are drawn: those of the largest effects."""


def columns_of(report: Report) -> dict[str, Column]:
    """Columns to draw, the largest effect first."""
    results = next(iter(report.samples.values()))
    names = [name for name in report.columns if name in results and not report.windows]
    names.sort(key=lambda name: -(results[name].effect or 0.0))
    return {name: report.columns[name] for name in names[:_COLUMNS]}


PICTURES: dict[str, Picture] = {
    "windows": Picture(
        "effect size along the series", lambda report, _: bool(report.windows), _windows
    ),
    "effects": Picture(
        "effect sizes", lambda r, shape: not r.windows and _has_effects(r, shape), _effects
    ),
    "columns": Picture(
        "columns of both tables, the largest effect first",
        lambda report, _: bool(columns_of(report)),
        lambda report, _: draw_columns(columns_of(report), (report.reference, report.ranking[0])),
    ),
    "samples": Picture(
        "rows in two principal components of the reference",
        lambda report, _: report.evidence is not None,
        _samples,
    ),
    "images": Picture(
        "images of each sample",
        lambda report, shape: bool(_images(report, shape)),
        lambda report, shape: drawn.grids(_images(report, shape)),
    ),
    "worst": Picture(
        "the worst matched: farthest from their partners under the exact W_1 plan",
        lambda report, _: report.evidence is not None and report.reference == "real",
        _worst,
    ),
    "growth": Picture(
        "exact W_1 against the number of rows", lambda report, _: _several_rows(report), _growth
    ),
    "null": Picture(
        "permutation tests: the observed value among random labellings, p before any correction",
        lambda report, _: bool(_tests(report)),
        lambda report, _: figures.null_distributions(_tests(report)),
    ),
}
"""Name → picture, in the order in which a page shows them."""
