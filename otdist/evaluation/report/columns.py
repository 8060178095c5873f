"""Columns of two tables as a report keeps them: shares of cells, and quantiles, for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from otdist.io.columns import missing

Array = np.ndarray
_BINS, _QUANTILES, _KINDS = 30, 99, 12


@dataclass(frozen=True, eq=False)
class Column:
    """One column of both tables, each array with the reference first.

    Attributes:
        missing: Share of cells that hold nothing, of each table.
        shares: Share of the other cells in each bin or category, shape (2, k).
        edges: Of the bins, (k + 1,); None for categories.
        labels: Of the categories, the most frequent ones; the last may stand for all others.
        quantiles: At 1 to 99 per cent, shape (2, 99); None for categories.
        unit: What numbers are counted in, if that is known.
    """

    missing: tuple[float, float]
    shares: Array
    edges: Array | None = None
    labels: tuple[str, ...] = ()
    quantiles: Array | None = None
    unit: str = ""


def kept(old: Mapping[str, Array], new: Mapping[str, Array]) -> dict[str, Column]:
    """What pictures need of the columns that hold something in both tables.

    Args:
        old: Name → float64, datetime64 or text, (n,), as `otdist.io.columns.typed` returns them.
        new: The same names and kinds, (m,).
    """
    found = {}
    for name in old:
        gaps = [missing(part[name]) for part in (old, new)]
        cells = [part[name][~gap] for part, gap in zip((old, new), gaps, strict=True)]
        if min(map(len, cells)) == 0 or cells[0].dtype.kind != cells[1].dtype.kind:
            continue
        shares = (float(gaps[0].mean()), float(gaps[1].mean()))
        found[name] = (_words if cells[0].dtype.kind == "U" else _numbers)(cells, shares)
    return found


def _numbers(cells: list[Array], gaps: tuple[float, float]) -> Column:
    """Bins over all but the farthest half per cent of either side, which lie in the end bins."""
    unit = ""
    if cells[0].dtype.kind == "M":
        first = min(part.min() for part in cells)
        cells = [(part - first) / np.timedelta64(1, "D") for part in cells]
        unit = f"days since {np.datetime_as_string(first, unit='D')}"
    low, high = np.quantile(np.concatenate(cells), [0.005, 0.995])
    if not low < high:
        low, high = min(map(np.min, cells)), max(map(np.max, cells))
    edges = np.histogram_bin_edges([low, high], bins=_BINS)
    counts = [np.histogram(np.clip(part, edges[0], edges[-1]), edges)[0] for part in cells]
    shares = np.stack([count / len(part) for count, part in zip(counts, cells, strict=True)])
    levels = np.arange(1, _QUANTILES + 1) / (_QUANTILES + 1)
    return Column(gaps, shares, edges, (), np.stack([np.quantile(p, levels) for p in cells]), unit)


def _words(cells: list[Array], gaps: tuple[float, float]) -> Column:
    labels, codes = np.unique(np.concatenate(cells), return_inverse=True)
    parts = np.split(codes, [len(cells[0])])
    shares = np.stack([np.bincount(part, minlength=len(labels)) / len(part) for part in parts])
    order = np.argsort(-shares.max(0), kind="stable")
    if len(order) > _KINDS:
        rest = shares[:, order[_KINDS - 1 :]].sum(1, keepdims=True)
        order = order[: _KINDS - 1]
        names = (*labels[order].tolist(), "all others")
        return Column(gaps, np.concatenate([shares[:, order], rest], 1), labels=names)
    return Column(gaps, shares[:, order], labels=tuple(labels[order].tolist()))
