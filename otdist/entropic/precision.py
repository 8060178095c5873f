"""In which precision entropic problems are solved, and whether their kernels are stored."""

from __future__ import annotations

import math

import torch

from otdist.core.point_cost import Cost

STORED_BYTES = 2**28  # budget of a stored kernel
FLAT = 8.0  # times the largest cost: eps from which kernels are nearly one
_STORED_TOL = 1e-5  # below this error a stored kernel must be float64


def precise(cost: Cost, eps: float, tol: float) -> Cost:
    """The cost around the origin; in float64 where rounding would show beside eps or tol."""
    cost = cost.centred()
    resolved = cost.rounding <= 0.25 * eps * max(tol, 1e-3) and not _flat(cost, eps)
    return cost if resolved else cost.to(torch.float64)


def _flat(cost: Cost, eps: float) -> bool:
    """Whether kernels are so near to one that float32 would keep too little of what varies."""
    return eps > FLAT * cost.largest


def stored_type(cost: Cost, eps: float, tol: float) -> torch.dtype | None:
    """Type of a stored kernel, None where it does not fit the budget."""
    single = tol >= _STORED_TOL and not _flat(cost, eps)
    dtype = torch.float32 if single else torch.float64
    return dtype if math.prod(cost.shape) * dtype.itemsize <= STORED_BYTES else None
