r"""Many small entropic problems at once: the steps of `scaling`, over a batch of dense costs.

A problem of a few hundred points is a hundred operations on arrays too small to fill a core; in a
batch the same operations serve all problems. Costs (B, n, m) are dense here, and few enough to stay
in cache: the caller cuts a larger batch into pieces of `ENTRIES`.

Each problem has its own eps and falls to it from its own mean cost; a problem that is done waits
for the slowest. Values and gradients are those of `divergence`, which has the derivation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from otdist.core.gradient import attach
from otdist.core.metric import Metric
from otdist.core.task import out_of_range
from otdist.entropic import anderson
from otdist.entropic.dense_costs import DenseCosts, Ground
from otdist.entropic.divergence import Values, finer
from otdist.entropic.entropic import FLAT
from otdist.entropic.penalty import (
    STIFF,
    Damped,
    DampedSymmetric,
    of_one_mass,
    penalty_size,
    slopes,
    value,
)
from otdist.entropic.scaling import Stored, SymmetricStored
from otdist.entropic.sinkhorn import DEFAULT_SHARE, LIMIT, REACH, check_reach

ENTRIES = 2**22
"""Costs of a piece: 16 MB, which a last-level cache holds."""

LARGEST = 2**18
"""Costs of one problem above which it is better solved alone."""

_RATIO = 4.0
_STAGE_TOL = 1e-3
_STAGE_STEPS = 200
_PRECISE = 2000.0  # largest cost / eps that float32 exponents resolve to a ten-thousandth
_SINGLE_TOL = 1e-5  # errors that sums in float32 still tell


@dataclass(frozen=True)
class Potentials:
    """f (B, n) and g (B, m) in cost units, float64, and how the iteration ended."""

    f: Tensor
    g: Tensor
    stop: anderson.Stop


def potentials(
    cost: DenseCosts,
    a: Tensor,
    b: Tensor,
    eps: Tensor,
    *,
    tol: float,
    max_iter: int,
    scale: Tensor,
    rho: Tensor | None = None,
    size: Tensor | None = None,
) -> Potentials:
    """Potentials of each problem at its eps, shape (B, 1); from its mean cost (B,) downwards.

    With `rho` (B, 1), marginals are penalised, and `size` is what the values are measured by.
    """
    room = torch.empty_like(cost.costs)
    stage = torch.maximum(scale[:, None], eps)
    phi = torch.zeros_like(b)
    while bool((stage > eps).any()):
        step = _step(cost, a, b, stage, phi, room, rho=rho, size=size)
        phi = anderson.iterate(step, phi, b, tol=_STAGE_TOL, max_iter=_STAGE_STEPS).point
        below = torch.maximum(stage / _RATIO, eps)
        phi, stage = phi * (stage / below), below
    reach = None if rho is not None else cost.reach(a, b, scale)
    step = _step(cost, a, b, eps, phi, room, reach, rho, size)
    stop = anderson.iterate(step, phi, b, tol=tol, max_iter=max_iter)
    return Potentials(step.f, step.g if isinstance(step, Damped) else stop.point * eps, stop)


def _step(
    cost: DenseCosts,
    a: Tensor,
    b: Tensor,
    eps: Tensor,
    phi: Tensor,
    room: Tensor,
    reach: Tensor | None = None,
    rho: Tensor | None = None,
    size: Tensor | None = None,
) -> Stored | Damped:
    """Steps of all problems, damped with `rho`."""
    plain = Stored(cost, a, b, eps, phi, room, reach)
    return plain if rho is None else Damped(plain, rho, size)


def potentials_symmetric(
    cost: DenseCosts,
    a: Tensor,
    eps: Tensor,
    *,
    tol: float,
    max_iter: int,
    scale: Tensor,
    rho: Tensor | None = None,
    size: Tensor | None = None,
) -> Potentials:
    """Potentials f = g of measures against themselves; with `rho`, g is the transform of f."""
    phi, room = torch.zeros_like(a), torch.empty_like(cost.costs)
    if rho is None:
        step = SymmetricStored(cost, a, eps, phi, room, cost.reach(a, a, scale))
    else:
        step = DampedSymmetric(Stored(cost, a, a, eps, phi, room), rho, size)
    stop = anderson.iterate(step, phi, a, tol=tol, max_iter=max_iter, damping=0.5)
    return Potentials(step.f, step.g if isinstance(step, DampedSymmetric) else step.f, stop)


@dataclass(frozen=True)
class Objective:
    """OT_eps of each pair of a batch, or S_eps where debiased.

    Attributes:
        p: Exponent.
        eps: In cost units; None takes the default share of the mean cost of each problem.
        tol: Error of `rule` to stop at, in every problem.
        max_iter: Steps allowed.
        debias: Subtract the symmetric terms.
        reach: Let mass stay, as in `penalised`; weights are masses.
        metric: Of points that it has mapped; None is Euclidean.
    """

    p: float
    eps: float | None
    tol: float
    max_iter: int
    debias: bool
    reach: float | None = None
    metric: Metric | None = None

    def values(self, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Values:
        """Solve.

        Args:
            x: Finite points (B, n, d), centred.
            y: Finite points (B, m, d).
            a: Positive weights (B, n), float64, of sum one.
            b: Positive weights (B, m).
        """
        with torch.no_grad():
            solved = _Solved(self, (x.detach(), y.detach()), (a.detach(), b.detach()))
        solved.moved = x.requires_grad, y.requires_grad
        cost = attach(solved.value, [x, y, a, b], solved.gradients)
        return Values.of(cost, solved.stops)


class _Solved:
    """Values and gradients of an objective, in the caller's units.

    Attributes:
        moved: Whether gradients in x and in y are asked for; those that are not are left at zero.
    """

    moved: tuple[bool, bool]

    def __init__(
        self, objective: Objective, points: tuple[Tensor, Tensor], weights: tuple[Tensor, Tensor]
    ) -> None:
        self.weights, self.given, p = weights, points, objective.p
        ground = Ground.of(*points, p, objective.metric)
        units = ground.scale.pow(p)
        costs = ground.costs(0, 1)
        self.rho: Tensor | None = None
        if objective.reach is not None:
            self.rho = (objective.reach / ground.scale[:, None]) ** p
            if not bool(((self.rho > 0) & self.rho.isfinite()).all()):
                raise out_of_range(objective.reach)
        sums = [w.sum(-1, keepdim=True) for w in weights]
        shares = (
            weights
            if self.rho is None
            else tuple(w / m for w, m in zip(weights, sums, strict=True))
        )
        scale = costs.mean(*shares)
        eps = self._strength(objective.eps, costs, units, scale)
        if ground.dtype == torch.float32 and _needs_double(costs, eps, objective.tol):
            ground = ground.double()
            costs = ground.costs(0, 1)
        share = float((costs.costs.amax((1, 2)) / eps[:, 0]).min())
        tol = finer(objective.tol, share, 1.0) if self.rho is None else objective.tol
        limits: dict[str, Any] = {"tol": tol, "max_iter": objective.max_iter, "scale": scale}
        self.ground, self.eps = ground, eps
        if self.rho is not None:
            self._solve_penalised(costs, units, sums, limits, objective.debias)
            return
        crossed = potentials(costs, *weights, eps, **limits)
        self.crossed, self.stops = (costs, crossed), [crossed.stop]
        self.own: list[tuple[DenseCosts, Potentials]] = []
        self.f, self.g, keep = crossed.f, crossed.g, units
        if objective.debias:
            for side, w in enumerate(weights):
                within = ground.costs(side, side)
                self.own.append((within, potentials_symmetric(within, w, eps, **limits)))
                self.stops.append(self.own[-1][1].stop)
            self.f, self.g = self.f - self.own[0][1].f, self.g - self.own[1][1].f
            flat = costs.costs.amax((1, 2)) == 0
            keep = torch.where(_same(points, weights) | flat, 0.0, units)
        self.keep = keep
        self.value = ((weights[0] * self.f).sum(-1) + (weights[1] * self.g).sum(-1)) * keep
        if objective.debias:
            self.value.clamp_(min=0)

    def _solve_penalised(
        self,
        costs: DenseCosts,
        units: Tensor,
        sums: list[Tensor],
        limits: dict[str, Any],
        debias: bool,
    ) -> None:
        """Values and slopes where marginals are penalised; see `penalised`."""
        weights, eps, whole = self.weights, self.eps, self.rho
        assert whole is not None
        even, apart, given_up = of_one_mass(*weights, whole)
        top = costs.costs.amax((1, 2)).double()[:, None]
        rho = torch.where(top > 0, torch.minimum(whole, STIFF * top), whole)
        size = penalty_size(limits["scale"][:, None], *weights, rho)
        limits |= {"rho": rho, "size": torch.where(size > 0, size, 1.0)}
        found = potentials(costs, *even, eps, **limits)
        total = value(found.f, found.g, *even, eps, rho).sum(-1) + given_up[:, 0]
        crossed = replace(found, f=found.f + apart, g=found.g - apart)
        self.crossed, self.stops, self.keep, self.own = (costs, crossed), [crossed.stop], units, []
        self.f, self.g = (slopes(h, eps, whole) for h in (crossed.f, crossed.g))
        if debias:
            for side, w in enumerate(weights):
                within = self.ground.costs(side, side)
                alone = potentials_symmetric(within, w, eps, **limits)
                total = total - value(alone.f, alone.g, w, w, eps, rho).sum(-1) / 2
                self.own.append((within, alone))
                self.stops.append(alone.stop)
            own_f, own_g = (slopes((o.f + o.g) / 2, eps, whole) for _, o in self.own)
            self.f, self.g = self.f - own_f, self.g - own_g
            self.keep = torch.where(_same(self.given, weights), 0.0, units)
            total = total.clamp(min=0)
        else:
            total = total + (eps * sums[0] * sums[1])[:, 0]
            self.f, self.g = self.f + eps * (sums[1] - 1), self.g + eps * (sums[0] - 1)
        self.value = total * self.keep

    def _strength(
        self, eps: float | None, costs: DenseCosts, units: Tensor, mean: Tensor
    ) -> Tensor:
        """Strength of each problem in scaled units, shape (B, 1)."""
        if eps is not None:
            strength, top = eps / units, costs.costs.amax((1, 2)).double()
            check_reach(eps, bool((strength >= REACH * top).all()))
            if self.rho is not None:
                top = torch.maximum(top, self.rho[:, 0])
            return torch.where(top > 0, strength.minimum(LIMIT * top), strength)[:, None]
        if self.rho is not None:
            mean = torch.minimum(mean, 2 * self.rho[:, 0])
        return DEFAULT_SHARE * torch.where(mean > 0, mean, 1.0)[:, None]

    def gradients(self) -> list[Tensor]:
        """Gradients in x, y, a and b."""
        (costs, crossed), (a, b) = self.crossed, self.weights
        pull_x = self._pull(costs, (0, 1), (a, b), (crossed.f, crossed.g))
        pull_y = self._pull(costs.T, (1, 0), (b, a), (crossed.g, crossed.f))
        if self.own:
            (of_x, own_x), (of_y, own_y) = self.own
            pull_x -= self._pull(of_x, (0, 0), (a, a), (own_x.f, own_x.g))
            pull_y -= self._pull(of_y, (1, 1), (b, b), (own_y.f, own_y.g))
        keep = self.keep[:, None]
        return [pull_x * keep[..., None], pull_y * keep[..., None], self.f * keep, self.g * keep]

    def _pull(
        self,
        cost: DenseCosts,
        sides: tuple[int, int],
        weights: tuple[Tensor, Tensor],
        potentials: tuple[Tensor, ...],
    ) -> Tensor:
        """Σ_j P_ij ∇_x c(x_i, y_j), shape (B, n, d), in scaled costs."""
        if not self.moved[sides[0]]:
            return torch.zeros_like(self.given[sides[0]])
        plan = torch.empty_like(cost.costs)
        f, g = (h + self.eps * w.log() for h, w in zip(potentials, weights, strict=True))
        cost.kernel(f, g, self.eps, plan)
        return self.ground.pull(cost.costs, plan, *sides)


def _needs_double(costs: DenseCosts, eps: Tensor, tol: float) -> bool:
    """Whether exponents, errors or what varies in the kernel are beyond float32."""
    top, eps = costs.costs.amax((1, 2)), eps[:, 0]
    return tol < _SINGLE_TOL or bool(((top > _PRECISE * eps) | (eps > FLAT * top)).any())


def _same(points: tuple[Tensor, ...], weights: tuple[Tensor, ...]) -> Tensor:
    """Which problems have two equal measures, point by point, shape (B,)."""
    if points[0].shape != points[1].shape:
        return torch.zeros(len(points[0]), dtype=torch.bool, device=points[0].device)
    equal = (points[0] == points[1]).all(-1) & (weights[0] == weights[1])
    return equal.all(-1)
