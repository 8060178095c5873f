"""Samples as blocks of rows that the workers hold, and accumulators as a tree over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from otdist.core.extras import require
from otdist.streaming.accumulator import Accumulator, merged

A = TypeVar("A", bound=Accumulator)

_FAN_IN = 8
"""Accumulators that one task merges."""


@dataclass(frozen=True)
class Blocks:
    """One sample, cut along its rows.

    Attributes:
        name: "x" or "y", for errors.
        dimension: Coordinates of a point.
        points: Delayed arrays (k, d) or (k,).
        weights: Delayed arrays (k,), None where uniform.
        array: The sample as a dask array.
    """

    name: str
    dimension: int
    points: list[Any]
    weights: list[Any] | None
    array: Any

    @property
    def pieces(self) -> list[tuple[Any, Any]]:
        """Points and weights of each block."""
        return list(zip(self.points, self.weights or [None] * len(self.points), strict=True))


def two_samples(x: Any, y: Any, a: Any, b: Any) -> tuple[Blocks, Blocks]:
    """Both samples as blocks; a sample in memory beside a dask array is one block.

    Raises:
        TypeError: a torch tensor beside a dask array; not numbers.
        ValueError: wrong rank, dimensions differ, weights of another length.
    """
    first, second = _blocks(x, a, "x", "a"), _blocks(y, b, "y", "b")
    if first.dimension != second.dimension:
        raise ValueError(
            f"x and y must have the same dimension: x has {first.dimension}, "
            f"y has {second.dimension}"
        )
    return first, second


def _blocks(value: Any, weights: Any, name: str, weight_name: str) -> Blocks:
    array = _array(value, name)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"{name} must have shape (n, d), or (n,) on the line: got shape {array.shape}"
        )
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must be an array of real numbers: got dtype {array.dtype}")
    if array.ndim == 2:
        array = array.rechunk({1: -1})
    dimension = 1 if array.ndim == 1 else int(array.shape[1])
    return Blocks(
        name,
        dimension,
        list(array.to_delayed().ravel()),
        None if weights is None else _weights(weights, weight_name, array, name),
        array,
    )


def _array(value: Any, name: str) -> Any:
    """The sample as a dask array."""
    dask = require("dask.array", extra="dask")
    if isinstance(value, dask.Array):
        return value
    if hasattr(value, "to_dask_array"):  # a table of dask.dataframe
        return value.to_dask_array()
    if isinstance(value, torch.Tensor):
        raise TypeError(
            f"{name} must be a numpy array beside a dask array: got a torch tensor; "
            f"pass {name}.numpy()"
        )
    if require("dask.base", extra="dask").is_dask_collection(value):
        raise TypeError(f"{name} must be a dask array: got a {type(value).__name__}")
    array = np.asarray(value)
    return dask.from_array(array, chunks=array.shape or 1)


def _weights(weights: Any, name: str, array: Any, of: str) -> list[Any]:
    """Delayed weights in the blocks of the points; unknown sizes of those are counted first."""
    weights = _array(weights, name)
    array, weights = (counted(part) for part in (array, weights))
    rows = array.chunks[0]
    if weights.shape != (sum(rows),):
        raise ValueError(
            f"{name} must hold one weight per point of {of}, shape ({sum(rows)},): "
            f"got shape {weights.shape}"
        )
    return list(weights.rechunk((rows,)).to_delayed().ravel())


def counted(array: Any) -> Any:
    """The array with known sizes of its blocks; the caller's own stays as it is."""
    return array.copy().compute_chunk_sizes() if np.isnan(array.shape).any() else array


def accumulate(start: A, x: Blocks, y: Blocks) -> A:
    """`start` with both samples taken in: one task a block, then a tree of merges on the workers.

    What travels are accumulators; the one that comes back is all that this process holds.
    """
    delayed = require("dask", extra="dask").delayed
    parts = [
        delayed(_filled, pure=False)(start, sample.name, number, points, weights)
        for sample in (x, y)
        for number, (points, weights) in enumerate(sample.pieces)
    ]
    return tree(merged, parts).compute()


def tree(join: Any, parts: list[Any]) -> Any:
    """A delayed value: `join` of lists of at most eight, level by level."""
    delayed = require("dask", extra="dask").delayed
    while len(parts) > 1:
        groups = [parts[i : i + _FAN_IN] for i in range(0, len(parts), _FAN_IN)]
        parts = [delayed(join, pure=False)(group) for group in groups]
    return parts[0]


def _filled(start: A, name: str, number: int, points: Any, weights: Any) -> A:
    """A copy of `start` with one block of sample `name`."""
    part = merged([start])
    try:
        return part.update(
            **{name: np.asarray(points)},
            **({} if weights is None else {"a" if name == "x" else "b": np.asarray(weights)}),
        )
    except (ValueError, TypeError) as error:
        raise type(error)(f"block {number} of {name}: {error}") from None
