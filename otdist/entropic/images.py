r"""Entropic objectives between images: masses on one lattice, every soft-min axis by axis.

Values and gradients in the masses are those of `divergence`, which has the derivation; the steps
are those of `scaling`, over a batch. A pair of images is begun on coarser ones: pixels are joined
two by two along each axis until few are left, eps falls to the size of the coarsest pixels there,
and a soft-min extends the potentials from each level to the next, whose pixels are half as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from otdist.core.gradient import attach
from otdist.core.lattice import Axis, Lattices
from otdist.entropic import anderson, rule
from otdist.entropic.divergence import Values, finer
from otdist.entropic.entropic import Dual
from otdist.entropic.scaling import Softmins, SymmetricSoftmins, extend

_FEWEST = 16  # places along the longest axis of the coarsest images
_RATIO = 4.0  # between one eps and the next there
# China and flower of scikit-learn, 256 by 256 pixels at eps = 1 pixel²: all levels take 0.5 s of a
# core and leave an error of 1e-2 after 10 steps of 0.04 s; with 1e-2 and 20 it is 3e-2 after 20.
_STAGE_TOL = 1e-3
_STAGE_STEPS = 100

_USEFUL = 0.05  # marginal error below which the potential of an image against itself is a start
_SEEN = 1e3  # times eps·error²: what S_eps must exceed to be told from what is left of it
_FINER = 10.0  # between one tolerance and the next where it does not
_FINEST = 1e-6


@dataclass(frozen=True)
class Pictures:
    """Masses of two batches of images on a lattice each.

    Attributes:
        a: Masses of the sources, (B, n), float64, of sum one.
        b: Masses of the targets, (B, m).
        x: Coordinates of the sources along each axis.
        y: Coordinates of the targets.
        p: The cost is Σ_k |x_k − y_k|^p.
    """

    a: Tensor
    b: Tensor
    x: tuple[Tensor, ...]
    y: tuple[Tensor, ...]
    p: float

    @cached_property
    def cost(self) -> Lattices:
        """Between sources and targets."""
        return Lattices([Axis(v, u, self.p) for v, u in zip(self.x, self.y, strict=True)])

    @property
    def coarser(self) -> Pictures:
        """The same masses on lattices of pixels that are two by two."""
        a, x = _joined(self.a, self.x)
        b, y = _joined(self.b, self.y)
        return replace(self, a=a, b=b, x=x, y=y)

    @property
    def pixel(self) -> float:
        """The widest step between neighbours, to the power p; 0 where there are none."""
        steps = [float(z.diff().max()) for z in (*self.x, *self.y) if len(z) > 1]
        return max(steps, default=0.0) ** self.p


def _joined(weights: Tensor, axes: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Masses of pixels joined two by two along each axis, and the middles of the new ones."""
    masses = weights.unflatten(-1, [len(axis) for axis in axes])
    places = []
    for k, axis in enumerate(axes):
        if len(axis) % 2:  # the last pixel stays alone
            axis = torch.cat([axis, axis[-1:]])
            last = masses.narrow(k + 1, masses.shape[k + 1] - 1, 1)
            masses = torch.cat([masses, torch.zeros_like(last)], k + 1)
        places.append(axis.view(-1, 2).mean(1))
        masses = masses.unflatten(k + 1, (-1, 2)).sum(k + 2)
    return masses.flatten(1), tuple(places)


def approach(pictures: Pictures, eps: float) -> Tensor:
    """A potential g (B, m) near the solution at eps, from coarser images."""
    cost, a, b = pictures.cost, pictures.a, pictures.b
    if max(len(axis) for axis in (*pictures.x, *pictures.y)) <= _FEWEST:
        stage = max(float(cost.mean(a, b).max()), eps)
        phi = torch.zeros_like(b)
        while stage > eps:
            step = Softmins(cost, a, b, stage)
            phi = _iterate(step, phi, b)
            below = max(stage / _RATIO, eps)
            phi, stage = phi * (stage / below), below
        return phi * eps
    below = pictures.coarser
    start = max(eps, below.pixel)
    g = approach(below, start)
    step = Softmins(below.cost, below.a, below.b, start)
    g = _iterate(step, g / start, below.b) * start
    f = extend(below.cost, g, below.b, start)
    onto = [Axis(u, v, pictures.p) for u, v in zip(pictures.y, below.x, strict=True)]
    return extend(Lattices(onto), f, below.a, start)


def _iterate(step: Softmins, phi: Tensor, b: Tensor) -> Tensor:
    return anderson.iterate(step, phi, b, tol=_STAGE_TOL, max_iter=_STAGE_STEPS).point


def solve(
    pictures: Pictures,
    eps: float,
    *,
    tol: float,
    max_iter: int,
    scale: Tensor | None = None,
    start: Tensor | None = None,
) -> Dual:
    """Potentials f (B, n) and g (B, m) of each pair.

    Args:
        pictures: The images.
        eps: In cost units.
        tol: Error to stop at, in every pair.
        max_iter: Steps allowed on all pixels.
        scale: Mean costs (B,) that values are measured by; None stops on the marginals alone.
        start: A potential g to begin from; None finds one on coarser images.
    """
    cost, a, b = pictures.cost, pictures.a, pictures.b
    step = Softmins(cost, a, b, eps, None if scale is None else reach(cost, a, b, scale))
    phi = (approach(pictures, eps) if start is None else start) / eps
    stop = anderson.iterate(step, phi, b, tol=tol, max_iter=max_iter)
    return Dual(step.f, stop.point * eps, stop.error, stop.iterations, stop.converged)


def solve_symmetric(
    cost: Lattices,
    a: Tensor,
    eps: float,
    *,
    tol: float,
    max_iter: int,
    scale: Tensor,
    start: Tensor | None = None,
) -> Dual:
    """Potentials f = g of images against themselves; from zero, as in `entropic`."""
    step = SymmetricSoftmins(cost, a, eps, reach(cost, a, a, scale))
    phi = torch.zeros_like(a) if start is None else start / eps
    stop = anderson.iterate(step, phi, a, tol=tol, max_iter=max_iter, damping=0.5)
    return Dual(step.f, step.f, stop.error, stop.iterations, stop.converged)


def reach(cost: Lattices, a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
    """That of `rule.reach`, for each pair; shape (B, m)."""
    return rule.of_bounds(torch.maximum(cost.T.apply(a), cost.farthest(b)), scale[..., None])


@dataclass(frozen=True)
class Objective:
    """OT_eps of each pair of a batch of images, or S_eps where debiased.

    Attributes:
        eps: In cost units.
        tol: Error of `rule` to stop at, in every pair.
        max_iter: Steps allowed for each problem.
        debias: Subtract the symmetric terms.
    """

    eps: float
    tol: float
    max_iter: int
    debias: bool

    def values(self, pictures: Pictures) -> Values:
        """Solve; masses may carry a graph."""
        a, b = pictures.a, pictures.b
        with torch.no_grad():
            plain = replace(pictures, a=a.detach(), b=b.detach())
            value, slopes, duals = self._solved(plain)
        cost = attach(value, [a, b], lambda: slopes)
        return Values.of(cost, duals)

    def _solved(self, pictures: Pictures) -> tuple[Tensor, list[Tensor], list[Dual]]:
        """Values (B,), their derivatives in the masses, and what was solved."""
        a, b, cost = pictures.a, pictures.b, pictures.cost
        rule: dict[str, Any] = {"max_iter": self.max_iter, "scale": cost.mean(a, b)}
        tol = finer(self.tol, cost.largest, self.eps)
        if not self.debias:
            one = solve(pictures, self.eps, tol=tol, **rule)
            return (a * one.f).sum(-1) + (b * one.g).sum(-1), [one.f, one.g], [one]
        within = [
            Lattices([Axis(z, z, pictures.p) for z in axes]) for axes in (pictures.x, pictures.y)
        ]
        same = pictures.x is pictures.y and a.shape == b.shape
        same = (a == b).all(-1, keepdim=True) if same else torch.zeros_like(a[:, :1]) > 0
        starts: list[Tensor | None] = [None, None, None]
        left, asked = self.max_iter, tol
        while True:
            own = [
                solve_symmetric(c, w, self.eps, tol=tol, start=start, **rule)
                for c, w, start in zip(within, (a, b), starts[1:], strict=True)
            ]
            if starts[0] is None and self._near(pictures, own[1].f):
                starts[0] = own[1].f
            crossed = solve(pictures, self.eps, tol=tol, start=starts[0], **rule)
            f, g = (
                torch.where(same, 0.0, one - other.f)
                for one, other in zip((crossed.f, crossed.g), own, strict=True)
            )
            value = ((a * f).sum(-1) + (b * g).sum(-1)).clamp(min=0)
            duals = [crossed, *own]
            noise = self.eps * _SEEN * max(one.error for one in duals) ** 2
            seen = bool((same[:, 0] | (value > noise)).all())
            left -= crossed.iterations
            if seen or tol <= _FINEST or left <= 0:
                break
            tol, rule["max_iter"] = max(tol / _FINER, _FINEST), left
            starts = [crossed.g, own[0].f, own[1].f]
        kept = [replace(one, converged=one.error <= asked) for one in duals]
        return value, [f, g], kept

    def _near(self, pictures: Pictures, g: Tensor) -> bool:
        """Whether a potential is so near that nothing is gained by coarser images."""
        if pictures.b.shape != g.shape or pictures.cost.shape[0] != g.shape[1]:
            return False
        step = Softmins(pictures.cost, pictures.a, pictures.b, self.eps)
        return step(g / self.eps)[1] < _USEFUL
