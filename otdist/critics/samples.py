r"""Supply: where a critic's training batches, validation and test points come from.

Three disjoint parts keep the claims honest: the critic is fitted on the first, chosen on the
second, and what is reported comes from the third, which nothing else has seen. Given samples are
dealt into the parts at random; samplers draw each part afresh, so memory holds one batch.

All points are handed out in one `Frame`, centred and of unit spread, in which the built-in critics
need no tuning. Lipschitz constants do not depend on the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from otdist.core import measure
from otdist.core.arrays import Kind, enter
from otdist.core.measure import Pair


class Exhausted(ValueError):
    """A stream has fewer points than were asked for.

    Attributes:
        left: How many it still has.
    """

    def __init__(self, message: str, left: int) -> None:
        super().__init__(message)
        self.left = left


@dataclass(frozen=True)
class Frame:
    """Coordinates (points − centre) / scale.

    Attributes:
        centre: Shape (d,), float64.
        scale: Positive.
    """

    centre: Tensor
    scale: float

    def enter(self, points: Tensor) -> Tensor:
        """Points in the frame, float64."""
        return (points.double() - self.centre) / self.scale

    def leave(self, points: Tensor) -> Tensor:
        """Points of the frame in the caller's units, in their own precision."""
        return points * self.scale + self.centre.to(points.dtype)


class Supply(Protocol):
    """What training needs."""

    frame: Frame
    validation: Pair
    test: Pair

    @property
    def whole(self) -> Pair | None:
        """The given samples; None where they are streamed."""
        ...

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Training points (x, y) in the frame, float32, drawn with their weights."""
        ...

    def corner(self, most: int) -> Pair:
        """At most so many training points of either side."""
        ...

    def start(self, most: int) -> tuple[Tensor, Tensor]:
        """Training points as in a batch, at most so many, to begin a critic from."""
        ...

    def again(self) -> Supply:
        """The same supply for a further critic, from its first batch on."""
        ...

    @property
    def ended(self) -> bool:
        """Whether training points were asked for that there were not."""
        ...


class Given:
    """Two weighted samples, dealt at random into training, validation and test.

    Args:
        whole: The samples.
        splits: Shares of the three parts.
        generator: Of the deal and of the batches.

    Raises:
        ValueError: a sample too small to be dealt.
    """

    def __init__(
        self, whole: Pair, splits: tuple[float, float, float], generator: torch.Generator
    ) -> None:
        self.whole, self._generator, self.ended = whole, generator, False
        dealt = [
            _deal(len(side), name, splits, generator)
            for side, name in ((whole.x, "x"), (whole.y, "y"))
        ]
        parts = [_part(whole, i, j) for i, j in zip(*dealt, strict=True)]
        self.train, self.validation, self.test = parts
        self.frame = frame_of(self.train)
        self._sides = [
            (self.frame.enter(original(side, whole)).float(), side.weights, side.uniform)
            for side in (self.train.x, self.train.y)
        ]

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Points drawn with replacement, as often as their weights ask."""
        x, y = (self._draw(*side, size) for side in self._sides)
        return x, y

    def corner(self, most: int) -> Pair:
        """The first training points, which are in random order."""
        i, j = (torch.arange(min(len(s), most)) for s in (self.train.x, self.train.y))
        return _part(self.train, i, j)

    def start(self, most: int) -> tuple[Tensor, Tensor]:
        """A batch."""
        return self.batch(most)

    def again(self) -> Given:
        """This one: batches are drawn with replacement."""
        return self

    def _draw(self, points: Tensor, weights: Tensor, uniform: bool, size: int) -> Tensor:
        if uniform:
            index = torch.randint(len(points), (size,), generator=self._generator)
        else:
            index = torch.multinomial(weights.cpu(), size, True, generator=self._generator)
        return points[index.to(points.device)]


def original(side: measure.Measure, pair: Pair, most: int | None = None) -> Tensor:
    """The first points of one side, or all, in the caller's units, float64, exactly."""
    return side.points[:most].detach().double() * pair.scale + pair.centre.double()


def entered(points: Any, frame: Frame) -> tuple[Kind, Tensor, bool]:
    """Points at which a trained function is asked for, in its frame.

    Args:
        points: Shape (n, d), or (n,) on the line.
        frame: In d dimensions.

    Returns:
        The caller's kind; shape (n, d), float64; whether the points were numbers on the line.

    Raises:
        ValueError: another dimension, NaN or infinite.
    """
    kind, raw = enter(points=points)
    given = raw["points"].detach()
    flat = given.ndim == 1
    columns = given[:, None] if flat else given
    d = len(frame.centre)
    if columns.ndim != 2 or columns.shape[1] != d:
        raise ValueError(f"points must have shape (n, {d}): got {tuple(given.shape)}")
    bad = (~columns.isfinite().all(1)).nonzero()[:, 0]
    if len(bad):
        raise ValueError(
            f"points must be finite: found NaN or infinity, first at row {int(bad[0])}"
        )
    return kind, frame.enter(columns.to(frame.centre.device)), flat


def frame_of(pair: Pair) -> Frame:
    """Centre and root-mean-square spread per coordinate of both samples together."""
    points = torch.cat([pair.x.points, pair.y.points]).detach().double()
    centre = points.mean(0)
    spread = float((points - centre).square().mean().sqrt())
    return Frame(
        centre * pair.scale + pair.centre.double(), (spread if spread > 0 else 1.0) * pair.scale
    )


def _deal(
    n: int, name: str, splits: tuple[float, float, float], generator: torch.Generator
) -> list[Tensor]:
    """Random indices of the three parts: two points at least to validate on and two to test."""
    held = [max(2, round(share * n)) for share in splits[1:]]
    if n - sum(held) < 1:
        raise ValueError(
            f"{name} must hold at least 5 points, and more for larger shares of validation and "
            f"test: got {n} points for splits={splits}"
        )
    order = torch.randperm(n, generator=generator)
    return list(order.split([n - sum(held), *held]))


def _part(pair: Pair, i: Tensor, j: Tensor) -> Pair:
    """The pair of x_i and y_j, weights renormalised."""
    x, y = (
        _rows(original(side, pair), side, index.to(side.points.device), name)
        for name, side, index in (("a", pair.x, i), ("b", pair.y, j))
    )
    return measure.pair(x[0], y[0], x[1], y[1])


def _rows(
    points: Tensor, side: measure.Measure, index: Tensor, name: str
) -> tuple[Tensor, Tensor | None]:
    weights = side.weights.detach()[index]
    if side.uniform:
        return points[index], None
    if not float(weights.sum()) > 0:
        raise ValueError(
            f"{name} must leave some weight to each of the three parts: one holds points of weight "
            "0 only; drop those, or choose another seed or other splits"
        )
    return points[index], weights / weights.sum()
