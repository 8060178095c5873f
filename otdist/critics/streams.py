"""Streams: points that come as they are asked for, from functions or from iterables.

Every critic sees every point once: those of validation and test are drawn first and never come
back, so that held-out means held out. A DataLoader that was started again would bring them back
into training, shuffled or not; therefore an iterable is read once, and training ends where it ends.
Batches are kept while they are few, for all critics of a portfolio to see the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from otdist.core import measure
from otdist.core.measure import SamplePair
from otdist.critics.mapped import Mapped, is_large_map
from otdist.critics.parts import Parts, both
from otdist.critics.samples import Exhausted, Frame, Given, Supply

Sampler = Callable[[int, int], Any]
"""(n, seed) → n independent points, shape (n, d) or (n,); another seed, other points."""

HELD_OUT = 8192
"""Points of either distribution that are drawn for validation, and again for the test."""

KEPT = 2**24
"""Numbers in the batches that are kept for further critics, 64 MB; later batches are drawn anew."""


def supplies_of(
    samples: tuple[Any, Any], weights: tuple[Any, Any], parts: Parts, seed: int
) -> Sequence[Supply]:
    """Supplies of given samples, one for each fold, or of streams."""
    streams = [is_stream(s) for s in samples]
    if streams[0] != streams[1]:
        raise TypeError(
            "x and y must both be samples, or both samplers (n, seed) → points or iterables"
        )
    if all(streams):
        if any(weight is not None for weight in weights):
            raise ValueError("samplers take no weights: leave out a and b")
        if parts.folds is not None:
            raise ValueError(
                "folds need samples: samplers have fresh points for every part, leave out folds"
            )
        return [Streamed(samples, seed)]
    generator = torch.Generator().manual_seed(seed)
    if is_large_map(samples) and all(weight is None for weight in weights):
        sizes = (len(samples[0]), len(samples[1]))
        return [Mapped(samples, part, generator) for part in both(sizes, parts, generator)]
    whole = measure.pair(*samples, *weights)
    if whole.needs_gradient:
        raise ValueError(
            "a trained critic carries no graph: detach the samples and weights, and use "
            "result.gradient, or otdist.losses"
        )
    sizes = (len(whole.x), len(whole.y))
    return [Given(whole, part, generator) for part in both(sizes, parts, generator)]


def is_stream(value: Any) -> bool:
    """Whether a value is a function, an iterator or an iterable dataset: it has no indices."""
    if callable(value) or isinstance(value, IterableDataset):
        return True
    return isinstance(value, Iterable) and not hasattr(value, "__getitem__")


class Reader:
    """The points of an iterable, in its order, each once.

    Args:
        source: Yields points of shape (d,) or batches of shape (k, d), or tuples and lists that
            begin with these, as loaders of labelled data do.
        name: For errors.
    """

    def __init__(self, source: Iterable[Any], name: str) -> None:
        self._items, self._name, self._rest = iter(source), name, None
        self._read = self._width = 0

    def __call__(self, n: int, seed: int) -> Any:
        """Return the next n points; the seed is not used."""
        parts: list[Any] = [] if self._rest is None else [self._rest]
        held = sum(map(len, parts))
        while held < n and (batch := self._next()) is not None:
            parts.append(batch)
            held += len(batch)
        join = torch.cat if parts and isinstance(parts[0], Tensor) else np.concatenate
        whole = join(parts) if parts else np.empty((0, 1))
        if held < n:
            self._rest = whole if parts else None
            raise Exhausted(f"{self._name} ended after {self._read} points", held)
        self._rest = whole[n:]
        return whole[:n]

    def _next(self) -> Any:
        """The next batch, shape (k, d); None at the end."""
        item = next(self._items, self)
        if item is self:
            return None
        item = item[0] if isinstance(item, tuple | list) else item
        batch = item if isinstance(item, Tensor) else np.asarray(item)
        if batch.ndim not in (1, 2):
            raise ValueError(
                f"{self._name} must yield points (d,) or batches (k, d): got shape "
                f"{tuple(batch.shape)}"
            )
        batch = batch[None] if batch.ndim == 1 else batch
        self._width = self._width or batch.shape[1]
        if batch.shape[1] != self._width:
            raise ValueError(
                f"{self._name} must yield points of one dimension: got {batch.shape[1]} after "
                f"{self._width}"
            )
        self._read += len(batch)
        return batch


class Streamed(Supply):
    """Two samplers or iterables: every batch is new, so that no critic is fitted twice to a point.

    Args:
        samples: Of either distribution.
        seed: From which the seeds of all draws follow.
    """

    def __init__(self, samples: tuple[Any, Any], seed: int) -> None:
        self._draws = _Draws(samples, seed)
        self._batches: list[tuple[Tensor, Tensor]] | None = None  # kept ones
        self._at = 0  # how many of them this critic has seen
        try:
            self.validation, self.test = (self._draws.pair(HELD_OUT) for _ in range(2))
        except Exhausted as error:
            raise _too_short(error) from None
        self.frame = Frame.of(self.validation)

    @property
    def ended(self) -> bool:
        """Whether a stream ended before training did."""
        return self._draws.ended

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Points that this critic has not seen."""
        if self._batches is None:
            return self._entered(self._draws.pair(size))
        if self._at == len(self._batches):
            found = self._entered(self._draws.pair(size))
            if found[0].numel() * 2 * (len(self._batches) + 1) > KEPT:
                return found
            self._batches.append(found)
        self._at += 1
        return self._batches[self._at - 1]

    def corner(self, most: int) -> SamplePair:
        """Points that all critics begin from; fewer where a stream ends."""
        known = self._draws.first
        while known is None or (len(known.x) < most and not self.ended):
            try:
                known = self._draws.first = self._draws.pair(most)
            except Exhausted as error:
                most = error.left
                if known is None and most == 0:
                    raise _too_short(error) from None
        return known

    def start(self, most: int) -> tuple[Tensor, Tensor]:
        """The same, as a batch."""
        x, y = self._entered(self.corner(most))
        return x[:most], y[:most]

    def again(self) -> Streamed:
        """The same points in the same order, as far as they are kept."""
        self._batches = [] if self._batches is None else self._batches
        other = copy.copy(self)
        other.seen = self.seen
        other._at = 0
        return other

    def _entered(self, pair: SamplePair) -> tuple[Tensor, Tensor]:
        x, y = self.frame.sides(pair)
        return x.float(), y.float()


class _Draws:
    """Draws from two samplers, each with a seed of its own.

    Attributes:
        first: The points that critics begin from, once they are drawn.
        ended: Whether a sampler had fewer points than were asked for.
    """

    def __init__(self, samples: tuple[Any, Any], seed: int) -> None:
        self._samplers: list[Sampler] = [
            source if callable(source) else Reader(source, name)
            for source, name in zip(samples, "xy", strict=True)
        ]
        self._seed, self._count, self._width = seed, 0, 0
        self.first: SamplePair | None = None
        self.ended = False

    def pair(self, size: int) -> SamplePair:
        """So many fresh points of either distribution."""
        self._count += 1
        state = np.random.SeedSequence([self._seed, self._count]).generate_state(2)
        try:
            x, y = (s(size, int(k)) for s, k in zip(self._samplers, state, strict=True))
        except Exhausted:
            self.ended = True
            raise
        for name, points in (("x", x), ("y", y)):
            if not hasattr(points, "__len__") or getattr(points, "ndim", 1) == 0:
                raise TypeError(f"sampler {name} must return points: got {type(points).__name__}")
            if len(points) != size:
                raise ValueError(f"sampler {name} must return {size} points: got {len(points)}")
        pair = measure.pair(x, y)
        width = pair.x.points.shape[1]
        self._width = self._width or width
        if width != self._width:
            raise ValueError(
                f"samplers must return points of one dimension: got {width} after {self._width}"
            )
        return pair


def _too_short(error: Exhausted) -> ValueError:
    return ValueError(
        f"{error}: {2 * HELD_OUT} are held out before training; pass the points themselves"
    )
