r"""The frame of two samples: a centre c and a scale s, exact in floating point.

.. math::  \text{points} = (\text{raw} - c) / s .

Whatever is proved for `points` holds for the raw samples: s is a power of two, and a coordinate is
centred only where its offset is at least twice its half-range; then raw/2 ≤ c ≤ 2·raw and the
subtraction has no rounding (Sterbenz' lemma). Where the offset is smaller, the coordinate loses
nothing by staying.

In units of s no two points are farther apart than 1 (2¹⁰ on the line at low powers, see
`_MODERATE`; 2^(1000/p) at high ones, see `_ROOM`), so that no power of a distance overflows. Where
digits would fall below the normal numbers, float32 becomes float64, and float64 that spans more
than its range is refused.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

_MODERATE = 8
_LOW_POWER = 4.0
"""On the line, where two passes over the points cost as much as half the sorting, samples that span
2⁻⁸ to 2⁸ stay as they are up to this power, which float32 holds with digits to spare."""

SINGLE_POWER = 16.0
"""Above this power the samples are float64: in float32, a distance of 1/256 of the largest would
have no power left."""

_ROOM = 1000.0
"""Bits of the range of float64 that are free for powers of distances above 1. Above `SINGLE_POWER`
they are used, since the other half of the range holds the powers of distances below 1."""


_FEW = 1 << 17  # numbers in both samples, below which numpy is faster than torch
_NORMAL = 2.0**-1022  # the least number that carries all its digits
_EXPONENT = 500  # up to which one product changes the units
_MODERATE_SIZE = 2.0**200  # sums of squares of coordinates below which no fourth power overflows
_NEAR_ONE = 2.0**-400
_ORIGIN = np.zeros(1)


def framed(
    x: Tensor, y: Tensor, low: Tensor, high: Tensor, p: float
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Put two samples into one frame.

    Args:
        x: Shape (n, d).
        y: Shape (m, d).
        low: The lowest values of the coordinates, shape (d,).
        high: The highest.
        p: The highest power of a distance that will be taken.

    Returns:
        Points of both, the centre (d,) and the scale.
    """
    high_power = p > SINGLE_POWER
    if high_power and x.dtype != torch.float64:
        return framed(x.double(), y.double(), low.double(), high.double(), p)
    place_of, exponent = place(low.cpu().numpy(), high.cpu().numpy(), p)
    centre = torch.from_numpy(place_of).to(low.device)
    moved = [z - centre if bool(centre.any()) else z for z in (x, y)]
    room = 0.0 if high_power else _ROOM / p
    points, scale = scaled(moved, exponent, "x and y", room)
    return points[0], points[1], centre, scale


def place(low: np.ndarray, high: np.ndarray, p: float) -> tuple[np.ndarray, int]:
    """The centre of the frame and the exponent of its scale; arguments as for `framed`."""
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    centre = middle * (np.abs(middle) / 2 >= half)
    exponent = _diagonal(half) - (int(_ROOM / p) if p > SINGLE_POWER else 0)
    if len(low) == 1 and abs(exponent) <= _MODERATE and p <= _LOW_POWER:
        exponent = 0
    return centre, exponent


def scaled(
    values: list[Tensor], exponent: int, name: str, room: float
) -> tuple[list[Tensor], float]:
    """Divide by 2^exponent without a loss of digits.

    Args:
        values: All of one type.
        exponent: What is wanted; a lower one is taken where digits would be lost.
        name: Of the values, for errors.
        room: How much lower it may be.

    Returns:
        The quotients, float64 where float32 would lose digits, and the divisor.

    Raises:
        ValueError: float64 has too small a range.
    """
    exponent = min(max(exponent, -1074), 1023)
    single = values[0].dtype != torch.float64
    lost = 0
    if exponent > 0:
        lost = min(max(exponent - min(map(_largest_shift, values)), 0), exponent)
    if single and (lost > 0 or exponent < -120):
        return scaled([v.double() for v in values], exponent, name, room)
    if lost > room:
        raise ValueError(
            f"{name} must fit the range of float64: what is below 2**{exponent - 1022} "
            f"loses digits beside 2**{exponent}; set such numbers to 0"
        )
    exponent -= lost
    return [_times_power(v, -exponent) for v in values], math.ldexp(1.0, exponent)


def centred(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Points (B, n, d) and (B, m, d) around the middle of their entry, where that is exact."""
    low = torch.minimum(x.detach().amin(1), y.detach().amin(1))
    high = torch.maximum(x.detach().amax(1), y.detach().amax(1))
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    centre = torch.where(middle.abs() / 2 >= half, middle, 0.0)[:, None]
    return (x - centre, y - centre) if bool(centre.any()) else (x, y)


def _diagonal(half: np.ndarray) -> int:
    """The least e for which the diagonal of a box of these half-widths is below 2^e; 0 for none."""
    widths = half.astype(np.float64, copy=False)
    diagonal = 2 * math.sqrt(np.vdot(widths, widths))
    if _NEAR_ONE < diagonal < 1 / _NEAR_ONE:  # squares have neither vanished nor overflown
        return math.frexp(diagonal)[1]
    top = math.frexp(float(widths.max()))[1]
    units = np.ldexp(widths, -top)
    diagonal = 2 * math.sqrt(units @ units)
    return top + math.frexp(diagonal)[1] if diagonal > 0 else 0


def _largest_shift(values: Tensor) -> int:
    """The largest e for which no value loses digits when divided by 2^e."""
    values = values.detach()
    least = float(torch.linalg.vector_norm(values, ord=-math.inf))
    if least == 0:
        sizes = values.abs()
        sizes = sizes[sizes > 0]
        least = float(sizes.min()) if len(sizes) else 1.0
    return math.frexp(least)[1] - math.frexp(torch.finfo(values.dtype).tiny)[1]


def _times_power(values: Tensor, exponent: int) -> Tensor:
    """`values` · 2^exponent, in two steps where one factor would overflow."""
    if abs(exponent) > 1000:
        values, exponent = values * math.ldexp(1.0, exponent // 2), exponent - exponent // 2
    return values if exponent == 0 else values * math.ldexp(1.0, exponent)


class Framed(NamedTuple):
    """Two samples in one frame: points = (raw − centre) / scale.

    Attributes:
        x: Shape (n, d).
        y: Shape (m, d).
        a: Weights of x, shape (n,), positive, of a sum near one; None where uniform.
        b: Weights of y, likewise.
        centre: Shape (d,); (1,) where all of it is zero.
        scale: A power of two.
    """

    x: np.ndarray
    y: np.ndarray
    a: np.ndarray | None
    b: np.ndarray | None
    centre: np.ndarray
    scale: float


def framed_arrays(
    x: Any, y: Any, a: Any, b: Any, p: float, tolerance: float, *, differences: int = 0
) -> Framed | None:
    """The same for small arrays of numpy, as most samples are, without torch.

    An operation of torch takes about as long as all of numpy's here: 60 by 50 points enter in 60
    microseconds in place of 400. What is unusual in any way is left to `measure`, which says what
    is wrong with it.

    Args:
        x: What may be points, (n, d), or (n,) on the line.
        y: What may be points, (m, d) or (m,).
        a: What may be weights of x, or None.
        b: What may be weights of y, or None.
        p: The highest power of a distance that will be taken.
        tolerance: How far a sum of weights may be from one.
        differences: Coordinates of all pairs up to which the caller takes nothing but differences,
            as on the line: those are the same in every frame, to the last digit, and points of
            moderate size stay where they are.

    Returns:
        Both samples and their weights; None where anything about them is unusual.
    """
    if type(x) is not np.ndarray or type(y) is not np.ndarray or p > SINGLE_POWER:
        return None
    x, y = x[:, None] if x.ndim == 1 else x, y[:, None] if y.ndim == 1 else y
    if not (_is_plain(x, 2) and _is_plain(y, 2) and x.shape[1] == y.shape[1]):
        return None
    if not (x.size > 0 and y.size > 0 and x.size + y.size <= _FEW):
        return None
    for mass, points in ((a, x), (b, y)):
        if mass is not None and not (
            _is_plain(mass, 1)
            and len(mass) == len(points)
            and np.minimum.reduce(mass) > 0
            and abs(np.add.reduce(mass) - 1) <= tolerance
        ):
            return None
    few = x.shape[1] == 1 or len(x) * y.size <= differences
    if differences and few and p in (1, 2):  # other powers round otherwise in other units
        size = float(np.vdot(x, x)) + float(np.vdot(y, y))
        if 1 / _MODERATE_SIZE < size < _MODERATE_SIZE:  # neither NaN nor infinite
            return Framed(x, y, a, b, _ORIGIN, 1.0)
    low = np.minimum(np.minimum.reduce(x), np.minimum.reduce(y))
    high = np.maximum(np.maximum.reduce(x), np.maximum.reduce(y))
    if not math.isfinite(np.maximum.reduce(high) - np.minimum.reduce(low)):
        return None
    centre, exponent = place(low, high, p)
    if abs(exponent) > _EXPONENT:
        return None
    scale = 2.0**exponent
    if centre.any():
        x, y = x - centre, y - centre
    if scale != 1:
        x, y = _divided(x, scale), _divided(y, scale)
    return None if x is None or y is None else Framed(x, y, a, b, centre, scale)


def _is_plain(value: Any, ndim: int) -> bool:
    """Whether a value is an array that torch can take as it is."""
    if type(value) is not np.ndarray or value.dtype != np.float64 or value.ndim != ndim:
        return False
    return value.flags.carray and value.strides[0] > 0


def _divided(points: np.ndarray, scale: float) -> np.ndarray | None:
    """Points / scale; None where that loses digits below the normal numbers."""
    quotient = points * (1 / scale)
    if scale > 1 and np.abs(quotient).min() < _NORMAL and (quotient * scale != points).any():
        return None
    return quotient
