r"""A potential to begin column generation from: a few steps of the entropic dual, coarse to fine.

The nearer it is to an optimal potential, the more of the pairs that matter are among the nearest
by reduced cost, and the fewer rounds follow. Entropic potentials are smooth, which those of a
subsample solved exactly are not: the latter left gaps as large, at ten times the cost.

Steps are cheap where the kernel fits into memory (`entropic`), which a subsample of `_MIDDLE`
points does. Beyond that size it takes most of the steps and all points take two, since a restricted
problem with its pricing costs less than two further steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otdist.core.cost import Cost, evenly
from otdist.entropic import entropic

_EPS = 0.01  # in units of the mean cost
_STEPS = 6
_LAST_STEPS = 2
_MIDDLE = 4096
_SAMPLED = 256  # points of the estimate of the mean cost
_TOL = 1e-2


def entropic_start(cost: Cost, a: Tensor, b: Tensor) -> Tensor:
    """A potential g of the targets, shape (m,), float64; zero where float32 cannot resolve any.

    Args:
        cost: Shape (n, m).
        a: Weights of the sources, shape (n,), positive.
        b: Weights of the targets, shape (m,), positive.
    """
    cost = cost.to(torch.float32)
    mean = _typical(cost, a, b)
    if not _EPS * mean > 8 * cost.rounding:
        return torch.zeros_like(b)
    g = _coarse_to_fine(cost, a, b, mean)
    return g if bool(torch.isfinite(g).all()) else torch.zeros_like(b)


def _coarse_to_fine(cost: Cost, a: Tensor, b: Tensor, mean: float) -> Tensor:
    """Coarse to fine on subsamples, the last steps on all points."""
    eps = _EPS * mean
    g = entropic.coarse(cost, a, b, eps)
    steps = _STEPS
    if max(cost.shape) > 1.5 * _MIDDLE:
        g, steps = _on_subsample(cost, a, b, g, eps), _LAST_STEPS
    return entropic.solve(cost, a, b, eps, tol=_TOL, max_iter=steps, start=g).g


def _on_subsample(cost: Cost, a: Tensor, b: Tensor, g: Tensor, eps: float) -> Tensor:
    """The same on at most `_MIDDLE` points of either side, extended to all by soft-mins."""
    i, j = evenly(a, _MIDDLE), evenly(b, _MIDDLE)
    u, v = (torch.full_like(k, 1.0 / len(k), dtype=torch.float64) for k in (i, j))
    part = cost.sub(i, j)
    g = entropic.solve(part, u, v, eps, tol=_TOL, max_iter=_STEPS, start=g[j]).g
    f = entropic.extend(cost.sub(torch.arange(len(a), device=a.device), j), g, v, eps)
    return entropic.extend(cost.T, f, a, eps)


def _typical(cost: Cost, a: Tensor, b: Tensor) -> float:
    """The mean cost, estimated on a few hundred points of either side."""
    i, j = evenly(a, _SAMPLED), evenly(b, _SAMPLED)
    u, v = (torch.full_like(k, 1.0 / len(k), dtype=torch.float64) for k in (i, j))
    return float(cost.sub(i, j).mean(u, v).abs())
