r"""One Sinkhorn step in three forms: through a stored kernel, through soft-mins, for a batch.

The iterate is φ = g/eps. A step is φ ↦ T_a(T_b(φ)); once its first half is done the rows of the
plan sum to a, and what is left is the column residual b_j (exp(φ_j − T(φ)_j) − 1), whose error
(`rule`) everything stops on. With f = g, a symmetric problem takes the half-step
alone, φ ↦ T_a(φ), with the same error. Its potential f is the mean of φ and T_a(φ), a pair whose
plan has mass one: 2⟨a, f⟩ is a dual value, off by the square of the error; 2⟨a, φ⟩ is not.

*Stored*: K_ij = exp((f_i + g_j − c_ij)/eps)·b_j with the potentials of the moment absorbed
(Schmitzer 2019), so that a half-step is one matrix-vector product. f makes the largest entry of
each row one: float32 holds that whatever eps, and no entry overflows. Scalings
exp(φ − φ₀) beyond `ABSORB` are absorbed anew.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from otdist.core.cost import on_huge_pages
from otdist.entropic import rule
from otdist.entropic.penalty import damping

_MOST = 700.0  # of a move, which a place of weight zero may exceed: its error is 0, not ∞·0
ABSORB = 30.0  # log-scaling at which the stored kernel takes the potentials in


class Step(Protocol):
    """φ ↦ (T(φ), error of φ); `f` is the potential of the rows at the last φ, in cost units."""

    def __call__(self, phi: Tensor) -> tuple[Tensor, float]: ...

    @property
    def f(self) -> Tensor: ...


class Softened(Protocol):
    """What a soft-min asks of a cost, one or a batch; eps is a number or (B, 1)."""

    @property
    def T(self) -> Softened: ...

    def softmin(self, h: Tensor, eps: Any, /) -> Tensor: ...


class Costs(Softened, Protocol):
    """What a stored kernel asks of a cost."""

    @property
    def T(self) -> Costs: ...

    def kernel(self, f: Tensor | None, g: Tensor, eps: Any, out: Tensor, /) -> Tensor: ...


class Softmins:
    """Steps that build every block of the kernel anew: O(n + m) memory."""

    def __init__(
        self, cost: Softened, a: Tensor, b: Tensor, eps: float, reach: Tensor | None = None
    ) -> None:
        self.cost, self.a, self.b, self.eps, self.reach = cost, a, b, eps, reach
        self.f = torch.zeros_like(a)

    def rows(self, phi: Tensor) -> Tensor:
        """T_b(φ), in units of eps."""
        return extend(self.cost, phi * self.eps, self.b, self.eps) / self.eps

    def columns(self, phi: Tensor) -> Tensor:
        """T_a(φ), in units of eps, from a potential of the rows."""
        return extend(self.cost.T, phi * self.eps, self.a, self.eps) / self.eps

    def __call__(self, phi: Tensor) -> tuple[Tensor, float]:
        self.f = extend(self.cost, phi * self.eps, self.b, self.eps)
        new = extend(self.cost.T, self.f, self.a, self.eps) / self.eps
        return new, _error(phi - new, self.b, self.reach)


class SymmetricSoftmins:
    """Half-steps of a measure against itself; f is the mean of the iterate and its transform."""

    def __init__(self, cost: Softened, a: Tensor, eps: float, reach: Tensor | None = None) -> None:
        self.cost, self.a, self.eps, self.reach = cost, a, eps, reach
        self.log_a = eps * a.log()
        self.f = torch.zeros_like(a)

    def __call__(self, phi: Tensor) -> tuple[Tensor, float]:
        h = phi * self.eps
        transform = self.cost.softmin(h + self.log_a, self.eps).double()
        self.f, new = (h + transform) / 2, transform / self.eps
        return new, _error(phi - new, self.a, self.reach)


class KernelStore:
    """Room for stored kernels, written once for all problems of a call that fit in it."""

    def __init__(self) -> None:
        self._held: Tensor | None = None

    def take(self, rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """An uninitialised array, which ends the one given before."""
        size = rows * columns
        held = self._held
        if held is None or held.numel() < size or held.dtype != dtype or held.device != device:
            self._held = held = on_huge_pages(rows, columns, dtype, device).view(-1)
        return held[:size].view(rows, columns)


def extend(cost: Softened, g: Tensor, b: Tensor, eps: Any, rho: Any = None) -> Tensor:
    """The soft c-transform T_b(g): the potential f at any sources, shape (n,), float64.

    With `rho` it is damped, as penalties ask for.
    """
    return damping(rho, eps) * cost.softmin(g + eps * b.log(), eps).double()


def missing(move: Tensor, weights: Tensor) -> Tensor:
    """Masses that are missing where a transform moves a potential by `move`, φ − T(φ)."""
    return torch.expm1(move.clamp(max=_MOST)) * weights


def _error(move: Tensor, weights: Tensor, reach: Tensor | None) -> float:
    """The error of a potential that its transform moves by `move`, φ − T(φ)."""
    return rule.error(missing(move, weights), move, reach)


def _times(kernel: Tensor, v: Tensor) -> Tensor:
    """K v, float64; in a batch as vᵀ Kᵀ, three times as fast."""
    v = v.to(kernel.dtype)
    if kernel.ndim == 2:
        return torch.mv(kernel, v).double()
    return torch.bmm(v[:, None, :], kernel.mT)[:, 0].double()


class Stored:
    """Steps through a stored kernel (…, n, m)."""

    def __init__(
        self,
        cost: Costs,
        a: Tensor,
        b: Tensor,
        eps: Any,
        phi: Tensor,
        kernel: Tensor,
        reach: Tensor | None = None,
    ) -> None:
        self.cost, self.a, self.b, self.eps, self.kernel = cost, a, b, eps, kernel
        self.reach = reach
        self.log_b = b.log()
        self._absorb(phi)

    def _absorb(self, phi: Tensor) -> None:
        h = (phi + self.log_b) * self.eps
        self.f0, self.phi0 = self.cost.kernel(None, h, self.eps, self.kernel), phi
        self.base = phi + self.log_b

    def _scaled(self, phi: Tensor) -> Tensor:
        """exp(φ − φ₀), after which `mass` has what the rows of the stored kernel make of it."""
        shift = phi - self.phi0
        if not float(torch.linalg.vector_norm(shift, math.inf)) < ABSORB:
            self._absorb(phi)
            shift = torch.zeros_like(phi)
        v = shift.exp_()
        self.mass = _times(self.kernel, v)
        return v

    def rows(self, phi: Tensor) -> Tensor:
        """T_b(φ), in units of eps."""
        self._scaled(phi)
        return self.f / self.eps

    def columns(self, phi: Tensor) -> Tensor:
        """T_a(φ), in units of eps, from a potential of the rows near that of the stored kernel."""
        scales = phi - self.f0 / self.eps
        top = scales.amax(-1, keepdim=True)
        new = self.base - _times(self.kernel.mT, self.a * torch.exp(scales - top)).log() - top
        if not math.isfinite(float(new.sum())):  # out of the range of the stored kernel
            new = extend(self.cost.T, phi * self.eps, self.a, self.eps) / self.eps
        return new

    def __call__(self, phi: Tensor) -> tuple[Tensor, float]:
        v = self._scaled(phi)
        mass = _times(self.kernel.mT, self.a / self.mass)
        new = self.base - mass.log()
        error = rule.error(v.mul_(mass).sub_(self.b), phi - new, self.reach)
        if not math.isfinite(float(new.sum())):  # a column left the range of the stored kernel
            new = extend(self.cost.T, self.f, self.a, self.eps) / self.eps
            error = _error(phi - new, self.b, self.reach)
        return new, error

    @property
    def f(self) -> Tensor:
        return self.f0 - self.eps * self.mass.log()


class SymmetricStored:
    """Half-steps through a stored kernel of a measure against itself; f as in the soft-mins."""

    def __init__(
        self,
        cost: Costs,
        a: Tensor,
        eps: Any,
        phi: Tensor,
        kernel: Tensor,
        reach: Tensor | None = None,
    ) -> None:
        self.cost, self.a, self.eps, self.kernel, self.reach = cost, a, eps, kernel, reach
        self._absorb(phi)

    def _absorb(self, phi: Tensor) -> None:
        if bool(phi.any()):  # the average with its transform is nearer to the solution
            phi = (extend(self.cost, phi * self.eps, self.a, self.eps) / self.eps + phi) / 2
        f, h = phi * self.eps, (phi + self.a.log()) * self.eps
        self.cost.kernel(f, h, self.eps, self.kernel)
        self.phi0 = phi

    def __call__(self, phi: Tensor) -> tuple[Tensor, float]:
        shift = phi - self.phi0
        if not float(torch.linalg.vector_norm(shift, math.inf)) < ABSORB:
            self._absorb(phi)
            shift = phi - self.phi0
        v = shift.exp_()
        mass = _times(self.kernel, v)
        new = self.phi0 - mass.log()
        self.middle = (phi + new) / 2
        return new, rule.error(v.mul_(mass).sub_(1).mul_(self.a), phi - new, self.reach)

    @property
    def f(self) -> Tensor:
        return self.middle * self.eps
