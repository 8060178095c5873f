r"""The entropic dual, solved: potentials of min_P ⟨P, c⟩ + eps·KL(P | a ⊗ b).

With the plan P_ij = a_i b_j exp((f_i + g_j − c_ij)/eps), optimality is one fixed point of soft-mins

    f = T_b(g) := softmin_j(c_ij − g_j − eps·log b_j),      g = T_a(f),

and Sinkhorn's algorithm repeats g ← T_a(T_b(g)). Five things make it fast
(`python -m benchmarks --suite entropic`):

1. *Coarse to fine*: eps falls from the mean cost to its target on a quarter of the points, at most
   1,024, that stand for all; the soft-min extends those potentials to all points.
2. *Anderson acceleration* (`anderson`) of the fixed point: 110 steps instead of 940 at 3e-4 of the
   mean cost.
3. *A stored kernel* where n·m fits a budget of 256 MB (`scaling`).
4. *Symmetric problems* (x against itself) by f ← (f + T(f))/2, which contracts by ½ near the
   solution because the kernel is positive definite (p ≤ 2; Feydy et al. 2019).
5. *Newton's method* (`newton`) for small problems that these steps do not finish.

What the steps stop on is in `rule`: values ask for more than brackets do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from otdist.core.point_cost import Cost, MatrixCost
from otdist.entropic import anderson, few, newton, rule
from otdist.entropic.few import FewCosts
from otdist.entropic.penalty import Damped, DampedSymmetric, penalty_size
from otdist.entropic.precision import FLAT, STORED_BYTES, precise, stored_type
from otdist.entropic.scaling import (
    KernelStore,
    Softmins,
    Stored,
    SymmetricSoftmins,
    SymmetricStored,
    extend,
)

__all__ = ["FLAT", "STORED_BYTES", "Dual", "approach", "coarse", "extend", "misses", "precise"]
__all__ += ["solve", "solve_symmetric"]

COARSE = 1024  # most points of the subsample on which eps is scaled down
_COARSE_RATIO = 4.0  # between one eps and the next there
_STAGE_RATIO = 8.0  # the same on all points
_STAGE_TOL = 1e-3  # looser, clusters keep wrong masses, which the last stage exchanges too slowly
_STAGE_STEPS = 200
NO_MASS = 1e-30  # weights up to here are solved without and get their potentials by extension
PLAIN_STEPS = 100  # that a small problem is given before Newton's method
_FINE_STEPS = 400  # that a small problem with penalties is given for its last digits


@dataclass(frozen=True)
class Dual:
    """Potentials of one entropic problem.

    Attributes:
        f: Shape (…, n), float64, cost units: T_b(g) when converged, so that the rows of the plan
            are exact; else g = T_a(f), and its columns are.
        g: Shape (…, m).
        error: L1 marginal error, or what `rule` makes of it; the largest over a batch.
        iterations: Full steps at the target eps on all points.
        converged: Whether `error` met the tolerance.
    """

    f: Tensor
    g: Tensor
    error: float
    iterations: int
    converged: bool


@dataclass(frozen=True)
class _Problem:
    """One problem between a and b, to be solved from a potential g, shape (m,).

    Attributes:
        cost: Shape (n, m).
        a: Shape (n,).
        b: Shape (m,).
        eps: In the units of cost.
        kernel: Room for stored kernels.
        reach: What missing mass is weighted by (see `rule`); None weights all of it alike.
        rho: Factor of the penalties of the marginals; None keeps them.
        size: With `rho`, what the value is measured by.
    """

    cost: Cost
    a: Tensor
    b: Tensor
    eps: float
    kernel: KernelStore
    reach: Tensor | None = None
    rho: float | None = None
    size: float | None = None

    def solve(self, g: Tensor, *, tol: float, max_iter: int, digits: float | None = None) -> Dual:
        """Potentials by steps, in the precision that `digits` asks for, else tol."""
        phi = g / self.eps
        dtype = stored_type(self.cost, self.eps, digits or tol)
        shape, device = self.cost.shape, self.cost.device
        plain = self.step(phi, None if dtype is None else self.kernel.take(*shape, dtype, device))
        step = plain if self.rho is None else Damped(plain, self.rho, self.size)
        stop = anderson.iterate(step, phi, self.b, tol=tol, max_iter=max_iter)
        g = step.g if isinstance(step, Damped) else stop.point * self.eps
        return Dual(step.f, g, stop.error, stop.iterations, stop.converged)

    def step(self, phi: Tensor, room: Tensor | None) -> Stored | Softmins:
        """Steps through a kernel stored in `room`, or through soft-mins where there is none."""
        if room is None:
            return Softmins(self.cost, self.a, self.b, self.eps, self.reach)
        return Stored(self.cost, self.a, self.b, self.eps, phi, room, self.reach)

    def small(self, g: Tensor, *, tol: float, max_iter: int) -> Dual:
        """Potentials of a small problem, with Newton's method where steps do not finish.

        A value is solved to `rule.FINEST` while there are steps: then all its digits are right.
        """
        cost = _written(self.cost)
        finest = tol if self.reach is None else min(tol, rule.FINEST)
        first = min(max_iter, PLAIN_STEPS)
        dual = replace(self, cost=cost).solve(g, tol=tol, max_iter=first, digits=finest)
        return self._finished(dual, cost, finest, tol, max_iter)

    def few(self, g: Tensor | None, *, tol: float, max_iter: int) -> Dual:
        """Potentials of few points; without g, from the mean cost."""
        assert isinstance(self.cost, FewCosts)
        finest = tol if self.reach is None else min(tol, rule.FINEST)
        f, stop = few.solve(
            self.cost, self.a, self.b, self.eps, g,
            reach=self.reach, tol=tol, finest=finest, max_iter=min(max_iter, PLAIN_STEPS),
        )  # fmt: skip
        dual = Dual(f, stop.point, stop.error, stop.iterations, stop.converged)
        return self._finished(dual, self.cost, finest, tol, max_iter)

    def _finished(
        self, dual: Dual, cost: MatrixCost, finest: float, tol: float, max_iter: int
    ) -> Dual:
        """The solution by Newton's method where `dual` is not one to `finest`."""
        for method, enough in ((newton.polish, finest), (newton.follow, max(finest, rule.FINE))):
            left = max_iter - dual.iterations
            if left > 0 and not dual.error <= enough:
                end = method(
                    cost.matrix, self.a, self.b, self.eps, dual.g,
                    tol=finest, max_iter=left, reach=self.reach,
                )  # fmt: skip
                steps = dual.iterations + end.iterations
                if not end.error >= dual.error:
                    dual = Dual(end.f, end.g, end.error, steps, False)
                dual = replace(dual, iterations=steps)
        return replace(dual, converged=dual.error <= tol)

    def penalised(self, g: Tensor, *, tol: float, max_iter: int) -> Dual:
        """Potentials with penalised marginals; small problems are solved as far as steps bring."""
        small = max(self.cost.shape) <= newton.LARGEST
        goals = [(min(tol, rule.FINEST), min(max_iter, _FINE_STEPS))] if small else []
        problem, steps, dual = replace(self, cost=_written(self.cost)) if small else self, 0, None
        for goal, most in [*goals, (tol, max_iter)]:
            if dual is None or (dual.error > tol and steps < max_iter):
                dual = problem.solve(g, tol=goal, max_iter=min(most, max_iter - steps))
                steps, g = steps + dual.iterations, dual.g
        assert dual is not None
        return replace(dual, iterations=steps, converged=dual.error <= tol)


def solve(
    cost: Cost,
    a: Tensor,
    b: Tensor,
    eps: float,
    *,
    tol: float,
    max_iter: int,
    start: Tensor | None = None,
    near: Tensor | None = None,
    kernel: KernelStore | None = None,
    scale: float | None = None,
    rho: float | None = None,
) -> Dual:
    """Potentials between a and b, float64 weights of sum one; with `rho`, masses of any sum.

    Args:
        cost: Shape (n, m) in any precision; the working precision follows tol and eps.
        eps: In the units of cost.
        tol: L1 marginal error to stop at.
        max_iter: Steps at the target eps.
        start: A potential g, shape (m,), to start from instead of the coarse solution.
        near: The coarse solution, where `approach` has found it already.
        kernel: Room for stored kernels, shared with other problems.
        scale: The mean cost that values are measured by, for the error of `rule`; None stops on
            the L1 error alone. With `rho`, the size of the value.
        rho: The factor of Kullback–Leibler penalties of the marginals (see `penalty`); None keeps
            them.
    """
    rows, columns = _support(a), _support(b)
    if len(rows) < len(a) or len(columns) < len(b):
        start = None if start is None else start[columns]
        part, given = cost.sub(rows, columns), {"scale": scale, "rho": rho, "start": start}
        dual = solve(part, a[rows], b[columns], eps, tol=tol, max_iter=max_iter, **given)
        everything = torch.arange(max(cost.shape), device=cost.device)
        f = extend(cost.sub(everything[: len(a)], columns), dual.g, b[columns], eps, rho)
        g = extend(cost.sub(rows, everything[: len(b)]).T, dual.f, a[rows], eps, rho)
        g[columns] = dual.g
        return replace(dual, f=f, g=g)
    if rho is None and few.are_few(cost):
        cost = FewCosts.of(cost)
        reach = None if scale is None else cost.reach(a, b, scale)
        problem = _Problem(cost, a, b, eps, KernelStore(), reach)
        return problem.few(start, tol=tol, max_iter=max_iter)
    cost = precise(cost, eps, tol)
    g = start if start is not None else near
    g = coarse(cost, a, b, eps, rho) if g is None else g.double()
    size = None if rho is None else scale
    problem = _Problem(cost, a, b, eps, kernel or KernelStore(), rho=rho, size=size)
    for stage in _last_stages(cost, a, b, eps, start):
        g = replace(problem, eps=stage).solve(g, tol=_STAGE_TOL, max_iter=_STAGE_STEPS).g
    if rho is not None:
        return problem.penalised(g, tol=tol, max_iter=max_iter)
    if scale is not None:
        problem = replace(problem, reach=rule.reach(cost, a, b, scale))
    method = problem.small if max(cost.shape) <= newton.LARGEST else problem.solve
    return method(g, tol=tol, max_iter=max_iter)


def _written(cost: Cost) -> MatrixCost:
    """All costs in float64, by differences where those are cheap: near pairs keep their digits."""
    return MatrixCost(cost.to(torch.float64).dense())


def solve_symmetric(
    cost: Cost,
    a: Tensor,
    eps: float,
    *,
    tol: float,
    max_iter: int,
    kernel: KernelStore | None = None,
    scale: float | None = None,
    rho: float | None = None,
) -> Dual:
    """The potential of a against itself, f = g; from zero, which is within eps·log n of it.

    With `rho`, g is the transform of f, and f its own to the order of the error.
    """
    rows = _support(a)
    if len(rows) < len(a):
        part = cost.sub(rows, rows)
        dual = solve_symmetric(part, a[rows], eps, tol=tol, max_iter=max_iter, scale=scale, rho=rho)
        everything = torch.arange(len(a), device=cost.device)
        f = extend(cost.sub(everything, rows), dual.f, a[rows], eps, rho)
        g = f.clone()
        f[rows], g[rows] = dual.f, dual.g
        return replace(dual, f=f, g=g)
    if rho is None and few.are_few(cost):
        cost = FewCosts.of(cost)
        reach = None if scale is None else cost.reach(a, a, scale)
        goal = tol if scale is None else min(tol, rule.FINEST)
        f, stop = few.solve_symmetric(cost, a, eps, reach=reach, tol=goal, max_iter=max_iter)
        return Dual(f, f, stop.error, stop.iterations, stop.error <= tol)
    valued, goal = scale is not None, tol
    reach = rule.reach(cost, a, a, scale) if scale is not None and rho is None else None
    if valued and len(a) <= newton.LARGEST:
        cost, goal = _written(cost), min(tol, rule.FINEST)
    cost = precise(cost, eps, goal)
    phi = torch.zeros(cost.shape[0], dtype=torch.float64, device=cost.device)
    dtype = stored_type(cost, eps, goal)
    stored = None
    if dtype is not None:
        stored = (kernel or KernelStore()).take(*cost.shape, dtype, cost.device)
    if rho is not None:
        plain = _Problem(cost, a, a, eps, kernel or KernelStore()).step(phi, stored)
        step = DampedSymmetric(plain, rho, scale)
        max_iter = min(max_iter, _FINE_STEPS) if goal < tol else max_iter
    elif stored is None:
        step = SymmetricSoftmins(cost, a, eps, reach)
    else:
        step = SymmetricStored(cost, a, eps, phi, stored, reach)
    stop = anderson.iterate(step, phi, a, tol=goal, max_iter=max_iter, damping=0.5)
    g = step.g if isinstance(step, DampedSymmetric) else step.f
    return Dual(step.f, g, stop.error, stop.iterations, stop.error <= tol)


def approach(
    cost: Cost, a: Tensor, b: Tensor, eps: float, tol: float, rho: float | None = None
) -> Tensor | None:
    """What `solve` would begin with; None for few points, or where some carry no mass."""
    if rho is None and few.are_few(cost):
        return None
    if float(torch.minimum(a.min(), b.min())) <= NO_MASS:
        return None
    return coarse(precise(cost, eps, tol), a, b, eps, rho)


def misses(cost: Cost, a: Tensor, b: Tensor, eps: float, g: Tensor) -> float:
    """The L1 marginal error of a potential g, shape (m,): one step's work."""
    step = Softmins(precise(cost, eps, 1e-3), a, b, eps)
    return step(g / eps)[1]


def coarse(
    cost: Cost, a: Tensor, b: Tensor, eps: float, rho: float | None = None, most: int = COARSE
) -> Tensor:
    """A potential g near the solution at eps, shape (m,), from subsamples of at most `most`."""
    masses = [1.0 if rho is None else float(w.sum()) for w in (a, b)]
    rows, u = cost.landmarks(a / masses[0], _few(len(a), most))
    columns, v = cost.T.landmarks(b / masses[1], _few(len(b), most))
    part = cost.sub(rows, columns)
    g, stage = torch.zeros_like(v), float(part.mean(u, v).abs())
    u, v = u * masses[0], v * masses[1]
    size = None if rho is None else penalty_size(stage, u, v, rho)
    problem = _Problem(part, u, v, stage, KernelStore(), rho=rho, size=size)
    while stage > eps:
        g = replace(problem, eps=stage).solve(g, tol=_STAGE_TOL, max_iter=_STAGE_STEPS).g
        stage /= _COARSE_RATIO
    if len(columns) == len(b):
        return g
    f = extend(part, g, v, eps, rho)
    return extend(cost.sub(rows, torch.arange(len(b), device=b.device)).T, f, u, eps, rho)


def _few(n: int, most: int = COARSE) -> int:
    """How many of n points the subsample keeps."""
    return min(most, max(most // 4, n // 4))


def _support(weights: Tensor) -> Tensor:
    """Indices of the points that carry mass: a kernel against a ⊗ b may overflow elsewhere."""
    return (weights > NO_MASS).nonzero()[:, 0]


def _last_stages(cost: Cost, a: Tensor, b: Tensor, eps: float, start: Tensor | None) -> list[float]:
    """Values of eps to visit on all points when a subsample cannot resolve the target."""
    if start is not None or all(n <= _few(n) for n in cost.shape):
        return []
    top = 0.01 * float(cost.mean(a / a.sum(), b / b.sum()).abs())
    count = math.ceil(math.log(top / eps, _STAGE_RATIO) - 0.5) if 0 < eps < top else 0
    return [eps * _STAGE_RATIO**k for k in range(count, 0, -1)]
