"""Two samples on the line matched by quantiles: the monotone plan, its cost and potentials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from otdist.core.result import Arcs
from otdist.line.counted import CountedWalk, counted, counted_few
from otdist.line.sorting import in_threads, ordered, sort
from otdist.line.walk import Array, Cells, UniformWalk, WeightedWalk, varied, walk

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Matching:
    """Two samples matched by quantiles.

    Attributes:
        x: Sorted points of x, (n,).
        y: Sorted points of y, (m,).
        walk: The cells of the plan.
        orders: The indices that sorted x and y; None where the points alone were sorted.
        device: Where the samples were.
    """

    x: Array
    y: Array
    walk: UniformWalk | WeightedWalk | CountedWalk
    orders: tuple[Array, Array] | None
    device: torch.device

    def exact(self, a: Tensor | Array | None, b: Tensor | Array | None) -> Matching:
        """The same with exact masses, for the weights that it was made of."""
        u, v = (_array(w.detach()) if isinstance(w, Tensor) else w for w in (a, b))
        return replace(self, walk=walk(u, v, len(self.x), len(self.y), self.orders))

    def parts(self) -> list[slice]:
        """Parts of the plan, for `quantiles`."""
        return self.walk.parts()

    def quantiles(self, part: slice) -> tuple[Array, Array, Array | float]:
        """Points of x and y that meet, ascending, and the masses; or one mass for all."""
        walk = self.walk
        if isinstance(walk, UniformWalk) and walk.n == walk.m:
            return self.x[part], self.y[part], 1.0 / walk.n
        rows, cols, mass = walk.cells(part)
        return self.x.take(rows), self.y.take(cols), mass

    def cells(self) -> Cells:
        """All cells at once."""
        found = [self.walk.cells(part) for part in self.walk.parts()]
        return (
            found[0] if len(found) == 1 else Cells(*map(np.concatenate, zip(*found, strict=True)))
        )

    def arcs(self, least: float = 0.0) -> Arcs:
        """The plan; without arcs whose share of both points' mass is not above `least`."""
        assert self.orders is not None, "places are asked for when samples are matched"
        rows, cols, mass = self.cells()
        n, m = len(self.x), len(self.y)
        used = mass > 0
        if least:
            whole = np.maximum(mass, 0.0)
            of_x, of_y = np.bincount(rows, whole, n)[rows], np.bincount(cols, whole, m)[cols]
            used = mass > least * np.minimum(of_x, of_y)
        found = self.orders[0][rows[used]], self.orders[1][cols[used]], mass[used]
        at_x, at_y, carried = (torch.from_numpy(part).to(self.device) for part in found)
        return Arcs(at_x, at_y, carried, (n, m))

    def potentials(self, p: float) -> tuple[Tensor, Tensor]:
        """F (n,) and g (m,) with f_i + g_j = |x_i − y_j|^p along the plan, and Σ a f = Σ b g.

        A step of the walk moves either i or j; the change of cost belongs to its potential.
        """
        assert self.orders is not None, "places are asked for when samples are matched"
        rows, cols, mass = self.cells()
        _, costs = mean_power(np.abs(self.x[rows] - self.y[cols]), mass, p)
        f_path = np.zeros(len(rows))
        np.cumsum(np.diff(costs) * (np.diff(rows) > 0), out=f_path[1:])
        shift = float(((costs - 2 * f_path) * mass).sum()) / 2
        f, g = np.empty(len(self.x)), np.empty(len(self.y))
        f[self.orders[0][rows]] = f_path + shift
        g[self.orders[1][cols]] = costs - f_path - shift
        return torch.from_numpy(f).to(self.device), torch.from_numpy(g).to(self.device)

    def cost(self, p: float) -> float:
        """Σ mass·|x − y|^p along the plan."""
        parts = self.parts()
        sums = np.zeros(len(parts))

        def task(index: int) -> None:
            x, y, mass = self.quantiles(parts[index])
            sums[index], _ = mean_power(np.abs(x - y), mass, p)

        in_threads([partial(task, index) for index in range(len(parts))], len(self.x) + len(self.y))
        return float(sums.sum())


def match(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    *,
    places: bool = False,
    count: bool = False,
) -> Matching:
    """Match samples x (n,) and y (m,) by quantiles, in float64 and without a graph.

    Args:
        x: Points of the first sample.
        y: Points of the second.
        a: Weights of x, non-negative and of any sum, exact as they are; None means uniform.
        b: Weights of y.
        places: Keep the sorting indices, which uniform weights do not need.
        count: Let masses be off by about 1e-18, in a third of the time.
    """
    if a is None and b is None and not places:
        orders, (xs, ys) = None, (_array(z) for z in sort(x, y))
    else:
        (order_x, xs), (order_y, ys) = ((_array(i), _array(z)) for i, z in ordered(x, y))
        orders = order_x, order_y
    xs, ys = xs.astype(np.float64, copy=False), ys.astype(np.float64, copy=False)
    u, v = (None if w is None else _array(w.detach()) for w in (a, b))
    return Matching(xs, ys, _walk(u, v, len(x), len(y), orders, count), orders, x.device)


def match_few(x: Array, y: Array, a: Array | None, b: Array | None) -> Matching:
    """As `match` for few float64 numbers of numpy, where threads and torch cost more than the sort.

    The points alone are sorted where no weights are given.
    """
    n, m = len(x), len(y)
    if a is None and b is None:
        xs, ys = x.copy(), y.copy()
        xs.sort()
        ys.sort()
        return Matching(xs, ys, UniformWalk(n, m), None, _CPU)
    orders = x.argsort(), y.argsort()
    xs, ys = x.take(orders[0]), y.take(orders[1])
    if a is None or b is None or a[0] == a[-1] or b[0] == b[-1]:  # perhaps uniform
        return Matching(xs, ys, _walk(a, b, n, m, orders, True), orders, _CPU)
    return Matching(xs, ys, counted_few(a, b, orders), orders, _CPU)


def _walk(
    a: Array | None,
    b: Array | None,
    n: int,
    m: int,
    orders: tuple[Array, Array] | None,
    count: bool,
) -> UniformWalk | WeightedWalk | CountedWalk:
    if not count or orders is None:
        return walk(a, b, n, m, orders)
    a, b = varied(a), varied(b)
    return UniformWalk(n, m) if a is None and b is None else counted(a, b, n, m, orders)


def mean_power(gaps: Array, mass: Array | float, p: float) -> tuple[float, Array]:
    """Σ mass·gap^p of non-negative gaps, summed pairwise (log₂ k roundings), and the powers."""
    if p == 1:
        mean = np.add.reduce(gaps) * mass if isinstance(mass, float) else np.add.reduce(gaps * mass)
        return float(mean), gaps
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        powers = gaps * gaps if p == 2 else gaps**p
        if isinstance(mass, float):
            return float(np.add.reduce(powers)) * mass, powers
        return float(np.add.reduce(powers * mass)), powers


def _array(values: Tensor) -> Array:
    return values.cpu().numpy()
