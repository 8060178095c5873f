"""The table of docs/wgan.md, from the rows of the results file: means over seeds, and the worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import page

MARK = "table of benchmarks/gan"
Row = dict[str, Any]


def into(path: Path, rows: Sequence[Row]) -> None:
    """Put the table between its marks on the page."""
    page.put(path, MARK, render(rows))


def render(rows: Sequence[Row]) -> str:
    """Markdown: points in the plane, digits by critic, gradients, speed."""
    parts = [_toys(rows), _digits(rows), _segments(rows), _speed(rows)]
    return "\n".join(part for part in parts if part)


def _toys(rows: Sequence[Row]) -> str:
    lines = []
    for name in ("ring", "grid", "swiss"):
        group = [r for r in rows if r["experiment"] == name]
        if group:
            modes = ", ".join(f"{r['modes']} of {r['of']}" for r in group if "modes" in r) or "—"
            near = _mean(group, "near_a_mode") if "near_a_mode" in group[0] else "—"
            ratios = [r["w1"] / r["w1_floor"] for r in group]
            lines.append(
                f"| {name} | {len(group)} | {modes} | {near} | {_mean(group, 'w1')} | "
                f"{_mean(group, 'w1_floor')} | {max(ratios):.2f} | {_mean(group, 'seconds', 0)} |"
            )
    head = (
        "| points, GP | seeds | modes found, by seed | samples within 3σ of a mode | "
        "exact W_1 to held-out | floor | worst ratio to the floor | seconds |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n" if lines else ""


def _digits(rows: Sequence[Row]) -> str:
    lines = []
    for critic in ("gp", "lp", "orthogonal", "spectral", "clipping"):
        group = [r for r in rows if r["experiment"] == "digits" and r["critic"] == critic]
        if group:
            lines.append(
                f"| {critic} | {len(group)} | {_mean(group, 'w1', 3)} (worst "
                f"{max(r['w1'] for r in group):.3f}) | {_by_seed(group, 'spearman')} | "
                f"{_by_seed(group, 'spearman_all')} | {_mean(group, 'lipschitz', 3)} | "
                f"{_mean(group, 'seconds', 0)} |"
            )
    head = (
        "| digits, critic | seeds | exact W_1 to held-out | rank correlation of estimate and W_1 "
        "| the same with the first steps | bound of the Lipschitz constant | seconds |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n" if lines else ""


def _segments(rows: Sequence[Row]) -> str:
    group = sorted((r for r in rows if r["experiment"] == "segments"), key=lambda r: r["theta"])
    cells: list[tuple[str, Callable[[Row], str]]] = [
        ("θ", lambda r: f"{r['theta']:g}"),
        ("exact W_1", lambda r: f"{r['w1']:.3f}"),
        ("its gradient", lambda r: f"{r['w1_gradient']:+.3f}"),
        ("gradient of the generator's loss", lambda r: f"{r['critic_gradient']:+.3f}"),
        ("JS", lambda r: f"{r['js']:.3f}"),
    ]
    lines = [f"| {title} | " + " | ".join(map(cell, group)) + " |" for title, cell in cells]
    lines.insert(1, "|---" * (len(group) + 1) + "|")
    return "\n".join(lines) + "\n" if group else ""


def _speed(rows: Sequence[Row]) -> str:
    group = [r for r in rows if r["experiment"] == "speed" and r["width"] == 512]
    lines = [
        f"| {r['ratio_of']} | {r['width']} | {r['batch']} | {r['threads']} | {r['ratio']:.3f} |"
        for r in group
    ]
    head = "| ratio of times | width | batch | threads | ratio |\n|---|---|---|---|---|\n"
    return head + "\n".join(lines) + "\n" if lines else ""


def _mean(group: Sequence[Row], key: str, digits: int = 3) -> str:
    return f"{sum(r[key] for r in group) / len(group):.{digits}f}"


def _by_seed(group: Sequence[Row], key: str) -> str:
    return ", ".join("—" if r[key] is None else f"{r[key]:.2f}" for r in group)
