"""Many pairs on the line at once: sorted rows, matched quantiles, and what they prove.

Rows whose powers leave the safe range, or whose brackets stay open, are solved one by one.
"""

from __future__ import annotations

from typing import Any

import torch

from otdist.batches.entries import Entries
from otdist.batches.result import BatchResult, completed, of_values
from otdist.line import univariate
from otdist.line.proved_rows import values
from otdist.line.solver import CLOSED, MESSAGE


def solve(batch: Entries, p: float, entry: Any, begin: float) -> BatchResult | None:
    """W_p of every pair; None where a pair must be solved by itself.

    Args:
        batch: Samples of one coordinate.
        p: Exponent.
        entry: Computes the single result of an entry when it is asked for.
        begin: When the work on it began.
    """
    usual = batch.usual()
    if usual is None or batch.x.device.type != "cpu":
        return None
    points, masses = usual
    x, y = (z.detach()[..., 0].double().contiguous().numpy() for z in points)
    a, b = (None if w is None else w.detach().double().numpy() for w in (batch.a, batch.b))
    found = values(x, y, p, a, b)
    if found is None:
        return None
    cost = torch.from_numpy(found.cost)
    if batch.needs_gradient:
        u, v = (z[..., 0].double() for z in points)
        value = univariate.cost(u, v, p, *masses)
        cost = cost + (value - value.detach())
    lower, upper = found.lower, found.upper
    made = of_values(batch, p, cost, lower, upper, MESSAGE, entry, begin)
    closed = (upper - lower <= CLOSED * lower) | (upper == 0)
    return completed(made, closed, entry, batch)
