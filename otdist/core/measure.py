r"""Measure: a weighted sample, validated, centred and scaled once, here, and never again.

Both samples of a pair share one centre c and one scale s:

.. math::  \text{points} = (\text{raw} - c) / s .

The map is *exact* in floating point, so that whatever is proved for `points` holds for the raw
sample: s is a power of two, and a coordinate is centred only where its offset is at least twice
its half-range; then raw/2 ≤ c ≤ 2·raw and the subtraction has no rounding (Sterbenz' lemma).
Where the offset is smaller, the coordinate loses nothing by staying. In units of s no two points
are farther apart than 1 (2¹⁰ on the line at low powers, see `_MODERATE`; 2^(1000/p) at high ones,
see `_ROOM`), so that no power of a distance overflows. Where digits would fall below the normal
numbers, float32 samples become float64; float64 samples that span more than its range are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.arrays import Kind, as_tensor, enter
from otdist.core.threads import single_thread

WEIGHT_TOLERANCE = 1e-6
"""How far a sum of weights may be from one before it is refused."""

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


@dataclass(frozen=True)
class Measure:
    """A weighted sample in scaled coordinates.

    Attributes:
        points: Shape (n, d), float32 or float64; carries the graph of the caller's tensor.
        weights: Shape (n,), float64, non-negative, of sum one; normalised inside the graph.
        uniform: True when the caller gave no weights.
    """

    points: Tensor
    weights: Tensor
    uniform: bool

    def __len__(self) -> int:
        return self.points.shape[0]


@dataclass(frozen=True)
class Pair:
    """Two measures in one frame: points = (raw − centre) / scale.

    Attributes:
        x: First measure, n points.
        y: Second measure, m points.
        kind: What the caller's samples were.
        scale: A power of two; distances in the caller's units are `scale` times larger.
        centre: Shape (d,), in the caller's units.
    """

    x: Measure
    y: Measure
    kind: Kind
    scale: float
    centre: Tensor

    @property
    def needs_gradient(self) -> bool:
        """Whether any of points or weights requires a gradient."""
        tensors = (self.x.points, self.y.points, self.x.weights, self.y.weights)
        return torch.is_grad_enabled() and any(t.requires_grad for t in tensors)


def pair(x: Any, y: Any, a: Any = None, b: Any = None, *, p: float = 2.0) -> Pair:
    """Validate two samples and their weights, and put them in one frame.

    Args:
        x: Points, shape (n, d), or (n,) on the line.
        y: Points, shape (m, d) or (m,).
        a: Weights of x, shape (n,); uniform when None.
        b: Weights of y, shape (m,); uniform when None.
        p: The highest power of a distance that the caller takes.

    Raises:
        TypeError: not numbers; numpy mixed with torch.
        ValueError: no points, wrong rank, dimensions differ, NaN or infinite, bad weights, more
            than the range of float64.
    """
    kind, raw = enter(x=x, y=y)
    px, py = _points(raw["x"], "x"), _points(raw["y"], "y")
    if px.shape[1] != py.shape[1]:
        raise ValueError(
            f"x and y must have the same dimension: x is {_shape(raw['x'])}, "
            f"y is {_shape(raw['y'])}"
        )
    with single_thread(px.numel() + py.numel()):
        low_x, high_x = _range(px, "x")
        low_y, high_y = _range(py, "y")
        low, high = torch.minimum(low_x, low_y), torch.maximum(high_x, high_y)
        px, py, centre, scale = _framed(px, py, low, high, p)
        return Pair(
            Measure(px, weights(a, "a", "x", px), a is None),
            Measure(py, weights(b, "b", "y", py), b is None),
            kind,
            scale,
            centre,
        )


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


def weights(value: Any, name: str, of: str, sample: Tensor) -> Tensor:
    """Weights of a sample: float64, of sum one, on its device; uniform when `value` is None.

    Raises:
        ValueError: wrong length, NaN or infinite, negative, or a sum that is not one.
    """
    n = len(sample)
    if value is None:
        return torch.tensor(1.0 / n, dtype=torch.float64, device=sample.device).expand(n)
    weight = as_tensor(value, name).to(torch.float64)
    if weight.shape != (n,):
        raise ValueError(f"{name} must hold one weight per point of {of}, shape ({n},): got "
                         f"shape {_shape(weight)}")  # fmt: skip
    weight = weight.to(sample.device)
    with torch.no_grad():
        if not bool(torch.isfinite(weight).all()):
            raise ValueError(_not_finite(weight[:, None], name, "entry"))
        if bool((weight < 0).any()):
            row = int((weight < 0).nonzero()[0])
            raise ValueError(
                f"{name} must be non-negative: got {float(weight[row]):.6g} at entry {row}"
            )
        total = float(weight.sum())
    if abs(total - 1.0) > WEIGHT_TOLERANCE:
        raise ValueError(
            f"{name} must sum to 1 within {WEIGHT_TOLERANCE:g}: got {total:.9g}; "
            f"pass {name} / {name}.sum()"
        )
    return weight / weight.sum()


def check_p(p: Any) -> float:
    """The exponent as a float.

    Raises:
        TypeError: not a number.
        ValueError: below 1 or not finite.
    """
    return checks.exponent(p)


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


def _framed(
    x: Tensor, y: Tensor, low: Tensor, high: Tensor, p: float
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Both samples, with coordinates between `low` and `high`, in one frame; centre and scale."""
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    centre = torch.where(middle.abs() >= 2 * half, middle, torch.zeros_like(middle))
    if p > _SINGLE_POWER and x.dtype != torch.float64:
        return _framed(x.double(), y.double(), low.double(), high.double(), p)
    exponent = _exponent(half) - (int(_ROOM / p) if p > _SINGLE_POWER else 0)
    if len(low) == 1 and abs(exponent) <= _MODERATE and p <= _LOW_POWER:
        exponent = 0
    exponent = min(max(exponent, -1074), 1023)
    moved = [z - centre if bool(centre.any()) else z for z in (x, y)]
    if exponent > 0:
        lost = max(exponent - min(_largest_shift(z.detach()) for z in moved), 0)
        if lost > 0 and x.dtype != torch.float64:
            return _framed(x.double(), y.double(), low.double(), high.double(), p)
        lost = min(lost, exponent)
        if lost > (0 if p > _SINGLE_POWER else _ROOM / p):
            raise ValueError(
                f"x and y must fit the range of float64: a coordinate below 2**{exponent - 1022} "
                f"beside distances of 2**{exponent} loses digits; set such coordinates to 0"
            )
        exponent -= lost
    elif exponent < -120 and x.dtype != torch.float64:
        return _framed(x.double(), y.double(), low.double(), high.double(), p)
    x, y = (_times_power(z, -exponent) for z in moved)
    return x, y, centre, math.ldexp(1.0, exponent)


def _exponent(half: Tensor) -> int:
    """The least e for which the diagonal of a box of these half-widths is below 2^e; 0 for none."""
    widths = half.cpu().double().numpy()
    top = math.frexp(float(widths.max()))[1]
    diagonal = 2 * float(np.linalg.norm(np.ldexp(widths, -top)))
    return top + math.frexp(diagonal)[1] if diagonal > 0 else 0


def _largest_shift(points: Tensor) -> int:
    """The largest e for which no coordinate loses digits when divided by 2^e."""
    least = float(torch.linalg.vector_norm(points, ord=-math.inf))
    if least == 0:
        sizes = points.abs()
        sizes = sizes[sizes > 0]
        least = float(sizes.min()) if len(sizes) else 1.0
    return math.frexp(least)[1] - math.frexp(torch.finfo(points.dtype).tiny)[1]


def _times_power(points: Tensor, exponent: int) -> Tensor:
    """`points` · 2^exponent, in two steps where one factor would overflow."""
    if abs(exponent) > 1000:
        points, exponent = points * math.ldexp(1.0, exponent // 2), exponent - exponent // 2
    return points if exponent == 0 else points * math.ldexp(1.0, exponent)


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
