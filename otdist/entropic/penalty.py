r"""What Kullback–Leibler penalties of the marginals change in an entropic problem.

.. math::  \min_P \langle P, c \rangle + \rho\, KL(P1 \,|\, a) + \rho\, KL(P^\top 1 \,|\, b)
           + \varepsilon\, KL(P \,|\, a \otimes b)

with masses a and b of any sum. In its dual f and g are worth Σ a ρ (1 − e^(−f/ρ)) and likewise, so
that the marginals of the plan are a e^(−f/ρ) and b e^(−g/ρ), and the soft-mins of balanced
transport are damped:

    f = λ T_b(g),   g = λ T_a(f),   λ = ρ / (ρ + ε).

Three things differ from balanced steps:

* (f + t, g − t) is a better pair for the t that makes both sums of mass equal. Without it the mass
  that moves is found at the rate λ (Séjourné, Vialard, Peyré 2022).
* With g = λ T_a(f) the columns of the plan sum to b e^(−g/ρ), and the dual value needs no pass.
* For any g the plan of f = λ T_b(g) has rows that are right, so that the value is off by at most
  ρ KL(Pᵀ1 | b e^(−g/ρ)): what the primal of this plan exceeds the dual by. The error that steps
  stop on takes this for the bounds of `rule`.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from otdist.entropic import rule

STIFF = 1e8
"""Times the largest cost: factors of penalties from which plans are those of balanced transport, up
to a share of a hundred-millionth. A larger one would cost potentials their digits."""

_FAR = 50.0  # log of marginals apart beyond which an error is as large as it can be told


class Transforms(Protocol):
    """Soft-mins of one problem or a batch, in units of eps."""

    a: Tensor
    b: Tensor
    eps: Any

    def rows(self, phi: Tensor, /) -> Tensor: ...

    def columns(self, phi: Tensor, /) -> Tensor: ...


def damping(rho: Any, eps: Any) -> Any:
    """λ, the factor of a soft-min; one without a penalty."""
    return 1.0 if rho is None else rho / (rho + eps)


def penalty_size(mean: Any, a: Tensor, b: Tensor, rho: Any) -> Any:
    """What values are measured by: the geometric mean of masses, moved at `mean` or given up."""
    cost = min(mean, 2 * rho) if isinstance(mean, float) else torch.minimum(mean, 2 * rho)
    return cost * (a.sum(-1, keepdim=True) * b.sum(-1, keepdim=True)).sqrt()


class Damped:
    """φ ↦ λ T_a(λ T_b(φ)), with the translation in between; φ = g/eps.

    Attributes:
        f: Potential of the rows at the last φ, translated, in cost units.
        g: Its damped transform.
    """

    def __init__(self, through: Transforms, rho: Any, size: Any) -> None:
        self.through, self.rho, self.size = through, rho, size
        self.damp = damping(rho, through.eps)
        self.logs = through.a.log(), through.b.log()

    def __call__(self, phi: Tensor) -> tuple[Tensor, float]:
        eps = self.through.eps
        f, g = translated(self.damp * self.through.rows(phi), phi, self.logs, self.rho / eps)
        new = self.damp * self.through.columns(f)
        self.f, self.g = f * eps, new * eps
        return new, _error(g, new, self, self.logs[1])


class DampedSymmetric:
    """φ ↦ λ T_a(φ) for a measure against itself, where no translation is a better one."""

    def __init__(self, through: Transforms, rho: Any, size: Any) -> None:
        self.through, self.rho, self.size = through, rho, size
        self.damp = damping(rho, through.eps)
        self.log = through.a.log()

    def __call__(self, phi: Tensor) -> tuple[Tensor, float]:
        new = self.damp * self.through.rows(phi)
        self.f, self.g = phi * self.through.eps, new * self.through.eps
        return new, _error(phi, new, self, self.log)


def _error(phi: Tensor, new: Tensor, step: Damped | DampedSymmetric, log: Tensor) -> float:
    """The error of φ: shares of mass that are wrong, and what they may move the value by."""
    asked = torch.exp(log - phi * (step.through.eps / step.rho))
    apart = ((phi - new) / step.damp).clamp(-_FAR, _FAR)
    missing = asked * torch.expm1(apart)
    gap = (step.rho * (apart * (missing + asked) - missing)).sum(-1, keepdim=True)
    total = asked.sum(-1, keepdim=True).clamp(min=torch.finfo(asked.dtype).tiny)
    plain = rule.error(missing / total, phi - new, None)
    slow = rule.largest((missing * (phi - new)).abs() / total)
    return max(plain, math.sqrt(slow), rule.largest(gap / step.size))


def translated(
    f: Tensor, g: Tensor, logs: tuple[Tensor, Tensor], rho: Any
) -> tuple[Tensor, Tensor]:
    """(f + t, g − t) with the t of the largest dual value under Kullback–Leibler penalties.

    It makes the sums of a e^(−f/ρ) and b e^(−g/ρ) equal; `logs` are those of a and b.
    """
    sums = [
        torch.logsumexp(log - h / rho, -1, keepdim=True)
        for log, h in zip(logs, (f, g), strict=True)
    ]
    t = (sums[0] - sums[1]) * (rho / 2)
    return f + t, g - t


def divergent_value(h: Tensor, mass: Tensor, log: Tensor, rho: Any) -> Tensor:
    """Terms w ρ (1 − e^(−h/ρ)) of the dual, with their digits for any ρ; `log` is that of w."""
    near = h > -rho
    small = mass * torch.expm1(-torch.where(near, h, 0.0) / rho)
    return torch.where(near, small, (log - h / rho).exp() - mass) * -rho


def value(f: Tensor, g: Tensor, a: Tensor, b: Tensor, eps: Any, rho: Any) -> Tensor:
    """The dual value at g = λ T_a(f), less eps Σ a Σ b, which cancels in a divergence.

    Returns:
        The terms that it is the sum of, shape (…, 3).
    """
    terms = [divergent_value(h, w, w.log(), rho) for h, w in ((f, a), (g, b))]
    terms += [-eps * torch.exp(b.log() - g / rho)]
    return torch.cat([t.sum(-1, keepdim=True) for t in terms], -1)


def of_one_mass(a: Tensor, b: Tensor, rho: Any) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor]:
    """Measures of one mass with the same plans, as in `penalised`.

    Returns:
        ã and b̃; what their potential f lacks, t; and what their value lacks; both (…, 1).
    """
    roots = [w.sum(-1, keepdim=True).sqrt() for w in (a, b)]
    level = roots[1] / roots[0]
    return (a * level, b / level), -rho * level.log(), rho * (roots[0] - roots[1]).square()


def slopes(h: Tensor, eps: Any, rho: Any) -> Tensor:
    """Derivative of the value in a mass, up to a constant, from the potential there."""
    return -(rho + eps) * torch.expm1(-h / rho)
