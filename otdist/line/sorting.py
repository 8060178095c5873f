"""Sorting along the last axis: through numpy on the CPU, through torch elsewhere.

numpy sorts 64- and 32-bit floats with AVX-512 or AVX2 instructions and releases the GIL: 10^6
float64 take about a tenth of the time of ``torch.sort``
(``python -m benchmarks --suite univariate``).
Rows are shared out among as many threads as torch would use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from otdist.core.threads import run, thread_count

_WORTH_A_THREAD = 1 << 15
"""Elements below which starting a thread costs more than it saves."""

_EXCHANGES = 8
"""Rounds of exchanges after which a row is sorted anew."""
_LONG_ROW = 2048
"""Entries from which `take`, row by row, is faster than one `gather`: 0.9 ns an entry for 1.5."""


def in_threads(tasks: Sequence[Callable[[], None]], size: int) -> None:
    """Run the tasks in threads, `size` elements in all; few elements in this thread."""
    if size >= _WORTH_A_THREAD:
        run(tasks)
        return
    for task in tasks:
        task()


def _rows(tensor: Tensor) -> np.ndarray:
    """A view (rows, length) of a contiguous CPU tensor."""
    return tensor.numpy().reshape(math.prod(tensor.shape[:-1]), tensor.shape[-1])


def _row_slices(rows: int, parts: int) -> list[slice]:
    if min(rows, parts) == 1:
        return [slice(0, rows)]
    edges = np.linspace(0, rows, min(rows, parts) + 1).astype(int)
    return [slice(int(i), int(j)) for i, j in pairwise(edges)]


def _blocks(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Views of row blocks of (rows, length) arrays, one or more per thread."""
    threads = thread_count()
    return [array[rows] for array in arrays for rows in _row_slices(len(array), threads)]


def sort(*tensors: Tensor) -> list[Tensor]:
    """The tensors, sorted along their last axis, without a graph."""
    copies = [t.detach().clone(memory_format=torch.contiguous_format) for t in tensors]
    sort_(*copies)
    return copies


def sort_(*tensors: Tensor, runs: bool = False) -> None:
    """Sort contiguous tensors in place along their last axis.

    Args:
        tensors: Any shapes.
        runs: The rows consist of a few ascending runs, which a merge sort finds.
    """
    if any(t.device.type != "cpu" for t in tensors):
        for t in tensors:
            t.copy_(torch.sort(t, dim=-1).values)
        return
    kind: Literal["stable"] | None = "stable" if runs else None
    tasks = [
        lambda block=block: block.sort(axis=-1, kind=kind)
        for block in _blocks([_rows(t) for t in tensors])
    ]
    in_threads(tasks, sum(t.numel() for t in tensors))


def argsort(*tensors: Tensor) -> list[Tensor]:
    """The indices (int64) that sort the tensors along their last axis."""
    return [order for order, _ in ordered(*tensors)]


def ordered(*tensors: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The indices (int64) that sort the last axis of each tensor, and the sorted values."""
    if any(t.device.type != "cpu" for t in tensors):
        return [(order, values) for values, order in (torch.sort(t.detach()) for t in tensors)]
    keys = [t.detach().contiguous() for t in tensors]
    orders = [torch.empty_like(t, dtype=torch.int64) for t in keys]
    found = [torch.empty_like(t) for t in keys]

    def blocks(results: Sequence[Tensor]) -> list[np.ndarray]:
        return _blocks([_rows(t) for t in results])

    parts = zip(blocks(keys), blocks(orders), blocks(found), strict=True)
    in_threads([partial(order_rows, *part) for part in parts], sum(t.numel() for t in keys))
    return list(zip(orders, found, strict=True))


def order_rows(keys: np.ndarray, order: np.ndarray, found: np.ndarray) -> None:
    """Write the sorting indices of each row of `keys` into `order`, the sorted row into `found`.

    A float and its index fit one int64 whose order is that of (value, index), and sorting those
    takes half the time of an indirect sort. The bits of a float order like an integer once those of
    negative numbers are flipped. A float32 leaves room for the index; a float64 gives up the last
    bits of its value for it, and neighbours that only these tell apart are exchanged afterwards.
    """
    index = np.arange(keys.shape[-1])
    if keys.dtype == np.float32:
        np.copyto(order, keys.view(np.int32))
        order ^= (order >> 31) & 0x7FFFFFFF
        order <<= 32
        order |= index
        order.sort(axis=-1)
        order &= 0xFFFFFFFF
        take_rows(keys, order, found)
        return
    low = (1 << (len(index) - 1).bit_length()) - 1
    np.right_shift(keys.view(np.int64), 63, out=order)
    order &= 0x7FFFFFFFFFFFFFFF
    order ^= keys.view(np.int64)
    order &= ~low
    order |= index
    order.sort(axis=-1)
    order &= low
    take_rows(keys, order, found)
    for row in np.flatnonzero((found[:, 1:] < found[:, :-1]).any(-1)):
        _exchange(keys[row], order[row])
        found[row] = keys[row].take(order[row])


def take_rows(values: np.ndarray, index: np.ndarray, out: np.ndarray) -> None:
    """out[i, k] = values[i, index[i, k]]."""
    if out.shape[-1] < _LONG_ROW:
        source, at = torch.from_numpy(values), torch.from_numpy(index)
        torch.gather(source, -1, at, out=torch.from_numpy(out))
        return
    for row, at, there in zip(values, index, out, strict=True):
        row.take(at, out=there, mode="clip")  # "raise" would write to a buffer first


def _exchange(values: np.ndarray, order: np.ndarray) -> None:
    """Put a nearly sorted order (n,) right; a few neighbours are out of place, if any."""
    for _ in range(_EXCHANGES):
        found = values.take(order)
        wrong = np.flatnonzero(found[1:] < found[:-1])
        if not len(wrong):
            return
        wrong = wrong[np.diff(wrong, prepend=-2) > 1]  # pairs that share no place
        order[wrong], order[wrong + 1] = order[wrong + 1], order[wrong]
    np.copyto(order, np.argsort(values))
