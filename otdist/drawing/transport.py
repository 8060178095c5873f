"""Pictures of a transport plan, by dimension: quantiles on the line, arcs in the plane, in higher
dimensions arcs on the first two principal components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from otdist.core import checks
from otdist.core.extras import require
from otdist.core.principal import principal
from otdist.drawing.style import BLUE, GREY, ORANGE, bare, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ARCS = 1500
"""Most lines that can be told apart; of more, a sample is drawn."""
_MOST_POINTS = 4000
_WHOLE = 1 + 1e-9  # masses further apart differ by more than the rounding of their sums

Array = np.ndarray
Names = tuple[str, str]


def plot_transport(
    x: Array,
    y: Array,
    plan: Any = None,
    *,
    a: Array | None = None,
    b: Array | None = None,
    names: Names = ("x", "y"),
    columns: Sequence[str] | None = None,
    title: str = "",
    seed: int | None = 0,
) -> Figure:
    """Draw two samples and how the mass moves between them.

    Points of which the plan moves less than half are hollow, as those that partial and unbalanced
    transport leave where they are.

    Args:
        x: Shape (n, d), or (n,) on the line.
        y: Shape (m, d) or (m,).
        plan: Sparse or dense, shape (n, m), as in `OTResult.plan`; on the line only needed where
            mass stays.
        a: Weights of x, shape (n,); uniform when None.
        b: Weights of y, shape (m,); uniform when None.
        names: Of the samples, for the legend.
        columns: Of the coordinates, for the axes when d ≤ 2.
        title: Above the picture.
        seed: Of the subset that is drawn where there are too many points or arcs to see.

    Returns:
        A matplotlib figure; `savefig` writes it.

    Raises:
        ImportError: without matplotlib, naming the extra `plot`.
        ValueError: a plan of another shape, or none where d > 1.

    >>> figure = plot_transport(np.zeros((1, 2)), np.ones((1, 2)), np.ones((1, 1)))
    >>> len(figure.axes)
    1
    """
    x, y = (points[:, None] if points.ndim == 1 else points for points in (x, y))
    a = np.full(len(x), 1 / len(x)) if a is None else np.asarray(a)
    b = np.full(len(y), 1 / len(y)) if b is None else np.asarray(b)
    figure = blank(7.5, 6.0)
    line, shape = x.shape[1] == 1, getattr(plan, "shape", None)
    if shape != (len(x), len(y)) and not (line and plan is None):
        raise ValueError(f"plan must have shape {(len(x), len(y))}: got {shape}")
    if line:
        moved = (a, b) if plan is None else _moved(plan)
        _line(figure, x[:, 0], y[:, 0], (a, b), moved, names)
        figure.axes[-1].set_xlabel(columns[0] if columns else "")
    else:
        axes = figure.subplots()
        _plane(axes, x, y, plan, a, b, names, checks.generator(seed))
        if columns and x.shape[1] == 2:
            axes.set(xlabel=columns[0], ylabel=columns[1])
    figure.suptitle(title, fontsize=11)
    return figure


def _moved(plan: Any) -> tuple[Array, Array]:
    """The mass that leaves each source and that reaches each target."""
    return tuple(np.asarray(plan.sum(axis)).ravel() for axis in (1, 0))  # pyright: ignore


def _line(
    figure: Figure,
    x: Array,
    y: Array,
    weights: tuple[Array, Array],
    moved: tuple[Array, Array],
    names: Names,
) -> None:
    """Above, both densities facing each other with equal quantiles joined; below, both
    distribution functions: the area between them is W_1. Mass that stays is an outline above, and
    left out below.
    """
    a, b = moved
    both = zip(weights, moved, strict=True)
    stays = any(float(w.sum()) > _WHOLE * float(q.sum()) for w, q in both)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    span = np.concatenate([z[w > 0] for z, w in zip((x, y), weights, strict=True)])
    low, high = float(span.min()), float(span.max())
    pad = 0.03 * (high - low) or 1.0
    edges = np.linspace(low - pad, high + pad, 61)
    parts, totals = (
        [np.histogram(v, edges, weights=w)[0] for v, w in zip((x, y), masses, strict=True)]
        for masses in (moved, weights)
    )
    unit = max(total.max() for total in totals)
    looks = zip(parts, totals, (1.0, 0.0), (1, -1), (BLUE, ORANGE), names, strict=True)
    for part, total, base, sign, colour, name in looks:
        look: dict[str, Any] = {"baseline": base, "color": colour}
        height = base + sign * part / unit
        top.stairs(height, edges, fill=True, alpha=0.75, label=name, **look)
        if stays:
            top.stairs(base + sign * total / unit, edges, linewidth=0.9, **look)
    levels = (np.arange(40) + 0.5) / 40
    start, end = _quantiles(x, a, levels), _quantiles(y, b, levels)
    top.plot([start, end], [1.0, 0.0], color=GREY, alpha=0.55, linewidth=0.9)
    top.set_yticks([])
    top.set_ylabel("density, and equal quantiles joined")
    top.legend(loc="best", frameon=False)
    grid = np.sort(np.concatenate([x, y]))
    grid = grid[np.unique(np.linspace(0, len(grid) - 1, _MOST_POINTS).round().astype(int))]
    curves = [_cumulative(v, w, grid) for v, w in ((x, a), (y, b))]
    for curve, colour in zip(curves, (BLUE, ORANGE), strict=True):
        bottom.step(grid, curve, where="post", color=colour)
    area = "area = cost of what moves, p = 1" if stays else "area = $W_1$"
    bottom.fill_between(grid, *curves, step="post", color=GREY, alpha=0.25, linewidth=0, label=area)
    bottom.set_ylabel("share of mass below")
    bottom.legend(loc="best", frameon=False)
    bare(top, bottom)
    top.spines["left"].set_visible(False)


def _quantiles(values: Array, weights: Array, levels: Array) -> Array:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    index = np.searchsorted(cumulative, levels * cumulative[-1])
    return values[order][index]


def _cumulative(values: Array, weights: Array, grid: Array) -> Array:
    order = np.argsort(values, kind="stable")
    cumulative = np.concatenate([[0.0], np.cumsum(weights[order])])
    return cumulative[np.searchsorted(values[order], grid, side="right")]


def _plane(
    axes: Axes, x: Array, y: Array, plan: Any, a: Array, b: Array, names: Names,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Both samples, area by weight, and the plan's arcs, mass as opacity."""
    labels = ("coordinate 1", "coordinate 2")
    if x.shape[1] > 2:
        centre, vectors, shares = principal(np.concatenate([x, y]), 2)
        x, y = (x - centre) @ vectors, (y - centre) @ vectors
        labels = tuple(
            f"{word} principal component ({share:.0%} of variance)"
            for word, share in zip(("first", "second"), shares, strict=True)
        )
    rows, cols, mass = _arcs(plan, rng)
    if len(mass):
        collection = require("matplotlib.collections", extra="plot").LineCollection
        alpha = (0.1 + 0.5 * mass / mass.max()) * min(1.0, (400 / len(mass)) ** 0.4)
        lines = np.stack([x[rows], y[cols]], axis=1)
        axes.add_collection(collection(list(lines), colors=GREY, alpha=alpha, linewidths=0.8))
    looks = zip((x, y), (a, b), _moved(plan), (BLUE, ORANGE), names, strict=True)
    for points, weights, moved, colour, name in looks:
        keep = np.flatnonzero(weights > 0)
        if len(keep) > _MOST_POINTS:
            keep = rng.choice(keep, _MOST_POINTS, replace=False)
        size = (260 / np.sqrt(len(keep) + 50)) * weights[keep] / weights[keep].mean()
        size, stays = size.clip(1, 200), moved[keep] < weights[keep] / 2
        full, hollow = keep[~stays], keep[stays]
        axes.scatter(
            *points[full].T, s=size[~stays], color=colour, alpha=0.85, linewidths=0, label=name,
            zorder=3,
        )  # fmt: skip
        if len(hollow):
            axes.scatter(
                *points[hollow].T, s=size[stays], facecolors="none", edgecolors=colour,
                linewidths=1.0, label=f"{name}, stays", zorder=3,
            )  # fmt: skip
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(frameon=False, loc="best")
    bare(axes)


def _arcs(plan: Any, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Rows, columns and masses of the arcs to draw; of many, a sample in proportion to mass."""
    if hasattr(plan, "tocoo"):
        arcs = plan.tocoo()
        rows, cols, mass = arcs.row, arcs.col, arcs.data
    else:
        dense = np.asarray(plan)
        rows, cols = np.nonzero(dense)
        mass = dense[rows, cols]
    if len(mass) > _MOST_ARCS:
        keep = rng.choice(len(mass), _MOST_ARCS, replace=False, p=mass / mass.sum())
        rows, cols, mass = rows[keep], cols[keep], mass[keep]
    return rows, cols, mass
