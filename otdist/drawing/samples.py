"""Pictures of samples: in a plane with their densities, as images, and the worst matched ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from otdist.drawing.style import CYCLE, GREY, bare, begins_row, blank, panels, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray
_CELLS = 72
"""Cells of a density along each axis."""
_SCOTT = -1 / 6
"""Power of the number of points that Scott's rule narrows a kernel by, in the plane."""
_SHARES = (0.9, 0.5)
"""Mass within the contours that are drawn."""


def density(points: Array, edges: Sequence[Array]) -> Array:
    """A smooth density of points (k, 2) on the grid, by a Gaussian of Scott's width.

    Returns:
        Shape (cells, cells), first axis along x, of sum 1 (less where points lie outside).
    """
    from scipy.ndimage import gaussian_filter

    counts = np.histogram2d(points[:, 0], points[:, 1], bins=list(edges))[0] / len(points)
    cell = np.array([edge[1] - edge[0] for edge in edges])
    width = points.std(0) * len(points) ** _SCOTT / cell
    return gaussian_filter(counts, np.maximum(width, 0.8), mode="constant")


def levels(values: Array) -> list[float]:
    """Heights whose contours hold 90% and 50% of the mass, rising."""
    ordered = np.sort(values.ravel())[::-1]
    total = np.cumsum(ordered)
    places = [int(np.searchsorted(total, share * total[-1])) for share in _SHARES]
    found = [float(ordered[min(place, len(ordered) - 1)]) for place in places]
    return found if 0 < found[0] < found[1] else []


def planes(points: Mapping[str, Array], reference: str, dimension: int) -> Figure:
    """One panel a sample: its rows and the reference's in two principal components, with densities.

    Args:
        points: Name → coordinates, shape (k, 2), the reference among them.
        reference: Name of the sample that the others are compared with.
        dimension: Of the rows before projection, for the labels; 1 draws densities on the line.
    """
    fakes = [name for name in points if name != reference]
    figure, axes = panels(len(fakes), 3.7, 3.9, shared=True)
    union = np.concatenate(list(points.values()))
    low, high = union.min(0), union.max(0)
    # Room for the densities, which are wider than the points by some widths of the kernel.
    widths = [sample.std(0) * len(sample) ** _SCOTT for sample in points.values()]
    pad = np.maximum(0.08 * (high - low), 2.5 * np.max(widths, axis=0))
    pad = np.maximum(pad, 1e-9 * np.abs(union).max() or 1.0)
    edges = [np.linspace(a - p, b + p, _CELLS + 1) for a, b, p in zip(low, high, pad, strict=True)]
    for axis, name, colour in zip(axes, fakes, CYCLE * len(fakes), strict=False):
        for side, paint in ((reference, GREY), (name, colour)):
            (_plane if dimension > 1 else _line)(axis, points[side], edges, side, paint)
        word = "first principal component" if dimension > 1 else "value, from the mean"
        axis.set_xlabel(f"{word} of {plain(reference)}", fontsize=8)
        axis.locator_params(axis="x", nbins=5)
        axis.legend(frameon=False, fontsize=8, markerscale=2.5, loc="upper right")
        bare(axis)
        if begins_row(axis):
            axis.set_ylabel("second" if dimension > 1 else "density", fontsize=8)
    if dimension > 1:
        figure.suptitle("lines hold 50% and 90% of a sample", fontsize=8, x=0.01, ha="left")
    return figure


def _plane(axis: Axes, points: Array, edges: Sequence[Array], name: str, colour: str) -> None:
    axis.scatter(
        *points.T, s=5, alpha=0.45, color=colour, label=plain(name), linewidths=0, rasterized=True
    )
    values = density(points, edges)
    middle = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    heights = levels(values)
    if heights:
        axis.contour(*middle, values.T, levels=heights, colors=colour, linewidths=(0.9, 1.6))


def _line(axis: Axes, points: Array, edges: Sequence[Array], name: str, colour: str) -> None:
    heights = np.histogram(points[:, 0], edges[0][::2], density=True)[0]
    axis.stairs(heights, edges[0][::2], fill=True, color=colour, alpha=0.5, label=plain(name))


def grids(images: Mapping[str, Array], *, rows: int = 5, columns: int = 8) -> Figure:
    """Some images of each sample, side by side.

    Args:
        images: Name → shape (k, h, w) or (k, h, w, 3), on one scale, the reference first.
        rows: Of each grid.
        columns: Of each grid.
    """
    limits = _limits(next(iter(images.values())))
    figure, axes = panels(len(images), 2.9, 2.7 * rows / columns + 0.35)
    for axis, (name, sample) in zip(axes, images.items(), strict=True):
        _picture(axis, _tiled(sample[: rows * columns], columns, limits))
        axis.set_title(plain(name), fontsize=9)
    return figure


def matched_images(
    pairs: Mapping[str, tuple[Array, Array, Array]], reference: str, *, count: int = 12
) -> Figure:
    """The worst matched images of each sample, above what the plan matches them with.

    Args:
        pairs: Name → fake images, their partners, both (k, h, w) or (k, h, w, 3), and distances
            (k,), the worst first.
        reference: Name of the partners' sample.
        count: Of images a sample.
    """
    limits = _limits(np.concatenate([real for _, real, _ in pairs.values()]))
    figure = blank(0.72 * count + 1.0, 1.75 * len(pairs) + 0.2)
    axes = figure.subplots(len(pairs), 1, squeeze=False)[:, 0]
    for axis, (name, (fake, real, apart)) in zip(axes, pairs.items(), strict=True):
        k = min(count, len(fake))
        _picture(axis, _tiled(np.concatenate([fake[:k], real[:k]]), k, limits))
        height, width = axis.images[0].get_array().shape[:2]
        places = width * (np.arange(k) + 0.5) / k - 0.5
        axis.set_yticks(
            [0.25 * height - 0.5, 0.75 * height - 0.5], [plain(name), plain(reference)], fontsize=8
        )
        axis.set_xticks(places, [_short(value) for value in apart[:k]], fontsize=8)
        axis.tick_params(length=0)
    return figure


def matched_points(
    planes: Mapping[str, Array],
    pairs: Mapping[str, tuple[Array, Array, Array]],
    reference: str,
    *,
    count: int = 10,
) -> Figure:
    """The worst matched rows of each sample in the plane, with arrows from their partners.

    Args:
        planes: Name → coordinates, shape (k, 2), the reference among them.
        pairs: Name → positions of fake rows and of their partners in `planes`, and the numbers that
            the fake rows have in their sample, shape (k,) each, the worst first.
        reference: Name of the partners' sample.
        count: Of rows a sample.
    """
    figure, axes = panels(len(pairs), 3.7, 3.7, shared=True)
    for axis, (name, (fake, real, number)), colour in zip(
        axes, pairs.items(), CYCLE * len(pairs), strict=False
    ):
        for side, paint in ((reference, GREY), (name, colour)):
            axis.scatter(
                *planes[side].T, s=4, alpha=0.3, color=paint, linewidths=0, rasterized=True
            )
        for j, i, row in zip(fake[:count], real[:count], number[:count], strict=True):
            end, start = planes[name][j], planes[reference][i]
            arrow = {"arrowstyle": "->", "color": colour, "lw": 1.1, "shrinkA": 0, "shrinkB": 1}
            axis.annotate("", xy=tuple(end), xytext=tuple(start), arrowprops=arrow)
            axis.annotate(
                str(row), tuple(end), xytext=(3, 2), textcoords="offset points", fontsize=7
            )
        axis.set_title(f"{plain(name)}: numbers of its rows", fontsize=9)
        axis.set_xlabel(f"first principal component of {plain(reference)}", fontsize=8)
        bare(axis)
        if begins_row(axis):
            axis.set_ylabel("second", fontsize=8)
    return figure


def _short(value: float) -> str:
    """Three digits, and no exponent where five will do."""
    return f"{value:,.0f}" if 1000 <= value < 1e5 else f"{value:.3g}"


def _limits(images: Array) -> tuple[float, float]:
    """The values shown as black and white, from the reference; others are clipped."""
    low, high = float(images.min()), float(images.max())
    return low, high if high > low else low + 1


def _tiled(images: Array, columns: int, limits: tuple[float, float]) -> Array:
    """Images (k, h, w) or (k, h, w, 3) in rows, with transparent gaps, scaled to [0, 1]."""
    scaled = ((images.astype(np.float64) - limits[0]) / (limits[1] - limits[0])).clip(0, 1)
    colour = np.ones((*scaled.shape[:3], 4))
    colour[..., :3] = scaled if scaled.ndim == 4 else scaled[..., None]
    return sheet(colour, columns, gap=max(1, images.shape[1] // 12), fill=0.0)


def sheet(images: Array, columns: int, *, gap: int, fill: float) -> Array:
    """Images (k, h, w, channels) in rows of so many, with gaps between them, as one image.

    >>> sheet(np.zeros((2, 1, 1, 1)), 2, gap=1, fill=9)[..., 0].tolist()
    [[0.0, 9.0, 0.0]]
    """
    k, h, w, channels = images.shape
    rows = -(-k // columns)
    cells = np.full((rows * columns, h + gap, w + gap, channels), fill, dtype=np.float64)
    cells[:k, :h, :w] = images
    cells = cells.reshape(rows, columns, h + gap, w + gap, channels).swapaxes(1, 2)
    return cells.reshape(rows * (h + gap), columns * (w + gap), channels)[:-gap, :-gap]


def _picture(axis: Axes, sheet: Array) -> None:
    axis.imshow(sheet, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
