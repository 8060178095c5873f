"""Pictures of a run: its log as curves, its samples as a grid of images or as points.

Figures are built without pyplot, so that neither a display nor global state is touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from otdist.core import checks
from otdist.drawing.samples import sheet
from otdist.drawing.style import GREY, ORANGE, blank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANELS = (
    ("distances to held-out data", ("w1", "w1_floor", "sliced", "sliced_floor", "w1_lower")),
    ("critic's gap", ("gap", "gap_held_out", "wasserstein")),
    ("losses", ("critic_loss", "generator_loss", "penalty", "gp")),
    ("mean scores", ("score_real", "score_fake", "d_real", "d_fake")),
)


def plot_log(records: Sequence[dict[str, Any]], *, gap_means: str = "") -> Figure:
    """The log of a run as curves over steps.

    Args:
        records: As `WGANTrainer.train` returns them, or the dictionaries of `WassersteinGANLoss`,
            one for each step; without an entry "step" they are counted.
        gap_means: What the gap is worth, `WGANTrainer.gap_means`; the title of its panel.

    Returns:
        A matplotlib figure; `savefig` writes it.

    Raises:
        ImportError: without matplotlib, naming the extra `plot`.

    >>> records = [{"step": 1, "gap": 0.5, "w1": 0.9}, {"step": 2, "gap": 0.4, "w1": 0.6}]
    >>> figure = plot_log(records)
    >>> [axes.get_title() for axes in figure.axes]
    ['distances to held-out data', "critic's gap"]
    """
    if not records:
        raise ValueError("there is nothing to draw: the log has no record yet")
    checks.instances("records", records, dict, "dictionaries, one for each step")
    known = {key for record in records for key in record}
    panels = [(title, [k for k in keys if k in known]) for title, keys in _PANELS]
    panels = [(title, keys) for title, keys in panels if keys]
    if not panels:
        names = ", ".join(key for _, keys in _PANELS for key in keys)
        raise ValueError(f"records must have some of {names}: got {', '.join(sorted(known))}")
    rows = math.ceil(len(panels) / 2)
    figure = blank(10, 3.2 * rows)
    for position, (title, keys) in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, 2, position)
        for key in keys:
            points = [
                (r.get("step", k), _number(r[key])) for k, r in enumerate(records, 1) if key in r
            ]
            style = "--" if key.endswith("_floor") else "-"
            axes.plot(*zip(*points, strict=True), style, label=key, linewidth=1.2)
        axes.set_title(
            gap_means if gap_means and title == "critic's gap" else title, fontsize="small"
        )
        axes.set_xlabel("generator steps")
        axes.legend(fontsize="x-small")
    return figure


def _number(value: Any) -> float:
    return float(value.detach() if isinstance(value, Tensor) else value)


def plot_samples(samples: Tensor, *, real: Tensor | None = None, columns: int = 10) -> Figure:
    """Samples as they are seen: images in a grid, points of the plane as points.

    Args:
        samples: Shape (n, height, width), (n, 1 or 3, height, width), or (n, 2).
        real: Real points (m, 2), drawn behind the samples.
        columns: Of the grid.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: samples of another shape.
        ImportError: without matplotlib, naming the extra `plot`.

    >>> import torch
    >>> figure = plot_samples(torch.rand(20, 8, 8), columns=5)
    >>> len(figure.axes[0].images)
    1
    """
    figure = blank(6.4, 4.8)
    samples = samples.detach().cpu().float()
    if samples.dim() == 2 and samples.shape[1] == 2:
        axes = figure.add_subplot(aspect="equal")
        if real is not None:
            axes.plot(*real.detach().cpu().T, ".", color=GREY, markersize=2, label="real")
        axes.plot(*samples.T, ".", color=ORANGE, markersize=2, label="generated")
        axes.legend(fontsize="x-small")
        return figure
    if samples.dim() == 3:
        samples = samples[:, None]
    if samples.dim() != 4 or samples.shape[1] not in (1, 3):
        raise ValueError(
            "samples must have shape (n, height, width), (n, 1 or 3, height, width) or (n, 2): "
            f"got {tuple(samples.shape)}"
        )
    figure.set_size_inches(columns * 0.6, math.ceil(len(samples) / columns) * 0.6)
    axes = figure.add_subplot()
    axes.imshow(_grid(samples, columns), cmap="gray", interpolation="nearest")
    axes.set_axis_off()
    return figure


def save_pictures(
    folder: Path, records: Sequence[dict[str, Any]], samples: Tensor, gap_means: str
) -> list[Path]:
    """Write log.png and, for images and points of the plane, samples.png; the paths."""
    written = [folder / "log.png"]
    plot_log(records, gap_means=gap_means).savefig(written[0], dpi=120)
    if samples.dim() > 2 or samples.shape[1] == 2:
        written.append(folder / "samples.png")
        plot_samples(samples).savefig(written[1], dpi=120)
    return written


def _grid(images: Tensor, columns: int) -> Any:
    """One image of all, scaled to [0, 1] together, with a margin of one pixel."""
    low, high = images.min(), images.max()
    scaled = (images - low) / (high - low).clamp_min(1e-12)
    made = sheet(scaled.permute(0, 2, 3, 1).numpy(), columns, gap=1, fill=1.0)
    return made[..., 0] if images.shape[1] == 1 else made
