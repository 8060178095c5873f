"""Values of weighted slices on the CPU: the walk of `staircase`, a few rows at a time.

The same sort of packed keys and the same merge of breakpoints, but no graph, no plan, and no fresh
memory: each thread works in arrays that it keeps, which stay in cache, and numpy's calls cost a
microsecond where torch's cost ten. Twice as fast as the walk with whole tensors
(``python -m benchmarks --suite sliced``).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from otdist.core.threads import held
from otdist.line.matching import match
from otdist.line.sorting import order_rows, take_rows
from otdist.line.staircase import BLOCK, HIGH, power_, slack, snap_ties

CHUNK = 1 << 18
"""Points of both samples that are worked on at a time, at least one row: 2 MB an array."""


def cost(
    x: Tensor, y: Tensor, p: float, a: Tensor | None, b: Tensor | None, chunk: int = CHUNK
) -> Tensor:
    """W_p^p of each row of x (..., n) against y (..., m); one of the weights is given.

    Args:
        x: Points on the CPU.
        y: Points of the same leading dimensions.
        p: Exponent.
        a: Weights of x, float64, shape (n,) or (..., n); None means uniform.
        b: Weights of y, likewise.
        chunk: Points of both samples that are worked on at a time.
    """
    xs, ys = (z.detach().reshape(-1, z.shape[-1]) for z in (x, y))
    u, v = _rows_of(a, x), _rows_of(b, y)
    costs = x.new_empty(x.shape[:-1])
    flat, step = costs.view(-1), chunk // (x.shape[-1] + y.shape[-1])
    for start in range(0, len(flat), max(1, step)):
        part = slice(start, start + max(1, step))
        weights = (None if w is None else w[part] for w in (u, v))
        work = _costs if step else _long_row
        flat[part] = work(xs[part], ys[part], p, *weights)
    return costs


def _rows_of(weights: Tensor | None, points: Tensor) -> Tensor | None:
    """The weights of each row, (rows, n); without a copy where all rows share them."""
    if weights is None:
        return None
    lead, n = points.shape[:-1], points.shape[-1]
    weights = weights.detach().expand(points.shape)
    if all(k == 1 or step == 0 for k, step in zip(lead, weights.stride()[:-1], strict=True)):
        return weights[(0,) * len(lead)].expand(math.prod(lead), n)
    return weights.reshape(-1, n)


def _long_row(x: Tensor, y: Tensor, p: float, a: Tensor | None, b: Tensor | None) -> Tensor:
    """W_p^p of a single row, longer than what a thread should keep memory for."""
    u, v = (None if w is None else w[0] for w in (a, b))
    return x.new_tensor([match(x[0], y[0], u, v).cost(p)])


def _costs(x: Tensor, y: Tensor, p: float, a: Tensor | None, b: Tensor | None) -> Tensor:
    """W_p^p of a few rows; points and weights (rows, n) and (rows, m)."""
    (rows, n), m = x.shape, y.shape[-1]
    keys = _room("keys", (rows, n + m))
    time = keys.view(np.float64)
    time[:, 0], time[:, -1] = 0.0, 1.0
    xs, ys = _walk("x", x, a, time[:, 1:n]), _walk("y", y, b, time[:, n:-1])
    keys[:, 1:n] &= ~1
    keys[:, n:] |= 1
    keys.sort(axis=-1, kind="stable")
    keys[:, -1] &= ~1
    cells = (rows, n + m - 1)
    side, cols = _room("side", cells), _room("cols", cells)
    np.bitwise_and(keys[:, :-1], 1, out=side)
    torch.cumsum(torch.from_numpy(side), -1, out=torch.from_numpy(cols))
    mass = _room("mass", cells, torch.float64)
    np.subtract(time[:, 1:], time[:, :-1], out=mass)
    if mass.min() <= slack(n + m):
        steps = torch.from_numpy(mass)
        even = snap_ties(
            torch.from_numpy(time), steps, steps <= slack(n + m), torch.from_numpy(side)
        )
        mass = np.diff(even.numpy())
    np.subtract(np.arange(n + m - 1), cols, out=side)
    gaps, there = _room("gaps", cells, x.dtype), _room("there", cells, x.dtype)
    take_rows(xs, side, gaps)
    take_rows(ys, cols, there)
    gaps -= there
    if p > HIGH:  # costs that no mass pays may be infinite
        gaps[mass <= 0] = 0.0
    on_path = power_(torch.from_numpy(gaps), p).numpy()
    return torch.from_numpy(np.einsum("ij,ij->i", on_path, mass))


def _walk(name: str, points: Tensor, weights: Tensor | None, ends: np.ndarray) -> np.ndarray:
    """The sorted points (rows, n); `ends` (rows, n − 1) receives their inner breakpoints."""
    rows, n = points.shape
    found = _room(f"sorted {name}", (rows, n), points.dtype)
    if weights is None:
        np.copyto(found, points.numpy())
        found.sort(axis=-1)
        np.divide(np.arange(1, n), n, out=ends)
        return found
    order, blocks = _room(f"order {name}", (rows, n)), -(-n // BLOCK)
    order_rows(points.numpy(), order, found)
    inner = _room(f"sums {name}", (rows, blocks, BLOCK), torch.float64)
    sums = inner.reshape(rows, -1)
    sums[:, n:] = 0.0
    take_rows(weights.numpy(), order, sums[:, :n])
    torch.cumsum(torch.from_numpy(inner), -1, out=torch.from_numpy(inner))
    outer = inner[:, :, -1].cumsum(-1)
    inner[:, 1:] += outer[:, :-1, None]
    np.divide(sums[:, : n - 1], outer[:, -1:], out=ends)
    return found


def _room(name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.int64) -> np.ndarray:
    return held(f"weighted rows: {name}", shape, dtype).numpy()
