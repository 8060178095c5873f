r"""Distances of directions: cosine, angular, haversine. Points are mapped to unit vectors.

With the chord s = ‖u − v‖ of unit vectors, 1 − cos θ = s²/2, and θ = 2 atan2(‖u − v‖, ‖u + v‖)
keeps its digits for near and for opposite points alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.cost import less, where
from otdist.core.metric import Metric, length
from otdist.core.point_cost import PointCost
from otdist.core.threads import held

_UNIT = 2.0**-53
_OPPOSITE = 3.99**0.5  # chords above are of nearly opposite points, whose angle needs their sum
_PARALLEL = 0.995  # cosines of smaller angles than 0.1, whose slope in them is above 10
_FEW = 1 / 32  # share of pairs that are taken one by one
_WIDE = ("X86_V4", "AVX512_SKX", "AVX512_SPR")  # names of registers of 512 bits in numpy
_LEAST = 2.0**-36  # bound on distances, at least: directions are off by 2^-53
_STEEP = 20.0  # slope of the angle in the chord below, at most


def _units(points: Tensor, name: str, metric: str) -> Tensor:
    """Rows divided by their norms, float64."""
    points = points.double()
    size = points.detach().abs().amax(1, keepdim=True)
    zero = size[:, 0] == 0
    if bool(zero.any()):
        raise ValueError(
            f"{name} must not hold the zero vector for metric {metric!r}, which compares "
            f"directions: row {int(zero.nonzero()[0])}"
        )
    points = points / size  # no square overflows
    return points / points.norm(dim=1, keepdim=True)


@dataclass(frozen=True)
class Cosine(Metric):
    """1 − cos θ of the angle between two vectors, of any length but 0.

    >>> import otdist
    >>> round(float(otdist.wasserstein([[1.0, 0.0]], [[0.0, 2.0]], metric="cosine")), 12)
    1.0
    """

    name: ClassVar[str] = "cosine"
    chordal: ClassVar[bool] = True

    def enter(self, points: Tensor, name: str) -> Tensor:
        """Half unit vectors u/2: then (1 − cos θ)/2 = ‖u/2 − v/2‖²."""
        return _units(points, name, self.name) / 2

    def block(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Metric`."""
        return PointCost(x, y, 2).rows(0, len(x)).mul_(2)

    def of_squared_(self, squared: Tensor) -> Tensor:
        """See `Metric`."""
        return squared.clamp_(min=0).mul_(2)

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Metric`."""
        return (x - y).square().sum(1) * 2

    def largest(self, x: Tensor, y: Tensor) -> float:
        """That of the widest chord of half unit vectors, at most that of opposite ones."""
        return min(max(2 * _widest(x, y) ** 2, _LEAST), 2.0)

    def of_negative_type(self, d: int) -> float:
        """Half a squared Euclidean distance."""
        return 1.0

    def slack(self, x: Tensor, y: Tensor) -> float:
        """See `Metric`."""
        return 2 * PointCost(x, y, 2).slack

    def error(self, x: Tensor, y: Tensor) -> float:
        """Rounding of the directions of both points."""
        return 16 * _UNIT


@dataclass(frozen=True)
class Angular(Metric):
    """The angle between two vectors in radians: the length of the arc on the unit sphere.

    >>> import math, otdist
    >>> result = otdist.wasserstein([[1.0, 0.0]], [[-2.0, 0.0]], metric="angular")
    >>> result.distance == math.pi
    True
    """

    name: ClassVar[str] = "angular"
    chordal: ClassVar[bool] = True

    def enter(self, points: Tensor, name: str) -> Tensor:
        """Unit vectors."""
        return _units(points, name, self.name)

    def block(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Metric`.

        Angles are those of cosines, which one product gives, but for nearly parallel directions:
        300 by 300 in space take 0.4 ms in place of 0.8.
        """
        if x.device.type == "cpu" and x.dtype == torch.float64 and _numpy_is_quick():
            angles = torch.mm(x, y.T)
            size = np.abs(angles.numpy(), out=held("cosines", angles.shape, x.dtype).numpy())
            i, j = where(less(torch.from_numpy(np.negative(size, out=size)), -_PARALLEL))
            if len(i) <= _FEW * angles.numel():
                with np.errstate(invalid="ignore"):  # of cosines that are rounded above 1
                    np.arccos(angles.numpy(), out=angles.numpy())
                angles[i, j] = self.pairs(x[i], y[j])
                return angles
        half = PointCost(x / 2, y / 2, 1).rows(0, len(x))  # sines of half the angles
        if not float(half.max()) > _OPPOSITE / 2:
            return _arcsine_(half).mul_(2)
        i, j = where(half > _OPPOSITE / 2)
        angles = _arcsine_(half).mul_(2)
        angles[i, j] = self.pairs(x[i], y[j])
        return angles

    def of_squared_(self, squared: Tensor) -> Tensor:
        """See `Metric`. Bounds of squares are below by more than roots and arcsines round."""
        return _arcsine_(squared.mul_(0.25).clamp_(0, 1).sqrt_()).mul_(2)

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Metric`."""
        return 2 * torch.atan2(_norm(x - y), _norm(x + y))

    def largest(self, x: Tensor, y: Tensor) -> float:
        """The angle of the widest chord, at most half a turn."""
        half = _widest(x, y) / 2
        return max(2 * math.asin(half) * (1 + 4 * _UNIT), _LEAST) if half < 1 else math.pi

    def slack(self, x: Tensor, y: Tensor) -> float:
        """An error of the chord, which is at most 2, times the slope of the angle."""
        by_differences = (x.shape[1] + 10) * _UNIT
        return _STEEP * (PointCost(x, y, 1).slack or by_differences)

    def signs(self, x: Tensor, y: Tensor, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor] | None:
        """Those of cos(f + g) − ⟨x, y⟩, less its rounding, where no f + g exceeds half a turn.

        An angle is below f + g where its cosine is above cos(f + g) = cos f cos g − sin f sin g:
        4,000 by 4,000 pairs take 16 ms, their angles 115. In float64, since cosines of small angles
        are all near one.
        """
        if not float(f.max() + g.max()) < math.pi:
            return None
        one = torch.ones_like(f[:, None]), torch.ones_like(g[:, None])
        rounding = 2 * (x.shape[1] + 8) * torch.finfo(torch.float64).eps
        x, y = x.double(), y.double()
        left = torch.cat([-x, f.cos()[:, None], -f.sin()[:, None], -rounding * one[0]], 1)
        right = torch.cat([y, g.cos()[:, None], g.sin()[:, None], one[1]], 1)
        return left, right.T.contiguous()

    def freedom(self, d: int) -> int:
        """Unit vectors have a length that is given."""
        return d - 1

    def of_negative_type(self, d: int) -> float:
        """Great circles are, to no power above 1 (Istas 2012)."""
        return 1.0

    def error(self, x: Tensor, y: Tensor) -> float:
        """Rounding of the directions of both points."""
        return 16 * _UNIT


@cache
def _numpy_is_quick() -> bool:
    """Whether numpy has a compiled arcsine for wide registers; numpy says so from 2.1 on."""
    try:
        from numpy.lib import introspect
    except ImportError:
        return False
    current = introspect.opt_func_info(func_name="^arcsin$").get("arcsin", {}).get("dd", {})
    return current.get("current") in _WIDE


def _arcsine_(sines: Tensor) -> Tensor:
    """In place, on the CPU by numpy where that takes a fifth of torch's time.

    Both are off by at most four units in the last place, which `Angular.slack` holds ten times.
    """
    if sines.device.type != "cpu" or not _numpy_is_quick():
        return sines.asin_()
    with np.errstate(invalid="ignore"):  # of nearly opposite points, which the caller takes anew
        np.arcsin(sines.numpy(), out=sines.numpy())
    return sines


def _widest(x: Tensor, y: Tensor) -> float:
    """A bound on all ‖x − y‖: those of a city have a small angle between them."""
    x, y = x.double(), y.double()
    centre = (x.mean(0) + y.mean(0)) / 2
    reach = sum(math.sqrt(float((z - centre).square().sum(1).max())) for z in (x, y))
    return reach * (1 + (x.shape[1] + 8) * _UNIT)


def _norm(vectors: Tensor) -> Tensor:
    return length(vectors.square().sum(1))


@dataclass(frozen=True)
class Haversine(Angular):
    """Great-circle distance between points (latitude, longitude) in degrees.

    Attributes:
        radius: Of the sphere, which gives the unit: 1 for radians, 6371.0088 for kilometres on
            the mean Earth.

    >>> import otdist
    >>> earth = otdist.metrics.Haversine(radius=6371.0088)
    >>> result = otdist.wasserstein([[48.8566, 2.3522]], [[52.52, 13.405]], metric=earth)
    >>> round(result.distance)
    877
    """

    radius: float = 1.0
    name: ClassVar[str] = "haversine"

    def __post_init__(self) -> None:
        checks.settle(self, radius=checks.positive("radius", self.radius))
        object.__setattr__(self, "factor", self.radius)

    def enter(self, points: Tensor, name: str) -> Tensor:
        """Unit vectors in space."""
        if points.shape[1] != 2:
            raise ValueError(
                f"{name} must hold (latitude, longitude) for metric 'haversine', shape (n, 2): "
                f"got shape {tuple(points.shape)}"
            )
        wrong = points.detach()[:, 0].abs() > 90
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise ValueError(
                f"{name} must have latitudes from -90 to 90 degrees in the first column: got "
                f"{float(points[row, 0].detach()):.6g} at row {row}"
            )
        latitude, longitude = points.double().unbind(1)
        latitude, longitude = latitude.deg2rad(), torch.remainder(longitude, 360.0).deg2rad()
        flat = latitude.cos()
        return torch.stack([flat * longitude.cos(), flat * longitude.sin(), latitude.sin()], 1)

    def error(self, x: Tensor, y: Tensor) -> float:
        """Rounding of degrees and of their sines, for both points."""
        return 64 * _UNIT
