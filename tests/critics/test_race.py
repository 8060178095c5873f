"""Who goes on in a race: kinds near the best, starts that win their heats, near ties twice."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from otdist.critics import Funnels
from otdist.critics.critics import mean_difference
from otdist.critics.parts import Parts
from otdist.critics.race import CLOSE, HEAT, STAY, Race
from otdist.critics.starts import Start
from otdist.critics.streams import supplies_of
from otdist.critics.training import Clock

STEPS = 40


def race(**options: Any) -> Race:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 2)) + np.array([3, 0]), rng.normal(size=(200, 2))
    (supply,) = supplies_of((x, y), (None, None), Parts((0.6, 0.2, 0.2)), 0)
    return Race(
        supply, Clock(None), lambda stage: None, STEPS, 64, None, 50, "certified",
        **{"several": True, **options},
    )  # fmt: skip


def tilted(cosine: float, rate: float = 1e-9) -> Start:
    """A linear critic whose gap is about this share of the largest, and that hardly learns."""
    x, y = torch.tensor([[cosine, math.sqrt(1 - cosine**2)]]), torch.zeros(1, 2)
    return Start(lambda: mean_difference(x, y), lambda critic: rate)


def steps(history: list[dict[str, Any]]) -> list[int]:
    return [record["step"] for record in history]


def test_kinds_far_behind_stop_after_a_heat():
    near, far = (STAY + 1) / 2, STAY / 2
    found = race().run({"best": [tilted(1)], "near": [tilted(near)], "far": [tilted(far)]})
    heat = round(HEAT * STEPS)
    assert [racer.name for racer in found] == ["best", "near", "far"]
    assert [steps(racer.history)[0] for racer in found] == [heat] * 3
    assert [steps(racer.history)[-1] for racer in found] == [STEPS, STEPS, heat]


def test_the_best_start_stands_for_its_kind():
    found = race().run({"kind": [tilted(0.8), tilted(1), tilted(0.9)], "far": [tilted(0.1)]})
    assert found[0].critic.weight[0, 0].item() == pytest.approx(1, abs=1e-4)
    assert steps(found[0].history)[-1] == STEPS


def test_near_ties_get_another_heat():
    almost = (1 + CLOSE) / 2
    heat = round(HEAT * STEPS)
    (tied,) = race().run({"kind": [tilted(almost), tilted(1)]})
    (clear,) = race().run({"kind": [tilted(0.5), tilted(1)]})
    assert steps(tied.history)[:2] == [heat, heat]
    assert steps(clear.history)[0] == heat
    assert len(tied.history) == len(clear.history) + 1


def test_one_critic_just_trains():
    (alone,) = race(several=False).run({"kind": [tilted(1), tilted(0.5)]})
    assert steps(alone.history)[-1] == STEPS
    assert alone.critic.weight[0, 0].item() == pytest.approx(1, abs=1e-4)


def test_all_go_on_where_no_gap_is_positive():
    found = race().run({"worse": [tilted(-1)], "bad": [tilted(-0.9)]})
    assert [steps(racer.history)[-1] for racer in found] == [STEPS, STEPS]


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
