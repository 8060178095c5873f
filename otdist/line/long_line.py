"""One long pair of samples on the line: the staircase in parts that fit the cache.

A walk through 2·10^6 cells as whole-array operations spends its time on fresh memory and on the
barriers between threads. Cut at breakpoints of x it falls into independent parts, each small enough
for torch to stay in one thread: two to four times as fast, and hardly slowed by a busy neighbour
(``python -m benchmarks --suite univariate``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from otdist.line.sorting import in_threads, ordered, sort
from otdist.line.staircase import Staircase, breakpoints, even, merge, take, uniform_staircase

LONG = 1 << 16
"""Points of both samples from which parts pay."""
_PART = 1 << 14
"""Points of x in a part."""

Power = Callable[[Tensor], Tensor]


def cost(x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None, power: Power) -> Tensor:
    """W_p^p of x (n,) and y (m,) on the CPU, without a graph; `power` maps gaps to costs."""
    if a is None and b is None:
        xs, ys = sort(x, y)
        walk = partial(_uniform_part, xs, ys)
    else:
        walk = _weighted(x, y, a, b)
    n = len(x)
    parts = [range(start, min(start + _PART, n)) for start in range(0, n, _PART)]
    sums = x.new_empty(len(parts), dtype=torch.float64)

    def task(index: int) -> None:
        xs, ys, stairs = walk(parts[index])
        gaps = take(xs, stairs.rows).sub_(take(ys, stairs.cols))
        sums[index] = torch.dot(power(gaps).double(), stairs.mass)

    in_threads([partial(task, index) for index in range(len(parts))], n + len(y))
    return sums.sum().to(x.dtype)


def _uniform_part(xs: Tensor, ys: Tensor, part: range) -> tuple[Tensor, Tensor, Staircase]:
    """The sorted points that rows `part` meet, and their staircase, counted from these points."""
    n, m = len(xs), len(ys)
    stairs = uniform_staircase(n, m, xs.device, part)
    return xs[part.start : part.stop], ys[part.start * m // n :], stairs


def _weighted(
    x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None
) -> Callable[[range], tuple[Tensor, Tensor, Staircase]]:
    """A function like `_uniform_part` for samples with weights."""
    (order_x, xs), (order_y, ys) = ordered(x, y)
    n, m = len(x), len(y)
    like = a if a is not None else b
    assert like is not None
    ends_a = even(breakpoints(None if a is None else take(a, order_x), n, like))
    ends_b = even(breakpoints(None if b is None else take(b, order_y), m, like))
    # Breakpoints of x come first among equals, so that those of y at the cut stay behind it.
    inside = torch.searchsorted(ends_b, ends_a[_PART - 1 :: _PART].contiguous()).tolist()
    bounds = [0, *inside, m - 1]

    def part_of(part: range) -> tuple[Tensor, Tensor, Staircase]:
        low, high = bounds[part.start // _PART], bounds[part.start // _PART + 1]
        first = 0.0 if part.start == 0 else float(ends_a[part.start - 1])
        last = 1.0 if part.stop == n else float(ends_a[part.stop - 1])
        inner = ends_a[part.start : part.stop - 1]
        stairs = merge(inner, ends_b[low:high], n + m, first, last)
        return xs[part.start : part.stop], ys[low : high + 1], stairs

    return part_of
