"""Who goes on in a race: kinds near the best, the best starts of a kind, and while they gain."""

import math
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from otdist.critics import Funnels
from otdist.critics import race as race_module
from otdist.critics.critics import mean_difference
from otdist.critics.parts import Parts
from otdist.critics.race import CLEAR, CLOSE, HEAT, OPENING, STAY, Race, Racer
from otdist.critics.starts import FEW_POINTS, Start, starts, temperature
from otdist.critics.streams import supplies_of
from otdist.critics.training import SETTLED, Clock, Training, ahead

STEPS = 40


def race(**options: Any) -> Race:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 2)) + np.array([3, 0]), rng.normal(size=(200, 2))
    (supply,) = supplies_of((x, y), (None, None), Parts((0.6, 0.2, 0.2)), 0)
    return Race(
        supply, say=lambda stage: None, batch_size=64, learning_rate=None, patience=50,
        handling="certified", **{"clock": Clock(None), "steps": STEPS, "several": True, **options},
    )  # fmt: skip


def tilted(cosine: float, rate: float = 1e-5) -> Start:
    """A linear critic whose gap is about this share of the largest, and grows by its rate."""
    x, y = torch.tensor([[cosine, math.sqrt(1 - cosine**2)]]), torch.zeros(1, 2)
    return Start(lambda: mean_difference(x, y), lambda critic: rate)


def last(racer: Racer) -> int:
    """Steps of the last run, at its last validation."""
    return racer.history[-1]["step"]


HEATED = round(HEAT * STEPS)
ROUND, END = 2 * HEATED, STEPS - HEATED - 2 * HEATED - 4 * HEATED


def test_kinds_far_behind_stop_after_a_heat_and_others_when_they_cannot_win():
    near, far = (STAY + 1) / 2, STAY / 2
    found = race().run({"best": [tilted(1)], "near": [tilted(near)], "far": [tilted(far)]})
    assert [racer.name for racer in found] == ["best", "near", "far"]
    assert [last(racer) for racer in found] == [END, ROUND, HEATED]


def test_the_best_start_stands_for_its_kind():
    found = race().run({"kind": [tilted(0.8), tilted(1), tilted(0.9)], "far": [tilted(0.1)]})
    assert found[0].critic.weight[0, 0].item() == pytest.approx(1, abs=1e-2)
    assert last(found[0]) == END


@pytest.mark.parametrize("share, wins", [((1 + CLOSE) / 2, True), (CLOSE - 0.05, False)])
def test_starts_of_a_kind_go_on_together_while_they_are_close(share, wins):
    (found,) = race().run({"kind": [tilted(1), tilted(share, rate=2e-3)]})
    assert (found.critic.weight[0, 1].item() > 0.1) == wins


def test_a_critic_that_a_round_has_not_moved_leaves():
    (still,) = race().run({"kind": [tilted(1, rate=1e-12)]})
    assert last(still) == ROUND


def test_the_clock_shortens_the_last_round():
    begin = time.process_time()
    (found,) = race(steps=10**9, clock=Clock(0.3)).run({"kind": [tilted(1)]})
    assert time.process_time() - begin < 20  # without the clock it would take days
    assert last(found) > END


class Costly(Clock):
    """A clock on which only the making of critics takes time, a thousand seconds each."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.made = seconds, 0

    def left(self) -> float:
        return self.seconds - 1000 * self.made

    def start(self, cosine: float) -> Start:
        """A start that the clock counts."""
        begun = tilted(cosine)

        def make() -> nn.Module:
            self.made += 1
            return begun.make()

        return Start(make, begun.rate)


@pytest.mark.parametrize("seconds, made", [(1e5, 9), (1e4, round(10 * OPENING)), (3e3, 2)])
def test_starts_enter_only_while_the_opening_lasts(seconds, made):
    clock = Costly(seconds)
    kinds = {"best": [clock.start(1 - k / 100) for k in range(8)], "far": [clock.start(0.1)]}
    best, far = race(clock=clock).run(kinds)
    assert clock.made == made
    assert last(best) == END
    assert last(far) == HEATED


def test_exact_potentials_of_many_points_wait_for_those_of_few():
    points = np.random.default_rng(0).normal(size=(2, 1000, 2))
    (supply,) = supplies_of(tuple(points), (None, None), Parts((0.6, 0.2, 0.2)), 0)
    (alone,) = starts("mcshane", supply, 0)
    few, many = starts("mcshane", supply, 0, all_sizes=True)
    assert len(few.make().centres) == FEW_POINTS
    assert len(alone.make().centres) == len(many.make().centres) == 600


def test_one_critic_just_trains():
    (alone,) = race(several=False).run({"kind": [tilted(1), tilted(0.5)]})
    assert last(alone) == STEPS
    assert alone.critic.weight[0, 0].item() == pytest.approx(1, abs=1e-2)


def test_where_no_gap_is_positive_the_largest_goes_on():
    found = race().run({"worse": [tilted(-1)], "bad": [tilted(-0.9)]})
    assert [last(racer) for racer in found] == [ROUND, END]


def test_critics_above_slope_one_are_refused():
    steep = Start(lambda: nn.Sequential(nn.Linear(2, 1, bias=False), Steep()))
    with pytest.raises(ValueError, match=r"Lipschitz bound is .*, above 1"):
        race().run({"steep": [steep]})
    funnel = Start(lambda: Funnels(torch.zeros(1, 2)), lambda critic: 0.1)
    assert race().run({"funnel": [funnel]})[0].gap > 0


class Steep(nn.Module):
    """Three times its input, plus what linear layers take away."""

    def forward(self, x):
        return 1e3 * x

    def lipschitz(self) -> float:
        return 1e3


def funnels(monkeypatch, clear: list[float]) -> list[tuple[int, float]]:
    """Number of funnels and temperature of all that train in a race, softer ones so far ahead."""
    told, trained = iter(clear), []
    run = Training.run

    def spied(self, critic, supply, report):
        assert critic.temperature == 0
        trained.append((len(critic.centres), self.temperature))
        history = run(self, critic, supply, report)
        assert critic.temperature == 0
        return history

    monkeypatch.setattr(Training, "run", spied)
    monkeypatch.setattr(race_module, "ahead", lambda *of: next(told))
    monkeypatch.setattr(race_module, "temperature", lambda critic, supply: 0.1)
    sizes = [Start(partial(Funnels, torch.randn(k, 2)), lambda critic: 0.01) for k in (3, 4)]
    race().run({"peaks": sizes})
    return trained


def test_softer_funnels_enter_if_clearly_ahead_and_softer_ones_if_not_clearly_behind(monkeypatch):
    assert funnels(monkeypatch, [CLEAR])[:3] == [(3, 0), (3, 0.1), (4, 0)]
    found = funnels(monkeypatch, [1.1 * CLEAR, -0.9 * CLEAR, -1.1 * CLEAR])[:5]
    assert [size for size, _ in found] == [3, 3, 3, 3, 4]
    assert [warm for _, warm in found] == pytest.approx([0, 0.1, 0.2, 0.3, 0.2])


@pytest.mark.parametrize(("seconds", "stays"), [(None, False), (1e9, True)])
def test_softer_funnels_earn_their_steps_unless_seconds_were_given(seconds, stays):
    run = race(clock=Clock(seconds))
    soft = Racer("peaks", Funnels(torch.zeros(1, 2)), run.supply, 0.1, temperature=0.1, gap=1.0)
    assert run._goes_on(soft, [soft])  # after a heat
    soft.gained = 0.9 * SETTLED
    assert run._goes_on(soft, [soft]) == stays
    soft.gained = 1.1 * SETTLED
    assert run._goes_on(soft, [soft])
    hard = replace(soft, temperature=0.0, gained=0.9 * SETTLED)
    assert run._goes_on(hard, [hard])


def test_gaps_are_compared_in_standard_errors_of_their_difference():
    supply = race().supply
    one, other = Funnels(torch.zeros(1, 2)), Funnels(torch.ones(1, 2))
    seen = supply.seen
    more = [(one(z) - other(z)).detach().double() for z in (seen.x, seen.y)]
    error = math.sqrt(sum(float(z.var(correction=0)) / len(z) for z in more))
    assert ahead(one, other, supply) == pytest.approx(
        float(more[0].mean() - more[1].mean()) / error
    )
    assert ahead(one, one, supply) == 0


def test_the_unit_of_temperatures_is_a_lead_over_points_of_both_samples():
    supply = race().supply
    critic = Funnels(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)))
    x, y = (z.float() for z in supply.frame.sides(supply.corner(500)))
    assert temperature(critic, supply) == pytest.approx(critic.lead(torch.cat([x, y])), rel=1e-5)
