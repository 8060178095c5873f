"""Fit: what `NeuralDual` and `ConvexDual` have in common, from their options to their limit."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.progress import progress
from otdist.core.result import warn_caller
from otdist.core.threads import threads_for
from otdist.critics.fitted import Fitted
from otdist.critics.limits import CONFIDENCE, limit
from otdist.critics.randomness import seeded
from otdist.critics.samples import Supply
from otdist.critics.streams import supply_of
from otdist.critics.training import Clock

Result = TypeVar("Result", bound=Fitted)


@dataclass(frozen=True)
class Fit(Generic[Result]):
    """Options of a fit; the base of `NeuralDual` and `ConvexDual`.

    Attributes:
        steps: Gradient steps at most, per critic.
        batch_size: Points of either sample per step.
        splits: Shares of training, validation and test points.
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
    learning_rate: float | None = None
    patience: int
    seed: int | None = 0
    seconds: float | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        checks.settle(
            self,
            steps=checks.whole("steps", self.steps),
            batch_size=checks.whole("batch_size", self.batch_size),
            patience=checks.whole("patience", self.patience),
            splits=checks.shares(self.splits),
            learning_rate=checks.optional(checks.positive, "learning_rate", self.learning_rate),
            seed=checks.seed(self.seed),
            seconds=checks.optional(checks.positive, "seconds", self.seconds),
            progress=checks.flag("progress", self.progress),
        )

    @torch.inference_mode(False)
    @torch.enable_grad()
    def fit(self, x: Any, y: Any, a: Any = None, b: Any = None) -> Result:
        """Train on the first part of the samples, choose on the second, report on the third.

        Args:
            x: Points of the first sample, shape (n, d), or (n,) on the line; or a sampler, a
                function of (n, seed) that returns n fresh independent points; or an iterable over
                independent points, shape (d,), or batches of them, shape (k, d), such as a
                DataLoader. Each of its points is used once; where it ends, training ends.
            y: Points of the second sample, or a sampler or iterable if x is one.
            a: Weights of x, shape (n,), of sum one; uniform when None.
            b: Weights of y.

        Returns:
            The critic and what it says. Figures are floats, also for torch input.

        Raises:
            ValueError: samples that `wasserstein` would refuse, with fewer than 5 points, or that
                require a gradient; weights for samplers; a stream of no more points than are held
                out; a module of one's own that is not 1-Lipschitz where it has to be, or has no
                weights for "spectral" to divide.
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
        supply = supply_of((x, y), (a, b), self.splits, seed)
        centre = supply.frame.centre
        with (
            seeded(seed, centre.device),
            threads_for(self.batch_size * len(centre)),
            progress(type(self).__name__, quiet=not self.progress) as say,
        ):
            result = self._solve(supply, seed, clock, say)
        if not result.converged:
            warn_caller(result.message)
        return result

    @abstractmethod
    def _solve(self, supply: Supply, seed: int, clock: Clock, say: Callable[[str], None]) -> Result:
        """Train, choose, and report.

        Args:
            supply: Of points.
            seed: Of first weights.
            clock: Time left.
            say: Told how far it is.
        """


def limited(
    supply: Supply, scores: tuple[Tensor, Tensor], p: float, unit: float, unproved: str = ""
) -> dict[str, Any]:
    """What held-out points prove about W_p between the distributions: fields of a result.

    Args:
        supply: Of the held-out points.
        scores: Of either sample; the difference of their means is expected to be at most
            (W_p / unit)^p, with all rounding charged.
        p: Exponent.
        unit: Of distances.
        unproved: Why nothing is proved, if so.
    """
    test, lower, message = supply.test, None, unproved
    if not all(bool(s.isfinite().all()) for s in scores):
        message = "the scores are not finite"
    elif not message and not (test.x.uniform and test.y.uniform):
        message = "no confidence limit: it needs independent points of equal weight"
    elif not message:
        lower = limit(*scores)[1] ** (1 / p) * unit
        message = (
            f"W_{p:g} between the distributions is at least {lower:.5g} with {CONFIDENCE:.0%} "
            "confidence"
        )
    if supply.ended:
        message += "; a stream ended before training did"
    return {"lower": lower, "message": message}


def outcome(history: list[dict[str, Any]], said: dict[str, Any], sound: bool) -> dict[str, Any]:
    """The same fields, and `converged`: whether a validation after the start found a sound critic.

    Args:
        history: Validations of the chosen critic.
        said: What `limited` returned.
        sound: Whether its scores are larger than their rounding.
    """
    seen = [record["validation"] for record in history if record["step"] > 0]
    converged = sound and (not seen or any(math.isfinite(value) for value in seen))
    if not converged:
        said["message"] = f"training diverged: try a lower learning_rate; {said['message']}"
    return {**said, "converged": converged}
