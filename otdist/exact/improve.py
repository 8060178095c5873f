r"""A plan improved block by block: what some neighbouring sources send, sent in the best way.

The arcs that leave a block of sources keep their masses at both ends; between those ends the plan
is made optimal, and so never dearer. The same for blocks of targets mends what the borders of the
blocks of sources left. A sweep takes every block once, and blocks of a few hundred points a few
milliseconds each, so that it is linear in the number of points.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from otdist.core.point_cost import Cost
from otdist.core.result import Arcs
from otdist.exact import network_simplex

BLOCK = 256
"""Arcs of a block."""


def sweep(cost: Cost, arcs: Arcs, place: np.ndarray, go_on: Callable[[], bool]) -> Arcs:
    """The plan with the arcs of every block made optimal.

    Args:
        cost: Shape (n, m), float64.
        arcs: A plan.
        place: Places of the arcs on a line, on which neighbours make a block, shape (k,).
        go_on: Asked before every block.
    """
    order = np.argsort(place, kind="stable")
    rows, cols, mass = (part.numpy()[order] for part in (arcs.rows, arcs.cols, arcs.mass))
    done = []
    for lo in range(0, len(rows), BLOCK):
        part = slice(lo, lo + BLOCK)
        if not go_on():
            done.append((rows[lo:], cols[lo:], mass[lo:]))
            break
        done.append(_best(cost, rows[part], cols[part], mass[part]))
    rows, cols, mass = (torch.from_numpy(np.concatenate(p)) for p in zip(*done, strict=True))
    return Arcs(rows, cols, mass, arcs.shape)


def _best(
    cost: Cost, rows: np.ndarray, cols: np.ndarray, mass: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cheapest arcs with the same masses at both ends."""
    i, at_i = np.unique(rows, return_inverse=True)
    j, at_j = np.unique(cols, return_inverse=True)
    a, b = np.bincount(at_i, mass), np.bincount(at_j, mass)
    costs = cost.sub(torch.from_numpy(i), torch.from_numpy(j)).dense().numpy()
    total = mass.sum()
    try:
        flow = network_simplex.solve_dense(a / total, b / total, np.ascontiguousarray(costs))
    except network_simplex.SimplexError:  # costs span more than the digits of float64
        return rows, cols, mass
    return i[flow.rows], j[flow.cols], flow.mass * total
