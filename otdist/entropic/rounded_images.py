r"""The cost of a rounded Sinkhorn plan between points that fill lattices, axis by axis.

The plan is that of `sinkhorn`: P'_ij = min(a_i / r_i, 1) a_i b_j exp((f_i + g_j − c_ij)/eps), and
what couples the mass that P' lacks. Sums over its rows and columns are soft-mins, and its cost is
one with factors c; no entry is ever written down.

The numbers f and g define a plan exactly. What is computed of it is off by a share δ, as exponents
of size E round to E units of 2⁻⁵³. Divided by 1 + δ that plan is feasible with a little more mass
to couple, at most 8 δ, which is charged at the largest cost.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otdist.core.certificate import UNIT
from otdist.core.places import Places
from otdist.entropic import images
from otdist.entropic.entropic import Dual
from otdist.entropic.images import Pictures

PIXELS = 2**22
"""Pairs of points from which their lattices are looked for: 2,048 by 2,048 of either side."""

_ROUNDINGS = 16  # of a term, for each axis and before them


def solve(
    on: Places, a: Tensor, b: Tensor, eps: float, *, tol: float, max_iter: int, start: Tensor | None
) -> Dual:
    """Potentials f (n,) and g (m,) of the points.

    Args:
        on: Where the points are.
        a: Weights of the sources, shape (n,), float64, of sum one.
        b: Weights of the targets, shape (m,).
        eps: In units of the costs of the lattices.
        tol: L1 marginal error to stop at.
        max_iter: Steps allowed on all pixels.
        start: A potential g (m,) to start from, or None.
    """
    pictures = pictured(on, a, b)
    if start is not None:  # to all places, by way of the sources
        f = on.lattices.softmin(on.highest(start + eps * b.log()), eps)
        start = on.lattices.T.softmin(f + eps * pictures.a[0].log(), eps)[None]
    found = images.solve(pictures, eps, tol=tol, max_iter=max_iter, start=start)
    return Dual(found.f[0, on.i], found.g[0, on.j], found.error, found.iterations, found.converged)


def pictured(on: Places, a: Tensor, b: Tensor) -> Pictures:
    """The weights on all places of their lattices."""
    axes, (n, m) = on.lattices.axes, on.lattices.shape
    a = a.new_zeros(1, n).index_add_(1, on.i, a[None])
    b = b.new_zeros(1, m).index_add_(1, on.j, b[None])
    x, y = tuple(axis.v for axis in axes), tuple(axis.u for axis in axes)
    return Pictures(a, b, x, y, axes[0].p)


def pixel(on: Places) -> float:
    """The cost between neighbours that are the farthest apart."""
    axes = on.lattices.axes
    return Pictures(
        torch.empty(0), torch.empty(0), tuple(axis.v for axis in axes),
        tuple(axis.u for axis in axes), axes[0].p,
    ).pixel  # fmt: skip


def rounded_cost(on: Places, a: Tensor, b: Tensor, f: Tensor, eps: float) -> tuple[float, float]:
    """Cost of the rounded plan of the potential f (n,), and its rounding slack."""
    pictures, cost = pictured(on, a, b), on.lattices
    (a,), (b,) = pictures.a, pictures.b
    base = on.T.highest(f)  # of places without a source nothing matters
    base = torch.where(a > 0, base, 0.0)
    g = cost.T.softmin(base + eps * a.log(), eps)
    excess = (cost.softmin(g + eps * b.log(), eps) - base) / eps  # log a_i / r_i
    rows = a * torch.exp(-excess.clamp(min=0))
    cut = base + eps * (a.log() + excess.clamp(max=0))
    reached, paid = cost.T.spent(cut, eps)
    columns, total = (b * torch.exp(g / eps + part) for part in (reached, paid))
    tiny = torch.finfo(b.dtype).tiny
    shrink = max(1.0, float((columns / b.clamp(min=tiny)).max()))
    lack_a, lack_b = (a - rows / shrink).clamp_(min=0), (b - columns / shrink).clamp_(min=0)
    value, mass = float(total.sum()) / shrink, float(lack_a.sum())
    if mass > 0:
        value += float(cost.mean(lack_a, lack_b)) / mass
    largest = cost.largest
    size = (largest + float(base.abs().max()) + float(g.abs().max())) / eps + 64
    off = _ROUNDINGS * (len(cost.axes) + 1) * size * UNIT
    return value, off * (value + 8 * largest)
