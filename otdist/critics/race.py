"""Race: critics of several kinds train a little, and only those that promise something go on.

First the kinds, each from its first start; then the starts of every kind that goes on, of which the
best stands for its kind; then these train to the end. All compare by their gaps on validation
points, so that whichever wins is chosen by points that it was not fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from torch import nn

from otdist.critics import spectral
from otdist.critics.lipschitz import lipschitz_bound
from otdist.critics.penalties import trainable
from otdist.critics.samples import Supply
from otdist.critics.starts import Start
from otdist.critics.training import Clock, Handling, Training, validate

HEAT, STAY, CLOSE = 0.05, 0.7, 0.98
"""Of several critics, each trains for this share of the steps; kinds whose validation gap is then
above this share of the largest go on. Of these, other numbers of funnels train for as long, and the
best stands for its kind, after another heat with the next one where that reaches the last share of
its gap. `python -m benchmarks neural numbers` shows what that gains."""

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
        gap: Its validation gap.
        history: Records of its validations.
    """

    name: str
    critic: nn.Module
    supply: Supply
    rate: float
    gap: float = 0.0
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
        racers = {name: self._racer(name, begun[0]) for name, begun in starts.items()}
        going = list(racers)
        if self.several:
            for racer in racers.values():
                self._heat(racer)
            for name in _promising(racers):
                racers[name] = self._best(racers[name], starts[name][1:])
            going = [name for name in _promising(racers) if name not in FIXED]
        for place, name in enumerate(going):
            self._train(racers[name], self.steps, self.clock.left() / (len(going) - place))
        return list(racers.values())

    def _best(self, racer: Racer, starts: Sequence[Start]) -> Racer:
        """The best of a racer and further starts of its kind, after a heat or two."""
        rivals = [self._heat(self._racer(racer.name, start)) for start in starts]
        first, *close = _closest([racer, *rivals])
        if not close:
            return first
        return max((self._heat(one) for one in (first, *close)), key=lambda one: one.gap)

    def _racer(self, name: str, start: Start) -> Racer:
        """A fresh critic, float32, on the device of the samples, and its own run of batches."""
        critic = start.make().to(self.supply.frame.centre.device).float()
        if self.handling == "spectral" and trainable(critic):
            spectral.divide(critic)
        if self.handling == "certified":
            _check_one(critic.eval())
        own = self.supply.again() if self.several else self.supply
        return Racer(name, critic, own, self.learning_rate or start.rate(critic))

    def _heat(self, racer: Racer) -> Racer:
        """Train for HEAT of the steps and of the seconds."""
        steps = max(1, round(HEAT * self.steps))
        self._train(racer, steps, HEAT * self.clock.seconds, checks=1)
        return racer

    def _train(self, racer: Racer, steps: int, seconds: float, **checks: int) -> None:
        """Train within the limits; records and gap are updated."""
        critic, name = racer.critic, racer.name
        if not trainable(critic) or name in FIXED:
            racer.gap = validate(critic, self.supply)
            racer.history.append({"step": 0, "validation": racer.gap})
            return
        training = Training(
            steps, self.batch_size, racer.rate, self.patience, self.handling, seconds, **checks
        )
        say = self.say
        racer.history += training.run(critic, racer.supply, lambda at: say(f"{name}, {at}"))
        racer.gap = validate(critic, self.supply)


def _promising(racers: Mapping[str, Racer]) -> list[str]:
    """Names of those whose gap is near the largest; all, where none is positive."""
    best = max(racer.gap for racer in racers.values())
    return [name for name, racer in racers.items() if racer.gap >= STAY * best] or list(racers)


def _closest(racers: list[Racer]) -> list[Racer]:
    """The one of largest gap, and the next one where it is hardly behind."""
    first, *others = sorted(racers, key=lambda racer: -racer.gap)
    return [first, *(racer for racer in others[:1] if racer.gap >= CLOSE * first.gap)]


def _check_one(critic: nn.Module) -> None:
    """A certified critic starts 1-Lipschitz up to float32; its final bound divides its scores."""
    bound = lipschitz_bound(critic)
    if not bound <= 1 + 1e-3:
        raise ValueError(
            f"the critic's Lipschitz bound is {bound:.4g}, above 1: build it of layers of "
            'otdist.critics.layers, or pass lipschitz="gp"'
        )
