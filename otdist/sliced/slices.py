"""Many slices of two samples at once: project, solve on the line, average; in blocks.

Samples (..., n, d) are projected by one matrix product into (directions, n), so that each slice
lies contiguous for sorting. Blocks of directions bound the memory whatever their number, and keep
what is sorted in cache. Where `directions` is None, the coordinates of the samples are the
projections already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from otdist.core.gradient import once
from otdist.core.threads import scratch, thread_count
from otdist.line import univariate
from otdist.line.sorting import in_threads
from otdist.line.staircase import Staircase, uniform_staircase

_BLOCK = 1 << 21
"""Projected points per block, from one matrix product."""
_SERIAL = 1 << 18
"""Points of the part of a block that one thread works through at a time: up to this size torch
starts no threads of its own inside, whose barriers cost more than they gain (a busy neighbour
makes that tenfold)."""

_FEWEST_ROWS = 16
"""Directions per block however many points there are: a product with fewer is memory-bound."""
_WIDE, _FEWEST_WIDE = 512, 96
"""Coordinates from which a block has more directions, and how many: of 5,000 points of 2,048
coordinates, 1,000 projections take 0.30 s of one core in blocks of 104 and 0.52 s in blocks of 26
(`python -m benchmarks --suite evaluation`)."""


class BatchPair(NamedTuple):
    """Two batches of samples with one batch dimension, weights None where uniform.

    Attributes:
        x: (B, n, d).
        y: (B, m, d).
        a: (B, n) float64 or None.
        b: (B, m) float64 or None.
    """

    x: Tensor
    y: Tensor
    a: Tensor | None
    b: Tensor | None


def of_batch(x: Tensor, y: Tensor, a: Tensor | None, b: Tensor | None) -> BatchPair:
    """Samples (..., n, d) and (..., m, d), weights (n,) or (..., n), with one batch axis."""
    batch = x.shape[:-2]

    def flat(weights: Tensor | None) -> Tensor | None:
        if weights is None:
            return None
        return weights.double().expand(*batch, weights.shape[-1]).reshape(-1, weights.shape[-1])

    return BatchPair(x.reshape(-1, *x.shape[-2:]), y.reshape(-1, *y.shape[-2:]), flat(a), flat(b))


class _Block(NamedTuple):
    """Slices of batch entries `batch` on directions `rows`: px (B', l, n), py (B', l, m)."""

    batch: slice
    rows: slice
    px: Tensor
    py: Tensor
    a: Tensor | None
    b: Tensor | None
    stairs: Staircase | None

    def parts(self) -> list[_Block]:
        """The block in parts of flat rows (l, n) that one thread each may work through."""
        px, py = self.px.flatten(0, 1), self.py.flatten(0, 1)
        a = None if self.a is None else self.a.expand_as(self.px).flatten(0, 1)
        b = None if self.b is None else self.b.expand_as(self.py).flatten(0, 1)
        step = (
            max(1, _SERIAL // max(px.shape[1], py.shape[1])) if px.device.type == "cpu" else len(px)
        )
        return [
            _Block(
                self.batch,
                (rows := slice(start, start + step)),
                px[rows],
                py[rows],
                None if a is None else a[rows],
                None if b is None else b[rows],
                self.stairs,
            )
            for start in range(0, len(px), step)
        ]


def _pieces(samples: BatchPair, count: int, numbers: int) -> Iterator[tuple[slice, slice]]:
    """Batch entries and directions of one piece after another, of about so many projections."""
    x, y = samples.x, samples.y
    fewest = _FEWEST_WIDE if x.shape[2] >= _WIDE else _FEWEST_ROWS
    fitting = max(numbers // (x.shape[1] + y.shape[1]), fewest)
    rows = min(fitting, count)
    entries = max(1, fitting // rows)
    if rows < count:  # as many pieces for each thread, of one size
        threads = thread_count()
        rows = -(-count // (-(-count // rows // threads) * threads))
    for start in range(0, len(x), entries):
        batch = slice(start, min(start + entries, len(x)))
        for first in range(0, count, rows):
            yield batch, slice(first, min(first + rows, count))


def _stairs(samples: BatchPair) -> Staircase | None:
    """The staircase that all slices share, where they do."""
    x, y, a, b = samples
    if a is None and b is None and x.shape[1] != y.shape[1]:
        return uniform_staircase(x.shape[1], y.shape[1], x.device)
    return None


def _blocks(samples: BatchPair, directions: Tensor | None) -> Iterator[_Block]:
    x, y, a, b = samples
    stairs = _stairs(samples)
    for batch, part in _pieces(samples, _count(samples, directions), _BLOCK):
        yield _Block(
            batch,
            part,
            _project(x[batch], directions, part),
            _project(y[batch], directions, part),
            None if a is None else a[batch, None],
            None if b is None else b[batch, None],
            stairs,
        )


def _block_derivatives(block: _Block, p: float, wanted: tuple[bool, ...]) -> univariate.Derivatives:
    """Costs and derivatives of the slices of a block, each shaped as what it derives by."""
    shapes = (block.px.shape, block.py.shape) * 2
    types = (block.px.dtype,) * 2 + (torch.float64,) * 2
    found = univariate.Derivatives(
        block.px.new_empty(block.px.shape[:2]),
        *(
            block.px.new_empty(shape, dtype=dtype) if want else None
            for shape, dtype, want in zip(shapes, types, wanted, strict=True)
        ),
    )
    flat = [None if t is None else t.flatten(0, 1) for t in found]

    def task(part: _Block) -> None:
        values = univariate.derivatives(
            part.px, part.py, p, part.a, part.b, wanted=wanted, stairs=part.stairs
        )
        for target, value in zip(flat, values, strict=True):
            if target is not None and value is not None:
                target[part.rows] = value

    in_threads([partial(task, part) for part in block.parts()], block.px.numel())
    return found


def _count(samples: BatchPair, directions: Tensor | None) -> int:
    return samples.x.shape[2] if directions is None else len(directions)


def _project_both(
    x: Tensor, y: Tensor, directions: Tensor | None, part: slice
) -> tuple[Tensor, Tensor]:
    """Projections (B, l, n) and (B, l, m), in memory of this thread where they are few."""
    n, m, rows = x.shape[1], y.shape[1], part.stop - part.start
    if directions is None or len(x) > 1 or rows * (n + m) > 2 * _SERIAL:
        return _project(x, directions, part), _project(y, directions, part)
    room = scratch(rows, n + m, x).view(-1)
    px, py = room[: rows * n].view(rows, n), room[rows * n :].view(rows, m)
    torch.mm(directions[part], x[0].T, out=px)
    torch.mm(directions[part], y[0].T, out=py)
    return px[None], py[None]


def _project(points: Tensor, directions: Tensor | None, part: slice) -> Tensor:
    """Projections (B, l, n) of points (B, n, d), contiguous along n."""
    if directions is None:
        return points[..., part].transpose(-1, -2).clone(memory_format=torch.contiguous_format)
    if len(points) == 1:
        return torch.mm(directions[part], points[0].T).unsqueeze(0)
    return torch.matmul(directions[part], points.transpose(-1, -2))


Kernel = Callable[[Tensor, Tensor, Tensor | None, Tensor | None, Staircase | None], Tensor]
"""What is computed of projections (..., l, n) and (..., l, m), which it may overwrite, weights
of the same shapes or None, and the staircase that all share or None."""


def slice_costs(samples: BatchPair, directions: Tensor | None, p: float) -> Tensor:
    """W_p^p of every slice, (B, L), without a graph."""

    def costs(px: Tensor, py: Tensor, a: Tensor | None, b: Tensor | None, stairs: Staircase | None):
        if a is None and b is None:
            return univariate.cost_(px, py, p, stairs)
        return univariate.cost(px, py, p, a, b)

    return of_slices(samples, directions, costs)


def largest_gap(
    px: Tensor, py: Tensor, a: Tensor | None, b: Tensor | None, _: Staircase | None
) -> Tensor:
    """The largest gap that mass crosses in each slice; a kernel of `of_slices`."""
    gaps, mass = univariate.differences(px, py, a, b)
    return (gaps if mass is None else gaps.masked_fill_(mass <= 0, 0.0)).abs().amax(-1)


def of_slices(samples: BatchPair, directions: Tensor | None, kernel: Kernel) -> Tensor:
    """What `kernel` gives for every slice, (B, L), without a graph.

    Each thread projects and sorts a few slices at a time where they stay in cache.
    """
    x, y, a, b = samples
    count = _count(samples, directions)
    values = x.new_empty(len(x), count)
    stairs = _stairs(samples)

    def task(batch: slice, rows: slice) -> None:
        px, py = _project_both(x[batch], y[batch], directions, rows)
        of_x = None if a is None else a[batch, None].expand_as(px)
        of_y = None if b is None else b[batch, None].expand_as(py)
        values[batch, rows] = kernel(px, py, of_x, of_y, stairs)

    serial = x.device.type == "cpu"
    pieces = _pieces(samples, count, _SERIAL if serial else _BLOCK)
    with torch.no_grad():
        in_threads([partial(task, *piece) for piece in pieces], x.shape[1] * count)
    return values


def slice_ascent(samples: BatchPair, directions: Tensor, p: float) -> tuple[Tensor, Tensor]:
    """Costs (L,) of the slices of one pair (B = 1), and gradients in the directions, (L, d)."""
    with torch.no_grad():
        costs = samples.x.new_empty(len(directions))
        gradients = torch.empty_like(directions)
        for block in _blocks(samples, directions):
            found = _block_derivatives(block, p, (True, True, False, False))
            assert found.x is not None
            assert found.y is not None
            costs[block.rows] = found.cost[0]
            gradients[block.rows] = found.x[0] @ samples.x[0] + found.y[0] @ samples.y[0]
        return costs, gradients


def mean_slice_cost(
    x: Tensor,
    y: Tensor,
    directions: Tensor | None,
    p: float,
    a: Tensor | None = None,
    b: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean over directions of W_p^p, shape (...), and the cost of every slice, (..., L).

    Args:
        x: (..., n, d).
        y: (..., m, d), the same leading dimensions.
        directions: (L, d) unit rows, dtype of x, shared by the whole batch; None: along the axes.
        p: Exponent ≥ 1.
        a: Weights (n,) or (..., n); None means uniform.
        b: Likewise for y.

    Gradients: of the mean, first order, in x, y, a, b; a second derivative raises. The gradient
        is computed along with the value, so that no projection outlives its block.
    """
    batch = x.shape[:-2]
    samples = of_batch(x, y, a, b)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in samples):
        mean, costs = _MeanSliceCost.apply(*samples, directions, p)  # pyright: ignore
    else:
        costs = slice_costs(samples, directions, p)
        mean = costs.double().mean(-1).to(x.dtype)
    return mean.reshape(batch), costs.reshape(*batch, -1)


class _MeanSliceCost(torch.autograd.Function):
    """The mean slice cost of a batch with the gradient written beside the value."""

    @staticmethod
    def forward(ctx: Any, x, y, a, b, directions: Tensor | None, p: float):  # type: ignore[override]
        samples = BatchPair(
            x.detach(), y.detach(), *(w if w is None else w.detach() for w in (a, b))
        )
        wanted = tuple(ctx.needs_input_grad[:4])
        totals = [
            torch.zeros_like(t) if want and t is not None else None
            for t, want in zip(samples, wanted, strict=True)
        ]
        count = _count(samples, directions)
        costs = x.new_empty(len(x), count)
        for block in _blocks(samples, directions):
            found = univariate.derivatives(block.px, block.py, p, block.a, block.b, wanted=wanted)
            costs[block.batch, block.rows] = found.cost
            _add(totals, found, block, directions)
        for total, weights in zip(totals, (None, None, *samples[2:]), strict=True):
            if total is not None:
                total /= count
                if weights is not None:
                    _centre(total, weights)
        ctx.gradients = totals
        ctx.save_for_backward(*(t for t in (x, y, a, b) if t is not None))
        ctx.mark_non_differentiable(costs)
        return costs.double().mean(-1).to(x.dtype), costs

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Tensor):  # type: ignore[override]
        with torch.no_grad():
            scaled = [
                None if g is None else g * upstream.to(g.dtype).reshape(-1, *[1] * (g.dim() - 1))
                for g in ctx.gradients
            ]
        return *(once(slope, upstream, *ctx.saved_tensors) for slope in scaled), None, None


def _centre(potential: Tensor, weights: Tensor) -> None:
    """Turn f into the derivative in weights of any sum: only their ratios move the cost."""
    total = weights.sum(-1, keepdim=True)
    potential -= (weights * potential).sum(-1, keepdim=True) / total
    potential /= total


def _add(
    totals: list[Tensor | None],
    found: univariate.Derivatives,
    block: _Block,
    directions: Tensor | None,
) -> None:
    """Add the derivatives of one block to the totals in x, y, a, b."""
    for total, slopes in zip(totals[:2], (found.x, found.y), strict=True):
        if total is not None and slopes is not None:
            if directions is None:
                total[block.batch, :, block.rows] += slopes.transpose(-1, -2)
            elif len(slopes) == 1:
                total[block.batch.start].addmm_(slopes[0].T, directions[block.rows])
            else:
                total[block.batch] += slopes.transpose(-1, -2) @ directions[block.rows]
    for total, slopes in zip(totals[2:], (found.a, found.b), strict=True):
        if total is not None and slopes is not None:
            total[block.batch] += slopes.sum(1)
