"""The plots of a result file: time and memory against n, error against time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import fill
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
_COLUMNS = 3  # panels beside each other, at most


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


def looks_of(competitors: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of ours and of each other, in the order in which they appear."""
    others = [name for name in dict.fromkeys(competitors) if name != OURS]
    return {OURS: OUR_LOOK} | {name: LOOKS[i % len(LOOKS)] for i, name in enumerate(others)}


def _scaling(suite: str, rows: list[Row], path: Path) -> Path | None:
    """Time and memory against n, a panel for each kind of problem; of many kinds time alone."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        if row["n"] == row["m"]:
            kinds.setdefault(_kind(row), []).append(row)
    grown = {kind: lines for kind, group in kinds.items() if (lines := _lines(group))}
    if not grown:
        return None
    measures: list[tuple[str, Callable[[Row], float]]] = [
        ("seconds (median)", lambda row: row["seconds"]["median"]),
        ("MB added to the peak", lambda row: max(row["peak_mb"], 1)),
    ]
    several = len(grown) > _COLUMNS
    panels = [(*what, kind) for what in measures[: 1 if several else 2] for kind in grown]
    columns = _COLUMNS if several else max(len(grown), 2)
    figure, axes = figure_of(len(panels), columns=columns)
    looks = looks_of(line[0]["competitor"] for lines in grown.values() for line in lines)
    for ax, (title, value, kind) in zip(axes, panels, strict=True):
        for line in grown[kind]:
            colour, marker = looks[line[0]["competitor"]]
            sizes, values = [row["n"] for row in line], [value(row) for row in line]
            ax.plot(sizes, values, color=colour, marker=marker, markersize=4)
        ticks = _apart({row["n"] for line in grown[kind] for row in line})
        ax.set(xscale="log", yscale="log", xlabel="n", ylabel=title)
        ax.set_title(fill(kind, 36), fontsize=10)
        ax.set_xticks(ticks, [f"{n:,}" for n in ticks], rotation=30)
        ax.minorticks_off()
        _at_least_a_decade(ax.yaxis)
    return finished(figure, path, looks)


def _kind(row: Row) -> str:
    """What a line against n keeps the same.

    >>> _kind({"quantity": "S_eps", "problem": "clouds", "d": 2, "parameters": {"eps": 0.2}})
    'S_eps clouds, d = 2, eps = 0.2'
    """
    fixed = {"d": row["d"]} | row["parameters"]
    named = [
        f"{name} = {value:.3g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in fixed.items()
    ]
    return ", ".join([f"{row['quantity']} {row['problem']}".strip(), *named])


def _lines(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each competitor by n, of those with two sizes or more."""
    lines: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["n"]):
        lines.setdefault(row["competitor"], []).append(row)
    return [line for line in lines.values() if len({row["n"] for row in line}) > 1]


def _accuracy(suite: str, rows: list[Row], path: Path) -> Path | None:
    """Error against time: down and left is better."""
    known = [row for row in rows if row.get("error") is not None]
    if not any(row["error"] > 1e-6 for row in known):
        return None
    figure, (ax,) = figure_of(1)
    looks = looks_of(row["competitor"] for row in rows)
    shown = {row["competitor"]: looks[row["competitor"]] for row in known}
    for name, (colour, marker) in shown.items():
        own = [row for row in known if row["competitor"] == name]
        ax.scatter(
            [row["seconds"]["median"] for row in own],
            [max(row["error"], 1e-16) for row in own],
            color=colour, marker=marker, s=40,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="seconds (median)", ylabel="relative error")
    for axis in (ax.xaxis, ax.yaxis):
        _at_least_a_decade(axis)
    return finished(figure, path, shown)


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


def figure_of(
    panels: int, size: tuple[float, float] | None = None, columns: int | None = None
) -> tuple[Any, list[Any]]:
    """A figure and its axes, beside each other, in lines of so many columns."""
    from matplotlib.figure import Figure

    columns = columns or panels
    lines = -(-panels // columns)
    figure = Figure(figsize=size or (3.7 * columns + 0.8, 3.2 * lines + 0.6), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for spare in axes[panels:]:
        spare.remove()
    return figure, axes[:panels]


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


def finished(figure: Any, path: Path, looks: dict[str, tuple[str, str]], columns: int = 2) -> Path:
    """Write a figure with a grid in every panel, and whose marker is which below all of them."""
    from matplotlib.lines import Line2D

    for ax in figure.axes:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    handles = [
        Line2D([], [], linestyle="", color=colour, marker=marker, label=name)
        for name, (colour, marker) in looks.items()
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, fontsize=9, frameon=False
    )
    return saved(figure, path)


def saved(figure: Any, path: Path) -> Path:
    """Write a figure so that the same rows make the same file."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "otdist"}):
        figure.savefig(path, metadata={"Date": None}, transparent=True)
    return path
