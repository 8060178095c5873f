"""Distances on a torus: coordinates that return after a period, such as hours or angles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.metric import Metric, length

_UNIT = 2.0**-53


@dataclass(frozen=True)
class Periodic(Metric):
    """√Σ_k δ_k², where δ_k is the shorter way around for a coordinate that is periodic.

    With one coordinate, the circle, exact transport has a closed form: the best cut makes a line of
    it, in O((n + m) log(n + m)) for any p (Delon, Salomon and Sobolevski 2010).

    Attributes:
        period: Length of one turn, for all coordinates or one for each; None for a coordinate that
            is not periodic. Points are wrapped.

    >>> import otdist
    >>> hours = otdist.metrics.Periodic(24)
    >>> otdist.wasserstein([23.0], [1.0], metric=hours).distance
    2.0
    """

    period: Any
    name: ClassVar[str] = "periodic"

    def __post_init__(self) -> None:
        several = isinstance(self.period, list | tuple)
        entries = list(self.period) if several else [self.period]
        if not entries or all(entry is None for entry in entries):
            raise ValueError(f"period must hold at least one number: got {self.period!r}")
        found = tuple(checks.optional(checks.positive, "period", entry) for entry in entries)
        checks.settle(self, period=found if several else found[0])

    def _periods(self, d: int) -> list[float | None]:
        return list(self.period) if isinstance(self.period, tuple) else [self.period] * d

    def enter(self, points: Tensor, name: str) -> Tensor:
        """Wrapped points, float64."""
        d = points.shape[1]
        periods = self._periods(d)
        if len(periods) != d:
            raise ValueError(
                f"{name} must have {len(periods)} coordinates, one for each period: got {d}"
            )
        columns = points.double().unbind(1)
        return torch.stack(
            [
                z if period is None else torch.remainder(z, period)
                for z, period in zip(columns, periods, strict=True)
            ],
            1,
        )

    def block(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Metric`."""
        total = x.new_zeros(len(x), len(y))
        for k, period in enumerate(self._periods(x.shape[1])):
            gap = x[:, k, None] - y[:, k]
            if period is not None:
                gap = gap.abs_()
                gap = torch.minimum(gap, period - gap)
            total += gap.square_()
        return total.sqrt_()

    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Metric`."""
        total = x.new_zeros(len(x))
        for k, period in enumerate(self._periods(x.shape[1])):
            gap = (x[:, k] - y[:, k]).abs()
            total = total + (gap if period is None else torch.minimum(gap, period - gap)).square()
        return length(total)

    def largest(self, x: Tensor, y: Tensor) -> float:
        """Half a turn in each periodic coordinate, the range in the others."""
        both = torch.cat([x, y]).double()
        ranges = (both.amax(0) - both.amin(0)).tolist()
        periods = self._periods(x.shape[1])
        return math.hypot(
            *(
                width if period is None else period / 2
                for width, period in zip(ranges, periods, strict=True)
            )
        )

    def of_negative_type(self, d: int) -> float:
        """The circle is; no power is on a cylinder or a torus (Venet 2019)."""
        return 1.0 if d == 1 else 0.0

    def error(self, x: Tensor, y: Tensor) -> float:
        """Rounding of wrapped coordinates and of their differences."""
        both = torch.cat([x, y]).double().abs().amax(0).tolist()
        periods = self._periods(x.shape[1])
        sizes = (period or size for period, size in zip(periods, both, strict=True))
        return 4 * _UNIT * math.hypot(*sizes)
