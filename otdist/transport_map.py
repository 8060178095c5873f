r"""What to do with a solved transport beyond its number: move points, value new ones.

* The *barycentric map* T(x_i) = Σ_j P_ij y_j / Σ_j P_ij sends every source to the mean of where its
  mass goes. At p = 2 it is the least-squares map behind the plan; where the plan is a permutation,
  it is that permutation.
* A *potential extends* to any point z by the c-transform f(z) = min_j c(z, y_j) − g_j, which keeps
  f(z) + g_j ≤ c(z, y_j) for all j; at the sources it agrees with f wherever f is tight. Entropic
  potentials extend by a soft minimum.

Reference: Peyré and Cuturi (2019), Computational Optimal Transport, remark 4.11 and section 5.1.
"""

from __future__ import annotations

from typing import Any

import torch

from otdist import metrics
from otdist.core import checks
from otdist.core.arrays import enter
from otdist.core.measure import pair
from otdist.core.modes import full_precision
from otdist.core.point_cost import PointCost
from otdist.core.result import Arcs, Array, OTResult
from otdist.core.task import of_pair
from otdist.entropic import entropic
from otdist.entropic.sinkhorn import scaled_eps


@full_precision()
def barycentric_map(result: OTResult, y: Any) -> Any:
    """Where the plan sends each source on average, the mean of coordinates whatever the metric.

    On a sphere or a circle it is not the point nearest to all: average unit vectors there.

    Args:
        result: A result with a plan, of shape (n, m).
        y: The targets it was computed for, shape (m, d), or (m,) on the line.

    Returns:
        Images of the sources, shape (n, d) or (n,); NaN for sources without mass. Like `y`: a numpy
        array or a tensor, without a graph.

    Raises:
        ValueError: as many targets were expected as the plan has columns.

    >>> import otdist
    >>> r = otdist.wasserstein([[0.0, 0.0], [4.0, 0.0]], [[5.0, 1.0], [1.0, 1.0]])
    >>> barycentric_map(r, [[5.0, 1.0], [1.0, 1.0]])
    array([[1., 1.],
           [5., 1.]])
    """
    plan = checks.instance(
        "result", result, OTResult, "an OTResult of one pair, without a leading shape"
    ).plan
    kind, raw = enter(y=y)
    targets = raw["y"].detach().double()
    if plan.shape[1] != len(targets):
        raise ValueError(f"y must have the plan's {plan.shape[1]} targets: got {len(targets)}")
    arcs = Arcs.of(plan)
    rows, cols, mass = (part.to(targets.device) for part in (arcs.rows, arcs.cols, arcs.mass))
    columns = targets if targets.ndim == 2 else targets[:, None]
    total = columns.new_zeros(plan.shape[0], 1).index_add_(0, rows, mass[:, None])
    moved = columns.new_zeros(plan.shape[0], columns.shape[1])
    moved.index_add_(0, rows, mass[:, None] * columns[cols])
    image = torch.where(total > 0, moved / total, torch.nan)
    return kind.array(image if targets.ndim == 2 else image[:, 0])


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
    ground = metrics.named(metric)
    kind, raw = enter(z=z, y=y)
    points, targets = (_as_points(raw[name]) for name in ("z", "y"))
    g = torch.as_tensor(result.potentials[1]).detach().to(targets.device, torch.float64)
    if len(g) != len(targets):
        raise ValueError(f"y must have the result's {len(g)} targets: got {len(targets)}")
    if points.shape[1] != targets.shape[1]:
        raise ValueError(
            f"z and y must have one dimension: got {points.shape[1]} and {targets.shape[1]}"
        )
    if ground is not None:
        task = of_pair(pair(points, targets, p=result.p, metric=ground), result.p)
        values, _ = task.cost.to(torch.float64).ctransform(task.in_scaled_units(g))
        return kind.array(task.in_cost_units(values))
    centre = targets.median(0).values  # not the mean, which one target far away would carry off
    values, _ = PointCost(points - centre, targets - centre, result.p).ctransform(g)
    return kind.array(values)


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
    measures = pair(z, y, None, b, p=p, metric=metrics.named(metric))
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


def _as_points(t: torch.Tensor) -> torch.Tensor:
    t = t.detach().double()
    return t if t.ndim == 2 else t[:, None]
