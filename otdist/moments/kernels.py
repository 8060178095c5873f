r"""Energy distance and MMD: differences of mean kernels, in blocks of rows.

Both are E k(x, x') + E k(y, y') − 2 E k(x, y). The energy distance has k = −‖x − y‖, whose means
and forces come from the cost engine. The kernels of MMD are functions of products of points; they
run in float64, where a gradient is wanted under autograd, block by block, each block recomputed in
the backward pass.

The means are rounded, each by a few units u of itself, before they are subtracted. A difference
below 8 u times the means within the samples is therefore reported as 0: an MMD below about 5e-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from otdist.core import checks
from otdist.core.cost import LOG2E, Cost, block_entries, exp2_
from otdist.core.gradient import attach
from otdist.core.measure import SamplePair
from otdist.core.metric import Metric, MetricCost
from otdist.core.point_cost import PointCost
from otdist.core.task import ground
from otdist.core.threads import each

Kernel = Callable[[Tensor, Tensor], Tensor]
Diagonal = Callable[[Tensor], Tensor]

_MEDIAN_POINTS = 1000
_DIRECT_DIMENSION = 12  # up to here differences cost no more than the product
_NEAR = 1e-6  # squared distance over the largest squared norms below which rounding would show
_MANY = 8  # near pairs are many above one in so many
_UNIT = torch.finfo(torch.float64).eps
_ROUNDING = 8.0  # units that a difference of means may be off: 2 were seen up to 5,000 points
_DOUBLE = 2**22  # pairs up to which float32 samples are raised to float64
_LEAST_WIDTH = 1e-290


def energy(pair: SamplePair) -> Tensor:
    """2 E d(x, y) − E d(x, x') − E d(y, y') in scaled units; 0-d, float64, first-order graph."""
    x, y = pair.x, pair.y
    a, b = x.weights.detach(), y.weights.detach()
    dtype = torch.float64 if len(x) * len(y) <= _DOUBLE else x.points.dtype
    cost, unit = ground(pair, 1)
    between, within_x, within_y = (
        cost.between(u.points, v.points).to(dtype) for u, v in ((x, y), (x, x), (y, y))
    )
    to_y, to_x = _both_means(between, a, b)
    own_x, own_y = within_x.apply(a), within_y.apply(b)
    slope_a, slope_b = 2 * (to_y - own_x), 2 * (to_x - own_y)
    size = own_x @ a + own_y @ b
    if pair.metric is not None:
        size = size + between.slack / torch.finfo(dtype).eps
    value = above_rounding((slope_a @ a + slope_b @ b) / 2, size, torch.finfo(dtype).eps)

    def gradients() -> list[Tensor]:
        pull_x = _pull(between, a, b) - _pull(within_x, a, a)
        pull_y = _pull(between.T, b, a) - _pull(within_y, b, b)
        return [2 * pull_x, 2 * pull_y, slope_a, slope_b]

    found = attach(value, [x.points, y.points, x.weights, y.weights], gradients)
    return found if unit == 1 else found * unit


def above_rounding(difference: Any, size: Any, unit: float = _UNIT) -> Any:
    """A difference of means, or 0 where it cannot be told from their rounding.

    Args:
        difference: A number or a 0-d tensor, whose graph the 0 keeps.
        size: Sum of the means that are not negative.
        unit: Rounding of one of their terms.
    """
    return difference if difference > _ROUNDING * unit * size else abs(difference * 0)


def _both_means(cost: Cost, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Σ_j c_ij b_j (n,) and Σ_i a_i c_ij (m,), float64, in one pass."""
    rows, parts = torch.empty_like(a, memory_format=torch.contiguous_format), []
    u, v = a.to(cost.dtype), b.to(cost.dtype)

    def block(part: slice) -> None:
        c = cost.rows(part.start, part.stop)
        rows[part] = torch.mv(c, v)
        parts.append((part.start, torch.mv(c.T, u[part]).double()))

    each(cost.parts(), block, cost.device)
    return rows, torch.stack([sums for _, sums in sorted(parts, key=itemgetter(0))]).sum(0)


def mean_distance(pair: SamplePair) -> Tensor:
    """E‖x − y‖ in scaled units; 0-d, float64, no graph."""
    cost = PointCost(pair.x.points, pair.y.points, 1)
    return cost.mean(pair.x.weights.detach(), pair.y.weights.detach())


def _pull(cost: PointCost | MetricCost, a: Tensor, b: Tensor) -> Tensor:
    """a_i Σ_j b_j ∇_x c(x_i, y_j), shape (n, d)."""
    out = torch.empty_like(cost.x)
    row = b.to(cost.dtype)
    for part, c in cost.blocks():
        out[part] = cost.force(part, c, row.expand(c.shape).clone())
    return out * a.to(cost.dtype)[:, None]


def mmd_squared(
    pair: SamplePair, kernel: str, bandwidth: float | None, *, unbiased: bool
) -> Tensor:
    """MMD² of the named kernel; 0-d, float64, with a graph.

    Raises:
        ValueError: unknown kernel, bandwidth not positive or not wanted, a weight of one for U.
    """
    function, diagonal = _kernel(pair, kernel, bandwidth)
    x, y = pair.x.points.double(), pair.y.points.double()
    a, b = pair.x.weights, pair.y.weights
    wide = 1 if pair.metric is None else x.shape[1]
    within_x, within_y = (_mean(function, z, z, w, w, wide) for z, w in ((x, a), (y, b)))
    between = _mean(function, x, y, a, b, wide)
    if not unbiased:
        return above_rounding(within_x + within_y - 2 * between, within_x + within_y)
    within_x = _without_diagonal(within_x, diagonal(x), a, "x")
    within_y = _without_diagonal(within_y, diagonal(y), b, "y")
    return within_x + within_y - 2 * between


def mean_kernel(pair: SamplePair, kernel: str, bandwidth: float | None) -> Tensor:
    """E k(x, y) of the named kernel; 0-d, float64, with a graph."""
    function, _ = _kernel(pair, kernel, bandwidth)
    x, y = pair.x.points.double(), pair.y.points.double()
    return _mean(function, x, y, pair.x.weights, pair.y.weights)


def diagonal(pair: SamplePair, kernel: str, bandwidth: float | None) -> Tensor:
    """Σ a_i² k(x_i, x_i); 0-d, float64."""
    _, own = _kernel(pair, kernel, bandwidth)
    return (pair.x.weights.square() * own(pair.x.points.double())).sum()


def row_sums(
    pair: SamplePair, kernel: str, bandwidth: float | None, rows: Tensor, others: tuple[Tensor, ...]
) -> list[Tensor]:
    """Σ_j k(z_i, y_j) of scaled points z, for each of several samples y: (n,) each, no graph.

    Blocks of rows are shared out among threads; memory O(n).
    """
    function, _ = _kernel(pair, kernel, bandwidth)
    return [_apply(function, rows, other, torch.ones_like(other[:, 0])) for other in others]


def _apply(kernel: Kernel, x: Tensor, y: Tensor, b: Tensor) -> Tensor:
    """Σ_j k(x_i, y_j) b_j, shape (n,), without a graph; blocks of rows shared out among threads."""
    sums = x.new_empty(len(x))
    step = max(1, block_entries(x.device) // len(y))

    def block(part: slice) -> None:
        sums[part] = kernel(x[part], y) @ b

    each((slice(lo, lo + step) for lo in range(0, len(x), step)), block, x.device)
    return sums


def kernel_rows(
    pair: SamplePair, kernel: str, bandwidth: float | None, points: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows of k(z_i, z_j) of scaled points z (n, d), no graph."""
    function, _ = _kernel(pair, kernel, bandwidth)
    step = max(1, block_entries(points.device) // len(points))
    for lo in range(0, len(points), step):
        part = slice(lo, min(lo + step, len(points)))
        yield part, function(points[part], points)


def own_values(pair: SamplePair, kernel: str, bandwidth: float | None) -> tuple[Tensor, Tensor]:
    """k(z, z) of every point of x, (n,), and of y, (m,)."""
    _, own = _kernel(pair, kernel, bandwidth)
    return own(pair.x.points.detach().double()), own(pair.y.points.detach().double())


def check_kernel(kernel: str, bandwidth: float | None) -> None:
    """Raise unless the kernel is known and the bandwidth is one that it can have."""
    checks.choice("kernel", kernel, ("gaussian", "laplacian", "polynomial"))
    checks.optional(checks.positive, "bandwidth", bandwidth)
    if kernel == "polynomial" and bandwidth is not None:
        raise ValueError("bandwidth must be None for the polynomial kernel, which has none")


def _kernel(pair: SamplePair, kernel: str, bandwidth: float | None) -> tuple[Kernel, Diagonal]:
    """k(x, y) of two blocks of scaled points, (k, m), and k(x_i, x_i) of one, (k,)."""
    check_kernel(kernel, bandwidth)
    if kernel == "polynomial":
        centre, scale = pair.centre.double(), pair.scale
        d = pair.x.points.shape[1]
        return (
            lambda x, y: ((x * scale + centre) @ (y * scale + centre).T / d + 1) ** 3,
            lambda x: ((x * scale + centre).square().sum(1) / d + 1) ** 3,
        )
    width = median_distance(pair) if bandwidth is None else bandwidth / unit(pair)
    width = max(width, _LEAST_WIDTH)
    metric = pair.metric
    if metric is not None and kernel == "gaussian":
        return lambda x, y: exp2_((metric.grid(x, y) / width).square().mul_(-0.5 * LOG2E)), _ones
    if metric is not None:
        return lambda x, y: exp2_(metric.grid(x, y) * (-LOG2E / width)), _ones
    if kernel == "gaussian":  # not over the square of the width, which may be out of range
        return lambda x, y: exp2_(_squared(x, y).div_(width).mul_(-0.5 * LOG2E / width)), _ones
    return lambda x, y: exp2_(_length(_squared(x, y)).mul_(-LOG2E / width)), _ones


def unit(pair: SamplePair) -> float:
    """The unit of distances between the points of a pair, in the caller's."""
    return pair.scale * (1.0 if pair.metric is None else pair.metric.factor)


def _ones(x: Tensor) -> Tensor:
    return torch.ones_like(x[:, 0])


def _squared(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances (k, m) by differences; for many coordinates from products, repaired.

    Products are off by the rounding of the norms, which a far point makes larger than the distances
    of all others: those of near pairs are taken by differences.
    """
    if x.shape[1] <= _DIRECT_DIMENSION:
        return _by_differences(x, y)
    of_x, of_y = x.square().sum(1), y.square().sum(1)
    squared = (of_x[:, None] + of_y - 2 * x @ y.T).clamp(min=0)
    limit = _NEAR * float((of_x.max() + of_y.max()).detach())
    i, j = (squared.detach() <= limit).nonzero(as_tuple=True)
    if len(i) * _MANY > squared.numel():
        return _by_differences(x, y)
    return squared.index_put((i, j), (x[i] - y[j]).square().sum(1))


def _by_differences(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()


def _length(squared: Tensor) -> Tensor:
    """The root, with gradient 0 where points coincide."""
    apart = squared > 0
    return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)


def median_step(n: int) -> int:
    """Which rows of n the median looks at: one in so many, at most 1,000."""
    return max(1, -(-n // _MEDIAN_POINTS))


def median_distance(pair: SamplePair) -> float:
    """Median of the positive distances between points of the pooled sample, scaled; 1 when none."""
    parts = [z.points.detach()[:: median_step(len(z))] for z in (pair.x, pair.y)]
    return median_apart(torch.cat(parts).double(), pair.metric)


def median_apart(points: Tensor, metric: Metric | None = None) -> float:
    """Median of the positive distances between rows (n, d); 1 when there are none."""
    if metric is None:
        distances = torch.pdist(points)
    else:
        i, j = torch.triu_indices(len(points), len(points), 1, device=points.device)
        distances = metric.block(points, points)[i, j]
    return middle(distances.cpu().numpy())


def middle(distances: np.ndarray) -> float:
    """Median of the positive ones among distances (k,); 1 when there are none."""
    apart = distances[distances > 0]
    # torch's quantile sorts: 1.3 s for 2,000 points, numpy's median selects in a tenth of that.
    return float(np.median(apart)) if len(apart) else 1.0


def _mean(kernel: Kernel, x: Tensor, y: Tensor, a: Tensor, b: Tensor, wide: int = 1) -> Tensor:
    """Σ a_i b_j k(x_i, y_j), one block of rows at a time in the forward and the backward pass.

    Args:
        kernel: k.
        x: Points (n, d).
        y: Points (m, d).
        a: Weights (n,).
        b: Weights (m,).
        wide: Numbers that a pair takes in the backward pass.
    """
    if not (torch.is_grad_enabled() and any(t.requires_grad for t in (x, y, a, b))):
        return a @ _apply(kernel, x, y, b)

    def block(rows: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return a @ (kernel(rows, y) @ b)

    step = max(1, block_entries(x.device) // (len(y) * wide))
    total = x.new_zeros(())
    for lo in range(0, len(x), step):
        part = slice(lo, lo + step)
        value = checkpoint(block, x[part], y, a[part], b, use_reentrant=False)
        assert isinstance(value, Tensor)
        total = total + value
    return total


def _without_diagonal(mean: Tensor, diagonal: Tensor, a: Tensor, name: str) -> Tensor:
    """Σ_{i≠j} a_i a_j k(x_i, x_j) / (1 − Σ a_i²)."""
    rest = 1 - a.square().sum()
    if float(rest.detach()) <= 1e-12:
        raise ValueError(f'{name} must hold at least two points with weight for statistic="U"')
    return (mean - (a.square() * diagonal).sum()) / rest
