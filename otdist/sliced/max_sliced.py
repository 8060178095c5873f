r"""Max-sliced Wasserstein: the direction along which two samples differ most.

.. math::  \max_{|θ| = 1} W_p(⟨θ, x⟩, ⟨θ, y⟩) \le W_p(x, y)

Projected gradient ascent from many starts at once (the starts are the rows of one batch): the
gradient of W_p^p(θ) is Σ_ij P_ij p |⟨θ, z_ij⟩|^(p−1) sign⟨θ, z_ij⟩ z_ij with P the monotone plan.
The problem is not concave, so the maximum found is a *local* one: a certified lower bound on W_p
all the same (Deshpande et al. 2019, Max-sliced Wasserstein distance and its use for GANs).
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from otdist.core.measure import SamplePair
from otdist.core.result import SlicedResult
from otdist.sliced import directions as families
from otdist.sliced.bounds import detached, principal_axes
from otdist.sliced.directions import Directions
from otdist.sliced.sliced import evaluate, samples_of
from otdist.sliced.slices import BatchPair, of_batch, slice_ascent, slice_costs

_CANDIDATES = 8
"""Directions drawn for each start that is climbed from."""
_STOP = 1e-7
"""Step, in radians, below which a climb has ended."""


def largest(
    pair: SamplePair, p: float, n_starts: int, max_iter: int, seed: int | None
) -> SlicedResult:
    """W_p along the best direction found, with its graph."""
    started = time.perf_counter()
    px, py, wa, wb = samples_of(detached(pair), p)
    samples = of_batch(px, py, wa, wb)
    rows = _starts(pair, samples, p, n_starts, np.random.default_rng(seed))
    best = _climb(samples, rows, p, max_iter).double().cpu().numpy()
    best /= np.linalg.norm(best)
    chosen = Directions(best[None], np.zeros(1, dtype=np.int64))
    return replace(evaluate(pair, p, chosen, started), stderr=0.0, maximal=True)


def _starts(
    pair: SamplePair, samples: BatchPair, p: float, number: int, rng: np.random.Generator
) -> Tensor:
    """The best `number` of the moment directions and random ones, (number, d)."""
    d = samples.x.shape[-1]
    drawn = families.draw("orthogonal", _CANDIDATES * number, d, rng).rows
    kept = detached(pair)
    x, y = kept.x.points.double(), kept.y.points.double()
    axes = principal_axes(x, y, kept)
    shift = kept.x.weights @ x - kept.y.weights @ y
    length = shift.norm()
    fixed = torch.cat([axes, (shift / length)[None]]) if length > 0 else axes
    rows = torch.cat([fixed, torch.from_numpy(drawn).to(fixed)]).to(samples.x.dtype)
    costs = slice_costs(samples, rows, p)[0]
    return rows[torch.argsort(costs, descending=True)[:number]]


def _climb(samples: BatchPair, rows: Tensor, p: float, max_iter: int) -> Tensor:
    """The best direction (d,) after ascent along the sphere from every row.

    Each climb has its own step: longer after a success, halved when a step would not gain.
    """
    costs, gradients = slice_ascent(samples, rows, p)
    step = torch.full_like(costs, 0.5)
    for _ in range(max_iter):
        tangent = gradients - (gradients * rows).sum(1, keepdim=True) * rows
        size = tangent.norm(dim=1, keepdim=True)
        tangent = tangent / size.clamp(min=torch.finfo(size.dtype).tiny)
        moved = rows * step.cos()[:, None] + tangent * step.sin()[:, None]
        moved = moved / moved.norm(dim=1, keepdim=True)
        new_costs, new_gradients = slice_ascent(samples, moved, p)
        better = new_costs > costs
        rows = torch.where(better[:, None], moved, rows)
        gradients = torch.where(better[:, None], new_gradients, gradients)
        costs = torch.where(better, new_costs, costs)
        step = torch.where(better, (step * 1.5).clamp(max=1.0), step / 3)
        if bool((step < _STOP).all()):
            break
    return rows[int(costs.argmax())]
