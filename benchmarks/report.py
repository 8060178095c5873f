"""Tables and plots from the rows of a result file; nothing in them is typed by hand.

`python -m benchmarks.report results.json` prints the table that the README shows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.case import OURS

Row = dict[str, Any]
COLOURS = {OURS: "#2f6db3"}
OTHERS = ("#d9662b", "#4d9e64", "#8a5fb0", "#b5893a", "#7a7a7a", "#c0508a")


def markdown(content: dict[str, Any], pictures: Sequence[Path] = ()) -> str:
    """A page: the machine, then a table for every suite, and its pictures."""
    machine = content["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"Measured on {machine['cpu']}, {machine['threads']} threads, device {machine['device']}, "
        f"Python {machine['python']}; {versions}; seed {content['seed']}.",
        "",
        "Times are medians with quartiles over rounds in which the competitors take turns; *ratio* "
        "is the median over rounds of a competitor's time divided by that of otdist (above 1: "
        "otdist is faster). *Memory* is what the call added to the peak of its own process.",
    ]
    for suite, rows in groupby(content["rows"], key=lambda row: row["suite"]):
        lines += ["", f"### {suite.replace('_', ' ').capitalize()}", "", *table(list(rows))]
        own = [picture.name for picture in pictures if picture.name.startswith(f"{suite}-")]
        lines += [line for name in own for line in ("", f"![{Path(name).stem}]({name})")]
    return "\n".join(lines) + "\n"


TRAINING = ("gan", "neural")


def headline(rows: Sequence[Row]) -> list[str]:
    """Lines of a table for the README: against the fastest other library on each problem.

    Suites that train are left out: their competitors differ in what they reach, not in time.
    """
    lines = ["| problem | fastest other library | otdist is |", "| --- | --- | --- |"]
    timed = [row for row in rows if row["suite"] not in TRAINING]
    for case, group in groupby(timed, key=lambda row: row["case"]):
        answered = [row for row in group if row.get("ratio") and row["value"] is not None]
        others = [row for row in answered if not row["competitor"].startswith(OURS)]
        if others:
            best = min(others, key=lambda row: row["seconds"]["median"])
            ratio = best["ratio"]["median"]
            lines.append(f"| {case} | {best['competitor']} | {ratio:.2g} times as fast |")
    return lines


HEADER = ("problem", "competitor", "time", "ratio", "memory", "error", "bracket width", "status")


def table(rows: Sequence[Row]) -> list[str]:
    """Lines of a Markdown table, one case after the other."""
    cuda = any("cuda" in row for row in rows)
    header = (*HEADER, "CUDA") if cuda else HEADER
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for case, group in groupby(rows, key=lambda row: row["case"]):
        for index, row in enumerate(group):
            cells = [case if index == 0 else "", row["competitor"], *_cells(row)]
            cells += [_on_cuda(row)] if cuda else []
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def _cells(row: Row) -> list[str]:
    if row["status"] != "ok":
        return ["", "", "", "", "", f"{row['status']}: {row['message']}".replace("|", "/")]
    ratio = row.get("ratio")
    return [
        f"{duration(row['seconds']['median'])} "
        f"({duration(row['seconds']['q25'])} to {duration(row['seconds']['q75'])})",
        "" if ratio is None or row["competitor"] == OURS else f"{ratio['median']:.3g}",
        f"{row['peak_mb']:.0f} MB",
        "" if row["error"] is None else f"{row['error']:.1g}",
        "" if row["gap"] is None else f"{row['gap']:.1g}",
        "not converged" if row["converged"] is False else "",
    ]


def _on_cuda(row: Row) -> str:
    """Time and memory on the device, or why there are none."""
    found = row.get("cuda", {"status": ""})
    if found["status"] != "ok":
        return ": ".join(filter(None, (found["status"], found.get("message")))).replace("|", "/")
    return f"{duration(found['seconds']['median'])}, {found['peak_mb']:.0f} MB"


def duration(seconds: float) -> str:
    """Seconds in the unit that people read.

    >>> duration(0.0123), duration(75)
    ('12.3 ms', '75 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def plots(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the plots of every suite; the files."""
    written = []
    for suite, group in groupby(rows, key=lambda row: row["suite"]):
        own = [row for row in group if row["status"] == "ok"]
        scaling = _scaling(suite, own, folder / f"{suite}-scaling.svg")
        accuracy = _accuracy(suite, own, folder / f"{suite}-accuracy.svg")
        written += [path for path in (scaling, accuracy) if path]
    return written


def _style(rows: Iterable[Row]) -> dict[str, str]:
    names = list(dict.fromkeys(row["competitor"] for row in rows if row["competitor"] != OURS))
    return COLOURS | {name: OTHERS[index % len(OTHERS)] for index, name in enumerate(names)}


def _scaling(suite: str, rows: list[Row], path: Path) -> Path | None:
    """Time and memory against n, one line a competitor and family of cases."""
    families: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        family = f"{row['quantity']} {row['problem']}, d = {row['d']}"
        families.setdefault((row["competitor"], family), []).append(row)
    lines = {k: v for k, v in families.items() if len({row["n"] for row in v}) > 1}
    if not lines:
        return None
    figure, axes = _figure(2, f"{suite}: time and memory against n")
    colours, styles = _style(rows), ("-", "--", ":", "-.")
    names = list(dict.fromkeys(family for _, family in lines))
    for (competitor, family), group in lines.items():
        group = sorted(group, key=lambda row: row["n"])
        look = {
            "color": colours[competitor],
            "linestyle": styles[names.index(family) % len(styles)],
            "marker": "o",
            "markersize": 3,
        }
        sizes = [row["n"] for row in group]
        axes[0].plot(sizes, [row["seconds"]["median"] for row in group], **look)
        memory = [max(row["peak_mb"], 1) for row in group]
        axes[1].plot(sizes, memory, label=f"{competitor}: {family}", **look)
    axes[0].set_ylabel("seconds (median)")
    axes[1].set_ylabel("MB added to the peak")
    for ax in axes:
        ax.set(xscale="log", yscale="log", xlabel="n")
    return _save(figure, path)


def _accuracy(suite: str, rows: list[Row], path: Path) -> Path | None:
    """Error against time: down and left is better."""
    known = [row for row in rows if row.get("error") is not None]
    if not any(row["error"] > 1e-6 for row in known):
        return None
    figure, (ax,) = _figure(1, f"{suite}: error against time")
    colours = _style(rows)
    for name in dict.fromkeys(row["competitor"] for row in known):
        own = [row for row in known if row["competitor"] == name]
        ax.scatter(
            [row["seconds"]["median"] for row in own],
            [max(row["error"], 1e-16) for row in own],
            color=colours[name], label=name, s=22,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="seconds (median)", ylabel="relative error")
    return _save(figure, path)


def _figure(columns: int, title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * columns + 1, 4.2), layout="constrained", facecolor="white")
    figure.suptitle(title)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _save(figure: Any, path: Path) -> Path:
    for ax in figure.axes:
        ax.grid(alpha=0.25)
        ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    return path


if __name__ == "__main__":
    print("\n".join(headline(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["rows"])))
