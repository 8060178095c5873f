r"""What to do with a solved transport beyond its number: move points, value new ones.

* The *barycentric map* T(x_i) = Σ_j P_ij y_j / Σ_j P_ij sends every source to the mean of where its
  mass goes. At p = 2 it is the least-squares map behind the plan; where the plan is a permutation,
  it is that permutation.
* A *potential extends* to any point z by the c-transform f(z) = min_j c(z, y_j) − g_j, which keeps
  f(z) + g_j ≤ c(z, y_j) for all j; at the sources it agrees with f wherever f is tight. Entropic
  potentials extend by a soft minimum.
* So does the *map*: a new point goes to the target that attains the minimum, or to the mean of the
  targets under the weights of the soft minimum.

Reference: Peyré and Cuturi (2019), Computational Optimal Transport, remark 4.11 and section 5.1.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from otdist import metrics
from otdist.core import checks, measure
from otdist.core.arrays import enter
from otdist.core.cost import Cost
from otdist.core.modes import full_precision
from otdist.core.point_cost import PointCost
from otdist.core.result import Arcs, Array, DivergenceResult, OTResult
from otdist.core.task import of_pair
from otdist.entropic import entropic
from otdist.entropic.sinkhorn import scaled_eps


@full_precision()
def barycentric_map(
    result: OTResult | DivergenceResult,
    y: Any,
    z: Any = None,
    *,
    b: Any = None,
    metric: Any = "euclidean",
) -> Any:
    r"""Where the plan sends each source on average, or where its potentials send new points.

    The mean is that of coordinates whatever the metric: on a sphere or a circle it is not the point
    nearest to all; average unit vectors there.

    Args:
        result: A result with a plan, of shape (n, m); with `z` also one of `entropic_cost`.
        y: The targets it was computed for, shape (m, d), or (m,) on the line.
        z: New points, shape (k, d), or (k,) on the line; None: the sources. Of a plan, z goes to
            the target with mass that attains min_j d(z, y_j)^p − g_j, the nearest one by potential;
            of a source, its own targets are among those that do.
            Of `entropic_cost`, to the mean of all y_j with weights
            b_j exp((g_j − d(z, y_j)^p)/eps): the entropic map, which is smooth.
        b: Weights of y, shape (m,), for a result of `entropic_cost`; uniform when None.
        metric: d, of the result; Euclidean by default.

    Returns:
        Images of the sources or of z, shape (n, d) or (n,); NaN for sources without mass. Like `y`:
        a numpy array or a tensor, without a graph.

    Raises:
        ValueError: as many targets were expected as the plan has columns; b beside a plan; a result
            of `sinkhorn_divergence`, whose potentials belong to no plan.

    Cost: O(k m d) for z.
    Reference: Pooladian and Niles-Weed (2021), Entropic estimation of optimal transport maps;
        Manole, Balakrishnan, Niles-Weed and Wasserman (2024), Plugin estimation of smooth optimal
        transport maps, Ann. Statist. 52, for the nearest target.

    >>> import otdist
    >>> x, y = [[0.0, 0.0], [4.0, 0.0]], [[5.0, 1.0], [1.0, 1.0]]
    >>> barycentric_map(otdist.wasserstein(x, y), y)
    array([[1., 1.],
           [5., 1.]])
    >>> barycentric_map(otdist.wasserstein(x, y), y, [[3.0, 0.0]])
    array([[5., 1.]])
    """
    what = "an OTResult of one pair, without a leading shape"
    kinds = OTResult if z is None else (OTResult, DivergenceResult)
    found = checks.instance("result", result, kinds, what)
    metrics.named(metric)  # refused by name where z asks for no costs
    kind, raw = enter(y=y) if z is None else enter(y=y, z=z)
    targets = raw["y"].detach().double()
    columns = _as_points(targets)
    if isinstance(found, OTResult):
        if b is not None:
            raise ValueError("b belongs to results of entropic_cost: a plan has the weights of y")
        image = _by_plan(found, columns, None if z is None else _as_points(raw["z"]), metric)
    else:
        image = _entropic(found, columns, _as_points(raw["z"]), b, metric)
    return kind.array(image if targets.ndim == 2 else image[:, 0])


def _by_plan(result: OTResult, y: Tensor, z: Tensor | None, metric: Any) -> Tensor:
    """Means of where the mass of sources goes, or targets that are nearest to z by potential."""
    plan = result.plan
    if plan.shape[1] != len(y):
        raise ValueError(f"y must have the plan's {plan.shape[1]} targets: got {len(y)}")
    arcs = Arcs.of(plan)
    rows, cols, mass = (part.to(y.device) for part in (arcs.rows, arcs.cols, arcs.mass))
    if z is not None:
        reached = torch.zeros(len(y), dtype=mass.dtype, device=y.device).index_add_(0, cols, mass)
        cost, g, _ = _between(result, z, y, metric)
        _, nearest = cost.ctransform(torch.where(reached > 0, g, -math.inf))
        return y[nearest]
    total = y.new_zeros(plan.shape[0], 1).index_add_(0, rows, mass[:, None])
    moved = y.new_zeros(plan.shape[0], y.shape[1])
    moved.index_add_(0, rows, mass[:, None] * y[cols])
    return torch.where(total > 0, moved / total, torch.nan)


def _entropic(result: DivergenceResult, y: Tensor, z: Tensor, b: Any, metric: Any) -> Tensor:
    """Means of the targets under the plan that entropic potentials extend to z."""
    if result.debiased:
        raise ValueError(
            "result must be one of entropic_cost: potentials of sinkhorn_divergence have no plan"
        )
    weights = measure.weights(b, "b", "y", y)
    cost, g, unit = _between(result, z, y, metric)
    height = g / (result.eps / unit) + weights.log()
    image = y.new_empty(len(z), y.shape[1])
    for part, block in cost.blocks():
        image[part] = torch.softmax(height - block * (unit / result.eps), dim=1) @ y
    return image


@full_precision()
def extend_potential(result: OTResult, z: Any, y: Any, *, metric: Any = "euclidean") -> Any:
    """The source potential f at new points, by c-transform of the target potential.

    Args:
        result: A result of samples whose targets were `y`.
        z: New points, shape (k, d), or (k,) on the line.
        y: The targets, shape (m, d), or (m,) on the line.
        metric: d, of the result, as for `wasserstein`; Euclidean by default.

    Returns:
        f(z) = min_j d(z, y_j)^p − g_j in cost units, shape (k,), without a graph.

    Raises:
        ValueError: the numbers of targets or of coordinates differ.

    >>> import otdist
    >>> r = otdist.wasserstein([[0.0, 0.0], [4.0, 0.0]], [[5.0, 0.0], [1.0, 0.0]])
    >>> f = extend_potential(r, [[0.0, 0.0], [4.0, 0.0]], [[5.0, 0.0], [1.0, 0.0]])
    >>> bool(abs(f - r.potentials[0]).max() < 1e-12)
    True
    """
    checks.instance("result", result, OTResult, "an OTResult of one pair, without a leading shape")
    kind, raw = enter(z=z, y=y)
    cost, g, unit = _between(result, _as_points(raw["z"]), _as_points(raw["y"]), metric)
    values, _ = cost.ctransform(g)
    return kind.array(values * unit)


def _between(
    result: OTResult | DivergenceResult, z: Tensor, y: Tensor, metric: Any
) -> tuple[Cost, Tensor, float]:
    """Costs from new points to targets and the targets' potential, float64, and their unit."""
    ground = metrics.named(metric)
    g = torch.as_tensor(result.potentials[1]).detach().to(y.device, torch.float64)
    if len(g) != len(y):
        raise ValueError(f"y must have the result's {len(g)} targets: got {len(y)}")
    if z.shape[1] != y.shape[1]:
        raise ValueError(f"z and y must have one dimension: got {z.shape[1]} and {y.shape[1]}")
    if ground is not None:
        task = of_pair(measure.pair(z, y, p=result.p, metric=ground), result.p)
        unit = float(task.in_cost_units(torch.ones((), dtype=torch.float64, device=y.device)))
        return task.cost.to(torch.float64), task.in_scaled_units(g), unit
    centre = y.median(0).values  # not the mean, which one target far away would carry off
    return PointCost(z - centre, y - centre, result.p), g, 1.0


@full_precision()
def soft_ctransform(
    z: Any,
    y: Any,
    g: Any,
    *,
    b: Any = None,
    p: float = 1,
    eps: float,
    metric: Any = "euclidean",
) -> Array:
    r"""An entropic potential at new points: f(z) = −eps·log Σ_j b_j exp((g_j − d(z, y_j)^p)/eps).

    At the points that g was solved with it returns f (to the marginal error); elsewhere it is the
    natural extension, out of which an entropic map or an out-of-sample bound is made.

    Args:
        z: New points, shape (k, d).
        y: Points that g belongs to, shape (m, d).
        g: Their potential in cost units, shape (m,), as `entropic_cost` returns it.
        b: Weights of y, shape (m,); uniform when None.
        p: Exponent.
        eps: Entropic strength in cost units, the one g was solved with.
        metric: d, likewise; Euclidean by default.

    Returns:
        f at z, shape (k,), in cost units; no graph.

    Raises:
        ValueError: bad samples, g of the wrong shape or not finite, eps not positive.

    >>> import otdist
    >>> x, y = [[0.0], [1.0]], [[0.5], [2.0]]
    >>> result = otdist.entropic_cost(x, y, p=2, eps=1.0, tol=1e-9)
    >>> f = otdist.soft_ctransform(x, y, result.potentials[1], p=2, eps=1.0)
    >>> bool(abs(f - result.potentials[0]).max() < 1e-8)
    True
    """
    p = checks.exponent(p)
    eps = checks.positive("eps", eps)
    measures = measure.pair(z, y, None, b, p=p, metric=metrics.named(metric))
    task = of_pair(measures, p)
    potential = torch.as_tensor(g).detach().to(task.b.device, torch.float64)
    if potential.shape != task.sizes[1:] or not bool(torch.isfinite(potential).all()):
        raise ValueError(
            f"g must hold one finite number per point of y, shape {task.sizes[1:]}: got shape "
            f"{tuple(potential.shape)}"
        )
    absent = measures.y.absent
    scaled = task.in_scaled_units(potential if absent is None else potential[absent.present])
    strength = scaled_eps(task, eps)
    cost = entropic.precise(task.cost, strength, 1e-3)
    f = entropic.extend(cost, scaled, task.b.detach(), strength)
    return task.kind.array(task.in_cost_units(f))


def _as_points(t: Tensor) -> Tensor:
    t = t.detach().double()
    return t if t.ndim == 2 else t[:, None]
