r"""Supply: where a critic's training batches, validation and test points come from.

Three disjoint parts keep the claims honest: the critic is fitted on the first, chosen on the
second, and what is reported comes from the third, which nothing else has seen. Given samples are
split at random; samplers draw each part afresh, so memory holds one batch.

All points are handed out in one `Frame`, centred and of unit spread, in which the built-in critics
need no tuning. Lipschitz constants do not depend on the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from otdist.core import measure
from otdist.core.arrays import Kind, enter
from otdist.core.measure import SamplePair


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

    @classmethod
    def of(cls, pair: SamplePair) -> Frame:
        """Centre and root-mean-square spread per coordinate of both samples together."""
        points = torch.cat([pair.x.points, pair.y.points]).detach().double()
        centre = points.mean(0)
        spread = float((points - centre).square().mean().sqrt())
        centre = centre * pair.scale + pair.centre.double()
        return cls(centre, (spread if spread > 0 else 1.0) * pair.scale)

    def enter(self, points: Tensor) -> Tensor:
        """Points in the frame, float64."""
        return (points.double() - self.centre) / self.scale

    def sides(self, pair: SamplePair, most: int | None = None) -> tuple[Tensor, Tensor]:
        """Both samples of a pair, or their first points, in the frame, float64."""
        x, y = (self.enter(original(side, pair, most)) for side in (pair.x, pair.y))
        return x, y

    def leave(self, points: Tensor) -> Tensor:
        """Points of the frame in the caller's units, in their own precision."""
        return points * self.scale + self.centre.to(points.dtype)

    def caller(self, points: Any) -> tuple[Kind, Tensor, bool]:
        """Points at which a caller asks for a trained function.

        Args:
            points: Shape (n, d), or (n,) on the line.

        Returns:
            The caller's kind; shape (n, d), in the frame; whether they were numbers on the line.

        Raises:
            ValueError: another dimension, NaN or infinite.
        """
        kind, raw = enter(points=points)
        given = raw["points"].detach()
        columns = given[:, None] if given.ndim == 1 else given
        d = len(self.centre)
        if columns.ndim != 2 or columns.shape[1] != d:
            raise ValueError(f"points must have shape (n, {d}): got {tuple(given.shape)}")
        bad = (~columns.isfinite().all(1)).nonzero()[:, 0]
        if len(bad):
            raise ValueError(
                f"points must be finite: found NaN or infinity, first at row {int(bad[0])}"
            )
        return kind, self.enter(columns.to(self.centre.device)), given.ndim == 1


@dataclass(frozen=True)
class Seen:
    """Validation points as critics see them, made ready once for all validations.

    In 128 dimensions a validation of funnels takes a third of the time that it takes otherwise.

    Attributes:
        x: Of the first sample, in the frame, float32.
        y: Of the second.
        a: Weights of x, float64.
        b: Weights of y.
        reach: The largest norm among x and y.
    """

    x: Tensor
    y: Tensor
    a: Tensor
    b: Tensor
    reach: float


class Supply:
    """What training needs; the base of `Given` and of streams.

    Attributes:
        frame: Of all points.
        validation: Points that critics are chosen by.
        test: Points that the chosen critic is scored on, once.
        whole: The given samples; None where they are streamed.
        plenty: Whether points that a critic starts from come back in training.
    """

    frame: Frame
    validation: SamplePair
    test: SamplePair
    whole: SamplePair | None = None
    plenty: bool = False

    @cached_property
    def seen(self) -> Seen:
        """The validation points."""
        x, y = self.frame.sides(self.validation)
        a, b = (side.weights.detach() for side in (self.validation.x, self.validation.y))
        return Seen(x.float(), y.float(), a, b, reach(x, y))

    @property
    def ended(self) -> bool:
        """Whether more training points were asked for than there were."""
        return False

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Training points (x, y) in the frame, float32, drawn with their weights."""
        raise NotImplementedError

    def corner(self, most: int) -> SamplePair:
        """At most so many training points of either side."""
        raise NotImplementedError

    def start(self, most: int) -> tuple[Tensor, Tensor]:
        """Training points as in a batch, at most so many, to begin a critic from."""
        return self.batch(most)

    def again(self) -> Self:
        """The same supply for a further critic, from its first batch on."""
        return self


class Given(Supply):
    """Two weighted samples in memory, and which of their points train, validate and test.

    Args:
        whole: The samples.
        parts: Indices (i, j) of the points of both samples in each of the three parts.
        generator: Of the batches, which are drawn with replacement.
    """

    plenty = True

    def __init__(
        self, whole: SamplePair, parts: Sequence[tuple[Tensor, Tensor]], generator: torch.Generator
    ) -> None:
        self.whole, self._generator = whole, generator
        self._train, self.validation, self.test = (_part(whole, i, j) for i, j in parts)
        self.frame = Frame.of(self._train)
        self._points = [points.float() for points in self.frame.sides(self._train)]

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Points drawn with replacement, as often as their weights ask."""
        sides = zip(self._points, (self._train.x, self._train.y), strict=True)
        x, y = (self._draw(points, side, size) for points, side in sides)
        return x, y

    def corner(self, most: int) -> SamplePair:
        """The first training points, which are in random order."""
        i, j = (torch.arange(min(len(s), most)) for s in (self._train.x, self._train.y))
        return _part(self._train, i, j)

    def _draw(self, points: Tensor, side: measure.Measure, size: int) -> Tensor:
        if side.uniform:
            index = torch.randint(len(points), (size,), generator=self._generator)
        else:
            index = torch.multinomial(side.weights.cpu(), size, True, generator=self._generator)
        return points[index.to(points.device)]


def reach(*points: Tensor) -> float:
    """The largest norm among points (n, d)."""
    return max(float(z.norm(dim=1).max()) for z in points)


def original(side: measure.Measure, pair: SamplePair, which: int | Tensor | None = None) -> Tensor:
    """The first points of one side, or those of some indices, or all, in the caller's units.

    Float64, exactly; nothing is converted that was not asked for.
    """
    points = side.points.detach()
    points = points[which] if isinstance(which, Tensor) else points[:which]
    return points.double() * pair.scale + pair.centre.double()


def _part(pair: SamplePair, i: Tensor, j: Tensor) -> SamplePair:
    """The pair of x_i and y_j, float64, weights renormalised.

    It stays in the frame of the whole pair, which has been validated: another validation and frame
    of 60,000 points in 128 dimensions take a seventh of a fit of four seconds.
    """
    kind = Kind(True, torch.float64, pair.centre.device)
    return replace(pair, x=_some(pair.x, i), y=_some(pair.y, j), kind=kind)


def _some(side: measure.Measure, index: Tensor) -> measure.Measure:
    """The measure of some points."""
    index = index.to(side.points.device)
    points = side.points.detach()[index].double()
    if side.uniform:
        share = torch.tensor(1 / len(points), dtype=torch.float64, device=points.device)
        return measure.Measure(points, share.expand(len(points)), True)
    kept = side.weights.detach()[index]
    return measure.Measure(points, kept / kept.sum(), False)
