r"""Newton's method for small entropic problems: the last digits, and what steps do not finish.

Where clusters exchange mass through exponentially small entries of the plan, a Sinkhorn step moves
almost nothing. The dual value in φ = g/eps,

    D(φ) = ⟨a, f⟩/eps + ⟨b, φ⟩,  f = T_b(g),     ∇D = b − Pᵀ1,    −∇²D = diag(Pᵀ1) − Pᵀ diag(1/a) P,

is concave with the Hessian at hand, and its small eigenvalues are those slow exchanges.

*Polish*: a few steps from a point that is nearly right, each a Cholesky factor; where they do not
get there, damped ones from where they stopped, between Sinkhorn steps.
*Follow*: from the mean cost, eps falls by `_RATIO`, each problem being solved well before the next,
as slow exchanges are fast at large eps. g is continued along the line through the last two: near
eps = 0 potentials are linear in eps. Eigenvectors, in the b-weighted norm, tell slow exchanges from
rounding, and each Newton step follows a Sinkhorn step, which keeps all columns in sight.

Everything is dense and in float64.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from otdist.entropic import rule

LARGEST = 256
"""Points of either measure up to which a dense factor costs but milliseconds."""

_RATIO = 4.0
_CAP = 4.0  # how far a step may move log-scalings
_STAGE_STEPS = 40
_PATIENCE = 6  # steps without a better error after which the rest is rounding
_STAGE_TOL = 1e-11
_POLISH_STEPS = 8
_DAMPED_STEPS = (
    20  # 64 normal points at 1% of the mean cost take up to 14, half as long as to follow
)
_NOISE = 1e-15  # of residuals and of eigenvalues
_HALVINGS = 12
_PROGRESS = 0.9  # of the error, that counts as a better one
_OVERSHOOT = 0.5  # slope that a step may end at, as a share of minus the one it began with


@dataclass(frozen=True)
class Finish:
    """Potentials f (n,) and g (m,) in cost units, the error, and steps at the target eps."""

    f: Tensor
    g: Tensor
    error: float
    iterations: int


def polish(
    costs: Tensor,
    a: Tensor,
    b: Tensor,
    eps: float,
    g: Tensor,
    *,
    tol: float,
    max_iter: int,
    reach: Tensor | None,
) -> Finish:
    """Potentials at eps from g (m,), near the solution; arguments as in `follow`."""
    problem = _Problem(costs, a, b, eps, reach)
    state = problem.at(g / eps)
    least = problem.error(state)
    steps = 0
    while steps < min(max_iter, _POLISH_STEPS) and least > tol:
        steps += 1
        direction = problem.factored(state)
        if direction is None:
            break
        new = problem.at(state.phi + direction)
        error = problem.error(new)
        if not error < least:
            break
        state, least = new, error
    left = min(max_iter - steps, _DAMPED_STEPS)
    if least <= tol or left <= 0:
        return problem.finish(state, least, steps)
    found = problem.solve(state.phi * eps, tol, left, factors=True)
    if not found.error < least:
        found = problem.finish(state, least, 0)
    return replace(found, iterations=steps + found.iterations)


def follow(
    costs: Tensor,
    a: Tensor,
    b: Tensor,
    eps: float,
    g: Tensor,
    *,
    tol: float,
    max_iter: int,
    reach: Tensor | None,
) -> Finish:
    """Potentials at eps, by way of larger ones.

    Args:
        costs: Shape (n, m), float64.
        a: Positive weights (n,), float64, of sum one.
        b: Positive weights (m,).
        eps: In the units of cost.
        g: What to begin with at the mean cost, shape (m,).
        tol: Error to stop at, that of `rule`.
        max_iter: Steps at eps.
        reach: For the error.
    """
    stage, before = max(float(a @ costs @ b), eps), None
    while stage > eps:
        found = _Problem(costs, a, b, stage, None).solve(g, _STAGE_TOL, _STAGE_STEPS).g
        below = max(stage / _RATIO, eps)
        share = (stage - below) / (stage * (_RATIO - 1))
        g = found if before is None else found + share * (found - before)
        before, stage = found, below
    return _Problem(costs, a, b, eps, reach).solve(g, tol, max_iter)


@dataclass(frozen=True)
class _State:
    """φ and f/eps; the plan, logarithms of its column sums less those of b, and their residuals."""

    phi: Tensor
    psi: Tensor
    plan: Tensor
    excess: Tensor
    missing: Tensor


class _Problem:
    """One problem at one eps."""

    def __init__(
        self, costs: Tensor, a: Tensor, b: Tensor, eps: float, reach: Tensor | None
    ) -> None:
        self.exponents, self.a, self.b, self.eps, self.reach = costs / -eps, a, b, eps, reach
        self.log_a, self.log_b, self.root = a.log(), b.log(), b.sqrt()

    def at(self, phi: Tensor) -> _State:
        raw = self.exponents + (phi + self.log_b)
        psi = -raw.logsumexp(1)
        logs = raw.add_((psi + self.log_a)[:, None])
        excess = logs.logsumexp(0) - self.log_b
        return _State(phi, psi, logs.exp_(), excess, self.b * torch.expm1(excess))

    def error(self, state: _State) -> float:
        return rule.error(state.missing, state.excess, self.reach)

    def finish(self, state: _State, error: float, steps: int) -> Finish:
        return Finish(state.psi * self.eps, state.phi * self.eps, error, steps)

    def solve(self, g: Tensor, tol: float, max_iter: int, *, factors: bool = False) -> Finish:
        """Take steps from g until the error is at most tol; the best point where it is not reached.

        With `factors`, directions are those of Cholesky factors, where there are any.
        """
        state = self.at(g / self.eps)
        best, least = state, self.error(state)
        steps = since = 0
        while steps < max_iter and not least <= tol and since < _PATIENCE:
            steps, since = steps + 1, since + 1
            state = self._step(self.at(state.phi - state.excess), factors)
            error = self.error(state)
            if not error >= least:
                since = 0 if not error > _PROGRESS * least else since
                best, least = state, error
        return self.finish(best, least, steps)

    def _step(self, state: _State, factors: bool) -> _State:
        """The state after Newton's step, cut until the slope along it has not turned."""
        direction = self.factored(state) if factors else None
        if direction is None:
            direction = self._direction(state)
        slope = -float(state.missing @ direction)
        if not slope > 0:
            return state
        share = min(1.0, _CAP / float(direction.abs().max()))
        for _ in range(_HALVINGS):
            new = self.at(state.phi + share * direction)
            if -float(new.missing @ direction) >= -_OVERSHOOT * slope:
                return new
            share /= 2
        return state

    def _hessian(self, state: _State) -> Tensor:
        """diag(b)^(−½) (diag(Pᵀ1) − Pᵀ diag(1/a) P) diag(b)^(−½)."""
        plan = state.plan / self.root
        own = torch.diag(plan.sum(0) / self.root)
        return own.addmm_((plan / self.a[:, None]).mT, plan, alpha=-1)

    def _direction(self, state: _State) -> Tensor:
        """Minus the inverse Hessian times the gradient, without what is only rounding."""
        try:
            values, vectors = torch.linalg.eigh(self._hessian(state))
        except RuntimeError:  # not converged: masses span more digits than the factor has
            return torch.zeros_like(state.phi)
        along = vectors.mT @ (-state.missing / self.root)
        along = torch.where(along.abs() > _NOISE, along, 0.0)
        # A component whose curvature drowned in rounding moves as far as a step may.
        moves = along / values.clamp(min=_NOISE)
        limit = _CAP / (vectors / self.root[:, None]).abs().amax(0)
        return (vectors @ moves.clamp(-limit, limit)) / self.root

    def factored(self, state: _State) -> Tensor | None:
        """The same by a Cholesky factor; None where there is none, or the step is not a small one.

        The direction of constants, along which nothing changes, is filled in by √b √bᵀ.
        """
        hessian = self._hessian(state).addr_(self.root, self.root)
        factor, info = torch.linalg.cholesky_ex(hessian)
        if bool(info):
            return None
        move = torch.cholesky_solve((-state.missing / self.root)[:, None], factor)[:, 0]
        move /= self.root
        return move if float(move.abs().max()) < _CAP else None
