"""Measure: a weighted sample, validated and put into a frame once, here, and never again.

Both samples of a pair share one frame, an exact change of units (`frame`). Points of weight zero do
not exist (`absent`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core.absent import Absent, split_zeros
from otdist.core.arrays import NUMPY, Kind, as_tensor, enter
from otdist.core.frame import framed, framed_arrays
from otdist.core.metric import Metric
from otdist.core.threads import threads_for

WEIGHT_TOLERANCE = 1e-6
"""How far a sum of weights may be from one before it is refused."""


@dataclass(frozen=True)
class Measure:
    """A weighted sample in scaled coordinates.

    Attributes:
        points: Shape (n, d), float32 or float64; carries the graph of the caller's tensor.
        weights: Shape (n,), float64, non-negative, of sum one, normalised inside the graph; or
            masses of any sum, as they were given.
        uniform: True when the caller gave no weights.
        given: The weights before the division by their sum, which rounds: float64, without a
            graph; None where uniform.
        absent: The points of weight zero, which left; None where there are none.
    """

    points: Tensor
    weights: Tensor
    uniform: bool
    given: Tensor | None = None
    absent: Absent | None = None

    def __len__(self) -> int:
        return self.points.shape[0]

    @property
    def whole(self) -> Tensor:
        """All points, those of weight zero in their places, without a graph."""
        points = self.points.detach()
        return points if self.absent is None else self.absent.spread(points, self.absent.points)

    @property
    def masses(self) -> Tensor | None:
        """Weights of any sum that no division has rounded, where known; None where uniform."""
        if self.uniform:
            return None
        return self.weights.detach() if self.given is None else self.given


@dataclass(frozen=True)
class SamplePair:
    """Two measures in one frame: points = (raw − centre) / scale.

    Attributes:
        x: First measure, n points.
        y: Second measure, m points.
        kind: What the caller's samples were.
        scale: A power of two; distances in the caller's units are `scale` times larger.
        centre: Shape (d,), in the caller's units.
        metric: Of the ground cost, which mapped the points; None is Euclidean.
        error: How far the map may have moved a distance, before the frame.
    """

    x: Measure
    y: Measure
    kind: Kind
    scale: float
    centre: Tensor
    metric: Metric | None = None
    error: float = 0.0

    @property
    def size(self) -> int:
        """How many points both samples have."""
        return len(self.x) + len(self.y)

    @property
    def needs_gradient(self) -> bool:
        """Whether any of points or weights requires a gradient."""
        x, y = self.x, self.y
        points = x.points.requires_grad or y.points.requires_grad
        weights = x.weights.requires_grad or y.weights.requires_grad
        return torch.is_grad_enabled() and (points or weights)


def pair(
    x: Any,
    y: Any,
    a: Any = None,
    b: Any = None,
    *,
    p: float = 2.0,
    extends: bool = False,
    metric: Metric | None = None,
    masses: bool = False,
) -> SamplePair:
    """Validate two samples and their weights, and put them in one frame.

    Points of weight zero leave, and the frame is that of the others. Where a gradient in the
    weights is asked for they stay, since they have one, unless the caller `extends` his answer to
    them, as `core.absent` does.

    Args:
        x: Points, shape (n, d), or (n,) on the line.
        y: Points, shape (m, d) or (m,).
        a: Weights of x, shape (n,); uniform when None.
        b: Weights of y, shape (m,); uniform when None.
        p: The highest power of a distance that the caller takes.
        extends: Let points of weight zero leave in any case.
        metric: Maps the points, and says whether they have a frame; None is Euclidean.
        masses: Let weights have any positive sum, which they keep.

    Raises:
        TypeError: not numbers; numpy mixed with torch.
        ValueError: no points, wrong rank, dimensions differ, NaN or infinite, bad weights, more
            than the range of float64.
    """
    plain = metric is None and not masses
    quick = framed_arrays(x, y, a, b, p, WEIGHT_TOLERANCE) if plain else None
    if quick is not None:
        sides = _measure(quick.x, quick.a), _measure(quick.y, quick.b)
        return SamplePair(*sides, NUMPY, quick.scale, torch.from_numpy(quick.centre))
    kind, raw = enter(x=x, y=y)
    px, py = _points(raw["x"], "x"), _points(raw["y"], "y")
    if px.shape[1] != py.shape[1]:
        raise ValueError(
            f"x and y must have the same dimension: x is {_shape(raw['x'])}, "
            f"y is {_shape(raw['y'])}"
        )
    with threads_for(px.numel() + py.numel()):
        error = 0.0
        if metric is not None:
            px, py, error = metric.enter_both(px, py)
        mass_a, mass_b = _masses(a, "a", "x", px, masses), _masses(b, "b", "y", py, masses)
        first, second = _Side.of(px, mass_a, "x", extends), _Side.of(py, mass_b, "y", extends)
        low = torch.minimum(first.low, second.low)
        high = torch.maximum(first.high, second.high)
        if metric is None or metric.framed:
            px, py, centre, scale = framed(first.points, second.points, low, high, p)
        else:
            px, py, centre, scale = first.points, second.points, torch.zeros_like(low), 1.0
        frame = centre, scale, masses
        sides = first.measure(px, *frame), second.measure(py, *frame)
        return SamplePair(*sides, kind, scale, centre, metric, error)


def _measure(points: np.ndarray, mass: np.ndarray | None) -> Measure:
    """The measure of points in the frame, from numpy."""
    n = len(points)
    if mass is None:
        return Measure(torch.from_numpy(points), torch.from_numpy(np.full(n, 1 / n)), True)
    shares = torch.from_numpy(mass / np.add.reduce(mass))
    return Measure(torch.from_numpy(points), shares, False, torch.from_numpy(mass))


@dataclass(frozen=True)
class _Side:
    """A sample on its way into the frame.

    Attributes:
        points: Those that stay, shape (k, d).
        low: Lowest values of the coordinates of points of positive weight, shape (d,).
        high: Highest values.
        mass: Weights of all points as given, None where uniform.
        split: Indices of points that stay and that leave; None where all stay.
        gone: The points that leave.
    """

    points: Tensor
    low: Tensor
    high: Tensor
    mass: Tensor | None
    split: tuple[Tensor, Tensor] | None = None
    gone: Tensor | None = None

    @staticmethod
    def of(points: Tensor, mass: Tensor | None, name: str, extends: bool) -> _Side:
        low, high = _range(points, name)
        split = None if mass is None else split_zeros(mass)
        if mass is None or split is None:
            return _Side(points, low, high, mass)
        present, rows = split
        kept = points[present]
        low, high = _range(kept, name)
        if not extends and torch.is_grad_enabled() and mass.requires_grad:
            return _Side(points, low, high, mass)
        return _Side(kept, low, high, mass, split, points[rows].detach())

    def measure(self, points: Tensor, centre: Tensor, scale: float, masses: bool) -> Measure:
        """The measure of `points`, which are those of this side in the frame."""
        if self.mass is None:
            return Measure(points, _uniform(points), True)
        mass, absent = self.mass, None
        if self.split is not None and self.gone is not None:
            present, rows = self.split
            far = ((self.gone.double() - centre) / scale).to(points.dtype).nan_to_num()
            absent = Absent(rows, present, far, mass[rows] / mass.sum())
            mass = mass[present]
        kept = mass if masses else _shares(mass)
        return Measure(points, kept, False, mass.detach(), absent)


def sample(value: Any, name: str) -> Tensor:
    """One sample alone, as it is: validated, shape (n, d), float32 or float64, without a graph.

    Raises:
        TypeError: not numbers.
        ValueError: no points, wrong rank, NaN or infinite.
    """
    _, raw = enter(**{name: value})
    points = _points(raw[name].detach(), name)
    _range(points, name)
    return points


def weights(value: Any, name: str, of: str, sample: Tensor, masses: bool = False) -> Tensor:
    """Weights of a sample: float64, of sum one, on its device; uniform when `value` is None.

    Masses may have any positive sum, and are returned as they are.

    Raises:
        ValueError: wrong length, NaN or infinite, negative, or a sum that is not one.
    """
    mass = _masses(value, name, of, sample, masses)
    if mass is None:
        return _uniform(sample)
    return mass if masses else _shares(mass)


def _shares(mass: Tensor) -> Tensor:
    """Weights over their sum, with a graph; the sum is numpy's, whoever gave them, to the digit."""
    total = mass.sum()
    if mass.device.type == "cpu":
        total = total + (np.add.reduce(mass.detach().numpy()) - total.detach())
    return mass / total


def onto_present(points: Tensor, weights: Tensor | None) -> Tensor:
    """Points (..., n, d) with those of weight zero moved onto one of the largest weight.

    For batches, whose entries keep their number of points: there a point of weight zero changes no
    centre, scale or default. It has no gradient. Where a gradient in the weights is asked for, the
    points stay where they are.
    """
    if weights is None or (weights.requires_grad and torch.is_grad_enabled()):
        return points
    zero = weights == 0
    if not bool(zero.any()):
        return points
    zero, weights = (w.expand(points.shape[:-1]) for w in (zero, weights))
    largest = weights.argmax(-1)[..., None, None].expand(*points.shape[:-2], 1, points.shape[-1])
    return torch.where(zero[..., None], points.detach().gather(-2, largest), points)


def weight_tolerance(weights: Any) -> float:
    """How far from one a sum of weights may be: what their own type reaches, at least 1e-6."""
    if getattr(weights, "dtype", None) not in (torch.float16, torch.bfloat16):
        return WEIGHT_TOLERANCE
    kind = torch.finfo(weights.dtype)
    return 2 * kind.eps + weights.shape[-1] * kind.smallest_normal * kind.eps


def _masses(value: Any, name: str, of: str, sample: Tensor, any_sum: bool = False) -> Tensor | None:
    """Valid weights as they were given, float64; None where uniform."""
    if value is None:
        return None
    n = len(sample)
    given = as_tensor(value, name)
    if given.shape != (n,):
        raise ValueError(f"{name} must hold one weight per point of {of}, shape ({n},): got "
                         f"shape {_shape(given)}")  # fmt: skip
    weight = given.to(sample.device, torch.float64)
    with torch.no_grad():
        if not bool(torch.isfinite(weight).all()):
            raise ValueError(_not_finite(weight[:, None], name, "entry"))
        if bool((weight < 0).any()):
            row = int((weight < 0).nonzero()[0])
            raise ValueError(
                f"{name} must be non-negative: got {float(weight[row]):.6g} at entry {row}"
            )
        total, tolerance = float(weight.sum()), weight_tolerance(given)
    if any_sum:
        if not 0 < total < math.inf:
            raise ValueError(f"{name} must have a positive and finite sum: got {total:g}")
    elif abs(total - 1.0) > tolerance:
        raise ValueError(
            f"{name} must sum to 1 within {tolerance:g}: got {total:.9g}; "
            f"pass {name} / {name}.sum()"
        )
    return weight


def _uniform(sample: Tensor) -> Tensor:
    n = len(sample)
    return torch.tensor(1.0 / n, dtype=torch.float64, device=sample.device).expand(n)


def _points(raw: Tensor, name: str) -> Tensor:
    """The sample as (n, d) with at least one point and one coordinate."""
    if raw.ndim not in (1, 2):
        raise ValueError(
            f"{name} must have shape (n, d), or (n,) on the line: got shape {_shape(raw)}"
        )
    points = raw[:, None] if raw.ndim == 1 else raw
    if 0 in points.shape:
        what = "point" if points.shape[0] == 0 else "coordinate"
        raise ValueError(f"{name} must hold at least one {what}: got shape {_shape(raw)}")
    return points


def _range(points: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Lowest and highest value of each coordinate, (d,) each; NaN or infinity raises."""
    values = points.detach()
    if values.shape[1] == 1:  # a reduction of everything runs four times faster than along rows
        low, high = (bound[None] for bound in torch.aminmax(values))
    else:
        low, high = torch.aminmax(values, dim=0)
    if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
        raise ValueError(_not_finite(points.detach(), name, "row"))
    return low, high


def _not_finite(values: Tensor, name: str, place: str) -> str:
    """Say how many entries are NaN or infinite, and where the first one stands."""
    found = []
    for word, bad in (("NaN", torch.isnan(values)), ("infinite", torch.isinf(values))):
        if bool(bad.any()):
            row = int(bad.any(1).nonzero()[0])
            found.append(f"{int(bad.sum())} {word}, first at {place} {row}")
    return f"{name} must be finite: found " + "; ".join(found)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
