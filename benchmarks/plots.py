"""The plots of a result file: time and memory against n, error against time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.case import OURS
from benchmarks.records import Row
from benchmarks.suites import names
from otdist.drawing.style import BLUE, CYCLE, GREY

OUR_LOOK = (BLUE, "o")
COLOURS = (*CYCLE[:4], GREY, CYCLE[5])
LOOKS: tuple[tuple[str, str], ...] = (
    *zip(COLOURS, "s^DvPX", strict=True), *zip(COLOURS, "<*dp>h", strict=True)
)  # fmt: skip
"""Colour and marker of the others, in the order in which they appear: no two are equal."""


def plots(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the plots of every suite; the files. Plots of an earlier run are removed."""
    for suite in names():
        for kind in ("scaling", "accuracy"):
            (folder / f"{suite}-{kind}.svg").unlink(missing_ok=True)
    written = []
    for suite, group in groupby(rows, key=lambda row: row["suite"]):
        own = [row for row in group if row["status"] == "ok"]
        scaling = _scaling(suite, own, folder / f"{suite}-scaling.svg")
        accuracy = _accuracy(suite, own, folder / f"{suite}-accuracy.svg")
        written += [path for path in (scaling, accuracy) if path]
    return written


def _looks(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    others = list(dict.fromkeys(row["competitor"] for row in rows if row["competitor"] != OURS))
    return {OURS: OUR_LOOK} | {name: LOOKS[i % len(LOOKS)] for i, name in enumerate(others)}


def _scaling(suite: str, rows: list[Row], path: Path) -> Path | None:
    """Time and memory against n, one line a competitor and family of cases."""
    families: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        family = f"{row['quantity']} {row['problem']}, d = {row['d']}".strip()
        families.setdefault((row["competitor"], family), []).append(row)
    lines = {k: v for k, v in families.items() if len({row["n"] for row in v}) > 1}
    if not lines:
        return None
    figure, axes = figure_of(2)
    looks, styles = _looks(rows), ("-", "--", ":", "-.")
    order = list(dict.fromkeys(family for _, family in lines))
    for (competitor, family), group in lines.items():
        group = sorted(group, key=lambda row: row["n"])
        colour, marker = looks[competitor]
        look = {
            "color": colour,
            "marker": marker,
            "linestyle": styles[order.index(family) % len(styles)],
            "markersize": 4,
        }
        sizes = [row["n"] for row in group]
        axes[0].plot(sizes, [row["seconds"]["median"] for row in group], **look)
        memory = [max(row["peak_mb"], 1) for row in group]
        axes[1].plot(sizes, memory, label=f"{competitor}: {family}", **look)
    axes[0].set_ylabel("seconds (median)")
    axes[1].set_ylabel("MB added to the peak")
    ticks = _apart({row["n"] for group in lines.values() for row in group})
    for ax in axes:
        ax.set(xscale="log", yscale="log", xlabel="n")
        ax.set_xticks(ticks, [f"{n:,}" for n in ticks], rotation=30)
        ax.minorticks_off()
    return _save(figure, path)


def _accuracy(suite: str, rows: list[Row], path: Path) -> Path | None:
    """Error against time: down and left is better."""
    known = [row for row in rows if row.get("error") is not None]
    if not any(row["error"] > 1e-6 for row in known):
        return None
    figure, (ax,) = figure_of(1)
    looks = _looks(rows)
    for name in dict.fromkeys(row["competitor"] for row in known):
        own = [row for row in known if row["competitor"] == name]
        colour, marker = looks[name]
        ax.scatter(
            [row["seconds"]["median"] for row in own],
            [max(row["error"], 1e-16) for row in own],
            color=colour, marker=marker, label=name, s=40,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="seconds (median)", ylabel="relative error")
    for axis in (ax.xaxis, ax.yaxis):
        _at_least_a_decade(axis)
    return _save(figure, path)


def _at_least_a_decade(axis: Any) -> None:
    """Widen a logarithmic axis that spans less: small differences should look small.

    Up to two decades are labelled at 1, 2 and 5 times the powers of ten, as plain numbers.
    """
    low, high = axis.get_view_interval()
    if high < 10 * low:
        middle, half = (low * high) ** 0.5, 10**0.5
        low, high = middle / half, middle * half
        axis.set_view_interval(low, high, ignore=True)
    if high <= 100 * low:
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())


def figure_of(columns: int, size: tuple[float, float] | None = None) -> tuple[Any, Any]:
    """A figure and its axes, beside each other."""
    from matplotlib.figure import Figure

    size = size or (4.2 * columns + 0.8, 3.8)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _apart(sizes: Iterable[int]) -> list[int]:
    """Sizes whose labels do not touch on a logarithmic axis: each at least 1.8 times the last.

    >>> _apart({100, 128, 256, 300, 1000})
    [100, 256, 1000]
    """
    kept: list[int] = []
    for size in sorted(sizes):
        if not kept or size >= 1.8 * kept[-1]:
            kept.append(size)
    return kept


def _save(figure: Any, path: Path) -> Path:
    for ax in figure.axes:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return saved(figure, path)


def saved(figure: Any, path: Path) -> Path:
    """Write a figure so that the same rows make the same file."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "otdist"}):
        figure.savefig(path, metadata={"Date": None}, transparent=True)
    return path
