r"""Mass that found no way along the arcs: sent from where it is left to where it lacks.

A restricted problem in a box drops mass where all ways are dear. Its plan becomes feasible, and its
cost an upper bound, once that mass is sent too: by an optimal plan between the points that it
concerns where those are few, since two thousandths of the mass may travel so far that another plan
costs twice the optimum; in the order of one coordinate where they are many, as after a first round
far from the optimum.
"""

from __future__ import annotations

import numpy as np
import torch

from otdist.core.point_cost import Cost, PointCost
from otdist.exact import network_simplex
from otdist.line.staircase import staircase

PAIRS = 2**20  # of which all costs are taken: a fifth of a second


def send(
    cost: Cost,
    i: np.ndarray,
    j: np.ndarray,
    left: np.ndarray,
    lack: np.ndarray,
    most: int = PAIRS,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A plan from sources with mass left to targets that lack it.

    Args:
        cost: Shape (n, m), float64.
        i: Those sources, shape (k,).
        j: Those targets, shape (l,).
        left: Their mass, shape (k,), positive.
        lack: What they lack, shape (l,), positive, of the same sum up to rounding.
        most: Pairs of them up to which the plan is optimal.

    Returns:
        Sources, targets and masses of the arcs.
    """
    total = left.sum()
    shares = left / total, lack / lack.sum()
    if len(i) * len(j) <= most:
        index = (torch.from_numpy(k).to(cost.device) for k in (i, j))
        costs = np.ascontiguousarray(cost.sub(*index).dense().cpu().numpy())
        try:
            flow = network_simplex.solve_dense(shares[0], shares[1], costs)
            return i[flow.rows], j[flow.cols], flow.mass * total
        except network_simplex.SimplexError:  # costs span more than the digits of float64
            pass
    places = _places(cost)
    order = [np.argsort(z[k], kind="stable") for z, k in zip(places, (i, j), strict=True)]
    ordered = [torch.from_numpy(w[o]) for w, o in zip(shares, order, strict=True)]
    steps = staircase(ordered[0], ordered[1], len(i), len(j))
    sent = steps.mass.numpy() * total
    rows, cols = i[order[0]][steps.rows.numpy()], j[order[1]][steps.cols.numpy()]
    return rows[sent > 0], cols[sent > 0], sent[sent > 0]


def _places(cost: Cost) -> tuple[np.ndarray, np.ndarray]:
    """Places of sources and targets on a line: the coordinate that varies most."""
    if not isinstance(cost, PointCost):
        return np.arange(cost.shape[0]), np.arange(cost.shape[1])
    axis = int(cost.x.var(0, correction=0).argmax())
    return cost.x[:, axis].cpu().numpy(), cost.y[:, axis].cpu().numpy()
