r"""Ground costs other than ‖x − y‖^p: what a metric must say of itself, and its cost in blocks.

A metric maps points to where it is easy to compute (unit vectors, whitened coordinates), says by
how much that may be off, and gives distances between blocks. Solvers, certificate, plan and
gradient work with the resulting `Cost` as with any other. Costs are (distance / unit)^p, with a
power of two at least as large as every distance, so that no power overflows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from otdist.core.cost import Cost, block_entries
from otdist.core.result import Arcs


class Metric(ABC):
    """A distance between points.

    Attributes:
        name: As in `scipy.spatial.distance`, where it is known there.
        framed: Whether a common shift leaves distances as they are, and a common factor
            multiplies them: samples are then centred and scaled as for the Euclidean distance.
        factor: What distances between mapped points are multiplied by.

    >>> import otdist
    >>> otdist.metrics.Cityblock().framed, otdist.metrics.Angular().framed
    (True, False)
    """

    name: ClassVar[str]
    framed: ClassVar[bool] = False
    factor: float = 1.0

    @abstractmethod
    def enter(self, points: Tensor, name: str) -> Tensor:
        """Validate points (n, d) and map them, inside the graph.

        Raises:
            ValueError: no points of this metric; the row is named.
        """

    @abstractmethod
    def block(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances between all mapped x (k, d) and y (m, d), a fresh tensor (k, m)."""

    @abstractmethod
    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances between mapped x_k and y_k, shape (k,), by direct evaluation; differentiable.

        The derivative is 0 where points coincide, and a subgradient at other kinks.
        """

    @abstractmethod
    def largest(self, x: Tensor, y: Tensor) -> float:
        """An upper bound on all distances between mapped points."""

    def enter_both(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
        """Both samples mapped, and how far a distance may be from that of the given points."""
        x, y = self.enter(x, "x"), self.enter(y, "y")
        return x, y, self.error(x.detach(), y.detach())

    def error(self, x: Tensor, y: Tensor) -> float:
        """How far a distance of mapped points may be from that of the given ones."""
        return 0.0

    def slack(self, x: Tensor, y: Tensor) -> float:
        """Bound on the error of `block` where it exceeds the rounding of the result itself."""
        return 0.0

    def cost(self, x: Tensor, y: Tensor, p: float, error: float) -> tuple[Cost, float]:
        """The ground cost between mapped points in units of a power of two, and that unit."""
        largest = self.largest(x.detach(), y.detach())
        unit = math.ldexp(1.0, math.frexp(largest)[1]) if largest > 0 else 1.0
        return MetricCost(self, x, y, p, unit, error), unit


class MetricCost(Cost):
    """(distance / unit)^p between mapped points x (n, d) and y (m, d) of one dtype and device."""

    def __init__(
        self, metric: Metric, x: Tensor, y: Tensor, p: float, unit: float, off: float = 0.0
    ) -> None:
        self.metric, self.x, self.y = metric, x.detach(), y.detach()
        self.p, self.unit, self._off = float(p), unit, off
        self.shape, self.dimension = (len(x), len(y)), x.shape[1]
        self.dtype, self.device = x.dtype, x.device

    def between(self, x: Tensor, y: Tensor) -> MetricCost:
        """The cost between other mapped points, in the same unit."""
        return MetricCost(self.metric, x, y, self.p, self.unit, self._off)

    @property
    def T(self) -> MetricCost:
        """The transposed cost."""
        return self.between(self.y, self.x)

    def to(self, dtype: torch.dtype) -> MetricCost:
        """The same points in another precision."""
        return self if dtype == self.dtype else self.between(self.x.to(dtype), self.y.to(dtype))

    def sub(self, i: Tensor, j: Tensor) -> MetricCost:
        """The cost between points x_i and y_j (index tensors)."""
        return self.between(self.x[i], self.y[j])

    @cached_property
    def _bound(self) -> float:
        """An upper bound on the distances, in units of `unit`."""
        return self.metric.largest(self.x, self.y) / self.unit * (1 + 1e-12)

    @property
    def largest(self) -> float:
        """The bound on distances to the power p."""
        return self._bound**self.p

    @property
    def rounding(self) -> float:
        """Unit rounding of the largest cost."""
        return torch.finfo(self.dtype).eps * (self.dimension + 4) * self.largest

    @property
    def underflow(self) -> float:
        """The least number that carries all its digits: powers below are lost."""
        return 2.0**-1022

    @property
    def slack(self) -> float:
        """The error of distances in a block, carried through the power."""
        return self._carried(self._slack)

    @cached_property
    def _slack(self) -> float:
        return self.metric.slack(self.x, self.y)

    @property
    def error(self) -> float:
        """The error of the map from points to where distances are computed, in cost units."""
        return self._carried(self._off)

    def _carried(self, error: float) -> float:
        error = error / self.unit
        return self.p * (self._bound + error) ** (self.p - 1) * error

    def rows(self, lo: int, hi: int) -> Tensor:
        """Costs of sources lo … hi − 1, shape (hi − lo, m)."""
        return self._power_(self.metric.block(self.x[lo:hi], self.y))

    def _power_(self, distances: Tensor) -> Tensor:
        if self.unit != 1:
            distances /= self.unit
        return distances if self.p == 1 else distances.pow_(self.p)

    def pairs(self, i: Tensor, j: Tensor) -> Tensor:
        """Costs c[i_k, j_k], shape (k,)."""
        out = torch.empty(len(i), dtype=self.dtype, device=self.device)
        step = max(1, block_entries(self.device) // self.dimension)
        for lo in range(0, len(i), step):
            part = slice(lo, lo + step)
            out[part] = self._power_(self.metric.pairs(self.x[i[part]], self.y[j[part]]))
        return out

    def pull(self, arcs: Arcs) -> tuple[Tensor, Tensor]:
        """Derivatives of the cost of a plan in the mapped points, (n, d) and (m, d), float64."""
        with torch.enable_grad():
            x, y = (z.double().clone().requires_grad_() for z in (self.x, self.y))
            apart = self.metric.pairs(x[arcs.rows], y[arcs.cols]) / self.unit
            total = apart.pow(self.p) @ arcs.mass if self.p != 1 else apart @ arcs.mass
        if not total.requires_grad:
            raise RuntimeError(
                f"metric {self.metric.name} has no derivative: write its function with torch"
            )
        return torch.autograd.grad(total, (x, y))  # pyright: ignore[reportReturnType]


def length(squared: Tensor) -> Tensor:
    """The root, with derivative 0 at 0."""
    apart = squared > 0
    return torch.where(apart, squared, 1.0).sqrt() * apart
