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
    places, values = np.arange(len(rows)), rows[order, 0]
    group = np.zeros(len(rows), int)
    for column in rows.T[1:]:  # the tied ones alone: of float32 rows there are few
        group = _groups(group, values)
        tied = np.bincount(group)[group] > 1
        if not tied.any():
            break
        places, group = places[tied], group[tied]
        inner = np.lexsort((column[order[places]], group))
        order[places] = order[places][inner]
        values, group = column[order[places]], group[inner]
    return order


def _groups(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Number the runs of equal values within runs of equal group, from 0."""
    starts = (group[1:] != group[:-1]) | (values[1:] != values[:-1])
    return np.concatenate([[0], np.cumsum(starts)])


def halves(
    rows: np.ndarray, rng: np.random.Generator, *, sorted_: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Two random disjoint halves of the rows, as indices; one row is left out where n is odd.

    Rows that are in an order of their own already may be taken as they come.
    """
    order = np.arange(len(rows)) if sorted_ else canonical(rows)
    order, half = order[rng.permutation(len(rows))], len(rows) // 2
    return order[:half], order[half : 2 * half]


def some_of(points: Tensor, most: int = 2000) -> Tensor:
    """At most so many rows, evenly spaced in canonical order: whichever order they came in."""
    order = torch.from_numpy(canonical(points.cpu().numpy()).copy()).to(points.device)
    return points[order[:: -(-len(points) // most)]]
