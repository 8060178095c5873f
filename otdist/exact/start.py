r"""Potentials to begin column generation from: those of landmarks, extended smoothly to all points.

The nearer they are to optimal ones, the more of the pairs that matter are among the nearest by
reduced cost, and the fewer rounds follow. Entropic potentials are smooth, which those of a
subsample solved exactly are not: the latter left gaps as large, at ten times the cost. Up to 12,000
points one of each cell of a tree stands for the cell, their problem is solved exactly, and a
soft-min as wide as neighbours are apart makes its potentials smooth (`cell_start`).

Landmarks carry the mass of the points nearest to them, so that every cluster keeps its mass. With
equal shares of a subsample, 2% of the mass between 20 clusters in the plane had to leave its
cluster, and one round ended 20% above the optimum instead of 0.01%. In few dimensions landmarks are
the centres of cells of a tree (`cells`). Steps are cheap on landmarks, whose kernel fits into
memory (`entropic`); all that is done for all points is one soft-min.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from otdist.core.cost import Cost, evenly
from otdist.core.metric import MetricCost
from otdist.core.point_cost import PointCost
from otdist.core.tree import split
from otdist.entropic import entropic
from otdist.exact import cells, matrix
from otdist.exact.network_simplex import Flow, SimplexError

# Lower bounds between mixtures of 20 normal clusters, n = 10,000, d = 2, 10 and 64, at 0.02,
# 0.01, 0.003 and 0.001 of the optimal cost: 99.9, 99.9, 99.9, 99.8%; 99.4, 99.3, 99.0, 98.7%; 99.6,
# 99.8, 99.8, 99.7%. With 2,048 landmarks 98.9 instead of 99.4%.
_EPS = 0.02  # in units of the optimal cost, at most
_RATIO, _FALL = 4.0, 256.0  # between one eps and the next, and in all
_STEPS = 20
LANDMARKS, _SHARE = 4096, 12
"""Landmarks of a side, at least, and one in so many points."""
# At most, points and cells. Between mixtures of 200,000 points in ten dimensions 16,384 prove 0.34%
# more than 8,192, and one restricted problem is enough in place of two; that many cells in space
# take 34 s more and prove 0.5% more, which ends no problem earlier.
_MOST, _MOST_CELLS = 16_384, 8192
# Up to which dimension centres of cells are the better landmarks: between samples moved by half a
# unit they prove 1.6% more than points in space, and 1% less in five dimensions.
_CELLS_DIMENSION = 3
_EXACT = 1024  # landmarks that are solved exactly where entropy does not get there: 0.3 s
NODE = 512, 0.16
"""Landmarks of `exact_start` beside a node, at most a quarter of the points, and eps in units of
their cost. 4,000 normal points in the plane, 0.9 of the mass, two seeds: 4 and 6 rounds with 0.04,
3 and 3 with 0.08, 3 and 5 with 0.16, which took the least time; 5 and 7 with 1,024 and 0.08."""
METRIC = 512, 0.02
"""The same for metrics in more dimensions. Exact W_1 of 4,000 normal points in space, two seeds,
takes 0.66 to 0.73 of the time with the entropic start for cityblock, 0.53 to 0.66 for Chebyshev;
with 1,024 landmarks it takes 1.05 to 1.17 times as long for angles and the same for norms."""
CELL_POINTS, MOST_EXACT = 3, 2048
"""Points of the cells that are solved exactly, at least, and cells of a side, at most; above, they
serve metrics only. Exact W_p of 4,000 points, p = 1 and 2, takes 0.35 to 0.7 of the CPU time with
the entropic start in up to three dimensions, and in up to 64 about half between mixtures, 0.45 to 1
between normal samples (1.1 in 2,048); of 10,000 points 0.6 to 1. Of 10,000 points 1,024 cells take
1.0 to 1.3 times as long as 2,048 in the plane; 20,000 points take 0.9 to 1.4 times as long as with
the entropic start."""
# How many times as many cells one side may have: 3,000 points beside 10,000 take 0.6 of the time
# with the entropic start, 1,300 points 1.7 times as long.
_UNLIKE = 4
# Up to which dimension cells serve metrics: 4,000 points take 0.7 of the time with METRIC in four
# and five dimensions, 0.9 to 1.25 in ten, and 10,000 points 1.1 to 1.2.
_METRIC_DIMENSION = 5
_CELLS_EPS = 0.1
"""eps in units of `_spacing`; 0.03 to 0.3 take the same time. In units of the cost, 4,000 points of
the plane at p = 1, moved by 28 times their spread, took 37 rounds in place of 5."""
_SPLIT = 64  # coordinates that cells are split by: 2,048 take 3.5 s of 10,000 points, these 0.2
_FEW_STEPS = 12  # with which they become smooth
_SAMPLED = 256  # points of the estimate of the mean cost
_TOL = 1e-2
_ASTRAY = 2e-2  # error that shows mass which the steps do not exchange


def entropic_start(cost: Cost, a: Tensor, b: Tensor, landmarks: int = LANDMARKS) -> Tensor:
    """A potential g of the targets, shape (m,), float64; zero where float32 cannot resolve any.

    Args:
        cost: Shape (n, m).
        a: Weights of the sources, shape (n,), positive.
        b: Weights of the targets, shape (m,), positive.
        landmarks: Of each side, at least.
    """
    single = cost.to(torch.float32)
    if not _EPS * typical(single, a, b) > 8 * single.rounding:
        return torch.zeros_like(b)
    count = _count(cost, landmarks)
    if isinstance(cost, PointCost) and _has_cells(cost, min(count, _MOST_CELLS)):
        count = min(count, _MOST_CELLS)
        (x, u), (y, v) = _centres(cost.x, a, count), _centres(cost.y, b, count)
        part = cost.between(x, y)
        return extended(part, cost.between(x.to(cost.dtype), cost.y), u, v)
    return extended(*_among(cost, a, b, count))


def exact_start(cost: Cost, a: Tensor, b: Tensor, few: tuple[int, float]) -> Tensor:
    """The same from few landmarks solved exactly, for nodes and metrics: `few` is NODE or METRIC.

    Where a node holds mass of many points, entropic steps find the price at which mass stays only
    slowly, and the cost of what moves may be far below the mean: of 4,000 normal points of which
    half the mass moves, five values of eps took 0.5 s in the plane, and the steps in ten dimensions
    1.1 s. Fewer landmarks have that price in 0.02 s, and one value of eps makes their potentials
    smooth. Costs of metrics are dear, and are all taken once in place of once for each eps.
    """
    part, reach, u, v = _among(cost, a, b, _count(cost, LANDMARKS))
    single = part.to(torch.float32)
    try:
        g, value = _exactly(part.to(torch.float64), u, v, min(few[0], max(cost.shape) // 4))
    except SimplexError:  # costs span more than the digits of float64
        return entropic_start(cost, a, b)
    eps = max(few[1] * value, 8 * single.rounding)
    if not eps > 0:
        return torch.zeros_like(b)
    dual = entropic.solve(single, u, v, eps, tol=_TOL, max_iter=_FEW_STEPS, start=g)
    if part.shape[1] == len(b) and bool(torch.isfinite(dual.g).all()):  # of all, and in order
        return dual.g
    return _spread(reach, dual.f, u, eps)


def node_start(cost: Cost, a: Tensor, b: Tensor) -> Tensor:
    """The start beside a node."""
    return exact_start(cost, a, b, NODE)


def usual_start(cost: Cost, a: Tensor, b: Tensor) -> Tensor:
    """The start that serves a cost: that of cells solved exactly, of few landmarks, or entropic."""
    if isinstance(cost, PointCost | MetricCost) and (counts := _exact_cells(cost)):
        return cell_start(cost, a, b, counts)
    if isinstance(cost, MetricCost):
        return exact_start(cost, a, b, METRIC)
    return entropic_start(cost, a, b)


def _exact_cells(cost: PointCost | MetricCost) -> tuple[int, int] | None:
    """How many cells of the sources and of the targets are solved exactly, if that is best."""
    if cost.device.type != "cpu":
        return None
    n, m = (2 ** int(math.log2(max(k / CELL_POINTS, 1))) for k in cost.shape)
    if isinstance(cost, MetricCost):
        serves = cost.x.shape[1] <= _METRIC_DIMENSION
    else:
        serves = max(n, m) <= min(MOST_EXACT, _UNLIKE * min(n, m))
    return (min(n, MOST_EXACT), min(m, MOST_EXACT)) if serves else None


def cell_start(
    cost: PointCost | MetricCost, a: Tensor, b: Tensor, counts: tuple[int, int]
) -> Tensor:
    """The same from one point of each of so many cells of the sides, solved exactly.

    Cells keep the mass where it is; points of the sample are all that a metric has in their place.
    """
    sides = zip((cost.x, cost.y), (a, b), counts, strict=True)
    (rows, u), (cols, v) = (_medoids(*side) for side in sides)
    costs = cost.sub(rows, cols).to(torch.float64).dense()
    try:
        flow = _flow(cost, costs, u, v)
    except SimplexError:  # costs span more than the digits of float64
        return entropic_start(cost, a, b)
    f, g = (torch.from_numpy(potential) for potential in (flow.f, flow.g))
    eps = max(_CELLS_EPS * _spacing(costs, f, g), 8 * cost.to(torch.float32).rounding)
    if not eps > 0:
        return torch.zeros_like(b)
    targets = torch.arange(len(b), device=b.device)
    return _spread(cost.sub(rows, targets), f, u, eps)


def _spacing(costs: Tensor, f: Tensor, g: Tensor) -> float:
    """How far apart the reduced costs of neighbours are: the mean of the fourth of some rows.

    The cost itself is no measure: that of samples far apart is a constant, but for its last digits.
    """
    rows = evenly(f, _SAMPLED)
    reduced = costs[rows] - f[rows, None] - g
    return float(reduced.kthvalue(min(4, len(g)), dim=1).values.mean())


def _count(cost: Cost, landmarks: int) -> int:
    """How many landmarks stand for so many points."""
    return max(landmarks, min(max(cost.shape) // _SHARE, _MOST))


def _among(cost: Cost, a: Tensor, b: Tensor, count: int) -> tuple[Cost, Cost, Tensor, Tensor]:
    """Landmarks among the points: the arguments of `extended`."""
    single = cost.to(torch.float32)
    rows, u = single.landmarks(a, count)
    columns, v = single.T.landmarks(b, count)
    targets = torch.arange(len(b), device=b.device)
    return cost.sub(rows, columns), cost.sub(rows, targets), u, v


def _has_cells(cost: PointCost, count: int) -> bool:
    """Whether centres of so many cells are better landmarks than points at random."""
    few = cost.x.shape[1] <= _CELLS_DIMENSION and cost.device.type == "cpu"
    return few and min(cost.shape) >= 2 * count


def _centres(points: Tensor, weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Centres of so many cells, float64, and their masses."""
    found = _cells(points, weights, count)
    return torch.from_numpy(found.centres), torch.from_numpy(found.masses)


def _medoids(points: Tensor, weights: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The point in the middle of each of so many cells, and the mass of the cell."""
    points = points.detach()
    found = _cells(points, weights, count)
    return found.medoids(points), torch.from_numpy(found.masses)


def _cells(points: Tensor, weights: Tensor, count: int) -> cells.Cells:
    levels = count.bit_length() - 1
    return cells.divide(points, weights, levels, 2.0, split(_widest(points), levels))


def _widest(points: Tensor) -> Tensor:
    """The coordinates that vary most, from which cells are split."""
    if points.shape[1] <= _SPLIT:
        return points
    return points[:, points.var(0).topk(_SPLIT).indices]


def extended(part: Cost, reach: Cost, u: Tensor, v: Tensor) -> Tensor:
    """A potential of all targets, solved between landmarks and extended by a soft-min.

    Where the optimal cost is far below the mean, as between clusters that are nearly the same, eps
    falls with it. Where a few steps do not exchange the mass of clusters far apart, fewer landmarks
    are solved exactly: of 1,500 points in five clusters at p = 1, 2 and 3 the steps alone proved
    68% of the cost and nothing, and 40 rounds followed; with them 99.6% and more.

    Args:
        part: Between landmarks of both sides, shape (k, l).
        reach: Between those of the sources and all targets, shape (k, m).
        u: Weights of the former, shape (k,).
        v: Weights of the landmarks of the targets, shape (l,).
    """
    single = part.to(torch.float32)
    eps, rounding = _EPS * typical(single, u, v), 8 * single.rounding
    if not eps > rounding:
        return torch.zeros(reach.shape[1], dtype=torch.float64, device=u.device)
    g = entropic.coarse(single, u, v, eps)
    least, eps = max(eps / _FALL, rounding), _RATIO * eps
    value, dual, exact = 0.0, None, None
    while dual is None or eps > max(_EPS * value, least):
        eps = max(eps / _RATIO, least) if exact is None else max(_EPS * value, least)
        dual = entropic.solve(single, u, v, eps, tol=_TOL, max_iter=_STEPS, start=g)
        g, value = dual.g, float(u @ dual.f + v @ dual.g)
        if dual.error > _ASTRAY:
            if exact is not None:  # smooth potentials are no better than those they came from
                return reach.T.ctransform(exact)[0].double()
            try:
                g, value = _exactly(part.to(torch.float64), u, v, _EXACT)
                exact = part.to(torch.float64).ctransform(g)[0]
            except SimplexError:  # costs span more than the digits of float64
                continue
            eps = math.inf
    return _spread(reach, dual.f, u, eps)


def _spread(reach: Cost, f: Tensor, u: Tensor, eps: float) -> Tensor:
    """The soft-min of f for all targets; zero where that is beyond float32."""
    found = entropic.extend(reach.to(torch.float32).T, f, u, eps)
    return found if bool(torch.isfinite(found).all()) else torch.zeros_like(found)


def _exactly(part: Cost, u: Tensor, v: Tensor, count: int) -> tuple[Tensor, float]:
    """A potential of the targets from the exact problem of fewer landmarks, and what it costs."""
    rows, a = part.landmarks(u, count)
    columns, b = part.T.landmarks(v, count)
    costs = part.sub(rows, columns).dense()
    flow = _flow(part, costs, a / a.sum(), b / b.sum())
    f = torch.from_numpy(flow.f).to(part.device)
    everyone = torch.arange(part.shape[1], device=part.device)
    g = part.sub(rows, everyone).T.ctransform(f)[0]
    return g, float(costs.cpu().numpy()[flow.rows, flow.cols] @ flow.mass)


def _flow(cost: Cost, costs: Tensor, u: Tensor, v: Tensor) -> Flow:
    """The optimum between all landmarks; their costs are a matrix."""
    values, *weights = (np.ascontiguousarray(part.cpu().numpy()) for part in (costs, u, v))
    return matrix.solve(values, *weights, uniform=False, tied=isinstance(cost, MetricCost))


def typical(cost: Cost, a: Tensor, b: Tensor) -> float:
    """The mean cost, estimated on a few hundred points of either side."""
    i, j = evenly(a, _SAMPLED), evenly(b, _SAMPLED)
    u, v = (torch.full_like(k, 1.0 / len(k), dtype=torch.float64) for k in (i, j))
    return float(cost.sub(i, j).mean(u, v).abs())
