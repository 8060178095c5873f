"""Pictures of the columns of two tables: both distributions, and one's quantiles by the other's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from otdist.drawing.style import GREY, ORANGE, bare, blank, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


def column(found: Any, names: tuple[str, str]) -> Figure:
    """The picture of one `report.columns.Column`.

    Args:
        found: The column.
        names: Of reference and current table.
    """
    tall = 1.9 if found.edges is not None else max(1.4, 0.5 + 0.26 * len(found.labels))
    figure = blank(6.4, tall)
    _column(figure, found, names, "")
    return figure


def columns(found: Mapping[str, Any], names: tuple[str, str]) -> Figure:
    """One line of panels for each column.

    Args:
        found: Title → `report.columns.Column`, at least one.
        names: Of reference and current table.
    """
    figure = blank(6.4, 2.0 * len(found))
    lines = figure.subfigures(len(found), 1, squeeze=False).ravel()
    for line, (title, one) in zip(lines, found.items(), strict=True):
        _column(line, one, names, title)
    return figure


def _column(figure: Figure | SubFigure, found: Any, names: tuple[str, str], title: str) -> None:
    if found.edges is None:
        _categories(axis := figure.subplots(), found, names)
    else:
        axis, beside = figure.subplots(1, 2, width_ratios=[2, 1])
        for shares, colour, name, fill in zip(
            found.shares, (GREY, ORANGE), names, (True, False), strict=True
        ):
            axis.stairs(
                shares, found.edges, fill=fill, color=colour, alpha=0.5 if fill else 1,
                linewidth=1.6, label=plain(name),
            )  # fmt: skip
        axis.set_xlabel(plain(found.unit or "value"), fontsize=8)
        axis.set_ylabel("share of cells", fontsize=8)
        _quantiles(beside, found.quantiles, names)
        bare(axis, beside)
    axis.set_title(plain(title), fontsize=9, loc="left")
    axis.legend(frameon=False, fontsize=8)


def _categories(axis: Axes, found: Any, names: tuple[str, str]) -> None:
    places = np.arange(len(found.labels))[::-1]
    for shares, colour, name, shift in zip(
        found.shares, (GREY, ORANGE), names, (0.19, -0.19), strict=True
    ):
        axis.barh(places + shift, shares, 0.36, color=colour, label=plain(name))
    axis.set_yticks(places, [plain(label[:30]) for label in found.labels])
    axis.set_xlabel("share of cells", fontsize=8)
    bare(axis)


def _quantiles(axis: Axes, quantiles: np.ndarray, names: tuple[str, str]) -> None:
    low, high = quantiles.min(), quantiles.max()
    axis.axline((low, low), slope=1, color=GREY, linewidth=1)
    axis.plot(*quantiles, "o", color=ORANGE, markersize=2.5)
    room = 0.05 * (high - low) or 1.0
    axis.set(xlim=(low - room, high + room), ylim=(low - room, high + room), aspect="equal")
    axis.locator_params(nbins=4)
    axis.set_xlabel(plain(f"quantiles of {names[0]}"), fontsize=8)
    axis.set_ylabel(plain(f"of {names[1]}"), fontsize=8)
