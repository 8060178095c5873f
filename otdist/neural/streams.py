"""Streams: points that come as they are asked for, from functions or from iterables.

Every point is seen once: those of validation and test are drawn first and never come back, so that
held-out means held out. A DataLoader that was started again would bring them back into training,
shuffled or not; therefore an iterable is read once, and training ends where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from otdist import measure
from otdist.measure import Pair
from otdist.neural.samples import Exhausted, Given, Supply, frame_of, original

Sampler = Callable[[int, int], Any]
"""(n, seed) → n independent points, shape (n, d) or (n,); another seed, other points."""

HELD_OUT = 8192
"""Points of either law that are drawn from samplers for validation, and again for the test."""


def supply_of(
    samples: tuple[Any, Any],
    weights: tuple[Any, Any],
    splits: tuple[float, float, float],
    seed: int,
) -> Supply:
    """Given samples, or streams."""
    x, y = samples
    streams = [is_stream(s) for s in samples]
    if streams[0] != streams[1]:
        raise TypeError(
            "x and y must both be samples, or both samplers (n, seed) → points or iterables"
        )
    if all(streams):
        if any(weight is not None for weight in weights):
            raise ValueError("samplers take no weights: leave out a and b")
        return Streamed(_sampler(x, "x"), _sampler(y, "y"), seed)
    whole = measure.pair(x, y, *weights)
    if whole.needs_gradient:
        raise ValueError(
            "a trained critic carries no graph: detach the samples and weights, and use "
            "result.gradient, or otdist.losses"
        )
    return Given(whole, splits, torch.Generator().manual_seed(seed))


def is_stream(value: Any) -> bool:
    """A function, an iterator or an iterable dataset: what has no points to point at."""
    if callable(value) or isinstance(value, IterableDataset):
        return True
    return isinstance(value, Iterable) and not hasattr(value, "__getitem__")


def _sampler(source: Any, name: str) -> Sampler:
    return source if callable(source) else Reader(source, name)


class Reader:
    """The points of an iterable, in its order, each once.

    Args:
        source: Yields points of shape (d,) or batches of shape (k, d), or tuples and lists that
            begin with these, as loaders of labelled data do.
        name: For errors.
    """

    def __init__(self, source: Iterable[Any], name: str) -> None:
        self._items, self._name, self._rest, self._read = iter(source), name, None, 0

    def __call__(self, n: int, seed: int) -> Any:
        """The next n points; the seed has no say."""
        parts: list[Any] = [] if self._rest is None else [self._rest]
        held = sum(map(len, parts))
        while held < n:
            batch = self._next()
            parts.append(batch)
            held += len(batch)
        join = torch.cat if isinstance(parts[0], Tensor) else np.concatenate
        whole = join(parts)
        self._rest = whole[n:]
        return whole[:n]

    def _next(self) -> Any:
        try:
            item = next(self._items)
        except StopIteration:
            raise Exhausted(f"{self._name} ended after {self._read} points") from None
        item = item[0] if isinstance(item, tuple | list) else item
        batch = item if isinstance(item, Tensor) else np.asarray(item)
        if batch.ndim not in (1, 2):
            raise ValueError(
                f"{self._name} must yield points (d,) or batches (k, d): got shape "
                f"{tuple(batch.shape)}"
            )
        batch = batch[None] if batch.ndim == 1 else batch
        self._read += len(batch)
        return batch


class Streamed:
    """Two samplers: every batch is new, so that nothing is ever fitted twice.

    Args:
        x: Sampler of the first law.
        y: Sampler of the second.
        seed: From which the seeds of all draws follow.
    """

    whole = None

    def __init__(self, x: Sampler, y: Sampler, seed: int) -> None:
        self._samplers, self._seed, self._drawn = (x, y), seed, 0
        try:
            self.validation, self.test = self._pair(HELD_OUT), self._pair(HELD_OUT)
        except Exhausted as error:
            raise ValueError(
                f"{error}: {2 * HELD_OUT} are held out before training; pass the points themselves"
            ) from None
        self.frame = frame_of(self.validation)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Fresh points."""
        drawn = self._pair(size)
        x, y = (self.frame.enter(original(s, drawn)).float() for s in (drawn.x, drawn.y))
        return x, y

    def corner(self, most: int) -> Pair:
        """Fresh points."""
        return self._pair(most)

    def _pair(self, size: int) -> Pair:
        self._drawn += 1
        state = np.random.SeedSequence([self._seed, self._drawn]).generate_state(2)
        x, y = (s(size, int(k)) for s, k in zip(self._samplers, state, strict=True))
        for name, points in (("x", x), ("y", y)):
            if not hasattr(points, "__len__"):
                raise TypeError(f"sampler {name} must return points: got {type(points).__name__}")
            if len(points) != size:
                raise ValueError(f"sampler {name} must return {size} points: got {len(points)}")
        return measure.pair(x, y)
