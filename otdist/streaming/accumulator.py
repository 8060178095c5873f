"""One idea for samples larger than memory: ``update(batch)``, ``merge(other)``, ``compute()``.

An accumulator holds a sketch of each of two samples. Batches enter in any order and on any machine;
accumulators with the same settings merge; the answer is computed at the end. Threads, files, Dask
workers and ranks of `torch.distributed` are then all the same: each fills an accumulator of its
own, and the parts are merged.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from otdist.core import checks, frames, measure
from otdist.core.arrays import as_tensor

T = TypeVar("T", bound="Accumulator")
ROWS = 1 << 18
"""Rows of an array that make a batch of `extend`."""


class Accumulator(ABC):
    """Two samples, batch by batch; what is kept of them is of bounded size.

    Attributes:
        x: The sketch of the first sample.
        y: The sketch of the second sample.

    >>> from otdist.streaming import Frechet
    >>> distance = Frechet()  # one of the accumulators
    >>> for batch in ([[0.0, 0.0]], [[2.0, 0.0]]):
    ...     _ = distance.update(x=batch, y=[[row[0], row[1] + 3.0] for row in batch])
    >>> round(float(distance.compute()), 6)
    3.0
    """

    x: Any
    y: Any
    _columns: list[Any] | None = None
    """Names of the coordinates, from the first data frame."""

    def update(self, x: Any = None, y: Any = None, *, a: Any = None, b: Any = None) -> Self:
        """Take in a batch of either sample, or of both, and return the accumulator.

        Args:
            x: Points of the first sample, shape (n, d), or (n,) on the line; numpy, torch or lists.
                An empty batch changes nothing. Columns of data frames are found by the names that
                the first one has.
            y: Points of the second sample, likewise; the sizes need not agree.
            a: Weights of the points in `x`, shape (n,), non-negative, of any sum: they are divided
                by their total over all batches at the end. 1 each when None.
            b: Weights of the points in `y`.

        Raises:
            ValueError: points or weights not finite, of wrong shape or dimension, or requiring a
                gradient; weights negative, or without points; data frames of other columns.
            TypeError: not numbers, a dask array.
        """
        x, y, columns = self._aligned(x, y)
        checked = [_checked(x, a, "x", "a"), _checked(y, b, "y", "b")]
        self._columns = columns
        for name, batch in zip("xy", checked, strict=True):
            if batch is not None:
                setattr(self, name, self._absorb(getattr(self, name), name, *batch))
        return self

    def extend(self, x: Any = None, y: Any = None, *, rows: int = ROWS) -> Self:
        """Take in whole samples batch by batch, and return the accumulator.

        Args:
            x: An array, also a memory-mapped one, which is read `rows` rows at a time; or an
                iterable of batches, such as a data loader or `otdist.io.blocks(path)`.
            y: Likewise.
            rows: Rows of a batch cut from an array.
        """
        rows = checks.whole("rows", rows)
        for name, source in (("x", x), ("y", y)):
            for batch in () if source is None else _batches(source, rows):
                self.update(**{name: batch})
        return self

    def reset(self) -> Self:
        """Forget all batches, keep the settings, and return the accumulator."""
        vars(self).update(vars(type(self)(**self._settings())))
        self._columns = None
        return self

    def merge(self, other: Accumulator) -> Self:
        """Take in what another accumulator of the same settings has seen; `other` stays as it is.

        Raises:
            TypeError: of another class.
            ValueError: of other settings, or points of another dimension.
        """
        if type(other) is not type(self):
            raise TypeError(f"other must be a {type(self).__name__}: got a {type(other).__name__}")
        if other._settings() != self._settings():
            raise ValueError(
                f"other must have the same settings, {self._settings()}: got {other._settings()}"
            )
        if None not in (self._columns, other._columns) and self._columns != other._columns:
            raise ValueError(
                f"other must have the same columns in the same order, {self._columns}: "
                f"got {other._columns}"
            )
        self._join(other)
        self._columns = self._columns or other._columns
        return self

    def reduce(self, process_group: dist.ProcessGroup | None = None) -> Self:
        """A new accumulator with what all ranks have seen, the same on every rank.

        Every rank must call it; this rank's accumulator stays as it is, so that it can go on. The
        ranks' sketches travel as Python objects, at most a few MB each; the ranks' numbers of
        points may differ, and be zero.

        Args:
            process_group: Ranks to reduce over; None means all.

        Raises:
            RuntimeError: `torch.distributed` has not been initialised.
        """
        if not (dist.is_available() and dist.is_initialized()):
            raise RuntimeError(
                "reduce needs torch.distributed: call torch.distributed.init_process_group first"
            )
        parts: list[Any] = [None] * dist.get_world_size(process_group)
        dist.all_gather_object(parts, self, group=process_group)
        return merged(parts)

    def _aligned(self, x: Any, y: Any) -> tuple[Any, Any, list[Any] | None]:
        """The batch with the columns of data frames in the order of the first, and their names."""
        batch = {"x": x, "y": y}
        if all(frames.column_names(value) is None for value in batch.values()):
            return x, y, self._columns
        known = {} if self._columns is None else {"earlier batches": _Names(self._columns)}
        places = frames.common_places({**known, **batch})
        for name in places.keys() & batch:
            batch[name] = frames.table(batch[name], places[name], name)
        return batch["x"], batch["y"], frames.first_columns({**known, "x": x, "y": y})

    @abstractmethod
    def compute(self) -> Any:
        """The distance between what has been seen of the two samples.

        Raises:
            ValueError: one of them has no points yet, or dimensions differ.
        """

    @abstractmethod
    def _absorb(self, sketch: Any, name: str, points: Tensor, weights: Tensor | None) -> Any:
        """The sketch of sample `name` with a batch (n, d) more, n ≥ 1."""

    def _join(self, other: Any) -> None:
        """Take in the sketches of another accumulator of this class and of these settings."""
        self.x, self.y = self.x.join(other.x), self.y.join(other.y)

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What accumulators must agree in to be merged."""

    def _need_points(self) -> None:
        for name in "xy":
            if not getattr(self, name).count:
                raise ValueError(
                    f"{name} has no points yet: update({name}=batch) comes first, and "
                    f"{name} must have a positive sum of weights"
                )

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self._settings().items())
        return f"{type(self).__name__}({options}): {self.x.count:,} and {self.y.count:,} points"


@dataclass(frozen=True)
class _Names:
    """What stands for the data frames of earlier batches."""

    columns: list[Any]


def merged(parts: Iterable[T]) -> T:
    """One accumulator out of several, which stay as they are.

    >>> from otdist.streaming import Line
    >>> parts = [Line().update(x=[0.0, 1.0], y=[1.0]), Line().update(y=[2.0])]
    >>> merged(parts).compute().distance
    1.0
    """
    first, *rest = parts
    total = copy.copy(first)  # sketches are immutable: a shallow copy shares nothing that changes
    for part in rest:
        total.merge(part)
    return total


def _checked(
    value: Any, weights: Any, name: str, weight_name: str
) -> tuple[Tensor, Tensor | None] | None:
    """Points (n, d) and weights (n,) of a batch; None where there are no points."""
    if value is None:
        if weights is not None:
            raise ValueError(f"{weight_name} must come with {name}, the points that it weighs")
        return None
    tensor = as_tensor(value, name)
    if tensor.ndim in (1, 2) and len(tensor) == 0:
        return None
    for tensor, of in ((value, name), (weights, weight_name)):
        if isinstance(tensor, Tensor) and tensor.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"{of} requires a gradient, which sketches do not carry: pass {of}.detach()"
            )
    points = measure.sample(value, name)
    if weights is None:
        return points, None
    weight = as_tensor(weights, weight_name).detach().to(points.device, torch.float64)
    if weight.shape != (len(points),):
        raise ValueError(
            f"{weight_name} must hold one weight per point of {name}, shape ({len(points)},): "
            f"got shape {tuple(weight.shape)}"
        )
    if not bool((torch.isfinite(weight) & (weight >= 0)).all()):
        raise ValueError(f"{weight_name} must be finite and non-negative")
    present = weight > 0
    if not bool(present.all()):  # a point of weight zero does not exist
        points, weight = points[present], weight[present]
    return (points, weight) if len(points) else None


def _batches(source: Any, rows: int) -> Iterator[Any]:
    if isinstance(source, (np.ndarray, Tensor)):
        for start in range(0, len(source), rows):
            yield source[start : start + rows]
        return
    if frames.column_names(source) is not None:
        yield source
        return
    yield from source
