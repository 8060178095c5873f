"""The table of docs/wgan.md, from the rows of the results file: means over seeds, and the worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from benchmarks import page
from benchmarks.gan import critics, digits
from benchmarks.gan.toys import RECIPES
from benchmarks.records import Row


def render(rows: Sequence[Row]) -> str:
    """Markdown: points in the plane, digits by critic, certified critics, gradients, speed."""
    parts = [_toys(rows), _digits(rows, "digits"), _digits(rows, "digits28")]
    parts += [_critics(rows), _segments(rows), _speed(rows)]
    return "\n".join("\n".join([*part, ""]) for part in parts if part)


def _toys(rows: Sequence[Row]) -> list[str]:
    titles = [
        "points, critic", "seeds", "modes found, by seed", "samples within 3σ of a mode",
        "exact W_1 to held-out", "floor", "worst ratio to the floor", "CPU seconds",
    ]  # fmt: skip
    lines = []
    for name, critic in product(("ring", "grid", "swiss"), RECIPES):
        known = (name, critic)
        if group := [r for r in rows if (r["experiment"], r.get("critic")) == known]:
            modes = ", ".join(f"{r['modes']} of {r['of']}" for r in group if "modes" in r) or "—"
            near = _mean(group, "near_a_mode") if "near_a_mode" in group[0] else "—"
            worst = max(r["w1"] / r["w1_floor"] for r in group)
            means = [_mean(group, "w1"), _mean(group, "w1_floor")]
            lines.append(
                [
                    f"{name}, {critic}",
                    len(group),
                    modes,
                    near,
                    *means,
                    f"{worst:.2f}",
                    _seconds(group),
                ]
            )
    return page.table(titles, lines) if lines else []


def _digits(rows: Sequence[Row], experiment: str) -> list[str]:
    size = "8×8" if experiment == "digits" else "28×28"
    titles = [
        f"digits {size}, critic", "seeds", "steps", "exact W_1 to held-out", "floor",
        "rank correlation of estimate and W_1", "the same with the first steps",
        "bound of the Lipschitz constant", "CPU seconds",
    ]  # fmt: skip
    lines = []
    for critic in digits.RECIPES:
        known = (experiment, critic)
        if group := [r for r in rows if (r["experiment"], r.get("critic")) == known]:
            w1 = f"{_mean(group, 'w1')} (worst {max(r['w1'] for r in group):.3f})"
            ranks = [_by_seed(group, "spearman"), _by_seed(group, "spearman_all")]
            means = [_mean(group, "lipschitz"), _seconds(group)]
            steps = f"{max(r['steps'] for r in group):,}"
            cells = [critic, len(group), steps, w1, _mean(group, "w1_floor")]
            lines.append([*cells, *ranks, *means])
    return page.table(titles, lines) if lines else []


def _critics(rows: Sequence[Row]) -> list[str]:
    lines = critics.lines([r for r in rows if r["experiment"] == "critics"])
    return page.table(critics.TITLES, lines) if lines else []


def _segments(rows: Sequence[Row]) -> list[str]:
    group = sorted((r for r in rows if r["experiment"] == "segments"), key=lambda r: r["theta"])
    cells: list[tuple[str, Callable[[Row], str]]] = [
        ("exact W_1", lambda r: f"{r['w1']:.3f}"),
        ("its gradient", lambda r: f"{r['w1_gradient']:+.3f}"),
        ("gradient of the generator's loss", lambda r: f"{r['critic_gradient']:+.3f}"),
        ("JS", lambda r: f"{r['js']:.3f}"),
    ]
    lines = [[title, *map(cell, group)] for title, cell in cells]
    return page.table(["θ", *(f"{r['theta']:g}" for r in group)], lines) if group else []


def _speed(rows: Sequence[Row]) -> list[str]:
    group = [r for r in rows if r["experiment"] == "speed" and r["width"] == 512]
    lines = [
        [r["ratio_of"], r["width"], r["batch"], r["threads"], f"{r['ratio']:.3f}"] for r in group
    ]
    titles = ["ratio of times", "width", "batch", "threads", "ratio"]
    return page.table(titles, lines) if lines else []


def _mean(group: Sequence[Row], key: str, digits: int = 3) -> str:
    return f"{sum(r[key] for r in group) / len(group):.{digits}f}"


def _seconds(group: Sequence[Row]) -> str:
    """Of the processor, where all runs know them."""
    known = all("cpu_seconds" in row for row in group)
    return _mean(group, "cpu_seconds", 0) if known else "–"


def _by_seed(group: Sequence[Row], key: str) -> str:
    return ", ".join("—" if r[key] is None else f"{r[key]:.2f}" for r in group)
