r"""Sinkhorn's steps for few points in numpy: short vectors take a fifth of the time of torch's.

The steps are those of `scaling` through a stored kernel, in float64: with K_ij = b_j
exp((f_i + g_j − c_ij)/eps) at the potentials of the moment, φ₀ = g/eps, a step is

    v = exp(φ − φ₀),   u = a / K v,   T(φ) = φ₀ + log b − log Kᵀu.

Near the solution they give way to φ + H⁻¹ (b − Pᵀ1), with the Hessian H of `newton` at the point
where this begins: one factor, and about four steps to all digits.

`python -m benchmarks --suite small` times S_eps of 64 points beside GeomLoss and POT.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from otdist.core.cost import LOG2E, Cost, exp2_
from otdist.core.point_cost import MatrixCost, PointCost
from otdist.entropic import anderson, newton, rule, scaling
from otdist.entropic.anderson import Stop
from otdist.entropic.dense_costs import DenseCosts

_FACTORS, _FACTOR_STEPS = 4, 6  # 1,120 problems end as soon with up to 8 factors of 4 to 10 steps
_FIRST = 0.5  # a tenth fewer steps than from the mean cost itself
_STAGE_RATIO, _STAGE_STEPS = 4.0, 200
_STAGE_TOL = 1e-3  # looser, one small eps in three is followed from the mean cost again


def are_few(cost: Cost) -> bool:
    """Whether the points are as few as `newton` takes, and not on another device."""
    return max(cost.shape) <= newton.LARGEST and cost.device.type == "cpu"


class FewCosts(MatrixCost):
    """A matrix of few costs in float64, which is read as a whole."""

    @classmethod
    def of(cls, cost: Cost) -> FewCosts:
        """All costs, by differences where those are cheap: near pairs keep their digits."""
        if isinstance(cost, FewCosts):
            return cost
        cost = cost.to(torch.float64)
        if isinstance(cost, PointCost) and cost.p == 2 and not cost.by_differences:
            return cls(DenseCosts.between(cost.x[None], cost.y[None], 2).costs[0])
        return cls(cost.rows(0, cost.shape[0]).contiguous())

    def mean(self, a: Tensor, b: Tensor) -> Tensor:
        """See `Cost`."""
        return torch.dot(a, self.apply(b))

    @property
    def T(self) -> FewCosts:
        """The transposed cost."""
        return FewCosts(self.matrix.T.contiguous())

    def apply(self, b: Tensor) -> Tensor:
        """See `Cost`."""
        return torch.mv(self.matrix, b)

    def reach(self, a: Tensor, b: Tensor, scale: float) -> Tensor:
        """That of `rule.reach`."""
        rows, columns = self.apply(b), torch.mv(self.matrix.T, a)
        below = np.maximum.reduce(rows.numpy()[:, None] - self.matrix.numpy(), axis=0)
        return rule.of_bounds(torch.maximum(columns, torch.from_numpy(below)), scale)


class _Product:
    """v ↦ K v of arrays, by torch, which is held to one thread here, as numpy's product is not.

    Attributes:
        given: Where to write v.
        found: Where K v is found, until the next product.
    """

    def __init__(self, kernel: Tensor) -> None:
        self.kernel = kernel
        self._given, self._found = kernel.new_empty(kernel.shape[1]), kernel.new_empty(len(kernel))
        self.given, self.found = self._given.numpy(), self._found.numpy()

    def __call__(self) -> np.ndarray:
        torch.mv(self.kernel, self._given, out=self._found)
        return self.found


class FewSteps:
    """φ ↦ T_a(T_b(φ)) and the error of φ, of arrays (m,)."""

    def __init__(self, cost: FewCosts, a: Tensor, b: Tensor) -> None:
        self.cost, self.weights, self.kernel = cost, (a, b), torch.empty_like(cost.matrix)
        self.a, self.b = a.numpy(), b.numpy()
        self.log_b = np.log(self.b)
        self.rows, self.columns = _Product(self.kernel), _Product(self.kernel.T)

    @property
    def mean(self) -> float:
        """The mean cost."""
        return float(self.cost.mean(*self.weights))

    def begin(self, eps: float, phi: np.ndarray, reach: Tensor | None = None) -> None:
        """Take steps at eps, from near φ, whose errors are those of `rule` with this reach."""
        self.eps, self.reach = eps, None if reach is None else reach.numpy()
        self._absorb(phi)

    def _absorb(self, phi: np.ndarray) -> None:
        self.phi0, self.base = phi, phi + self.log_b
        exponents = _exponents(self.cost, self.eps, self.base, self.kernel)
        top = np.maximum.reduce(exponents, axis=1)  # the largest entry of each row becomes one
        exponents -= top[:, None]
        exp2_(self.kernel)
        self.psi0 = top / -LOG2E

    def __call__(self, phi: np.ndarray) -> tuple[np.ndarray, float]:
        shift = phi - self.phi0
        if not _is_near(shift):
            self._absorb(phi)
            shift = np.zeros_like(phi)
        self.v = np.exp(shift, out=self.rows.given)
        self.mass = self.rows()
        np.divide(self.a, self.mass, out=self.columns.given)
        sums = self.columns()
        new = self.base - np.log(sums)
        if not math.isfinite(new.dot(new)):  # a column left the range of the kernel
            return self._by_softmins(phi)
        self.missing = self.v * sums
        self.missing -= self.b
        return new, _error(self.missing, phi - new, self.reach)

    def _by_softmins(self, phi: np.ndarray) -> tuple[np.ndarray, float]:
        a, b = self.weights
        new = (scaling.extend(self.cost.T, self.f, a, self.eps) / self.eps).numpy()
        move = phi - new
        self.missing = scaling.missing(torch.from_numpy(move), b).numpy()
        return new, _error(self.missing, move, self.reach)

    @property
    def f(self) -> Tensor:
        """Potential of the rows at the last φ, (n,), in cost units."""
        return torch.from_numpy((self.psi0 - np.log(self.mass)) * self.eps)


class FewNewtonSteps:
    """φ ↦ φ + H⁻¹ (b − Pᵀ1) and the error of φ, with the Hessian of the last step of `steps`."""

    def __init__(self, steps: FewSteps) -> None:
        self.steps, self.root = steps, np.sqrt(steps.b)
        plan = steps.kernel * torch.from_numpy(np.sqrt(steps.a) / steps.mass)[:, None]
        plan *= torch.from_numpy(steps.v / self.root)
        hessian = torch.mm(plan.T, plan).neg_()
        # The direction of constants, along which nothing changes, is filled in by √b √bᵀ.
        hessian.addr_(*[torch.from_numpy(self.root)] * 2)
        hessian.diagonal().add_(torch.from_numpy(steps.missing / steps.b + 1))
        self.factor, info = torch.linalg.cholesky_ex(hessian)
        self.exists = not int(info)

    def __call__(self, phi: np.ndarray) -> tuple[np.ndarray, float]:
        _, error = self.steps(phi)
        missing = torch.from_numpy(self.steps.missing / self.root)
        move = torch.cholesky_solve(missing[:, None], self.factor)[:, 0].numpy()
        return phi - move / self.root, error


class FewSymmetricSteps:
    """φ ↦ T_a(φ) of a measure against itself, and the error of φ, of arrays (n,)."""

    def __init__(
        self, cost: FewCosts, a: Tensor, eps: float, phi: np.ndarray, reach: Tensor | None
    ) -> None:
        self.cost, self.weights, self.eps, self.kernel = cost, a, eps, torch.empty_like(cost.matrix)
        self.a, self.reach = a.numpy(), None if reach is None else reach.numpy()
        self.log_a, self.rows = np.log(self.a), _Product(self.kernel)
        self._absorb(phi)

    def _absorb(self, phi: np.ndarray) -> None:
        if phi.any():  # the average with its transform is nearer to the solution
            given = torch.from_numpy(phi * self.eps)
            transform = scaling.extend(self.cost, given, self.weights, self.eps)
            phi = (transform.numpy() / self.eps + phi) / 2
        exponents = _exponents(self.cost, self.eps, phi + self.log_a, self.kernel)
        exponents += (phi * LOG2E)[:, None]
        exp2_(self.kernel)
        self.phi0 = phi

    def __call__(self, phi: np.ndarray) -> tuple[np.ndarray, float]:
        shift = phi - self.phi0
        if not _is_near(shift):
            self._absorb(phi)
            shift = phi - self.phi0
        v = np.exp(shift, out=self.rows.given)
        mass = self.rows()
        new = self.phi0 - np.log(mass)
        self.last = phi, new
        missing = v * mass
        missing -= 1
        missing *= self.a
        return new, _error(missing, phi - new, self.reach)

    @property
    def f(self) -> Tensor:
        """The mean of the last φ and its transform, (n,), in cost units."""
        phi, transform = self.last
        return torch.from_numpy((phi + transform) * (self.eps / 2))


def solve(
    cost: FewCosts,
    a: Tensor,
    b: Tensor,
    eps: float,
    start: Tensor | None,
    *,
    reach: Tensor | None,
    tol: float,
    finest: float,
    max_iter: int,
) -> tuple[Tensor, Stop]:
    """Potentials by steps to an error of tol, and on to `finest` by Newton's where those do.

    Args:
        cost: Shape (n, m).
        a: Positive weights (n,), float64, of sum one.
        b: Positive weights (m,).
        eps: In the units of cost.
        start: A potential g, (m,), to begin with; None begins at half the mean cost.
        reach: For the error of `rule`.
        tol: Error to stop at.
        finest: The same for Newton's steps.
        max_iter: Steps at eps.

    Returns:
        f, (n,), and how it ended, whose point is g, (m,); both in cost units.
    """
    with np.errstate(all="ignore"):  # what leaves the range of a kernel is looked for
        step = FewSteps(cost, a, b)
        phi = _approach(step, eps) if start is None else start.double().numpy() / eps
        step.begin(eps, phi, reach)
        stop = anderson.iterate(step, phi, step.b, tol=tol, max_iter=max_iter)
        f = step.f
        for _ in range(_FACTORS):
            left = min(max_iter - stop.iterations, _FACTOR_STEPS)
            if not finest < stop.error <= tol or left < 2:
                break
            direct = FewNewtonSteps(step)
            if not direct.exists:
                break
            end = anderson.iterate(direct, stop.point, step.b, tol=finest, max_iter=left)
            if not end.converged:  # its point is one step further than its error
                end = replace(end, error=step(end.point)[1])
            count = stop.iterations + end.iterations - 1  # its first is the last one again
            better = end.error < stop.error
            if better:
                f, stop = step.f, end
            stop = replace(stop, iterations=count)
            if not better:
                break
    g = torch.from_numpy(stop.point * eps)
    return f, replace(stop, point=g, converged=stop.error <= tol)


def _approach(step: FewSteps, eps: float) -> np.ndarray:
    """φ at eps by way of larger ones, each solved roughly; half the mean cost is the first.

    g is continued along the line through the last two, as in `newton.follow`.
    """
    stage, g, before = step.mean * _FIRST, np.zeros_like(step.b), None
    while stage > eps:
        phi = g / stage
        step.begin(stage, phi)
        stop = anderson.iterate(step, phi, step.b, tol=_STAGE_TOL, max_iter=_STAGE_STEPS)
        below, found = max(stage / _STAGE_RATIO, eps), stop.point * stage
        share = (stage - below) / (stage * (_STAGE_RATIO - 1))
        g = found if before is None else found + share * (found - before)
        before, stage = found, below
    return g / eps


def solve_symmetric(
    cost: FewCosts, a: Tensor, eps: float, *, reach: Tensor | None, tol: float, max_iter: int
) -> tuple[Tensor, Stop]:
    """The potential of a measure against itself, f = g, and how it ended."""
    phi = np.zeros(len(a))
    with np.errstate(all="ignore"):
        step = FewSymmetricSteps(cost, a, eps, phi, reach)
        stop = anderson.iterate(step, phi, step.a, tol=tol, max_iter=max_iter, damping=0.5)
    return step.f, stop


def _exponents(cost: FewCosts, eps: float, base: np.ndarray, out: Tensor) -> np.ndarray:
    """Base-2 exponents base_j − c_ij/eps, written into `out`."""
    exponents = np.multiply(cost.matrix.numpy(), -LOG2E / eps, out=out.numpy())
    exponents += base * LOG2E
    return exponents


def _is_near(shift: np.ndarray) -> bool:
    """Whether log-scalings are such as a stored kernel takes."""
    limit = scaling.ABSORB
    return shift.dot(shift) < limit**2 or bool(np.maximum.reduce(np.abs(shift)) < limit)


def _error(missing: np.ndarray, move: np.ndarray, reach: np.ndarray | None) -> float:
    """That of `rule.error`."""
    mass = np.abs(missing)
    if reach is None:
        return float(np.add.reduce(mass))
    return max(float(mass.dot(reach)), math.sqrt(mass.dot(np.abs(move))))
