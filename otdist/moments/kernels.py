r"""Energy distance and MMD: differences of mean kernels, in blocks of rows.

Both are E k(x, x') + E k(y, y') − 2 E k(x, y). The energy distance has k = −‖x − y‖, whose means
and forces come from the cost engine. The kernels of MMD are functions of products of points; they
run in float64 under autograd, block by block, each block recomputed in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from otdist.core import checks
from otdist.core.cost import block_entries
from otdist.core.gradient import attach
from otdist.core.measure import Pair
from otdist.core.point_cost import PointCost
from otdist.core.threads import each

Kernel = Callable[[Tensor, Tensor], Tensor]
Diagonal = Callable[[Tensor], Tensor]

_MEDIAN_POINTS = 1000
_NEAR = 1e-6  # squared distance over the largest squared norms below which rounding would show
_MANY = 8  # near pairs are many above one in so many


def energy(pair: Pair) -> Tensor:
    """2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖ in scaled units; 0-d, float64, first-order graph."""
    x, y = pair.x, pair.y
    a, b = x.weights.detach(), y.weights.detach()
    between = PointCost(x.points, y.points, 1)
    within_x, within_y = PointCost(x.points, x.points, 1), PointCost(y.points, y.points, 1)
    to_y, to_x = between.apply(b), between.T.apply(a)
    slope_a, slope_b = 2 * (to_y - within_x.apply(a)), 2 * (to_x - within_y.apply(b))
    value = (slope_a @ a + slope_b @ b) / 2

    def gradients() -> list[Tensor]:
        pull_x = _pull(between, a, b) - _pull(within_x, a, a)
        pull_y = _pull(between.T, b, a) - _pull(within_y, b, b)
        return [2 * pull_x, 2 * pull_y, slope_a, slope_b]

    inputs = [x.points, y.points, x.weights, y.weights]
    return attach(value.clamp(min=0), inputs, gradients)


def mean_distance(pair: Pair) -> Tensor:
    """E‖x − y‖ in scaled units; 0-d, float64, no graph."""
    cost = PointCost(pair.x.points, pair.y.points, 1)
    return cost.mean(pair.x.weights.detach(), pair.y.weights.detach())


def _pull(cost: PointCost, a: Tensor, b: Tensor) -> Tensor:
    """a_i Σ_j b_j ∇_x c(x_i, y_j), shape (n, d)."""
    out = torch.empty_like(cost.x)
    row = b.to(cost.dtype)
    for part, c in cost.blocks():
        out[part] = cost.force(part, c, row.expand(c.shape).clone())
    return out * a.to(cost.dtype)[:, None]


def mmd_squared(pair: Pair, kernel: str, bandwidth: float | None, *, unbiased: bool) -> Tensor:
    """MMD² of the named kernel; 0-d, float64, with a graph.

    Raises:
        ValueError: unknown kernel, bandwidth not positive or not wanted, a weight of one for U.
    """
    function, diagonal = _kernel(pair, kernel, bandwidth)
    x, y = pair.x.points.double(), pair.y.points.double()
    a, b = pair.x.weights, pair.y.weights
    within_x, within_y = _mean(function, x, x, a, a), _mean(function, y, y, b, b)
    if unbiased:
        within_x = _without_diagonal(within_x, diagonal(x), a, "x")
        within_y = _without_diagonal(within_y, diagonal(y), b, "y")
    return within_x + within_y - 2 * _mean(function, x, y, a, b)


def mean_kernel(pair: Pair, kernel: str, bandwidth: float | None) -> Tensor:
    """E k(x, y) of the named kernel; 0-d, float64, with a graph."""
    function, _ = _kernel(pair, kernel, bandwidth)
    x, y = pair.x.points.double(), pair.y.points.double()
    return _mean(function, x, y, pair.x.weights, pair.y.weights)


def diagonal(pair: Pair, kernel: str, bandwidth: float | None) -> Tensor:
    """Σ a_i² k(x_i, x_i); 0-d, float64."""
    _, own = _kernel(pair, kernel, bandwidth)
    return (pair.x.weights.square() * own(pair.x.points.double())).sum()


def row_sums(
    pair: Pair, kernel: str, bandwidth: float | None, rows: Tensor, others: tuple[Tensor, ...]
) -> list[Tensor]:
    """Σ_j k(z_i, y_j) of scaled points z, for each of several samples y: (n,) each, no graph.

    Blocks of rows are shared out among threads; memory O(n).
    """
    function, _ = _kernel(pair, kernel, bandwidth)
    sums = [rows.new_empty(len(rows)) for _ in others]
    step = max(1, block_entries(rows.device) // max(map(len, others)))

    def block(part: slice) -> None:
        for total, other in zip(sums, others, strict=True):
            total[part] = function(rows[part], other).sum(1)

    each((slice(lo, lo + step) for lo in range(0, len(rows), step)), block, rows.device)
    return sums


def own_values(pair: Pair, kernel: str, bandwidth: float | None) -> tuple[Tensor, Tensor]:
    """k(z, z) of every point of x, (n,), and of y, (m,)."""
    _, own = _kernel(pair, kernel, bandwidth)
    return own(pair.x.points.detach().double()), own(pair.y.points.detach().double())


def check_kernel(kernel: str, bandwidth: float | None) -> None:
    """Raise unless the kernel is known and the bandwidth is one that it can have."""
    checks.choice("kernel", kernel, ("gaussian", "laplacian", "polynomial"))
    checks.optional(checks.positive, "bandwidth", bandwidth)
    if kernel == "polynomial" and bandwidth is not None:
        raise ValueError("bandwidth must be None for the polynomial kernel, which has none")


def _kernel(pair: Pair, kernel: str, bandwidth: float | None) -> tuple[Kernel, Diagonal]:
    """k(x, y) of two blocks of scaled points, (k, m), and k(x_i, x_i) of one, (k,)."""
    check_kernel(kernel, bandwidth)
    if kernel == "polynomial":
        centre, scale = pair.centre.double(), pair.scale
        d = pair.x.points.shape[1]
        return (
            lambda x, y: ((x * scale + centre) @ (y * scale + centre).T / d + 1) ** 3,
            lambda x: ((x * scale + centre).square().sum(1) / d + 1) ** 3,
        )
    width = median_distance(pair) if bandwidth is None else bandwidth / pair.scale
    if kernel == "gaussian":  # not over the square of the width, which may be out of range
        return lambda x, y: torch.exp(_squared(x, y) / width / width / -2), _ones
    return lambda x, y: torch.exp(_length(_squared(x, y)) / -width), _ones


def _ones(x: Tensor) -> Tensor:
    return torch.ones_like(x[:, 0])


def _squared(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances (k, m) from products; of near pairs, by direct differences.

    Products are off by the rounding of the norms, which a far point makes larger than the distances
    of all others.
    """
    of_x, of_y = x.square().sum(1), y.square().sum(1)
    squared = (of_x[:, None] + of_y - 2 * x @ y.T).clamp(min=0)
    limit = _NEAR * float((of_x.max() + of_y.max()).detach())
    i, j = (squared.detach() <= limit).nonzero(as_tuple=True)
    if len(i) * _MANY > squared.numel():
        return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square()
    return squared.index_put((i, j), (x[i] - y[j]).square().sum(1)) if len(i) else squared


def _length(squared: Tensor) -> Tensor:
    """The root, with gradient 0 where points coincide."""
    apart = squared > 0
    return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)


def median_step(n: int) -> int:
    """Which rows of n the median looks at: one in so many, at most 1,000."""
    return max(1, -(-n // _MEDIAN_POINTS))


def median_distance(pair: Pair) -> float:
    """Median of the positive distances between points of the pooled sample, scaled; 1 when none."""
    parts = [z.points.detach()[:: median_step(len(z))] for z in (pair.x, pair.y)]
    distances = torch.pdist(torch.cat(parts).double())
    apart = distances[distances > 0]
    return float(apart.quantile(0.5)) if len(apart) else 1.0


def _mean(kernel: Kernel, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Σ a_i b_j k(x_i, y_j), one block of rows at a time in the forward and the backward pass."""

    def block(rows: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return a @ (kernel(rows, y) @ b)

    step = max(1, block_entries(x.device) // len(y))
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
