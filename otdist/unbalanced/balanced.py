"""Balanced transport as the problems of this room use it: evidence, on a matrix or without one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from otdist.core.point_cost import Cost, PointCost
from otdist.core.result import Arcs
from otdist.exact import column_generation, matrix, network_simplex
from otdist.exact.limits import Limits, Outcome
from otdist.exact.start import node_start
from otdist.unbalanced.node import NodeCost


def solve(
    cost: Cost,
    a: Tensor,
    b: Tensor,
    limits: Limits,
    *,
    points: Cost | None = None,
    cap: float | None = None,
    below: float | None = None,
    start: Tensor | None = None,
    written: Tensor | None = None,
) -> Outcome:
    """A plan and a potential of the targets, optimal unless the limits say otherwise.

    Args:
        cost: Shape (n, m), float64.
        a: Weights of the sources, shape (n,), positive, of sum one.
        b: Weights of the targets, shape (m,), likewise.
        limits: When column generation stops.
        points: The costs between points, where `cost` has a node more.
        cap: Costs that are never paid, which a matrix cuts off there; None keeps all.
        below: What costs less than that may be of use; None for all.
        start: A potential of the targets near an optimal one, shape (m,).
        written: The costs as a matrix, where they are at hand.
    """
    network_simplex.load()
    always = first = None
    if isinstance(cost, NodeCost):
        first, (i, j) = node_start, cost.arcs
        always = i.cpu().numpy(), j.cpu().numpy()
    if len(a) * len(b) > limits.sizes.matrix_pairs:
        return column_generation.solve(cost, a, b, limits, start, always, first)
    values = (cost.dense() if written is None else written).cpu().numpy()
    if cap is not None:
        values = values.clip(max=cap)
    size = float(values.max()) or 1.0
    plain = cost if points is None else points
    flat = isinstance(plain, PointCost) and plain.dimension <= 2 and plain.p < 2
    near = None if start is None else start.cpu().numpy() / size
    weights = a.cpu().numpy(), b.cpu().numpy()
    flow = matrix.solve(
        values / size, *weights, uniform=False, flat=flat, start=near, always=always,
        below=math.inf if below is None else below / size,
    )  # fmt: skip
    rows, cols, mass, g = (
        torch.from_numpy(part).to(a.device) for part in (flow.rows, flow.cols, flow.mass, flow.g)
    )
    message = "exact: optimal plan and dual agree"
    return Outcome(Arcs(rows, cols, mass, cost.shape), g * size, 0, True, message)
