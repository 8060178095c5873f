"""What might keep critics from overfitting: each treatment beside the training as it is.

The pairs are none of the other tables': other dimensions, other numbers of funnels, other seeds.
All have few points, where critics overfit. A treatment is worth keeping where the gap on validation
points grows; the test gap beside it shows whether that was luck.

| treatment | what it changes |
|---|---|
| as it is | the last state of those whose validation gap is the best but for a thousandth |
| last state | no early stopping: the state of the last step |
| averaged | mean of the weights at the validations of the last half of the run |
| dropout | so large a share of the funnels, drawn anew in every step, is not there |
| heights | so many times the variance of the heights is added to the loss |
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.experiment import Cases
from benchmarks.neural.pairs import KnownPair, bent, dilated, ray_monotone, translated
from benchmarks.records import Row
from otdist.critics.critics import Funnels
from otdist.critics.parts import Parts
from otdist.critics.samples import Supply
from otdist.critics.starts import starts, temperature
from otdist.critics.streams import supplies_of
from otdist.critics.training import Training, scores, validate

POINTS, STEPS, BATCH, PATIENCE = 6000, 600, 512, 20
FAR = -1e6
"""Height of a peak that no point is under."""
State = dict[str, Tensor]
Options = dict[str, Any]
PAIRS: dict[str, tuple[int, Callable[[int, int], KnownPair]]] = {
    "ray-monotone, N = 32": (24, lambda d, seed: ray_monotone(d, 32, seed)),
    "ray-monotone, N = 8": (96, lambda d, seed: ray_monotone(d, 8, seed)),
    "translated": (32, translated),
    "dilated": (32, dilated),
    "bent mixture": (24, bent),
}
STARTS = {256: -1, 64: 0}
"""Number of funnels → its place among the starts: from exact transport, at centres of clusters."""
TREATMENTS: dict[str, Options] = {
    "as it is": {},
    "last state": {},
    "averaged": {},
    "dropout 10%": {"dropped": 0.1},
    "dropout 50%": {"dropped": 0.5},
    "heights 0.01": {"penalty": 0.01},
    "heights 0.1": {"penalty": 0.1},
    "soft 1": {"softness": 1.0},
    "soft 2": {"softness": 2.0},
    "soft 3": {"softness": 3.0},
}
AT_THE_END = ("as it is", "last state", "averaged")
"""States of one and the same run."""


def cases(seeds: Sequence[int]) -> Cases:
    """One row a pair, number of funnels, seed and treatment; seeds from 100 on."""
    for name, (d, law) in PAIRS.items():
        for seed in (100 + one for one in seeds):
            pair = cache(partial(_few, law, d, seed))
            for funnels in STARTS:
                usual = cache(partial(_trained, pair, funnels, seed, {}))
                for method, options in TREATMENTS.items():
                    known = {"experiment": "regularisation", "pair": name, "d": d, "seed": seed}
                    known |= {"funnels": funnels, "n": POINTS, "method": method}
                    if method in AT_THE_END:
                        yield known, partial(_as_usual, usual, method)
                    else:
                        yield known, partial(_treated, pair, funnels, seed, options)


def _few(law: Callable[[int, int], KnownPair], d: int, seed: int) -> KnownPair:
    made = law(d, seed)
    return replace(made, x=made.x[:POINTS], y=made.y[:POINTS])


@dataclass(frozen=True)
class Treated(Training):
    """Training with a treatment, which remembers its states.

    Attributes:
        dropped: Share of funnels that a step goes without.
        penalty: Weight of the variance of heights.
        generator: Of the dropped funnels.
        states: Parameters at every validation.
    """

    dropped: float = 0.0
    penalty: float = 0.0
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    states: list[State] = field(default_factory=list)

    def loss(self, critic: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The gap of the funnels that are there, and the penalty."""
        assert isinstance(critic, Funnels)
        heights = critic.heights.detach().clone()
        if self.dropped:
            gone = torch.rand(len(heights), generator=self.generator) < self.dropped
            critic.heights.data[gone] = FAR
        found = super().loss(critic, x, y)
        critic.heights.data.copy_(heights)
        return found + self.penalty * critic.heights.var()

    def score(self, critic: nn.Module, supply: Supply) -> float:
        """The validation gap; the state is remembered."""
        self.states.append(copy.deepcopy(critic.state_dict()))
        return super().score(critic, supply)


@dataclass(frozen=True)
class Trained:
    """A critic after training.

    Attributes:
        critic: In the state that training chose.
        supply: Of its points.
        states: Parameters at every validation.
        truth: W_1.
    """

    critic: nn.Module
    supply: Supply
    states: list[State]
    truth: float

    def row(self, state: State | None = None) -> Row:
        """Gaps over W_1 on validation and on test points, of the chosen state or another."""
        critic = copy.deepcopy(self.critic)
        critic.load_state_dict(state or critic.state_dict())
        x, y = scores(critic, self.supply.test, self.supply.frame)
        gaps = {"validation": validate(critic, self.supply), "test": float(x.mean() - y.mean())}
        return {name: round(gap / self.truth, 5) for name, gap in gaps.items()}


def _trained(pair: Callable[[], KnownPair], funnels: int, seed: int, options: Options) -> Trained:
    made = pair()
    (supply,) = supplies_of((made.x, made.y), (None, None), Parts((0.6, 0.2, 0.2)), seed)
    start = starts("peaks", supply, seed, all_sizes=True)[STARTS[funnels]]
    critic = start.make().float()
    assert isinstance(critic, Funnels)
    options = dict(options)
    if softness := options.pop("softness", 0.0):
        options["temperature"] = softness * temperature(critic, supply)
    training = Treated(STEPS, BATCH, start.rate(critic), PATIENCE, "certified", **options)
    training.run(critic, supply, lambda stage: None)
    return Trained(critic, supply, training.states, made.truth)


def _as_usual(usual: Callable[[], Trained], method: str) -> Row:
    """A state of the run without a treatment."""
    found = usual()
    if method == "as it is":
        return found.row()
    if method == "last state":
        return found.row(found.states[-1])
    late = found.states[len(found.states) // 2 :]
    return found.row({name: torch.stack([s[name] for s in late]).mean(0) for name in late[0]})


def _treated(pair: Callable[[], KnownPair], funnels: int, seed: int, options: Options) -> Row:
    return _trained(pair, funnels, seed, options).row()
