r"""Coincident points become one point: the problem that is solved.

Transport sees a measure, not a list: k equal points of weights a_1 … a_k are one point of weight Σ
a. In integer data, images and lattices that shrinks the problem, and removes its exact ties with
it. The members of each point share the plan of the merged problem by one walk through
their cumulative weights, which adds at most one arc per member: n + m − 1 in all, as for any basic
plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otdist.core.metric import MetricCost
from otdist.core.point_cost import Cost, PointCost
from otdist.core.result import Arcs
from otdist.line.staircase import staircase


@dataclass(frozen=True)
class Merged:
    """One side of a problem after merging.

    Attributes:
        first: Index of one member of every merged point, shape (k,).
        weights: Mass of the merged points, shape (k,), positive.
        group: Merged point of every original point, shape (n,).
        trivial: Whether nothing was merged.
    """

    first: Tensor
    weights: Tensor
    group: Tensor
    trivial: bool


def merge(points: Tensor | None, weights: Tensor) -> Merged:
    """Merge equal rows of `points` (None: no points are known to be equal).

    Args:
        points: Shape (n, d).
        weights: Shape (n,), positive.
    """
    n = len(weights)
    everyone = torch.arange(n, device=weights.device)
    label = everyone if points is None else _labels(points.detach())
    if bool((label == everyone).all()):
        return Merged(everyone, weights, everyone, True)
    first, group = torch.unique(label, return_inverse=True)
    mass = weights.new_zeros(len(first)).index_add_(0, group, weights)
    return Merged(first, mass, group, False)


def restrict(cost: Cost, x: Merged, y: Merged) -> Cost:
    """The cost between merged points."""
    return cost if x.trivial and y.trivial else cost.sub(x.first, y.first)


def coincident(cost: Cost) -> tuple[Tensor | None, Tensor | None]:
    """The points behind a cost, for `merge`; None where there are none."""
    if isinstance(cost, MetricCost) and not cost.metric.framed:
        return None, None
    return (cost.x, cost.y) if isinstance(cost, PointCost | MetricCost) else (None, None)


def deal(arcs: Arcs, x: Merged, a: Tensor, y: Merged, b: Tensor) -> Arcs:
    """The plan between original points with the mass that `arcs` moves between merged ones."""
    rows, cols, mass = arcs.rows, arcs.cols, arcs.mass
    if not x.trivial:
        rows, which, mass = _share(rows, mass, x.group, a)
        cols = cols[which]
    if not y.trivial:
        cols, which, mass = _share(cols, mass, y.group, b)
        rows = rows[which]
    return Arcs(rows, cols, mass, (len(a), len(b)))


def _share(ends: Tensor, mass: Tensor, group: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
    """Deal the arcs that end in each merged point to its members.

    Returns:
        member and arc of every new arc, and its mass.
    """
    members = torch.argsort(group, stable=True)
    order = torch.argsort(ends, stable=True)
    steps = staircase(weights[members], mass[order], len(members), len(order))
    member, arc = members[steps.rows], order[steps.cols]
    keep = (steps.mass > 0) & (group[member] == ends[arc])  # elsewhere: rounding of the sums
    return member[keep], arc[keep], steps.mass[keep] * weights.sum()


def _labels(points: Tensor) -> Tensor:
    """The index for every row of one row equal to it, the same for all its equals; shape (n,).

    Equal rows are neighbours on a generic line, so that one projection and a sort find them; the
    comparison of neighbours decides.
    """
    direction = np.random.default_rng(0).standard_normal(points.shape[1])
    line = points.double() @ torch.from_numpy(direction).to(points.device)
    ordered, order = torch.sort(line, stable=True)
    close = ordered.diff() <= 1e-12 * (float(ordered.abs().max()) + 1e-300)
    at = close.nonzero()[:, 0]
    if not len(at):
        return torch.arange(len(line), device=points.device)
    same = torch.zeros(len(line), dtype=torch.bool, device=points.device)
    same[at + 1] = (points[order[at]] == points[order[at + 1]]).all(1)
    place = torch.arange(len(line), device=points.device).masked_fill(same, 0).cummax(0).values
    label = torch.empty_like(order)
    label[order] = order[place]
    return label
