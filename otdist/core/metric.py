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
from otdist.core.point_cost import PointCost
from otdist.core.result import Arcs


class Metric(ABC):
    """A distance between points.

    Attributes:
        name: As in `scipy.spatial.distance`, where it is known there.
        framed: Whether a common shift leaves distances as they are, and a common factor
            multiplies them: samples are then centred and scaled as for the Euclidean distance.
        additive: The power p for which distance^p is Σ_k |x_k − y_k|^p, if there is one.
        chordal: Whether distances are an increasing function of ‖x − y‖² of mapped points, which
            `of_squared_` then is.
        factor: What distances between mapped points are multiplied by.

    >>> import otdist
    >>> otdist.metrics.Cityblock().framed, otdist.metrics.Angular().framed
    (True, False)
    """

    name: ClassVar[str]
    framed: ClassVar[bool] = False
    additive: ClassVar[float | None] = None
    chordal: ClassVar[bool] = False
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

    def of_squared_(self, squared: Tensor) -> Tensor:
        """Distances from lower bounds of ‖x − y‖² of mapped points, in place, if `chordal`."""
        raise NotImplementedError

    @abstractmethod
    def pairs(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances between mapped x_k and y_k, shape (k,), by direct evaluation; differentiable.

        The derivative is 0 where points coincide, and a subgradient at other kinks.
        """

    def grid(self, x: Tensor, y: Tensor) -> Tensor:
        """Distances between all mapped x (k, d) and y (m, d), shape (k, m); differentiable."""
        if not (torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)):
            return self.block(x, y)
        shape = (len(x), len(y), x.shape[1])
        left, right = x[:, None].expand(shape), y.expand(shape)
        return self.pairs(left.reshape(-1, shape[2]), right.reshape(-1, shape[2])).view(shape[:2])

    def of_negative_type(self, d: int) -> float:
        """The largest power of distances in d coordinates that is of negative type; 0 for none.

        Up to it E d(x, y)^q is at least the mean of E d(x, x')^q and E d(y, y')^q, and
        exp(−d^q / eps) is positive definite for every eps (Schoenberg 1938).
        """
        return 0.0

    def freedom(self, d: int) -> int:
        """How many ways mapped points of d coordinates can move: 2 on the sphere in space."""
        return d

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

    def signs(self, x: Tensor, y: Tensor, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor] | None:
        """Factors of a product that is negative wherever a distance is below f_i + g_j, if any."""
        return None

    def cost(
        self, x: Tensor, y: Tensor, p: float, error: float
    ) -> tuple[PointCost | MetricCost, float]:
        """The ground cost between mapped points in units of a power of two, and that unit."""
        largest = self.largest(x.detach(), y.detach())
        unit = math.ldexp(1.0, math.frexp(largest)[1]) if largest > 0 else 1.0
        cost = MetricCost(self, x, y, p, unit, error)
        return cost.within(largest / unit * (1 + 1e-12)), unit


class MetricCost(Cost):
    """(distance / unit)^p between mapped points x (n, d) and y (m, d) of one dtype and device."""

    def __init__(
        self, metric: Metric, x: Tensor, y: Tensor, p: float, unit: float, off: float = 0.0
    ) -> None:
        self.metric, self.x, self.y = metric, x.detach(), y.detach()
        self.p, self.unit, self._off = float(p), unit, off
        self.shape, self.dimension = (len(x), len(y)), x.shape[1]
        self.dtype, self.device = x.dtype, x.device
        self._known: float | None = None

    def between(self, x: Tensor, y: Tensor) -> MetricCost:
        """The cost between other mapped points, in the same unit."""
        return MetricCost(self.metric, x, y, self.p, self.unit, self._off)

    def within(self, bound: float) -> MetricCost:
        """This cost, whose distances are known not to be above `bound` units.

        A bound costs a pass over all pairs for a function of a caller's: it is found once.
        """
        self._known = bound
        return self

    @property
    def T(self) -> MetricCost:
        """The transposed cost."""
        return self.between(self.y, self.x).within(self._bound)

    def to(self, dtype: torch.dtype) -> MetricCost:
        """The same points in another precision."""
        if dtype == self.dtype:
            return self
        return self.between(self.x.to(dtype), self.y.to(dtype)).within(self._bound)

    def sub(self, i: Tensor, j: Tensor) -> MetricCost:
        """The cost between points x_i and y_j (index tensors)."""
        return self.between(self.x[i], self.y[j]).within(self._bound)

    @cached_property
    def _bound(self) -> float:
        """An upper bound on the distances, in units of `unit`."""
        if self._known is not None:
            return self._known
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

    def lifted(self, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
        """Those of squared distances of mapped points, if the metric is a function of them.

        Of points less their centre: those of a city differ in the fourth digit of their directions.
        """
        if not self.metric.chordal:
            return None
        x, y = self.x.double(), self.y.double()
        centre = (x.mean(0) + y.mean(0)) / 2
        return PointCost(x - centre, y - centre, 2).lifted(dtype)

    def of_product_(self, product: Tensor) -> Tensor:
        """See `Cost`."""
        return self._power_(self.metric.of_squared_(product))

    @property
    def signed(self) -> bool:
        """Whether `signs` mostly has an answer."""
        return self.p == 1 and type(self.metric).signs is not Metric.signs

    def signs(self, f: Tensor, g: Tensor) -> tuple[Tensor, Tensor] | None:
        """Those of the metric, at p = 1."""
        if not self.signed:
            return None
        return self.metric.signs(self.x, self.y, f * self.unit, g * self.unit)

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
            total = self._graphed(self.metric.pairs(x[arcs.rows], y[arcs.cols])) @ arcs.mass
        return torch.autograd.grad(total, (x, y))  # pyright: ignore[reportReturnType]

    def force(self, part: slice, c: Tensor, plan: Tensor) -> Tensor:
        """Σ_j P_ij ∇_x c(x_i, y_j) for a block of rows, in the mapped points, shape (k, d)."""
        rows, y = self.x[part].double(), self.y.double()
        out, plan = torch.empty_like(rows), plan.double()
        step = max(1, block_entries(self.device) // y.numel())
        for lo in range(0, len(rows), step):
            few = slice(lo, lo + step)
            with torch.enable_grad():
                x = rows[few].clone().requires_grad_()
                total = (self._graphed(self.metric.grid(x, y)) * plan[few]).sum()
            (out[few],) = torch.autograd.grad(total, x)
        return out.to(self.dtype)

    def _graphed(self, distances: Tensor) -> Tensor:
        """Costs in a graph, which there must be."""
        if not distances.requires_grad:
            raise RuntimeError(
                f"metric {self.metric.name} has no derivative: write its function with torch"
            )
        distances = distances / self.unit
        return distances if self.p == 1 else distances.pow(self.p)


def check_negative_type(metric: Metric | None, d: int, power: float, what: str) -> None:
    """Refuse distances for which what is asked for could be negative.

    Args:
        metric: None is Euclidean.
        d: Coordinates.
        power: Of distances that must be of negative type.
        what: Is asked for.

    Raises:
        ValueError: they are not, or not to that power.
    """
    most = 2.0 if metric is None else metric.of_negative_type(d)
    if metric is None or most >= power:
        return
    known = f"are so up to {most:g}" if most > 0 else "are not known to be so to any power"
    raise ValueError(
        f"metric must have distances whose power {power:g} is of negative type for {what}, which "
        f"can be negative otherwise: those of {metric.name!r} in {d} coordinates {known}"
    )


def length(squared: Tensor) -> Tensor:
    """The root, with derivative 0 at 0."""
    apart = squared > 0
    return torch.where(apart, squared, 1.0).sqrt() * apart
