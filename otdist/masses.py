r"""Masses in bins or pixels as weighted samples: what `wasserstein(x, y, a=…, b=…)` takes.

A histogram is not a sample: its counts are *weights* of the bin centres. Passing counts as points
is the most common mistake with distances on the line. Bins and pixels without mass are left out,
since a point of weight zero changes no distance and costs time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.arrays import enter
from otdist.core.result import Array

_CHANNELS = (1, 3, 4)
_LEAST_SIDE = 5  # an axis of 1, 3 or 4 beside two axes of this length or more is one of channels


def grid(image: Any, *, spacing: Any = 1.0, origin: Any = 0.0) -> tuple[Array, Array]:
    """Pixels of an image, or voxels of a volume, as points with weights.

    Args:
        image: Masses, shape (H, W) or (D, H, W), non-negative; integers are fine. Colour channels
            are refused: take the mean over channels, or one channel after another.
        spacing: Distance between neighbouring pixels, one number or one per axis.
        origin: Coordinate of the first pixel, one number or one per axis.

    Returns:
        points: The k pixels with mass, shape (k, 2) or (k, 3): ``origin + spacing · index``, in the
            order of the axes (row before column).
        weights: Their share of the mass, shape (k,), of sum one.

    Raises:
        TypeError: not numbers.
        ValueError: another rank, channels, negative or non-finite masses (the pixel is named), no
            mass at all, spacing not positive.

    Gradients: weights of a torch image carry its graph; points are constant.
    Cost: O(pixels).

    >>> points, weights = grid([[0, 3], [0, 1]])
    >>> points.tolist(), weights.tolist()
    ([[0.0, 1.0], [1.0, 1.0]], [0.75, 0.25])
    """
    kind, tensors = enter(image=image)
    masses = tensors["image"]
    if masses.ndim not in (2, 3) or 0 in masses.shape:
        hint = "; use histogram for counts of bins" if masses.ndim == 1 else ""
        raise ValueError(
            f"image must have shape (H, W) or (D, H, W): got shape {tuple(masses.shape)}{hint}"
        )
    _refuse_channels(tuple(masses.shape))
    steps = per_axis("spacing", spacing, masses.ndim, above=0)
    starts = per_axis("origin", origin, masses.ndim)
    index, weights = _with_mass(masses, "image", "pixel")
    unit, zero = (index.new_tensor(v, dtype=torch.float64) for v in (steps, starts))
    return kind.array(zero + unit * index.double()), kind.array(weights)


def histogram(counts: Any, edges: Any) -> tuple[Array, Array]:
    """Bins of a histogram as points with weights, at the centres of the bins.

    Args:
        counts: Counts or other masses, shape (k,), non-negative; or (k_1, …, k_d) as
            `numpy.histogramdd` returns them.
        edges: Edges of the bins, shape (k + 1,), increasing; or their centres, shape (k,). In more
            dimensions a sequence with one such array for each axis.

    Returns:
        points: Centres of the bins with mass, shape (l,), or (l, d) in more dimensions.
        weights: Their share of the mass, shape (l,), of sum one.

    Raises:
        TypeError: not numbers.
        ValueError: lengths that do not fit, edges that do not increase, negative or non-finite
            counts (the bin is named), no mass at all.

    Gradients: weights of torch counts carry their graph; points are constant.
    Cost: O(bins).

    >>> import otdist
    >>> points, weights = histogram([2, 0, 2], [0.0, 1.0, 2.0, 3.0])
    >>> points.tolist(), weights.tolist()
    ([0.5, 2.5], [0.5, 0.5])
    >>> otdist.wasserstein(points, [0.5], a=weights).distance
    1.0
    """
    kind, tensors = enter(counts=counts)
    masses = tensors["counts"]
    if masses.ndim == 0 or 0 in masses.shape:
        raise ValueError(
            f"counts must hold one number for each bin: got shape {tuple(masses.shape)}"
        )
    axes = [edges] if masses.ndim == 1 else edges
    if not isinstance(axes, Sequence) or len(axes) != masses.ndim:
        raise ValueError(f"edges must be a sequence of {masses.ndim} arrays, one for each axis")
    names = ["edges"] if masses.ndim == 1 else [f"edges[{k}]" for k in range(masses.ndim)]
    centres = [_centres(*axis) for axis in zip(axes, names, masses.shape, strict=True)]
    index, weights = _with_mass(masses, "counts", "bin")
    points = torch.stack([c.to(index.device)[i] for c, i in zip(centres, index.T, strict=True)], 1)
    return kind.array(points[:, 0] if masses.ndim == 1 else points), kind.array(weights)


def _with_mass(masses: Tensor, name: str, place: str) -> tuple[Tensor, Tensor]:
    """Indices (k, ndim) of the entries with mass, and their weights (k,), float64, of sum one."""
    for word, bad in (("finite", ~torch.isfinite(masses)), ("non-negative", masses < 0)):
        if bool(bad.any()):
            where = tuple(bad.nonzero()[0].tolist())
            raise ValueError(
                f"{name} must be {word}: got {float(masses[where].detach()):.6g} at {place} {where}"
            )
    index = (masses > 0).nonzero()
    if not len(index):
        raise ValueError(f"{name} must have a {place} with mass: all are zero")
    mass = masses[tuple(index.T)].double()
    mass = mass / mass.detach().max()  # so that no sum overflows
    return index, mass / mass.sum()


def _centres(values: Any, name: str, bins: int) -> Tensor:
    """Centres of the bins of one axis, shape (bins,), float64, from edges or centres."""
    _, tensors = enter(**{name: values})
    marks = tensors[name].detach().double()
    if marks.ndim != 1 or len(marks) not in (bins, bins + 1):
        raise ValueError(
            f"{name} must hold {bins + 1} edges or {bins} centres for {bins} bins: "
            f"got shape {tuple(marks.shape)}"
        )
    if not bool(torch.isfinite(marks).all()) or bool((marks.diff() <= 0).any()):
        raise ValueError(f"{name} must be finite and increasing")
    return marks if len(marks) == bins else marks[:-1] / 2 + marks[1:] / 2


def per_axis(name: str, value: Any, axes: int, **bounds: float) -> tuple[float, ...]:
    """One finite number for each axis."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, list | tuple) or getattr(value, "ndim", 0):
        return checks.numbers(name, value, axes, **bounds)
    return (checks.number(name, value, **bounds),) * axes


def _refuse_channels(shape: tuple[int, ...]) -> None:
    """Refuse (H, W, C) and (C, H, W), whose channels are no axis of space."""
    if len(shape) == 3:
        for axis in (0, 2):
            others = [side for k, side in enumerate(shape) if k != axis]
            if shape[axis] in _CHANNELS and min(others) >= _LEAST_SIDE:
                raise ValueError(
                    f"image of shape {shape} has {shape[axis]} channels along axis {axis}, which "
                    f"is no direction in space: pass image.mean({axis}), or one channel after "
                    "another; for a volume that is so thin, append empty slices"
                )
