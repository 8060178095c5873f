"""Pictures of figures: null distributions, distance against sample size, effect sizes, windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from otdist.drawing.style import CYCLE, GREY, ORANGE, bare, blank, panels, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray


def null_distributions(tests: Sequence[tuple[str, Any]], *, columns: int = 3) -> Figure:
    """One panel a test: its statistic at random labellings, and the observed value.

    Args:
        tests: Titles and results of `two_sample_test`, at least one.
        columns: Panels in a row, at most.
    """
    figure, axes = panels(len(tests), 3.3, 2.5, columns=columns)
    for axis, (title, test) in zip(axes, tests, strict=True):
        _null(axis, test)
        axis.set_title(plain(title), fontsize=9)
    axes[0].set_ylabel("random labellings", fontsize=8)
    return figure


def null_distribution(test: Any) -> Figure:
    """The picture of one `TestResult`."""
    return null_distributions([(f"{test.n} and {test.m} rows", test)])


def _null(axis: Axes, test: Any) -> None:
    axis.hist(test.null, bins=30, color=GREY, alpha=0.7)
    axis.axvline(test.statistic, color=ORANGE, linewidth=2)
    low, high = axis.get_xlim()
    left = test.statistic > (low + high) / 2
    axis.annotate(
        f"observed, p = {test.pvalue:.3g}", (test.statistic, 0.92), xytext=(-5 if left else 5, 0),
        xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=8,
        ha="right" if left else "left",
    )  # fmt: skip
    axis.locator_params(axis="x", nbins=5)
    axis.set_xlabel(plain(test.name), fontsize=8)
    bare(axis)


def growth(curves: Mapping[str, Any], reference: str) -> Figure:
    """Exact W_1 against the number of rows, with the floor between parts of the reference.

    Args:
        curves: Name → size, value and floor, shape (k,) each.
        reference: Name of the sample that the others are compared with.
    """
    figure = blank(5.6, 3.6)
    axis = figure.subplots()
    longest = max(curves.values(), key=lambda curve: len(curve.size))
    label = plain(f"{reference} against {reference}: the floor")
    axis.plot(longest.size, longest.floor, "o--", color=GREY, label=label, markersize=4)
    for (name, curve), colour in zip(curves.items(), CYCLE * len(curves), strict=False):
        axis.plot(curve.size, curve.value, "o-", color=colour, label=plain(name), markersize=4)
    axis.set_xscale("log", base=2)
    axis.set_xticks(longest.size, [str(size) for size in longest.size])
    axis.minorticks_off()
    axis.set_xlabel("rows of each side", fontsize=8)
    axis.set_ylabel("exact W$_1$", fontsize=8)
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, fontsize=8)
    bare(axis)
    return figure


def effects(samples: Mapping[str, Sequence[tuple[str, float, float | None]]]) -> Figure:
    """Effect sizes as bars, one panel a sample.

    Args:
        samples: Title → name, effect and p-value (None where there is no test).
    """
    most = max(len(found) for found in samples.values())
    figure = blank(max(5.6, 3.7 * len(samples)), 1.0 + 0.28 * max(most, 3))
    axes = figure.subplots(1, len(samples), squeeze=False, sharex=True)[0]
    for axis, (title, found) in zip(axes, samples.items(), strict=True):
        names = [plain(name) for name, _, _ in found][::-1]
        values = [effect for _, effect, _ in found][::-1]
        moved = [p is not None and p <= 0.05 for _, _, p in found][::-1]
        axis.barh(names, values, color=[ORANGE if m else GREY for m in moved], height=0.65)
        for place, (value, (_, _, p)) in enumerate(zip(values, found[::-1], strict=True)):
            text = f" {value:.2g}" + ("" if p is None else f",  p = {p:.2g}")
            axis.text(value, place, text, va="center", fontsize=8)
        axis.set_xlim(0, 1.45 * (max(values, default=0) or 1))
        axis.set_title(plain(title), fontsize=9)
        tested = any(p is not None for _, _, p in found)
        axis.set_xlabel("effect size" + ("; coloured: p ≤ 0.05" if tested else ""), fontsize=8)
        bare(axis)
    return figure


def windows(centres: Array, curves: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Effect sizes along a series, one line a column; filled dots where p ≤ 0.05.

    Args:
        centres: Middle row of each window, shape (k,).
        curves: Column → effects and p-values, shape (k,) each; NaN where there are none.
    """
    figure = blank(7.2, 3.4)
    axis = figure.subplots()
    for (name, (effect, p)), colour in zip(curves.items(), CYCLE * len(curves), strict=False):
        axis.plot(centres, effect, "-", color=colour, label=plain(name), linewidth=1.4)
        face = [colour if value <= 0.05 else "none" for value in p]
        axis.scatter(centres, effect, s=26, c=face, edgecolors=colour, zorder=3, linewidths=1)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("row in the middle of the window", fontsize=8)
    axis.set_ylabel("effect size against the reference", fontsize=8)
    if any(np.isfinite(p).any() for _, p in curves.values()):
        axis.set_title("filled: p ≤ 0.05", fontsize=8, loc="left")
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    bare(axis)
    return figure


def barycenter(
    samples: Sequence[tuple[Array, Array | None]], points: Array, weights: Array
) -> Figure:
    """Samples in grey and their barycenter, in the first two coordinates or along the line.

    Args:
        samples: Points (n, d) or (n,), and weights (n,) or None.
        points: Support of the barycenter, shape (k, d) or (k,).
        weights: Shape (k,).
    """
    figure, (axis,) = panels(1, 4.2, 4.2)
    flat = points.ndim == 1 or points.shape[1] == 1
    for x, a in [*samples, (points, weights)]:
        last = x is points
        colour, size = (ORANGE, 26) if last else (GREY, 10)
        if flat:
            order = np.argsort(x.reshape(-1))
            mass = np.full(len(x), 1 / len(x)) if a is None else np.asarray(a)
            axis.step(x.reshape(-1)[order], np.cumsum(mass[order]), where="post", color=colour)
        else:
            share = 1.0 if a is None else np.asarray(a) / np.max(a)
            axis.scatter(x[:, 0], x[:, 1], s=size * share, color=colour, alpha=1 if last else 0.5)
    axis.set_xlabel("value" if flat else "first coordinate", fontsize=8)
    axis.set_ylabel("share of mass below" if flat else "second coordinate", fontsize=8)
    bare(axis)
    return figure
