"""One look for all pictures: three colours that read on white and on black, and bare axes."""

from __future__ import annotations

import html
import io
import math
import re
from typing import TYPE_CHECKING, Any

from otdist.core.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY = "#2f6db3", "#d9662b", "#4d9e64", "#7a7a7a"
CYCLE = (ORANGE, GREEN, "#9a63b5", "#c2a02a", BLUE, "#d05a86")
"""Colours of samples beside a grey reference."""
HOUSE = (BLUE, *(colour for colour in CYCLE if colour != BLUE))
"""Colours of lines side by side."""
DOTS = 160
"""Per inch, of what is drawn as pixels inside a vector picture."""


def blank(width: float, height: float) -> Figure:
    """An empty figure of that size in inches.

    Raises:
        ImportError: without matplotlib, naming the extra `plot`.
    """
    figure = require("matplotlib.figure", extra="plot").Figure
    return figure(figsize=(width, height), layout="constrained", facecolor="white")


def panels(
    count: int, width: float, height: float, *, columns: int = 3, shared: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels of that size in inches, in even rows of at most `columns`.

    Args:
        count: Of panels, at least 1.
        width: Of one panel.
        height: Of one panel.
        columns: In a row, at most.
        shared: Whether all have the same limits.
    """
    rows = math.ceil(count / columns)
    wide = math.ceil(count / rows)
    figure = blank(max(5.0, width * wide), height * rows)
    axes = list(figure.subplots(rows, wide, squeeze=False, sharex=shared, sharey=shared).ravel())
    for axis in axes[:count]:
        axis.tick_params(labelbottom=True)  # also above an empty place
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def begins_row(axis: Axes) -> bool:
    """Whether a panel is the first of its row, and so carries the label of all."""
    place = axis.get_subplotspec()
    return place is None or place.is_first_col()


def plain(text: str) -> str:
    """Text that matplotlib shows as it is: no mathematics, no label that a legend leaves out."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def bare(*all_axes: Axes) -> None:
    """Without the frame's upper and right side, with small numbers."""
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)


def svg(figure: Any, label: str = "") -> str:
    """The figure as an <svg> element for a page, with a label for who cannot see it.

    Its background is transparent and what is black takes the colour of the page's text, so that it
    reads on light and on dark pages. The same figure gives the same text.
    """
    matplotlib = require("matplotlib", extra="plot")
    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "otdist"}):
        figure.savefig(
            out, format="svg", transparent=True, dpi=DOTS, metadata={"Date": None, "Creator": None}
        )
    text = out.getvalue()
    text = text[text.index("<svg") :].replace("#000000", "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    told = f'role="img" aria-label="{html.escape(label)}" ' if label else ""
    return text.replace("<svg ", f'<svg fill="currentColor" {told}', 1)
