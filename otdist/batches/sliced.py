"""Sliced distances of many pairs: one set of directions, all slices in the same blocks."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import torch

from otdist.batches.entries import Entries
from otdist.batches.result import BatchResult, shown
from otdist.core.frame import centred
from otdist.core.gradient import root
from otdist.core.result import SlicedResult
from otdist.core.threads import threads_for
from otdist.discrepancy.sliced import SlicedDistance
from otdist.sliced import directions as families
from otdist.sliced import sliced
from otdist.sliced.directions import Directions
from otdist.sliced.slices import mean_slice_cost

_SAFE = 2.0**20
"""Numbers between this and its inverse, or zero, have powers in the range of float32."""


def solve(
    batch: Entries, chosen: SlicedDistance, seed: int | None, begin: float
) -> BatchResult | None:
    """SW_p of every pair over the same directions; None where pairs must be solved one by one.

    Args:
        batch: Samples, with any weights.
        chosen: The exponent, and which directions.
        seed: Of the directions.
        begin: When the work on it began.
    """
    d, p, usual = batch.x.shape[-1], chosen.p, batch.usual()
    one_by_one = d == 1 or p > sliced.SINGLE_POWER or chosen.stderr_rtol is not None
    if one_by_one or usual is None:
        return None
    choice = sliced.Choice(chosen.n_projections, chosen.directions, seed)
    used = choice.of(d, np.random.default_rng(seed))
    (x, y), masses = usual
    x, y = centred(x, y)
    size = max(float(z.detach().abs().max()) for z in (x, y))
    if len(used) == 1 or not (1 / _SAFE < size < _SAFE):
        return None
    rows = torch.from_numpy(used.rows).to(x)
    with threads_for((x.numel() + y.numel()) // d * len(used)):
        mean, costs = mean_slice_cost(x, y, rows, p, *masses)
    shape, kind = batch.shape, batch.kind
    plain = costs.detach().double().cpu().numpy()
    errors = np.array([families.standard_error(part, used, p) for part in plain]).reshape(shape)
    wide = torch.promote_types(kind.dtype, torch.float32)
    everywhere = torch.from_numpy(used.rows).expand(*shape, -1, -1)
    figures = {
        "distance": shown(root(mean, p).reshape(shape), kind),
        "cost": shown(mean.reshape(shape), kind),
        "stderr": torch.from_numpy(errors).to(kind.device) if kind.torch else errors,
        "slices": kind.array(root(costs, p).reshape(*shape, -1)),
        "directions": everywhere.to(kind.device, wide) if kind.torch else everywhere.numpy(),
    }
    entry = partial(_entry, chosen, batch.kept(), used)
    return BatchResult(shape, time.perf_counter() - begin, kind, entry, figures)


def _entry(chosen: SlicedDistance, batch: Entries, used: Directions, k: int) -> SlicedResult:
    """The single result of one pair."""
    pair = chosen.frame(*batch.entry(k))
    return sliced.evaluate(pair, chosen.p, used, time.perf_counter())
