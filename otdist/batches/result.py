"""BatchResult: what a call on leading dimensions returns."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.batches.entries import Entries
from otdist.batches.side_by_side import side_by_side
from otdist.core import checks
from otdist.core.arrays import Kind
from otdist.core.gradient import root
from otdist.core.shown import Shown

_ALIKE = ("p", "solver", "debiased", "maximal")
"""Fields that are the same for every entry, and stay as they are."""


@dataclass(frozen=True, repr=False, eq=False)
class BatchResult(Shown):
    """Results of many pairs of samples: every field of one result, with the leading shape.

    `distance`, `cost`, `lower`, `upper` and `converged` are arrays of the leading shape, or tensors
    for torch input; so is any other number of a single result (`stderr`, `iterations`, `eps`, …),
    and arrays are stacked: potentials (..., n) and (..., m). ``result[k]`` is the single result
    of one entry, with its plan and its message; ``result[k:]`` is a part of the batch.

    Attributes:
        shape: The leading dimensions.
        seconds: Wall-clock time of all entries.

    >>> import numpy as np
    >>> import otdist
    >>> x, y = np.zeros((2, 3, 4, 2)), np.ones((2, 3, 5, 2))
    >>> result = otdist.wasserstein(x, y, p=2)
    >>> result.distance.shape, result.potentials[1].shape, bool(result.converged.all())
    ((2, 3), (2, 3, 5), True)
    >>> round(result[1, 2].cost, 6), result.plan[0, 0].shape
    (2.0, (4, 5))
    """

    shape: tuple[int, ...]
    seconds: float
    _kind: Kind
    _entry: Callable[[int], Any]
    _figures: dict[str, Any] = field(default_factory=dict)

    @property
    def distance(self) -> Any:
        """The distances, shape (...), in the units of x."""
        return self.stacked("distance")

    @property
    def cost(self) -> Any:
        """The costs, shape (...), in units**p."""
        return self.stacked("cost")

    @property
    def lower(self) -> Any:
        """Certified: no exact distance is below these, shape (...), float64."""
        return self.stacked("lower")

    @property
    def upper(self) -> Any:
        """Certified: no exact distance is above these, shape (...), float64."""
        return self.stacked("upper")

    @property
    def converged(self) -> Any:
        """Which entries reached what was asked for, shape (...)."""
        return self.stacked("converged")

    @property
    def gap(self) -> Any:
        """Widths of the brackets, upper − lower, shape (...)."""
        return self.upper - self.lower

    @property
    def potentials(self) -> tuple[Any, Any]:
        """(f, g), shapes (..., n) and (..., m), in cost units."""
        return self.stacked("potentials")

    @property
    def plan(self) -> np.ndarray:
        """The sparse plan of every entry, an array of objects of the leading shape."""
        return self.stacked("plan")

    def sample(self, k: int, seed: int | None = 0) -> tuple[Any, Any]:
        """Draw k pairs of indices from every plan: (i, j), int64, shapes (..., k).

        As for one result; entries draw independently of one another.
        """
        size = len(self._all)
        seeds: Sequence[Any] = [None] * size
        if seed is not None:
            seeds = [int(s) for s in checks.generator(seed).integers(2**62, size=size)]
        drawn = [one.sample(k, s) for one, s in zip(self._all, seeds, strict=True)]
        return self._stack(drawn)

    def stacked(self, name: str) -> Any:
        """A field of the single results, stacked along the leading dimensions."""
        if name not in self._figures:
            self._figures[name] = self._stack([getattr(one, name) for one in self._all])
        return self._figures[name]

    @cached_property
    def _all(self) -> list[Any]:
        """The results of all entries."""
        return [self._entry(k) for k in range(int(np.prod(self.shape)))]

    def _stack(self, values: list[Any]) -> Any:
        first = values[0]
        if isinstance(first, tuple):
            return tuple(self._stack(list(part)) for part in zip(*values, strict=True))
        if isinstance(first, Tensor) and first.layout == torch.strided:
            return torch.stack(values).reshape(*self.shape, *first.shape)
        if isinstance(first, np.ndarray):
            return np.stack(values).reshape(*self.shape, *first.shape)
        if isinstance(first, bool | int | float | str):
            array = np.array(values).reshape(self.shape)
            is_tensor = self._kind.torch and not isinstance(first, str)
            return torch.from_numpy(array).to(self._kind.device) if is_tensor else array
        objects = np.empty(len(values), dtype=object)
        for k, value in enumerate(values):  # numpy would take a matrix for its numbers
            objects[k] = value
        return objects.reshape(self.shape)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(one := self._entry(0), name):
            raise AttributeError(f"a batch of results has no attribute {name!r}")
        return getattr(one, name) if name in _ALIKE else self.stacked(name)

    def __getitem__(self, index: Any) -> Any:
        places = np.arange(int(np.prod(self.shape))).reshape(self.shape)[index]
        if not isinstance(places, np.ndarray):
            return self._entry(int(places))
        flat = places.ravel().tolist()
        return BatchResult(places.shape, self.seconds, self._kind, partial(_nth, self._entry, flat))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        count = int(np.prod(self.shape))
        name = type(self._entry(0)).__name__
        return f"{name} of {count:,} pairs {self.shape}, {self.seconds:.2f} s"

    def __getstate__(self) -> dict[str, Any]:
        figures = {
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in self._figures.items()
        }
        return {**self.__dict__, "_figures": figures}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def of_list(
    results: Sequence[Any], shape: tuple[int, ...], kind: Kind, seconds: float
) -> BatchResult:
    """A batch of results that are at hand."""
    entry = partial(operator.getitem, list(results))
    made = BatchResult(shape, seconds, kind, entry)
    for name in ("distance", "cost"):
        value = made.stacked(name)
        made._figures[name] = value.to(kind.dtype) if isinstance(value, Tensor) else value
    return made


def of_values(
    batch: Entries,
    p: float,
    cost: Tensor,
    lower: np.ndarray,
    upper: np.ndarray,
    message: str,
    entry: Callable[[int], Any],
    begin: float,
    **more: Any,
) -> BatchResult:
    """A batch of proved results, as arrays of one number for every pair.

    Args:
        batch: The pairs.
        p: Exponent.
        cost: W_p^p, shape (B,), float64, with its graph.
        lower: Of the brackets on W_p, closed, shape (B,).
        upper: Likewise.
        message: How all of them ended.
        entry: Computes the single result of a pair when it is asked for.
        begin: When the work began.
        **more: Fields of all entries that are at hand.
    """
    shape, kind = batch.shape, batch.kind
    if cost.requires_grad:
        distance = root(cost, p)
    else:  # bit by bit the numbers of single calls
        distance = torch.tensor([c ** (1 / p) for c in cost.tolist()], dtype=torch.float64)
    if kind.torch and kind.dtype != torch.float64:  # around the distance as shown
        number = distance.detach().to(kind.dtype).double().numpy()
        lower, upper = np.minimum(lower, number), np.maximum(upper, number)
    proved = {
        "lower": lower.reshape(shape),
        "upper": upper.reshape(shape),
        "converged": np.full(shape, True),
        "iterations": np.zeros(shape, dtype=np.int64),
    }
    if kind.torch:
        proved = {name: torch.from_numpy(values) for name, values in proved.items()}
    figures = {
        "distance": shown(distance.reshape(shape), kind),
        "cost": shown(cost.reshape(shape), kind),
        "message": np.full(shape, message),
    }
    return BatchResult(
        shape, time.perf_counter() - begin, kind, entry, {**figures, **proved, **more}
    )


def completed(
    made: BatchResult, closed: np.ndarray, single: Callable[[int], Any], batch: Entries
) -> BatchResult:
    """A batch with the results of single calls where brackets are not `closed`, bool (B,)."""
    begin, places = time.perf_counter(), np.flatnonzero(~closed).tolist()
    if not places:
        return made
    found = side_by_side(single, batch.shape, batch.pairs, batch.x.device, places)
    part = of_list(found, (len(places),), batch.kind, 0.0)
    where = np.unravel_index(places, batch.shape)
    figures = {
        name: _put(values, where, part.stacked(name)) for name, values in made._figures.items()
    }
    entry = partial(_either, dict(zip(places, found, strict=True)), made._entry)
    seconds = made.seconds + time.perf_counter() - begin
    return replace(made, seconds=seconds, _entry=entry, _figures=figures)


def _put(values: Any, where: tuple[np.ndarray, ...], new: Any) -> Any:
    """A copy of an array, a tensor or a tuple of them with other values in some places."""
    if isinstance(values, tuple):
        return tuple(_put(one, where, other) for one, other in zip(values, new, strict=True))
    if isinstance(values, Tensor):
        return values.index_put(tuple(map(torch.from_numpy, where)), new.to(values))
    values = values.astype(np.promote_types(values.dtype, new.dtype))  # messages may be longer
    values[where] = new
    return values


def _either(alone: dict[int, Any], entry: Callable[[int], Any], k: int) -> Any:
    return alone[k] if k in alone else entry(k)


def shown(values: Tensor, kind: Kind) -> Any:
    """Numbers of all entries as the caller's kind has them."""
    return values.to(kind.dtype) if kind.torch else values.double().numpy()


def _nth(entry: Callable[[int], Any], places: list[int], k: int) -> Any:
    return entry(places[k])
