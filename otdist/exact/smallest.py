"""The smallest entries of the rows of a block that lies in cache, by minima of groups.

Columns j, j + G, j + 2G, … of a block form group j. Minima of groups of eight columns are one sweep
of the block; those of groups of these groups are a small one. The k smallest of a row lie in the k
groups of smallest minima, so only those are looked at. Twelve nearest and eight farther of 4,000
points take 12 microseconds a row, the product included, in place of 35.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

FINE = 8  # columns of a group


def grouped(block: Tensor, width: int) -> Tensor:
    """Minima of groups of at most `width` columns; column j is in group j mod their number."""
    columns = block.shape[1]
    groups = -(-columns // width)
    full = columns // groups * groups
    minima = block[:, :full].unflatten(1, (-1, groups)).amin(1)
    rest = columns - full
    if rest:
        torch.minimum(minima[:, :rest], block[:, full:], out=minima[:, :rest])
    return minima


def under(
    block: np.ndarray, fine: np.ndarray, k: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Entries of each row up to the k-th smallest minimum of its groups: k of them or some more.

    Args:
        block: Shape (h, m).
        fine: Minima of its groups of `FINE` columns, shape (h, m / FINE).
        k: At most the number of groups of `width` columns.
        width: Columns of the groups that are compared, at least `FINE`.

    Returns:
        Rows, columns, the least entry of each row, and the distance to the last that counts; None
        where ties make them twice as many.
    """
    coarse = grouped(torch.from_numpy(fine), width // FINE).numpy()
    last = np.partition(coarse, k - 1, axis=1)[:, k - 1]
    at = np.flatnonzero(coarse <= last[:, None])
    for values in (fine, block):  # the members of each group that may hold such an entry
        if len(at) > 2 * k * len(block):
            return None
        row, group = np.divmod(at, coarse.shape[1])
        at = _members(values, row, group, coarse.shape[1], last)
        coarse = values
    row, column = np.divmod(at, block.shape[1])
    low = fine.min(1)
    return row, column, low, last - low


def _members(
    values: np.ndarray, row: np.ndarray, group: np.ndarray, groups: int, last: np.ndarray
) -> np.ndarray:
    """Flat indices of the members of groups of some rows that are at most `last` of the row."""
    columns = values.shape[1]
    member = group[:, None] + groups * np.arange(-(-columns // groups))
    place = row[:, None] * columns + np.minimum(member, columns - 1)
    hit = (values.reshape(-1)[place] <= last[row, None]) & (member < columns)
    return place[hit]


def scattered(
    block: np.ndarray, fine: np.ndarray, k: int, strides: list[int], first: int
) -> np.ndarray:
    """For each stride the least entries of k classes of columns, one in `stride` together.

    Rows choose from different columns, so that no column is left out by all.

    Args:
        block: Shape (h, m).
        fine: Minima of its groups of `FINE` columns.
        k: Entries of a row for each stride.
        strides: Multiples of 8, at most m / k.
        first: Number of the first row.

    Returns:
        Columns, shape (h, k·strides).
    """
    turn, rest = np.divmod(first + np.arange(len(block)), 8)
    found, groups = [], fine.shape[1]
    for stride in strides:
        begin = (rest * (stride // 8) + turn % (stride // 8))[:, None] + stride * np.arange(k)
        if groups < k * stride:
            found.append(_least(block, begin, k * stride))
        else:
            found.append(_least(block, _least(fine, begin, k * stride), groups))
    return np.concatenate(found, 1)


def _least(values: np.ndarray, begin: np.ndarray, step: int) -> np.ndarray:
    """Which of the columns begin, begin + step, … of a row holds the least; shape of `begin`."""
    columns = values.shape[1]
    member = begin[..., None] + step * np.arange(-(-columns // step))
    place = np.arange(0, values.size, columns)[:, None, None] + np.minimum(member, columns - 1)
    entries = values.reshape(-1)[place]
    entries[member >= columns] = np.inf
    return begin + step * entries.argmin(-1)
