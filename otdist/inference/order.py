"""Rows in an order of their own, so that random draws do not depend on how a file was sorted."""

from __future__ import annotations

import numpy as np
import torch

from otdist.core.measure import Measure


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


def sorted_rows(sample: Measure) -> Measure:
    """A uniform sample with its rows in canonical order, float64, without a graph."""
    points = sample.points.detach().double()
    order = canonical(points.cpu().numpy())
    points = points[torch.from_numpy(order).to(points.device)]
    return Measure(points, sample.weights.detach(), sample.uniform)


def halves(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two random disjoint halves of the rows, as indices; one row is left out where n is odd."""
    order, half = canonical(rows)[rng.permutation(len(rows))], len(rows) // 2
    return order[:half], order[half : 2 * half]
