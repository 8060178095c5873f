r"""NeuralDual: W_1 from critics, with a limit for the distributions and a bracket for the samples.

.. math::  W_1 = \max_{\varphi\ 1\text{-Lipschitz}} E\varphi(x) - E\varphi(y)

(Kantorovich and Rubinstein). Whichever 1-Lipschitz critic is found, its gap on points that it was
neither fitted to nor chosen by is an unbiased estimate of a lower bound of W_1 between the
distributions: so critics of several kinds compete, and the best is scored once. For samples that do
not fit in memory, or distributions that can be drawn from, there is no other estimate.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from otdist.core import checks
from otdist.core.measure import SamplePair
from otdist.critics import spectral
from otdist.critics.critics import OWN, Unframed
from otdist.critics.fitting import Fit
from otdist.critics.heldout import Learned, Scores
from otdist.critics.lipschitz import lipschitz_bound
from otdist.critics.race import Race
from otdist.critics.result import DualResult
from otdist.critics.samples import Frame, Supply, original
from otdist.critics.starts import Start, starts
from otdist.critics.training import (
    SOUND,
    Clock,
    Handling,
    rounding,
    scores,
)

PORTFOLIO = ("linear", "mcshane", "peaks", "valleys", "sorting")
"""What `critic="auto"` chooses from, the cheapest first."""


@dataclass(frozen=True)
class NeuralDual(Fit[DualResult]):
    """W_1 by critics: an estimate between distributions, its limit, a bracket for the samples.

    Attributes:
        critic: "auto" trains a portfolio and keeps the best on validation points: "peaks" and
            "valleys" (256 funnels; with "auto" 16 to 256), "sorting" (MaxMin and orthogonal
            layers), "mcshane" (exact potentials, extended), "linear" (along the difference of
            means). "relu" is the usual network, for comparison. Or a module of your
            own, which sees points (n, d) in your units and gives one score each; a copy of it is
            trained, or scored as it is when none of its parameters requires a gradient.
        lipschitz: What holds the slope at one: "certified" (the critic's construction, checked by
            `lipschitz_bound`), or for "relu" and your own "gp", "lp" (penalties), "clip",
            "spectral" (power iteration), which prove nothing about held-out points.
        steps: Gradient steps at most, per critic.
        batch_size: Points of either sample per step.
        splits: Shares of training, validation and test points.
        folds: K ≥ 2: fit K critics, each tested on a K-th of the points that it has not seen, so
            that the limit comes from all points, in K times the time; None: one split.
        learning_rate: Of Adam; None: 0.1 · K^(−1/d) for K funnels in d dimensions, less for
            d > 32 where they start at centres of clusters; 0.002 for sorting networks, else 0.001.
        patience: Validations in a row (there are 40) without a new best after which to stop.
        seed: Of splits, batches and first weights; None draws a fresh one.
        seconds: CPU time of this process after which training ends, for all critics together; the
            answer then depends on the machine. None: no limit.
        progress: Show a spinner on stderr, when that is a terminal.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(400, 3)), rng.normal(size=(400, 3)) + [2, 0, 0]
    >>> result = NeuralDual(critic="sorting", steps=60).fit(x, y)
    >>> result.certified, 1 < result.lower < result.estimate < 3
    (True, True)
    """

    critic: str | nn.Module = "auto"
    _: KW_ONLY
    lipschitz: Handling = "certified"
    steps: int = 1500
    batch_size: int = 512
    patience: int = 20

    _P: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.choice("lipschitz", self.lipschitz, get_args(Handling))
        if isinstance(self.critic, nn.Module):
            return
        known = ("auto", *PORTFOLIO, "relu")
        checks.choice("critic", self.critic, known)
        if (self.critic == "relu") == (self.lipschitz == "certified"):
            raise ValueError(
                f"critic={self.critic!r} does not go with lipschitz={self.lipschitz!r}: "
                + ("choose gp, lp, clip or spectral" if self.critic == "relu"
                   else "it is 1-Lipschitz by construction; use critic='relu' or your own")
            )  # fmt: skip

    def _learn(
        self, supply: Supply, seed: int, clock: Clock, say: Callable[[str], None]
    ) -> Learned:
        race = Race(
            supply, clock, say, self.steps, self.batch_size, self.learning_rate, self.patience,
            self.lipschitz, several=self.critic == "auto",
        )  # fmt: skip
        racers = race.run({name: self._starts(name, supply, seed) for name in self._names()})
        winner = max(racers, key=lambda racer: racer.gap)
        name, critic = winner.name, winner.critic.double().eval()
        if self.lipschitz == "spectral":
            spectral.settle(critic)
        certified, bound = self.lipschitz == "certified", _bound(critic)
        unit = max(1.0, bound) if certified else 1.0
        return Learned(
            critic=critic,
            supply=supply,
            history=[{"critic": r.name, **record} for r in racers for record in r.history],
            chosen=winner.history,
            score=partial(_scores, critic, supply.frame, unit),
            fields={
                "certified": certified,
                "lipschitz_bound": bound,
                "name": name,
                "scores": {racer.name: racer.gap for racer in racers},
                "_unit": unit,
            },
            unproved=""
            if certified
            else f"uncertified: {self.lipschitz} proves no Lipschitz constant",
        )

    def _result(self, learned: Learned, fields: dict[str, Any]) -> DualResult:
        return DualResult(critic=learned.critic, **fields)

    def _names(self) -> tuple[str, ...]:
        if isinstance(self.critic, nn.Module):
            return (OWN,)
        return PORTFOLIO if self.critic == "auto" else (self.critic,)

    def _starts(self, name: str, supply: Supply, seed: int) -> list[Start]:
        """Starts of a kind; of a module of the user's own, a copy of it."""
        if isinstance(self.critic, nn.Module):
            _check_scores(self.critic, supply)
            own = self.critic
            return [Start(lambda: Unframed(copy.deepcopy(own), supply.frame))]
        return starts(name, supply, seed, all_sizes=self.critic == "auto")


def _scores(
    critic: nn.Module, frame: Frame, unit: float, pair: SamplePair, most: int | None
) -> Scores:
    """Scores in units of the frame, over `unit`, a bound of the slope."""
    x, y = (score / frame.scale / unit for score in scores(critic, pair, frame, most))
    charge = rounding(critic, frame, pair, most) / frame.scale / unit
    return Scores(x, y, charge, charge <= SOUND)


def _check_scores(module: nn.Module, supply: Supply) -> None:
    """One score per point, of two points in the caller's units."""
    points = original(supply.validation.x, supply.validation, 2).float()
    module = copy.deepcopy(module).to(points.device).float().eval()
    try:
        with torch.no_grad():
            found = module(points)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ValueError(f"critic must take points (n, {points.shape[1]}): {error}") from error
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape not in ((2,), (2, 1)):
        raise ValueError(
            f"critic must return a tensor of scores (n,) or (n, 1): got {shape} for 2 points"
        )


def _bound(critic: nn.Module) -> float:
    """The bound, or inf where none is known."""
    try:
        return lipschitz_bound(critic)
    except TypeError:
        return math.inf
