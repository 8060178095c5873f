"""From an entropic objective to its result: in the caller's units, with a word on how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from otdist.core import checks
from otdist.core.measure import SamplePair
from otdist.core.result import DivergenceResult, warn_caller
from otdist.core.task import Task, of_pair
from otdist.entropic import divergence, penalised
from otdist.entropic.divergence import Value
from otdist.entropic.sinkhorn import check_eps, check_stop, given_eps, not_converged, scaled_eps


@dataclass(frozen=True)
class Rule:
    """How strongly to regularise and when to stop.

    Attributes:
        eps: In the caller's cost units; None takes 1% of the mean cost.
        tol: Error of `rule` to stop at.
        max_iter: Steps allowed for each problem.
        reach: Let mass stay, for penalties reach^p KL of the marginals; None moves all of it.
    """

    eps: float | None = None
    tol: float = 1e-3
    max_iter: int = 2000
    reach: float | None = None

    def __post_init__(self) -> None:
        tol, max_iter = check_stop(self.tol, self.max_iter)
        reach = checks.optional(checks.positive, "reach", self.reach)
        checks.settle(self, eps=check_eps(self.eps), tol=tol, max_iter=max_iter, reach=reach)

    def solve(self, pair: SamplePair, task: Task, *, debias: bool) -> tuple[Value, float]:
        """The objective of a pair and of its task, and the eps of it, in scaled units."""
        limits: dict[str, Any] = {"tol": self.tol, "max_iter": self.max_iter, "debias": debias}
        if self.reach is None:
            eps = scaled_eps(task, self.eps)
            return divergence.objective(pair, task.p, eps, **limits), eps
        rho = task.price(self.reach)
        eps = scaled_eps(task, self.eps, rho)
        return penalised.objective(pair, task.p, eps, rho, **limits), eps


def answer(pair: SamplePair, p: float, rule: Rule, *, debias: bool) -> DivergenceResult:
    """OT_eps, or S_eps when `debias`, with a first-order graph."""
    begin = time.perf_counter()
    task = of_pair(pair, p)
    value, eps = rule.solve(pair, task, debias=debias)
    cost, message = value.cost, f"marginal error {value.error:.2g} after {value.iterations} steps"
    if value.noise > 0 and float(cost.detach()) <= value.noise:
        cost = cost - cost.detach()
        noise = float(task.in_cost_units(cost.detach().new_tensor(value.noise)))
        message += f"; S_eps is below what rounding leaves of it, {noise:.1g}, and counts as 0"
    if not value.converged:
        message = not_converged(rule.max_iter, value.error, rule.tol)
        warn_caller(message)
    kind, units = task.kind, task.in_cost_units
    return DivergenceResult(
        distance=kind.number(task.distance(cost)),
        cost=kind.number(units(cost)),
        p=p,
        eps=given_eps(task, rule.eps, eps),
        potentials=(kind.array(units(value.f)), kind.array(units(value.g))),
        converged=value.converged,
        message=message,
        iterations=value.iterations,
        residual=value.error,
        seconds=time.perf_counter() - begin,
        debiased=debias,
    )
