"""Does a generator repeat its training rows? Two figures that need those rows beside the reals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from otdist.core import measure
from otdist.core.measure import SamplePair
from otdist.core.point_cost import PointCost
from otdist.discrepancy.base import Discrepancy, Figure, Labelled, in_units, only, pooled
from otdist.discrepancy.neighbours import radii


@dataclass(frozen=True)
class OfTraining(Discrepancy):
    """A figure of fakes beside the rows that their generator was trained on.

    Attributes:
        train: Rows of the training sample, shape (k, d), in the caller's units.
    """

    train: Any = field(default=None, compare=False, repr=False, metadata=only())

    needs_train: ClassVar[bool] = True

    def of_training(self, train: np.ndarray) -> Self:
        """The same with the training rows."""
        return type(self)(train=train)

    def frame(self, x: Any, y: Any, a: Any = None, b: Any = None) -> SamplePair:
        """As for every other, once there are training rows.

        Raises:
            ValueError: there are none.
        """
        if self.train is None:
            raise ValueError(f"{self.quantity} needs training rows: use evaluate(..., train=rows)")
        return super().frame(x, y, a, b)

    def within(self, pair: SamplePair) -> Tensor:
        """The training rows in the frame of a pair, (k, d), float64."""
        train = torch.as_tensor(self.train).to(pair.centre.device, torch.float64)
        return (train - pair.centre.double()) / pair.scale


@dataclass(frozen=True)
class Authenticity(OfTraining):
    """How many fakes are farther from their nearest training row than that is from its own.

    Reference: Alaa, van Breugel, Saveliev and van der Schaar (2022), How faithful is your synthetic
    data?, ICML.
    """

    higher_is_better: ClassVar[bool] = True
    spread: ClassVar[bool] = True
    title: ClassVar[str] = (
        "fakes farther from the nearest training row than that is from the nearest other one"
    )
    no_limit: ClassVar[str] = (
        "no central limit theorem is known: ± is the spread of 5 draws of half of the rows"
    )

    @property
    def quantity(self) -> str:
        """Its name."""
        return "authenticity"

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The share of such fakes."""
        train = self.within(pair)
        if len(train) < 2:
            return Figure(float("nan"), note="needs at least 2 training rows")
        fakes = pair.y.points.detach().double()
        away, at = _nearest(fakes, train)
        return Figure(float((away > radii(train, 1)[at]).double().mean()))


@dataclass(frozen=True)
class Copying(OfTraining):
    r"""How often the nearest row of a fake is a training row rather than a real one.

    With shares s of fakes that are nearer to the k training rows and 1 − s to the n reals, it is
    (s/k) / (s/k + (1 − s)/n): 0.5 where the fakes know nothing of the training rows but their
    distribution, 1 where each is nearer to one of them than to any real row that was held out.

    Its test exchanges training and real rows, with the fakes as they are. Both come from one
    population, and a generator that does not copy has no way to tell them apart, however good or
    bad it is: the test is valid whatever the distribution of the fakes. This differs from Meehan,
    Chaudhuri and Dasgupta (2020), A non-parametric test to detect data-copying in generative
    models, which also rejects where fakes crowd into dense regions.
    """

    quick: ClassVar[bool] = True
    title: ClassVar[str] = (
        "fakes whose nearest row is a training row and not a real one, 0.5 is chance"
    )
    no_limit: ClassVar[str] = "nearest rows are shared between fakes; its test needs no limit"

    @property
    def quantity(self) -> str:
        """Its name."""
        return "copying"

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        """The share, ties counted half."""
        fakes, train = pair.y.points.detach().double(), self.within(pair)
        to_train, to_real = (
            _nearest(fakes, rows)[0] for rows in (train, pair.x.points.detach().double())
        )
        nearer = (to_train < to_real).double() + (to_train == to_real).double() / 2
        return Figure(_per_row(float(nearer.mean()), len(train), len(pair.x)))

    def exchangeable(self, pair: SamplePair) -> tuple[Discrepancy, SamplePair]:
        """Training and real rows."""
        real, fakes = (in_units(z, pair) for z in (pair.x, pair.y))
        return NearestOf(fakes), measure.pair(torch.as_tensor(self.train).to(real), real)


@dataclass(frozen=True)
class NearestOf(Labelled):
    """`Copying` as a distance between training and real rows, seen from given fakes.

    Attributes:
        fakes: Shape (m, d), in the caller's units.
    """

    fakes: Tensor = field(compare=False, repr=False)

    title: ClassVar[str] = Copying.title

    @property
    def quantity(self) -> str:
        """What it stands for."""
        return "copying"

    def relabelled(self, pair: SamplePair, labels: np.ndarray, seed: int | None) -> np.ndarray:
        """The nearest rows of the fakes do not depend on the labels."""
        z = pooled(pair)
        fakes = (self.fakes.to(z) - pair.centre.double()) / pair.scale
        _, at = _nearest(fakes, z)
        counts = np.bincount(at.cpu().numpy(), minlength=len(z))
        first = labels.sum(1)
        share = labels @ counts / len(fakes)
        return _per_row(share, first, len(z) - first)


def _per_row(share: Any, k: int, n: int) -> Any:
    """A share of k rows against the rest of n, each sample counted as if both had equal size."""
    return share / k / (share / k + (1 - share) / n)


def _nearest(rows: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distance to the nearest point and its index, (m,) each."""
    squared, at = PointCost(rows, among, 2).nearest(among.new_zeros(len(among)), 1)
    return squared[:, 0], at[:, 0]
