"""Race: critics of several kinds train a little, and only those that promise something go on.

First the kinds, each from its first start; then every kind that promises something enters softer
funnels (`softened`) and its further starts, while starts and heats have not taken their share of
the seconds: where steps are dear, fewer sizes of a kind enter, and the best one keeps the time. The
best of all train in rounds of twice as many steps each, in every one of which the rate falls to
zero, so that gaps can be compared after it. A critic leaves the race when a round has not moved it,
or when another such gain would leave it behind; the last round takes what is left of the steps and
of the seconds. All compare by their gaps on validation points, so that whichever wins is chosen by
points that it was not fitted to.

Rounds also overfit less than one long run, whose rate stays high for long.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from torch import nn

from otdist.critics import spectral
from otdist.critics.critics import Funnels
from otdist.critics.lipschitz import lipschitz_bound
from otdist.critics.penalties import trainable
from otdist.critics.samples import Supply
from otdist.critics.starts import Start, temperature
from otdist.critics.training import CHECKS, SETTLED, Clock, Handling, Training, ahead, validate

HEAT, USUAL = 0.05, 1500
"""Of several critics, each trains for this share of the steps, but not of more than so many."""

OPENING = 0.6
"""Share of the seconds for starts and heats: no further start of a kind enters that would pass it,
taking as long as the last one did. With four true funnels in 128 dimensions and four seconds, the
limit as a share of W_1 is 0.92 with a third, where none enters, 0.95 with this, where 16 do, and
0.88 where all six do."""

STAY, CLOSE, RIVALS = 0.7, 0.98, 2
"""Kinds whose validation gap is then above the first share of the largest go on. Of the starts of a
kind so many do, those above the second share of the best one's gap, until the last round, where the
best one stands for its kind. `python -m benchmarks neural numbers` shows what that gains."""

SOFTNESS, CLEAR = (1.0, 2.0, 3.0), 2.0
"""Temperatures that the first funnels of a kind try one after the other, as long as the first is
ahead of hard ones by so many standard errors of the validation gap, and each further one is not as
far behind the one before: over more steps than those of a heat the softer one overfits less. The
further starts take the last such. The unit is `starts.temperature`.

From 300 points in the plane, 60 of which validate, limits are 0.56 of W_1 on average over three
pairs of six seeds each; where any gain counts they are 0.45, and 0.54 without softer funnels."""

FEW_CHECKS = CHECKS // 8
"""Validations in all rounds but the last."""

FIXED = ("linear", "mcshane")
"""Critics that are optimal in their class from the start, and not trained."""


@dataclass
class Racer:
    """A critic in training.

    Attributes:
        name: Of its kind.
        critic: The module.
        supply: Of the batches that it is fed.
        rate: Its learning rate.
        temperature: Of funnels, where a round begins.
        gap: Its validation gap.
        gained: By how much the gap grew in the last round.
        seconds: CPU time of the last round.
        entered: CPU time from its making to the end of its heat.
        history: Records of its validations.
    """

    name: str
    critic: nn.Module
    supply: Supply
    rate: float
    temperature: float = 0.0
    gap: float = 0.0
    gained: float = math.inf
    seconds: float = 0.0
    entered: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Race:
    """Trains critics on one supply.

    Attributes:
        supply: Of points.
        clock: Time left, for all critics together.
        say: Told how far it is.
        steps: Gradient steps at most, per critic.
        batch_size: Points of either sample per step.
        learning_rate: Of Adam; None: that of the start.
        patience: Validations in a row without a new best after which to stop.
        handling: What keeps the slope at one.
        several: Whether critics compete; otherwise each just trains.
    """

    supply: Supply
    clock: Clock
    say: Callable[[str], None]
    steps: int
    batch_size: int
    learning_rate: float | None
    patience: int
    handling: Handling
    _: KW_ONLY
    several: bool

    def run(self, starts: Mapping[str, Sequence[Start]]) -> list[Racer]:
        """The best critic of every kind, trained as far as it is promising.

        Args:
            starts: Of every kind, by name; those after the first are for several critics.
        """
        if not self.several:
            racers = [self._racer(name, begun[0]) for name, begun in starts.items()]
            for place, racer in enumerate(racers):
                seconds = self.clock.left() / (len(racers) - place)
                self._train(racer, self.steps, seconds, CHECKS)
            return racers
        steps = max(1, round(HEAT * min(self.steps, USUAL)))
        racers = [self._enter(name, begun[0], steps) for name, begun in starts.items()]
        for racer in _promising(racers):
            racers += self._rivals(racer, starts[racer.name], steps)
        self._rounds(racers, steps)
        return [_best_of(name, racers) for name in starts]

    def _rivals(self, first: Racer, starts: Sequence[Start], steps: int) -> list[Racer]:
        """Softer ones of the first start, then further starts as soft as the best of those.

        As many as fit into the opening of the race.
        """
        rivals, softness, bar, best, latest = list[Racer](), 0.0, CLEAR, first, first
        for soft in SOFTNESS if _softens(first) else ():
            if not self._fits(latest):
                break
            latest = self._enter(first.name, starts[0], steps, soft)
            if not ahead(latest.critic, best.critic, self.supply) > bar:
                break
            rivals.append(latest)
            best, softness, bar = latest, soft, -CLEAR
        for start in starts[1:]:
            if not self._fits(latest):
                break
            latest = self._enter(first.name, start, steps, softness)
            rivals.append(latest)
        return rivals

    def _fits(self, before: Racer) -> bool:
        """Whether one more that takes as long as the one before fits into the opening."""
        return not self.clock.left() - before.entered < (1 - OPENING) * self.clock.seconds

    def _rounds(self, racers: Sequence[Racer], steps: int) -> None:
        """Train those that promise something, in rounds, after one of so many steps."""
        going, left, last = _promising(racers), self.steps - steps, False
        while left > 0 and not last:
            steps *= 2
            going = [one for one in going if self._goes_on(one, racers)]
            going = _by_kind(going, RIVALS)
            last = left < 3 * steps or self.clock.left() < 6 * sum(one.seconds for one in going)
            if last:
                going = _by_kind(going, 1)
            for place, racer in enumerate(going):
                seconds = self.clock.left() / (len(going) - place)
                if last:
                    self._train(racer, left, seconds, CHECKS)
                else:
                    self._train(racer, steps, seconds, FEW_CHECKS)
            left -= steps

    def _goes_on(self, racer: Racer, racers: Sequence[Racer]) -> bool:
        """Whether another round may be worth its time.

        Softer funnels overfit late, so that patience hardly ends their last round. Unless seconds
        were given for it, they leave after a round that gained less than a thousandth. From 12,000
        points of 64 true funnels in 64 dimensions one of three seeds then takes 5 CPU seconds for
        11, and its limit is 0.75 of W_1 for 0.76; the others are as they were.
        """
        if not math.isfinite(self.clock.seconds) and racer.temperature > 0:
            return racer.gained > SETTLED * abs(racer.gap) and _may_win(racer, racers)
        return racer.name not in FIXED and _may_win(racer, racers)

    def _enter(self, name: str, start: Start, steps: int, softness: float = 0.0) -> Racer:
        """A fresh critic after its heat of so many steps; what it gained is not known."""
        before = self.clock.left()
        racer = self._racer(name, start, softness)
        self._train(racer, steps, HEAT * self.clock.seconds, 1)
        racer.gained, racer.entered = math.inf, before - self.clock.left()
        return racer

    def _racer(self, name: str, start: Start, softness: float = 0.0) -> Racer:
        """A fresh critic, float32, on the device of the samples, and its own run of batches."""
        critic = start.make().to(self.supply.frame.centre.device).float()
        if self.handling == "spectral" and trainable(critic):
            spectral.divide(critic)
        if self.handling == "certified":
            _check_one(critic.eval())
        own = self.supply.again() if self.several else self.supply
        racer = Racer(name, critic, own, self.learning_rate or start.rate(critic))
        if softness and isinstance(critic, Funnels):
            racer.temperature = softness * temperature(critic, self.supply)
        return racer

    def _train(self, racer: Racer, steps: int, seconds: float, checks: int) -> None:
        """Train within the limits; records, gap, gain and time are updated."""
        critic, name, begin, before = racer.critic, racer.name, time.process_time(), racer.gap
        if not trainable(critic) or name in FIXED:
            racer.gap = validate(critic, self.supply)
            racer.history.append({"step": 0, "validation": racer.gap})
            return
        training = Training(
            steps, self.batch_size, racer.rate, self.patience, self.handling, seconds, checks,
            racer.temperature,
        )  # fmt: skip
        say = self.say
        racer.history += training.run(critic, racer.supply, lambda at: say(f"{name}, {at}"))
        racer.gap = validate(critic, self.supply)
        racer.gained, racer.seconds = racer.gap - before, time.process_time() - begin


def _softens(racer: Racer) -> bool:
    """Whether a critic is one of funnels that are trained."""
    return isinstance(racer.critic, Funnels) and racer.name not in FIXED


def _promising(racers: Sequence[Racer]) -> list[Racer]:
    """Those whose gap is near the largest; all, where none is positive."""
    best = max(racer.gap for racer in racers)
    return [racer for racer in racers if racer.gap >= STAY * best] or list(racers)


def _may_win(racer: Racer, racers: Sequence[Racer]) -> bool:
    """Whether the last round moved a critic, and as much again would bring it near the best.

    A critic that was not moved is in the state of an earlier round, so that its gap is the same.
    """
    best = max(one.gap for one in racers)
    return racer.gained != 0 and racer.gap + racer.gained >= best - (1 - CLOSE) * abs(best)


def _by_kind(racers: Sequence[Racer], most: int) -> list[Racer]:
    """So many of every kind, and only those that are hardly behind the best of it."""
    kept: list[Racer] = []
    for name in dict.fromkeys(racer.name for racer in racers):
        first, *others = sorted((r for r in racers if r.name == name), key=lambda r: -r.gap)
        bar = first.gap - (1 - CLOSE) * abs(first.gap)
        kept += [first, *(racer for racer in others[: most - 1] if racer.gap >= bar)]
    return kept


def _best_of(name: str, racers: Sequence[Racer]) -> Racer:
    return max((racer for racer in racers if racer.name == name), key=lambda racer: racer.gap)


def _check_one(critic: nn.Module) -> None:
    """A certified critic starts 1-Lipschitz up to float32; its final bound divides its scores."""
    bound = lipschitz_bound(critic)
    if not bound <= 1 + 1e-3:
        raise ValueError(
            f"the critic's Lipschitz bound is {bound:.4g}, above 1: build it of layers of "
            'otdist.critics.layers, or pass lipschitz="gp"'
        )
