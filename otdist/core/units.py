"""Units, the way from scaled costs to the caller's numbers, and the result in them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, overload

from torch import Tensor

from otdist.core.arrays import Kind
from otdist.core.gradient import root
from otdist.core.result import Bracket, OTResult


@dataclass(frozen=True)
class Units:
    """The way from scaled costs to the caller's distances and costs.

    Attributes:
        p: Exponent; 1 for a given matrix.
        scale: Distances in the caller's units are `scale` times larger.
        kind: What the caller's samples were.
    """

    p: float
    scale: float
    kind: Kind

    @overload
    def distance(self, cost: float) -> float: ...
    @overload
    def distance(self, cost: Tensor) -> Tensor: ...
    def distance(self, cost: Tensor | float) -> Tensor | float:
        """W_p in the caller's units from a cost in scaled units; gradient 0 at 0."""
        if not isinstance(cost, Tensor):
            return max(cost, 0.0) ** (1 / self.p) * self.scale
        return root(cost, self.p) * self.scale

    @overload
    def in_cost_units(self, values: float) -> float: ...
    @overload
    def in_cost_units(self, values: Tensor) -> Tensor: ...
    def in_cost_units(self, values: Tensor | float) -> Tensor | float:
        """Costs or potentials in the caller's units; inf only where the value itself overflows."""
        factor = _power(self.scale, self.p)
        if math.isfinite(factor) and factor > 0:
            return values * factor
        if not isinstance(values, Tensor):
            return _power(self.distance(values), self.p)
        return values.sign() * (root(values.abs(), self.p) * self.scale) ** self.p

    def in_scaled_units(self, values: Tensor) -> Tensor:
        """The inverse of `in_cost_units`."""
        factor = _power(self.scale, self.p)
        if math.isfinite(factor) and factor > 0:
            return values / factor
        return values.sign() * (root(values.abs(), self.p) / self.scale) ** self.p

    def potentials(self, f: Tensor, g: Tensor) -> tuple[Any, Any]:
        """Potentials in the caller's units, as arrays of the caller's kind."""
        return self.kind.array(self.in_cost_units(f)), self.kind.array(self.in_cost_units(g))


def finish(
    units: Units,
    cost: Tensor | float,
    bracket: Bracket,
    *,
    solver: str,
    message: str,
    begin: float,
    potentials: Callable[[], tuple[Any, Any]],
    plan: Callable[[], Any],
    converged: bool = True,
    iterations: int = 0,
    details: dict[str, Any] | None = None,
    mass: float = 1.0,
) -> OTResult:
    """The result of any solver; the only place that makes one.

    Args:
        units: The task, or its units alone.
        cost: Cost of the best plan in scaled units; 0-d with a graph where it has one.
        bracket: On W_p, in the caller's units; the rounding of the cost to the caller's precision
            widens it, so that the distance stays inside.
        solver: Name of the method.
        message: One sentence on how it ended.
        begin: Value of `time.perf_counter` when the work began.
        potentials: Computes (f, g) in the caller's units; called at most once, and pickled.
        plan: Computes the plan, likewise.
        converged: Whether the solver reached what it was asked for.
        iterations: Iterations of the solver.
        details: Figures of one solver only.
        mass: What the cost is divided by for the distance: the mass that was moved.
    """
    number = units.kind.number if units.kind.torch else float
    distance = number(units.distance(cost if mass == 1 else cost / mass))
    if units.kind.torch:
        bracket = bracket.around(distance)
    return OTResult(
        distance=distance,
        cost=number(units.in_cost_units(cost)),
        p=units.p,
        lower=bracket.lower,
        upper=bracket.upper,
        solver=solver,
        converged=converged,
        message=message,
        iterations=iterations,
        seconds=time.perf_counter() - begin,
        _potentials=potentials,
        _plan=plan,
        details=details or {},
    )


def _power(scale: float, p: float) -> float:
    try:
        return scale**p
    except OverflowError:
        return math.inf
