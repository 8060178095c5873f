"""What is read off a transport plan: pairs drawn from it, as flow matching trains on, and its sums.

A pair (i, j) comes with the share of the mass that the plan moves from point i to point j. Where
the plan is a permutation and as many pairs are asked for as there are points, every point comes
once: the same expectation as independent draws, without their noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks

_EVEN = 1e-9
"""Relative difference of masses that is the rounding of a plan's sums."""


def pairs(plan: Any, k: Any, seed: Any = 0) -> tuple[Any, Any]:
    """Draw k pairs from a plan.

    Args:
        plan: Sparse, shape (n, m): of scipy.sparse, or a torch sparse tensor.
        k: How many.
        seed: Of the draws, which are the same for numpy and torch; None draws afresh.

    Returns:
        (i, j), int64, shapes (k,): arrays of numpy, or tensors on the device of the plan.

    Raises:
        TypeError, ValueError: k is no integer of at least 1, a seed that is none; a plan without
            mass.
    """
    k, rng = checks.whole("k", k), checks.generator(seed)
    if isinstance(plan, Tensor):
        (rows, cols), mass = plan.detach().coalesce().indices().cpu().numpy(), plan.values()
        mass = mass.detach().cpu().double().numpy()
    else:
        plan = plan.tocoo()
        (rows, cols), mass = plan.coords, plan.data.astype(np.float64)
    # One order, however the plan is stored, for the same draws from one seed.
    order = np.lexsort((cols, rows))
    rows, cols, mass = (part[order] for part in (rows, cols, mass.clip(0)))
    total = float(mass.sum())
    if not total > 0:
        raise ValueError("the plan moves no mass: there are no pairs to draw")
    if k == len(rows) and _is_permutation(rows, cols, mass, plan.shape):
        drawn = rng.permutation(k)
    else:
        heights = mass.cumsum()
        drawn = heights.searchsorted(rng.random(k) * heights[-1], side="right")
    found = rows[drawn].astype(np.int64), cols[drawn].astype(np.int64)
    if not isinstance(plan, Tensor):
        return found
    i, j = (torch.from_numpy(part).to(plan.device) for part in found)
    return i, j


def _is_permutation(
    rows: np.ndarray, cols: np.ndarray, mass: np.ndarray, shape: tuple[int, ...]
) -> bool:
    """Whether every point sends the same mass to a point of its own; rows are sorted."""
    n = len(rows)
    return (
        tuple(shape) == (n, n)
        and bool((rows == np.arange(n)).all())
        and bool((np.bincount(cols, minlength=n) == 1).all())
        and float(mass.max() - mass.min()) <= _EVEN * float(mass.max())
    )


def sums(plan: Any, axis: int) -> Any:
    """Sums of a sparse plan along an axis: the mass of each source (1) or target (0)."""
    if isinstance(plan, Tensor):
        return torch.sparse.sum(plan.detach(), axis).to_dense()
    return np.asarray(plan.sum(axis=axis)).reshape(-1)
