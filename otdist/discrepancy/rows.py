"""Rows in an order of their own, so that random draws do not depend on how a file was sorted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def canonical(rows: np.ndarray) -> np.ndarray:
    """The order (n,) that sorts rows (n, d) by their first coordinate, and so on where they tie.

    >>> canonical(np.array([[2.0, 0.0], [1.0, 5.0], [1.0, 3.0]])).tolist()
    [2, 1, 0]
    """
    order = np.argsort(rows[:, 0], kind="stable")
    first = rows[order, 0]
    if rows.shape[1] > 1 and bool((first[1:] == first[:-1]).any()):
        order = np.lexsort(rows.T[::-1])
    return order


def halves(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two random disjoint halves of the rows, as indices; one row is left out where n is odd."""
    order, half = canonical(rows)[rng.permutation(len(rows))], len(rows) // 2
    return order[:half], order[half : 2 * half]


def some_of(points: Tensor, most: int = 2000) -> Tensor:
    """At most so many rows, evenly spaced in canonical order: whichever order they came in."""
    order = torch.from_numpy(canonical(points.cpu().numpy()).copy()).to(points.device)
    return points[order[:: -(-len(points) // most)]]
