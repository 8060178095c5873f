r"""Values of the entropic objective with penalised marginals, and their envelope gradients.

With OT_{eps,ρ} as in `penalty`, between masses of any sum,

    S_{eps,ρ}(α, β) = OT(α, β) − ½ OT(α, α) − ½ OT(β, β) + (eps/2) (Σ a − Σ b)²

is not negative, and 0 for equal measures only (Séjourné, Feydy, Vialard, Trouvé, Peyré 2019). By
the envelope theorem the derivative in a mass a_i of OT is −(ρ + eps) (e^(−f_i/ρ) − 1) and
eps (Σ b − 1), that of S is (ρ + eps) (e^(−f^{xx}_i/ρ) − e^(−f^{xy}_i/ρ)); in points they are those
of `divergence`. The terms eps Σ a Σ b cancel in S and are left out there.

Problems are solved between measures of one mass, as ã ⊗ b̃ = a ⊗ b for ã = a √(Σb/Σa) and
b̃ = b √(Σa/Σb), whose potentials are f − t and g + t, t = (ρ/2) log(Σa/Σb):

    OT(a, b) = OT(ã, b̃) + ρ (√Σa − √Σb)².

So no digits are lost to a penalty that no plan can change.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from otdist.core.measure import SamplePair
from otdist.core.task import ground
from otdist.entropic import divergence, entropic
from otdist.entropic.divergence import Value
from otdist.entropic.entropic import Dual
from otdist.entropic.penalty import STIFF, of_one_mass, penalty_size, slopes, value
from otdist.entropic.scaling import KernelStore

_UNIT = torch.finfo(torch.float64).eps


def objective(
    pair: SamplePair, p: float, eps: float, rho: float, *, tol: float, max_iter: int, debias: bool
) -> Value:
    """OT_{eps,ρ}, or S_{eps,ρ} when `debias`.

    Args:
        pair: The two measures, whose weights are masses.
        p: Exponent; at most 2 when `debias`.
        eps: In scaled cost units.
        rho: Likewise.
        tol: Error of `penalty` to stop at.
        max_iter: Steps allowed for each problem.
        debias: Subtract the two symmetric terms.
    """
    x, y = pair.x, pair.y
    a, b = x.weights.detach(), y.weights.detach()
    cost, _ = ground(pair, p)
    sums = float(a.sum()), float(b.sum())
    mean = float(cost.mean(a / sums[0], b / sums[1]))
    even, apart, given_up = of_one_mass(a, b, rho)
    whole, largest = rho, cost.largest
    rho = min(rho, STIFF * largest) if largest > 0 else rho
    rule: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "rho": rho}
    rule["scale"] = float(penalty_size(mean, a, b, rho)) or 1.0

    def crossed(near: Tensor | None = None) -> tuple[Dual, Tensor]:
        """The solution between both measures, and the terms of its value."""
        dual = entropic.solve(cost, *even, eps, near=near, **rule)
        terms = torch.cat([value(dual.f, dual.g, *even, eps, rho), given_up])
        return replace(dual, f=dual.f + apart, g=dual.g - apart), terms

    if not debias:
        dual, terms = crossed()
        total = terms.sum() + eps * sums[0] * sums[1]
        f = divergence.everywhere(x, dual.f, cost, eps, (y, dual.g), rho=rho)
        g = divergence.everywhere(y, dual.g, cost, eps, (x, dual.f), rho=rho)
        levels = eps * (sums[1] - 1), eps * (sums[0] - 1)
        slope = [slopes(h, eps, whole) + t for h, t in zip((dual.f, dual.g), levels, strict=True)]
        gradients = divergence.between_gradients(cost, a, b, dual, eps, pair, slope)
        return divergence.valued(total, pair, f, g, [dual], gradients)
    within = cost.between(x.points, x.points), cost.between(y.points, y.points)
    small = divergence.is_small(a, b)
    if not small:
        rule["kernel"] = KernelStore()  # one after the other they share it
    if divergence.same(x, y):
        own_x = entropic.solve_symmetric(within[0], a, eps, **rule)
        f, g = a.new_zeros(len(x.whole)), a.new_zeros(len(y.whole))
        zeros = partial(divergence.zeros, pair)
        return divergence.valued(a.new_zeros(()), pair, f, g, [own_x], zeros)
    near, own_x, own_y = divergence.all_of(
        [
            partial(entropic.approach, cost, *even, eps, tol, rho),
            partial(entropic.solve_symmetric, within[0], a, eps, **rule),
            partial(entropic.solve_symmetric, within[1], b, eps, **rule),
        ],
        side_by_side=small,
    )
    dual, terms = crossed(near)
    halves = [value(own.f, own.g, w, w, eps, rho) / -2 for own, w in ((own_x, a), (own_y, b))]
    terms = torch.cat([terms, *halves])
    total = terms.sum().clamp(min=0)  # below zero it is rounding: S ≥ 0

    def gradients() -> list[Tensor]:
        slope = [
            slopes(h, eps, whole) - slopes((own.f + own.g) / 2, eps, whole)
            for h, own in ((dual.f, own_x), (dual.g, own_y))
        ]
        found = divergence.between_gradients(cost, a, b, dual, eps, pair, slope)()
        for k, (side, own, w) in enumerate(((x, own_x, a), (y, own_y, b))):
            if side.points.requires_grad:
                found[k] = found[k] - divergence.pull(within[k], w, w, own, eps)
        return found

    def in_masses(side: Any, other: Any, h: Tensor, k: Tensor, own: Dual) -> Tensor:
        """The derivative in the masses, at all points."""
        both = divergence.everywhere(side, h, cost, eps, (other, k), rho=rho)
        alone = divergence.everywhere(side, (own.f + own.g) / 2, cost, eps, (side, own.g), rho=rho)
        return slopes(both, eps, whole) - slopes(alone, eps, whole)

    f = in_masses(x, y, dual.f, dual.g, own_x)
    g = in_masses(y, x, dual.g, dual.f, own_y)
    found = divergence.valued(total, pair, f, g, [dual, own_x, own_y], gradients)
    size = float(terms.abs().sum()) + rule["scale"]
    errors = sum(min(one.error, 1.0) ** 2 for one in (dual, own_x, own_y))
    return replace(found, noise=8 * _UNIT * size + eps * errors * min(sums))
