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
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn

from otdist.core import checks
from otdist.core.measure import Pair
from otdist.critics import spectral
from otdist.critics.critics import OWN, Unframed
from otdist.critics.fitting import Fit
from otdist.critics.heldout import Learned, Scores
from otdist.critics.lipschitz import lipschitz_bound
from otdist.critics.penalties import trainable
from otdist.critics.result import DualResult
from otdist.critics.samples import Frame, Supply, original
from otdist.critics.starts import Start, starts
from otdist.critics.training import (
    SOUND,
    Clock,
    Handling,
    Training,
    rounding,
    scores,
    validate,
)

PORTFOLIO = ("linear", "mcshane", "peaks", "valleys", "sorting")
"""What `critic="auto"` chooses from, the cheapest first."""

HEAT, STAY, CLOSE = 0.05, 0.7, 0.98
"""With "auto", each critic trains for this share of the steps; kinds whose validation gap is then
above this share of the largest go on. Of these, other numbers of funnels train for as long, and the
best stands for its kind, after another heat with the next one where that reaches the last share of
its gap. `python -m benchmarks neural numbers` shows what that gains."""

FIXED = ("linear", "mcshane")
"""Critics that are optimal in their class from the start, and not trained."""


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
        critics, gaps, history = self._race(supply, seed, clock, say)
        name = max(gaps, key=lambda key: gaps[key])
        critic = critics[name].double().eval()
        if self.lipschitz == "spectral":
            spectral.settle(critic)
        certified, bound = self.lipschitz == "certified", _bound(critic)
        unit = max(1.0, bound) if certified else 1.0
        return Learned(
            critic=critic,
            supply=supply,
            history=history,
            chosen=[record for record in history if record["critic"] == name],
            score=partial(_scores, critic, supply.frame, unit),
            fields={
                "certified": certified,
                "lipschitz_bound": bound,
                "name": name,
                "scores": gaps,
                "_unit": unit,
            },
            unproved=""
            if certified
            else f"uncertified: {self.lipschitz} proves no Lipschitz constant",
        )

    def _result(self, learned: Learned, fields: dict[str, Any]) -> DualResult:
        return DualResult(critic=learned.critic, **fields)

    def _race(
        self, supply: Supply, seed: int, clock: Clock, say: Callable[[str], None]
    ) -> tuple[dict[str, nn.Module], dict[str, float], list[dict[str, Any]]]:
        """Critics, their validation gaps and records; of several, promising ones are trained on."""
        names, several = self._names(), self.critic == "auto"
        begun = {name: self._starts(name, supply, seed) for name in names}
        racers = {name: self._racer(name, begun[name][0], supply) for name in names}
        going = list(names)
        if several:
            for racer in racers.values():
                self._heat(racer, supply, clock, say)
            for name in _promising(racers):
                rivals = [self._racer(name, start, supply) for start in begun[name][1:]]
                rivals = [self._heat(rival, supply, clock, say) for rival in rivals]
                first, *close = _closest([racers[name], *rivals])
                if close:
                    again = [self._heat(racer, supply, clock, say) for racer in (first, *close)]
                    first = max(again, key=lambda racer: racer.gap)
                racers[name] = first
            going = [name for name in _promising(racers) if name not in FIXED]
        for place, name in enumerate(going):
            limits = {"steps": self.steps, "seconds": clock.left() / (len(going) - place)}
            self._train(racers[name], supply, say, **limits)
        return (
            {name: racer.critic for name, racer in racers.items()},
            {name: racer.gap for name, racer in racers.items()},
            [{"critic": k, **record} for k, racer in racers.items() for record in racer.history],
        )

    def _heat(
        self, racer: _Racer, supply: Supply, clock: Clock, say: Callable[[str], None]
    ) -> _Racer:
        """Train for HEAT of the steps and of the seconds."""
        limits = {"steps": max(1, round(HEAT * self.steps)), "seconds": HEAT * clock.seconds}
        self._train(racer, supply, say, **limits, checks=1)
        return racer

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

    def _racer(self, name: str, start: Start, supply: Supply) -> _Racer:
        """A fresh critic, float32, on the device of the samples, and its own run of batches."""
        critic = start.make().to(supply.frame.centre.device).float()
        if self.lipschitz == "spectral" and trainable(critic):
            spectral.divide(critic)
        if self.lipschitz == "certified":
            _check_one(critic.eval())
        own = supply if self.critic != "auto" else supply.again()
        return _Racer(name, critic, own, self.learning_rate or start.rate(critic))

    def _train(
        self, racer: _Racer, supply: Supply, say: Callable[[str], None], **limits: Any
    ) -> None:
        """Train within the limits, which are fields of `Training`; records and gap are updated."""
        critic, name = racer.critic, racer.name
        if not trainable(critic) or name in FIXED:
            racer.gap = validate(critic, supply)
            racer.history.append({"step": 0, "validation": racer.gap})
            return
        training = Training(
            batch_size=self.batch_size,
            learning_rate=racer.rate,
            patience=self.patience,
            handling=self.lipschitz,
            **limits,
        )
        racer.history += training.run(critic, racer.supply, lambda at: say(f"{name}, {at}"))
        racer.gap = validate(critic, supply)


@dataclass
class _Racer:
    """A critic in training.

    Attributes:
        name: Of its kind.
        critic: The module.
        supply: Of the batches that it is fed.
        rate: Its learning rate.
        gap: Its validation gap.
        history: Records of its validations.
    """

    name: str
    critic: nn.Module
    supply: Supply
    rate: float
    gap: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


def _promising(racers: dict[str, _Racer]) -> list[str]:
    """Names of those whose gap is near the largest; all, where none is positive."""
    best = max(racer.gap for racer in racers.values())
    return [name for name, racer in racers.items() if racer.gap >= STAY * best] or list(racers)


def _scores(critic: nn.Module, frame: Frame, unit: float, pair: Pair, most: int | None) -> Scores:
    """Scores in units of the frame, over `unit`, a bound of the slope."""
    x, y = (score / frame.scale / unit for score in scores(critic, pair, frame, most))
    charge = rounding(critic, frame, pair, most) / frame.scale / unit
    return Scores(x, y, charge, charge <= SOUND)


def _closest(racers: list[_Racer]) -> list[_Racer]:
    """The one of largest gap, and the next one where it is hardly behind."""
    first, *others = sorted(racers, key=lambda racer: -racer.gap)
    return [first, *(racer for racer in others[:1] if racer.gap >= CLOSE * first.gap)]


def _check_scores(module: nn.Module, supply: Supply) -> None:
    """One score per point, of two points in the caller's units."""
    points = original(supply.validation.x, supply.validation, most=2).float()
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


def _check_one(critic: nn.Module) -> None:
    """A certified critic starts 1-Lipschitz up to float32; its final bound divides its scores."""
    bound = lipschitz_bound(critic)
    if not bound <= 1 + 1e-3:
        raise ValueError(
            f"the critic's Lipschitz bound is {bound:.4g}, above 1: build it of layers of "
            'otdist.critics.layers, or pass lipschitz="gp"'
        )


def _bound(critic: nn.Module) -> float:
    """The bound, or inf where none is known."""
    try:
        return lipschitz_bound(critic)
    except TypeError:
        return math.inf
