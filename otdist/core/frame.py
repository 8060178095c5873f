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

import numpy as np
import torch
from torch import Tensor

_MODERATE = 8
_LOW_POWER = 4.0
"""On the line, where two passes over the points cost as much as half the sorting, samples that span
2⁻⁸ to 2⁸ stay as they are up to this power, which float32 holds with digits to spare."""

_SINGLE_POWER = 16.0
"""Above this power the samples are float64: in float32, a distance of 1/256 of the largest would
have no power left."""

_ROOM = 1000.0
"""Bits of the range of float64 that are free for powers of distances above 1. Above `_SINGLE_POWER`
they are used, since the other half of the range holds the powers of distances below 1."""


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
    high_power = p > _SINGLE_POWER
    if high_power and x.dtype != torch.float64:
        return framed(x.double(), y.double(), low.double(), high.double(), p)
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    centre = torch.where(middle.abs() >= 2 * half, middle, torch.zeros_like(middle))
    exponent = _diagonal(half) - (int(_ROOM / p) if high_power else 0)
    if len(low) == 1 and abs(exponent) <= _MODERATE and p <= _LOW_POWER:
        exponent = 0
    moved = [z - centre if bool(centre.any()) else z for z in (x, y)]
    room = 0.0 if high_power else _ROOM / p
    points, scale = scaled(moved, exponent, "x and y", room)
    return points[0], points[1], centre, scale


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


def _diagonal(half: Tensor) -> int:
    """The least e for which the diagonal of a box of these half-widths is below 2^e; 0 for none."""
    widths = half.cpu().double().numpy()
    top = math.frexp(float(widths.max()))[1]
    diagonal = 2 * float(np.linalg.norm(np.ldexp(widths, -top)))
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
