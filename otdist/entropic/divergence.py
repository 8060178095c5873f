r"""Values of the entropic objective, and their envelope gradients.

    OT_eps(α, β) = min_P ⟨P, c⟩ + eps·KL(P | a ⊗ b) = Σ a f + Σ b g      (a plan of mass one)
    S_eps(α, β)  = OT_eps(α, β) − ½ OT_eps(α, α) − ½ OT_eps(β, β)

At the optimum the derivative in x is that of the cost under the plan held fixed, and the derivative
in a is f (Feydy et al. 2019). In S_eps the second term brings x in twice and is halved, so that

    ∂S/∂x_i = Σ_j P^{xy}_ij ∇c(x_i, y_j) − Σ_j P^{xx}_ij ∇c(x_i, x_j),    ∂S/∂a = f^{xy} − f^{xx}.

The values are dual values at potentials with a plan of mass one: below the optimum by at most tol
times the mean cost Σ a_i b_j c_ij, and ordinarily by the order of eps·tol² (`rule` has both). Up to
256 × 256 points they hold to rounding. Where eps exceeds the costs, tol is lowered in proportion
(`finer`), which takes a step or two. eps is a constant for gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from otdist.core.gradient import attach
from otdist.core.measure import Measure, Pair
from otdist.core.metric import MetricCost
from otdist.core.point_cost import PointCost
from otdist.core.task import ground
from otdist.core.threads import run
from otdist.entropic import entropic
from otdist.entropic.entropic import Dual
from otdist.entropic.scaling import Kernel

_FINEST = 1e-12  # marginal error


@dataclass(frozen=True)
class Value:
    """An entropic objective in scaled units.

    Attributes:
        cost: 0-d, float64, with a first-order graph.
        f: Potential on x, shape (n,), float64: f^{xy}, minus f^{xx} where debiased.
        g: Potential on y, shape (m,).
        error: Largest error of the problems behind it, as `rule` has it.
        iterations: Largest number of steps.
        converged: Whether all of them met the tolerance.
    """

    cost: Tensor
    f: Tensor
    g: Tensor
    error: float
    iterations: int
    converged: bool


def objective(
    pair: Pair, p: float, eps: float, *, tol: float, max_iter: int, debias: bool
) -> Value:
    """OT_eps, or S_eps when `debias`.

    Args:
        pair: The two measures.
        p: Exponent; at most 2 when `debias`.
        eps: In scaled cost units.
        tol: Error of `rule` to stop at.
        max_iter: Steps allowed for each problem.
        debias: Subtract the two symmetric terms.
    """
    x, y = pair.x, pair.y
    a, b = x.weights.detach(), y.weights.detach()
    between, _ = ground(pair, p)
    scale = float(between.mean(a, b))
    if not debias:
        dual = entropic.solve(between, a, b, eps, tol=tol, max_iter=max_iter, scale=scale)
        cost = a @ dual.f + b @ dual.g
        gradients = _between(between, a, b, dual, eps, pair)
        f = _everywhere(x, dual.f, between, eps, (y, dual.g))
        g = _everywhere(y, dual.g, between, eps, (x, dual.f))
        return _value(cost, pair, f, g, [dual], gradients)
    within = between.between(x.points, x.points), between.between(y.points, y.points)
    tol = finer(tol, between.largest, eps)
    rule: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "scale": scale}
    if not _small(a, b):
        rule["kernel"] = Kernel()  # one after the other they share it
    if _same(x, y) or between.largest == 0:
        self_x = entropic.solve_symmetric(within[0], a, eps, **rule)
        f, g = a.new_zeros(len(x.whole)), a.new_zeros(len(y.whole))
        return _value(a.new_zeros(()), pair, f, g, [self_x], lambda: _zeros(pair))
    near, self_x, self_y = _each(
        [
            partial(entropic.approach, between, a, b, eps, tol),
            partial(entropic.solve_symmetric, within[0], a, eps, **rule),
            partial(entropic.solve_symmetric, within[1], b, eps, **rule),
        ],
        side_by_side=_small(a, b),
    )
    dual = entropic.solve(between, a, b, eps, near=near, **rule)
    f, g = dual.f - self_x.f, dual.g - self_y.f
    cost = (a @ f + b @ g).clamp(min=0)  # below zero it is rounding or the residual: S ≥ 0

    def gradients() -> list[Tensor]:
        crossed = _between(between, a, b, dual, eps, pair)()
        own_x = _pull(within[0], a, a, self_x, eps) if x.points.requires_grad else crossed[0]
        own_y = _pull(within[1], b, b, self_y, eps) if y.points.requires_grad else crossed[1]
        return [crossed[0] - own_x, crossed[1] - own_y, f, g]

    f_all = _everywhere(x, f, between, eps, (y, dual.g), (x, self_x.f))
    g_all = _everywhere(y, g, between, eps, (x, dual.f), (y, self_y.f))
    return _value(cost, pair, f_all, g_all, [dual, self_x, self_y], gradients)


def _everywhere(
    side: Measure,
    values: Tensor,
    cost: PointCost | MetricCost,
    eps: float,
    *sources: tuple[Measure, Tensor],
) -> Tensor:
    """A potential at all points of a side: softly extended to those of weight zero, which left.

    Args:
        side: The measure.
        values: The potential at its points.
        cost: Gives the cost between any points.
        eps: In scaled cost units.
        *sources: Measures and potentials on them that extend to the potential; for a debiased one
            also those to be subtracted.
    """
    if side.absent is None:
        return values
    points = side.absent.points.double()
    parts = [
        entropic.extend(cost.between(points, z.points.double()), h, z.weights.detach(), eps)
        for z, h in sources
    ]
    return side.absent.spread(values, sum(parts[1:], -parts[0]).neg())


def finer(tol: float, largest: float, eps: float) -> float:
    """The tolerance at which eps·tol² stays below largest·tol², as far as float64 can tell."""
    return min(tol, max(tol * min(1.0, largest / eps), _FINEST))


def _value(
    cost: Tensor,
    pair: Pair,
    f: Tensor,
    g: Tensor,
    duals: list[Dual],
    gradients: Callable[[], list[Tensor]],
) -> Value:
    inputs = [pair.x.points, pair.y.points, pair.x.weights, pair.y.weights]
    return Value(
        attach(cost, inputs, gradients),
        f,
        g,
        max(dual.error for dual in duals),
        max(dual.iterations for dual in duals),
        all(dual.converged for dual in duals),
    )


def _small(a: Tensor, b: Tensor) -> bool:
    """Whether the stored kernels of both symmetric problems fit the budget of one."""
    bytes_needed = 4 * (len(a) ** 2 + len(b) ** 2)
    return a.device.type == "cpu" and bytes_needed <= entropic.STORED_BYTES


def _each(jobs: list[Callable[[], Any]], *, side_by_side: bool) -> list[Any]:
    """What the jobs return, which are independent: each in one thread, or all threads for each.

    Steps of a small problem are so short that a second thread costs more than it gains: side by
    side the three problems of 2,000 points take half the time.
    """
    found: list[Any] = [None] * len(jobs)

    def do(index: int) -> None:
        found[index] = jobs[index]()

    tasks = [partial(do, index) for index in range(len(jobs))]
    if side_by_side:
        run(tasks)
    else:
        for task in tasks:
            task()
    return found


def _same(x: Measure, y: Measure) -> bool:
    """Whether two measures are equal point by point."""
    return torch.equal(x.points, y.points) and torch.equal(x.weights, y.weights)


def _zeros(pair: Pair) -> list[Tensor]:
    tensors = (pair.x.points, pair.y.points, pair.x.weights, pair.y.weights)
    return [torch.zeros_like(t) for t in tensors]


def _between(
    cost: PointCost | MetricCost, a: Tensor, b: Tensor, dual: Dual, eps: float, pair: Pair
) -> Callable[[], list[Tensor]]:
    """Gradients of OT_eps in x, y, a and b; passes over the pairs only where they are needed."""

    def gradients() -> list[Tensor]:
        flipped = Dual(dual.g, dual.f, dual.error, dual.iterations, dual.converged)
        pull_x, pull_y = torch.zeros_like(cost.x), torch.zeros_like(cost.y)
        if pair.x.points.requires_grad:
            pull_x = _pull(cost, a, b, dual, eps)
        if pair.y.points.requires_grad:
            pull_y = _pull(cost.T, b, a, flipped, eps)
        return [pull_x, pull_y, dual.f, dual.g]

    return gradients


def _pull(cost: PointCost | MetricCost, a: Tensor, b: Tensor, dual: Dual, eps: float) -> Tensor:
    """Σ_j P_ij ∇_x c(x_i, y_j), shape (n, d)."""
    work = entropic.precise(cost, eps, 1e-3)
    assert isinstance(work, PointCost | MetricCost)
    out = torch.empty_like(work.x)
    for part, c, plan in work.plan_blocks(dual.f + eps * a.log(), dual.g + eps * b.log(), eps):
        out[part] = work.force(part, c, plan)
    return out
