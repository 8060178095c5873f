"""The walk of the monotone plan through sorted points: merged breakpoints of cumulative weights.

Uniform weights need no floating-point breakpoints: they are merged as integers. Breakpoints of
weights that agree within the rounding of their sums are treated as equal, since an arc of mass
1e-17 across a wide gap would show as 1e-17^(1/p) in the distance of equal measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from otdist.line.sorting import sort_
from otdist.line.walk import UniformWalk

BLOCK = 1024
"""Length of the inner sums of a cumulative sum; keeps its error near sqrt(n) roundings."""
HIGH = 16.0
"""Powers above which those of wide gaps beside small ones may overflow."""


@dataclass(frozen=True)
class Staircase:
    """The cells (i, j) of sorted points that the monotone plan visits, with their masses.

    Attributes:
        rows: int64 (..., n + m − 1), non-decreasing from 0 to n − 1.
        cols: int64 (..., n + m − 1), non-decreasing from 0 to m − 1.
        mass: float64 (..., n + m − 1), ≥ 0, of sum 1; carries the graph of the weights.
    """

    rows: Tensor
    cols: Tensor
    mass: Tensor


def uniform_staircase(n: int, m: int, device: torch.device) -> Staircase:
    """The staircase of uniform weights."""
    cells = UniformWalk(n, m).new_cells(slice(0, n))
    return Staircase(*(torch.from_numpy(part).to(device) for part in cells))


def staircase(a: Tensor | None, b: Tensor | None, n: int, m: int) -> Staircase:
    """The staircase of weights a (..., n), b (..., m) in sorted order; None means uniform.

    Both lists of breakpoints are merged by one sort of integers: the bits of floats in [0, 1] order
    like integers, and the last bit says which list a breakpoint came from.
    """
    like = a if a is not None else b
    assert like is not None, "uniform weights have their own staircase"
    ends_a, ends_b = breakpoints(a, n, like), breakpoints(b, m, like)
    keys = like.new_empty((*ends_a.shape[:-1], n + m), dtype=torch.int64)
    edge_low, from_a, from_b, edge_high = keys.split([1, n - 1, m - 1, 1], -1)
    edge_low.view(torch.float64).fill_(0.0)
    edge_high.view(torch.float64).fill_(1.0)
    edge_high |= 1  # so that a breakpoint at one does not come after it
    torch.bitwise_and(_bits(ends_a), ~1, out=from_a)
    torch.bitwise_or(_bits(ends_b), 1, out=from_b)
    sort_(keys, runs=True)
    keys[..., -1] &= ~1  # so that masses sum to one; elsewhere the bit is below their rounding
    from_y = keys[..., :-1] & 1  # of the breakpoint that a cell begins at
    cols = from_y.cumsum(-1)
    rows = torch.arange(cols.shape[-1], device=cols.device) - cols
    time = keys.view(torch.float64)
    steps = time.diff(dim=-1)
    same = steps <= slack(n + m)
    if bool(same.any()):
        time = snap_ties(time, steps, same, from_y)
        steps = time.diff(dim=-1)
    if ends_a.requires_grad or ends_b.requires_grad:
        inner = time[..., 1:-1]
        of_y = from_y[..., 1:].bool()
        graph = _choose(of_y, ends_b, cols[..., 1:] - 1, ends_a, rows[..., 1:] - 1)
        inner = graph + (inner - graph).detach()
        steps = torch.cat([time[..., :1], inner, time[..., -1:]], -1).diff(dim=-1)
    return Staircase(rows, cols, steps)


def slack(size: int) -> float:
    """How far apart breakpoints that should be equal may be, of `size` weights on both sides."""
    return 2 * torch.finfo(torch.float64).eps * size**0.5


def breakpoint_error(n: int, m: int) -> float:
    """How far a breakpoint of `staircase` may be from that of the weights as they are."""
    size = max(n, m)
    roundings = min(size, BLOCK) + size // BLOCK + 8  # of both sums, the quotient, the last bit
    return roundings * torch.finfo(torch.float64).eps + slack(n + m)


def _bits(ends: Tensor) -> Tensor:
    return ends.detach().contiguous().view(torch.int64)


def take(values: Tensor, index: Tensor) -> Tensor:
    """values[..., index] along the last axis, for one index (k,) or one per leading dimension."""
    if values.dim() == 1 and index.dim() == 1:  # ten times as fast as `gather` at random places
        return values.index_select(0, index)
    return values.gather(-1, index.expand(*values.shape[:-1], index.shape[-1]))


def breakpoints(weights: Tensor | None, n: int, like: Tensor) -> Tensor:
    """The n − 1 inner breakpoints of the cumulative weights, with the leading axes of `like`."""
    if weights is None:
        ends = torch.arange(1, n, device=like.device, dtype=torch.float64) / n
        return ends.expand(*like.shape[:-1], n - 1).contiguous()
    total = _cumulate(weights)
    ends = total[..., :-1] / total[..., -1:]
    if ends.device.type == "cpu":
        return ends
    # A parallel scan may fall by a rounding; the merge below needs order.
    return ends + (ends.detach().cummax(-1).values - ends.detach())


def _cumulate(weights: Tensor) -> Tensor:
    """A cumulative sum in two levels, non-decreasing for weights ≥ 0."""
    n = weights.shape[-1]
    if n <= BLOCK:
        return weights.cumsum(-1)
    padded = torch.nn.functional.pad(weights, (0, -n % BLOCK))
    inner = padded.unflatten(-1, (-1, BLOCK)).cumsum(-1)
    outer = inner[..., -1].cumsum(-1)
    offset = torch.nn.functional.pad(outer[..., :-1], (1, 0))
    return (inner + offset.unsqueeze(-1)).flatten(-2)[..., :n]


def snap_ties(time: Tensor, steps: Tensor, same: Tensor, from_y: Tensor) -> Tensor:
    """Give breakpoints of x and y that are the same up to rounding one common value.

    Two breakpoints of one list are the same only where they are equal. The edges belong to x. A
    chain of near neighbours that reaches farther than rounding does is left as it is: many small
    weights make one, each of which counts.
    """
    of_y = torch.nn.functional.pad(from_y, (0, 1))
    same = same & ((of_y[..., 1:] != of_y[..., :-1]) | (steps == 0))
    place = torch.arange(time.shape[-1], device=time.device)
    before, after = (torch.nn.functional.pad(same, side) for side in ((1, 0), (0, 1)))
    first = place.masked_fill(before, 0).cummax(-1).values
    last = place.flip(-1).masked_fill(after.flip(-1), len(place)).cummin(-1).values.flip(-1)
    start = take(time, first)
    short = take(time, last) - start <= slack(time.shape[-1])
    return torch.where(short, start, time)


def _choose(use_b: Tensor, b: Tensor, at_b: Tensor, a: Tensor, at_a: Tensor) -> Tensor:
    """Values of b at `at_b` where `use_b`, else a at `at_a`; unused indices may be −1."""
    if b.shape[-1] == 0:
        return take(a, at_a)
    if a.shape[-1] == 0:
        return take(b, at_b)
    return torch.where(use_b, take(b, at_b.clamp(min=0)), take(a, at_a.clamp(min=0)))


def power(gaps: Tensor, p: float) -> Tensor:
    """|gaps|^p, differentiable, with derivative 0 at 0."""
    if p == 2:
        return gaps * gaps
    return gaps.abs() if p == 1 else gaps.abs().pow(p)


def power_(gaps: Tensor, p: float) -> Tensor:
    """As `power`, in place and without a graph."""
    if p == 2:
        return gaps.mul_(gaps)
    return gaps.abs_() if p == 1 else gaps.abs_().pow_(p)
