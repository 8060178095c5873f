"""Fit: what `NeuralDual` and `ConvexDual` have in common, from their options to their limit."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch

from otdist.core import checks
from otdist.core.progress import progress
from otdist.core.result import warn_caller
from otdist.core.threads import threads_for
from otdist.critics.fitted import Fitted
from otdist.critics.heldout import Learned, said
from otdist.critics.parts import Parts
from otdist.critics.randomness import seeded
from otdist.critics.samples import Supply
from otdist.critics.streams import supplies_of
from otdist.critics.training import Clock

Result = TypeVar("Result", bound=Fitted)


@dataclass(frozen=True)
class Fit(Generic[Result]):
    """Options of a fit; the base of `NeuralDual` and `ConvexDual`.

    Attributes:
        steps: Gradient steps at most, per critic.
        batch_size: Points of either sample per step.
        splits: Shares of training, validation and test points.
        folds: None: one split. K ≥ 2: the points fall into K folds, and K critics are fitted, each
            tested on a fold that it has not seen; the rest is divided into training and validation
            points in the ratio of the first two `splits`. `estimate` and `lower` then come from all
            points, in K times the time; the critic that is returned is that of the first fold.
        learning_rate: Of Adam; None: what suits the critic.
        patience: Validations in a row without a new best after which to stop.
        seed: Of splits, batches and first weights; None draws a fresh one.
        seconds: CPU time of this process after which training ends, for all critics together; the
            answer then depends on the machine. None: no limit.
        progress: Show a spinner on stderr, when that is a terminal.
    """

    _: KW_ONLY
    steps: int
    batch_size: int
    splits: tuple[float, float, float] = (0.6, 0.2, 0.2)
    folds: int | None = None
    learning_rate: float | None = None
    patience: int
    seed: int | None = 0
    seconds: float | None = None
    progress: bool = False

    _P: ClassVar[float]

    def __post_init__(self) -> None:
        checks.settle(
            self,
            steps=checks.whole("steps", self.steps),
            batch_size=checks.whole("batch_size", self.batch_size),
            patience=checks.whole("patience", self.patience),
            splits=checks.shares(self.splits),
            folds=checks.optional(checks.whole, "folds", self.folds, least=2),
            learning_rate=checks.optional(checks.positive, "learning_rate", self.learning_rate),
            seed=checks.seed(self.seed),
            seconds=checks.optional(checks.positive, "seconds", self.seconds),
            progress=checks.flag("progress", self.progress),
        )

    @torch.inference_mode(False)
    @torch.enable_grad()
    def fit(self, x: Any, y: Any, a: Any = None, b: Any = None) -> Result:
        """Train on the first part of the samples, choose on the second, report on the third.

        With `folds` this is done once for each fold, whose points are the third part.

        Args:
            x: Points of the first sample, shape (n, d), or (n,) on the line; or a sampler, a
                function of (n, seed) that returns n fresh independent points; or a memory map
                (`numpy.load(path, mmap_mode="r")`), of which only batches are read if it is large,
                with at most 131,072 points to validate on and as many to test; or an iterable over
                independent points, shape (d,), or batches of them, shape (k, d), such as a
                DataLoader. Each of its points is used once; where it ends, training ends.
            y: Points of the second sample, or a sampler or iterable if x is one.
            a: Weights of x, shape (n,), of sum one; uniform when None.
            b: Weights of y.

        Returns:
            The critic and what it says. Figures are floats, also for torch input.

        Raises:
            ValueError: samples that `wasserstein` would refuse, with fewer than 5 points, or that
                require a gradient; weights or folds for samplers; a stream of no more points than
                are held out; a module of one's own that is not 1-Lipschitz where it has to be, or
                has no weights for "spectral" to divide.
            TypeError: a sampler beside a sample; a module that `lipschitz_bound` does not know.

        Warns:
            ConvergenceWarning: training diverged; `message` has the remedy.

        Cost: about 1 to 5 ms a step on one core for each critic of `NeuralDual`, 5 to 80 ms for
            `ConvexDual`, nearly all of it conjugates.
        Reference: Korotin, Kolesov, Burnaev (2022), Kantorovich Strikes Back!, for how much critics
            without a certificate are off; Makkuva, Taghvaei, Oh, Lee (2020), Optimal transport
            mapping via input convex neural networks, and Amos (2023), On amortizing convex
            conjugates for optimal transport, for p = 2.
        """
        clock = Clock(self.seconds)
        seed = torch.Generator().seed() % 2**63 if self.seed is None else self.seed
        supplies = supplies_of((x, y), (a, b), Parts(self.splits, self.folds), seed)
        centre = supplies[0].frame.centre
        with (
            seeded(seed, centre.device),
            threads_for(self.batch_size * len(centre)),
            progress(type(self).__name__, quiet=not self.progress) as say,
        ):
            learned = []
            for place, supply in enumerate(supplies):
                tell = say if self.folds is None else _of_fold(place, self.folds, say)
                part = clock.part(len(supplies) - place)
                learned.append(self._learn(supply, seed, part, tell))
            fields = said(learned, self._P)
        result = self._result(learned[0], {**fields, "seconds": clock.spent()})
        if not result.converged:
            warn_caller(result.message)
        return result

    @abstractmethod
    def _learn(
        self, supply: Supply, seed: int, clock: Clock, say: Callable[[str], None]
    ) -> Learned:
        """Train on a supply's first part, and choose on its validation points.

        Args:
            supply: Of points.
            seed: Of first weights.
            clock: Time left.
            say: Told how far it is.
        """

    @abstractmethod
    def _result(self, learned: Learned, fields: dict[str, Any]) -> Result:
        """The result: of the critic of the first fold, and all fields but `critic`."""


def _of_fold(place: int, folds: int, say: Callable[[str], None]) -> Callable[[str], None]:
    return lambda stage: say(f"fold {place + 1} of {folds}, {stage}")
