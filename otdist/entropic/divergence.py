r"""Values of the entropic objective, and their envelope gradients.

    OT_eps(α, β) = min_P ⟨P, c⟩ + eps·KL(P | a ⊗ b) = Σ a f + Σ b g      (a plan of mass one)
    S_eps(α, β)  = OT_eps(α, β) − ½ OT_eps(α, α) − ½ OT_eps(β, β)

At the optimum the derivative in x is that of the cost under the plan held fixed, and the derivative
in a is f (Feydy et al. 2019). In S_eps the second term brings x in twice and is halved, so that

    ∂S/∂x_i = Σ_j P^{xy}_ij ∇c(x_i, y_j) − Σ_j P^{xx}_ij ∇c(x_i, x_j),    ∂S/∂a = f^{xy} − f^{xx}.

The values are dual values at potentials with a plan of mass one: below the optimum by at most tol
times the mean cost Σ a_i b_j c_ij, and ordinarily by eps·tol² over the share of the error that a
step removes (`rule` has both). Up to 256 × 256 points they hold to rounding. Where eps exceeds the
costs, tol is lowered in proportion (`finer`), which takes a step or two. eps is a constant for
gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from otdist.core.gradient import attach
from otdist.core.measure import Measure, SamplePair
from otdist.core.metric import MetricCost
from otdist.core.point_cost import PointCost
from otdist.core.task import ground
from otdist.core.threads import run
from otdist.entropic import entropic, few
from otdist.entropic.entropic import Dual
from otdist.entropic.scaling import KernelStore

_FINEST = 1e-12  # marginal error
_CLOSE = 1e-4  # distance of means, in mean distances, below which S_eps takes more digits
_CLOSE_TOL = 1e-6
_CLOSE_STEPS = 400  # that they are given
_USEFUL = 0.05  # marginal error below which a potential is worth starting from


@dataclass(frozen=True)
class Value:
    """An entropic objective in scaled units.

    Attributes:
        cost: 0-d, float64, with a first-order graph.
        noise: What rounding and the errors left of the problems may have made of the cost, where it
            is a difference; else 0.
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
    noise: float = 0.0


@dataclass(frozen=True)
class Values:
    """Objectives of a batch (B,), float64, with a first-order graph; the worst of their errors."""

    cost: Tensor
    error: float
    converged: bool

    @classmethod
    def of(cls, cost: Tensor, ends: Sequence[Any]) -> Values:
        """With how the problems behind them ended."""
        return cls(cost, max(end.error for end in ends), all(end.converged for end in ends))


def objective(
    pair: SamplePair, p: float, eps: float, *, tol: float, max_iter: int, debias: bool
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
    few_points = few.are_few(between)
    across = few.FewCosts.of(between) if few_points else between
    scale = float(across.mean(a, b))
    if not debias:
        dual = entropic.solve(across, a, b, eps, tol=tol, max_iter=max_iter, scale=scale)
        cost = a @ dual.f + b @ dual.g
        gradients = between_gradients(between, a, b, dual, eps, pair)
        f = everywhere(x, dual.f, between, eps, (y, dual.g))
        g = everywhere(y, dual.g, between, eps, (x, dual.f))
        return valued(cost, pair, f, g, [dual], gradients)
    within = between.between(x.points, x.points), between.between(y.points, y.points)
    tol = finer(tol, between.largest, eps)
    close, asked = _close(between, a, b, scale), tol
    if close:
        tol = min(tol, _CLOSE_TOL)
    rule: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "scale": scale}
    if not is_small(a, b):
        rule["kernel"] = KernelStore()  # one after the other they share it
    if same(x, y) or between.largest == 0:
        self_x = entropic.solve_symmetric(within[0], a, eps, **rule)
        f, g = a.new_zeros(len(x.whole)), a.new_zeros(len(y.whole))
        return valued(a.new_zeros(()), pair, f, g, [self_x], lambda: zeros(pair))
    near, self_x, self_y = all_of(
        [
            partial(entropic.approach, across, a, b, eps, tol),
            partial(entropic.solve_symmetric, within[0], a, eps, **rule),
            partial(entropic.solve_symmetric, within[1], b, eps, **rule),
        ],
        side_by_side=is_small(a, b) and not few_points,  # their steps are too short
    )
    if close and entropic.misses(between, a, b, eps, self_y.f) < _USEFUL:
        rule["start"] = self_y.f
    steps = rule["max_iter"] = min(max_iter, _CLOSE_STEPS) if close else max_iter
    dual = entropic.solve(across, a, b, eps, near=near, **rule)
    if dual.error > asked and steps < max_iter:
        rule.update(tol=asked, max_iter=max_iter - steps, start=dual.g)
        dual = entropic.solve(across, a, b, eps, **rule)
        dual = replace(dual, iterations=steps + dual.iterations)
    f, g = dual.f - self_x.f, dual.g - self_y.f
    cost = (a @ f + b @ g).clamp(min=0)  # below zero it is rounding or the residual: S ≥ 0

    def gradients() -> list[Tensor]:
        crossed = between_gradients(between, a, b, dual, eps, pair)()
        own_x = pull(within[0], a, a, self_x, eps) if x.points.requires_grad else crossed[0]
        own_y = pull(within[1], b, b, self_y, eps) if y.points.requires_grad else crossed[1]
        return [crossed[0] - own_x, crossed[1] - own_y, f, g]

    f_all = everywhere(x, f, between, eps, (y, dual.g), (x, self_x.f))
    g_all = everywhere(y, g, between, eps, (x, dual.f), (y, self_y.f))
    duals = [replace(one, converged=one.error <= asked) for one in (dual, self_x, self_y)]
    value = valued(cost, pair, f_all, g_all, duals, gradients)
    return replace(value, noise=_noise(scale, eps, a, b, duals))


def _close(cost: PointCost | MetricCost, a: Tensor, b: Tensor, scale: float) -> bool:
    """Whether Euclidean means are so near that S_eps may be below what tol leaves of it."""
    if not isinstance(cost, PointCost):
        return False
    apart = (a @ cost.x.double() - b @ cost.y.double()).norm()
    return float(apart) ** cost.p <= _CLOSE**cost.p * scale


def _noise(scale: float, eps: float, a: Tensor, b: Tensor, duals: list[Dual]) -> float:
    """What rounding and errors may have made of S_eps.

    Exponents of kernels round like the costs, potentials by their digits; a kernel of more points
    is in float32 where the error allows, and moves potentials by eps times its digits.
    """
    unit = torch.finfo(torch.float64).eps
    sizes = sum(float(a @ one.f.abs()) + float(b @ one.g.abs()) for one in duals[:1])
    sizes += 2 * float(a @ duals[1].f.abs()) + 2 * float(b @ duals[2].f.abs())
    left = sum(one.error**2 for one in duals)
    return 4 * unit * (sizes + scale) + eps * left


def everywhere(
    side: Measure,
    values: Tensor,
    cost: PointCost | MetricCost,
    eps: float,
    *sources: tuple[Measure, Tensor],
    rho: float | None = None,
) -> Tensor:
    """A potential at all points of a side: softly extended to those of weight zero, which left.

    Args:
        side: The measure.
        values: The potential at its points.
        cost: Gives the cost between any points.
        eps: In scaled cost units.
        *sources: Measures and potentials on them that extend to the potential; for a debiased one
            also those to be subtracted.
        rho: Of penalties, which damp the extension.
    """
    if side.absent is None:
        return values
    points = side.absent.points.double()
    parts = [
        entropic.extend(cost.between(points, z.points.double()), h, z.weights.detach(), eps, rho)
        for z, h in sources
    ]
    return side.absent.spread(values, sum(parts[1:], -parts[0]).neg())


def finer(tol: float, largest: float, eps: float) -> float:
    """The tolerance at which eps·tol² stays below largest·tol², as far as float64 can tell."""
    return min(tol, max(tol * min(1.0, largest / eps), _FINEST))


def valued(
    cost: Tensor,
    pair: SamplePair,
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


def is_small(a: Tensor, b: Tensor) -> bool:
    """Whether the stored kernels of both symmetric problems fit the budget of one."""
    bytes_needed = 4 * (len(a) ** 2 + len(b) ** 2)
    return a.device.type == "cpu" and bytes_needed <= entropic.STORED_BYTES


def all_of(jobs: list[Callable[[], Any]], *, side_by_side: bool) -> list[Any]:
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


def same(x: Measure, y: Measure) -> bool:
    """Whether two measures are equal point by point."""
    return torch.equal(x.points, y.points) and torch.equal(x.weights, y.weights)


def zeros(pair: SamplePair) -> list[Tensor]:
    tensors = (pair.x.points, pair.y.points, pair.x.weights, pair.y.weights)
    return [torch.zeros_like(t) for t in tensors]


def between_gradients(
    cost: PointCost | MetricCost,
    a: Tensor,
    b: Tensor,
    dual: Dual,
    eps: float,
    pair: SamplePair,
    slopes: list[Tensor] | None = None,
) -> Callable[[], list[Tensor]]:
    """Gradients of OT_eps in x, y, a and b; passes over the pairs only where they are needed.

    Those in a and b are the potentials unless `slopes` are given.
    """

    def gradients() -> list[Tensor]:
        flipped = Dual(dual.g, dual.f, dual.error, dual.iterations, dual.converged)
        pull_x, pull_y = torch.zeros_like(cost.x), torch.zeros_like(cost.y)
        if pair.x.points.requires_grad:
            pull_x = pull(cost, a, b, dual, eps)
        if pair.y.points.requires_grad:
            pull_y = pull(cost.T, b, a, flipped, eps)
        return [pull_x, pull_y, *(slopes or [dual.f, dual.g])]

    return gradients


def pull(cost: PointCost | MetricCost, a: Tensor, b: Tensor, dual: Dual, eps: float) -> Tensor:
    """Σ_j P_ij ∇_x c(x_i, y_j), shape (n, d)."""
    work = entropic.precise(cost, eps, 1e-3)
    assert isinstance(work, PointCost | MetricCost)
    out = torch.empty_like(work.x)
    for part, c, plan in work.plan_blocks(dual.f + eps * a.log(), dual.g + eps * b.log(), eps):
        out[part] = work.force(part, c, plan)
    return out
