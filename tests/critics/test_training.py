"""Training keeps the best state, stops early or by the clock, and never certifies rounding."""

import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from otdist import ConvexDual, NeuralDual, wasserstein
from otdist.core.result import ConvergenceWarning
from otdist.critics import streams
from otdist.critics.layers import MaxMin, OrthogonalLinear
from otdist.critics.parts import Parts
from otdist.critics.training import Training
from otdist.problems import RayMonotone


def quick(critic: Any = "peaks", **options) -> NeuralDual:
    return NeuralDual(critic, **{"steps": 30, "batch_size": 32, **options})


def cloud(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_auto_keeps_the_best_on_validation_points():
    result = quick("auto").fit(cloud(100, 2, 0), cloud(100, 2, 1, 1.0))
    assert set(result.scores) == {"linear", "mcshane", "peaks", "valleys", "sorting"}
    assert result.scores[result.name] == max(result.scores.values())
    assert {record["critic"] for record in result.history} == set(result.scores)


def test_auto_drops_what_is_far_behind_early():
    law = RayMonotone(16, 16)
    x, y = law.draw(3000, seed=1)[0], law.draw(3000, seed=2)[1]
    result = NeuralDual(steps=100, batch_size=128).fit(x, y)
    last = {record["critic"]: record["step"] for record in result.history}
    assert result.name == "peaks"
    assert last["peaks"] > 5
    assert (last["valleys"], last["sorting"]) == (5, 5)
    for critic in ("valleys", "sorting"):
        assert result.scores[critic] < 0.7 * result.scores["peaks"]


def test_the_clock_ends_the_training():
    x, y = cloud(60, 1, 0), cloud(60, 1, 1, 1.0)
    begin = time.process_time()
    result = quick(steps=10**9, seconds=0.2, patience=10**9).fit(x, y)
    assert time.process_time() - begin < 20  # without the clock it would take days
    assert len(result.history) > 1


class Scripted(Training):
    """A run on nothing, whose validation gaps are given, that of the start first."""

    gaps: Any = ()

    def loss(self, critic, x, y):
        return (critic.direction * 0).sum()

    def score(self, critic, supply):
        with torch.no_grad():
            critic.direction += 1  # tells states apart
        return self.gaps[int(critic.direction[1]) - 1]


@pytest.mark.parametrize(
    "gaps, kept",
    [
        ([0.0, 1.0, 2.0, 3.0, 2.9995, 2.0], 5),  # a thousandth is given for a later state
        ([0.0, 1.0, 3.0, 2.99, 2.98, 2.0], 3),  # a third of a percent is not
        ([-9.0, -3.0, -2.0, -2.5, -4.0, -5.0], 3),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 6),
        ([6.0, 1.0, 2.0, 3.0, 4.0, 5.0], 0),  # the state that the run began with
        ([5.0, 1.0, 4.999, 3.0, 4.0, 2.0], 3),
    ],
)
def test_the_last_of_the_best_states_is_kept(gaps, kept):
    parts = Parts((0.6, 0.2, 0.2))
    (supply,) = streams.supplies_of((cloud(20, 2, 0),) * 2, (None, None), parts, 0)
    training = Scripted(5, 8, 0.1, 10, "certified", checks=5)
    object.__setattr__(training, "gaps", gaps)
    critic = nn.Module()
    critic.direction = nn.Parameter(torch.zeros(2))
    history = training.run(critic, supply, lambda stage: None)
    assert [record["validation"] for record in history] == gaps[1:]
    assert critic.direction.tolist() == [kept, kept]


def test_both_batches_at_once_have_the_gap_of_each():
    net = nn.Sequential(OrthogonalLinear(2, 8), MaxMin(), OrthogonalLinear(8, 1))
    x, y = (torch.from_numpy(cloud(n, 2, n)).float() for n in (9, 13))
    for handling in ("certified", "clip"):
        loss = Training(1, 8, 0.1, 1, handling).loss(net, x, y)
        assert float(loss.detach()) == pytest.approx(
            float((net(y).mean() - net(x).mean()).detach()), abs=1e-6
        )


def test_training_stops_early():
    x, y = cloud(100, 1, 0), cloud(100, 1, 1, 1.0)
    result = NeuralDual("peaks", steps=4000, batch_size=16, patience=2).fit(x, y)
    assert result.history[-1]["step"] < 4000


def test_gradients_are_taken_wherever_fit_is_called():
    x, y = cloud(60, 2, 0), cloud(50, 2, 1, 1.0)
    known = quick("sorting").fit(x, y).estimate
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert quick("sorting").fit(torch.from_numpy(x), torch.from_numpy(y)).estimate == known


def test_a_fit_that_diverged_says_so_and_keeps_a_valid_bracket():
    x, y = cloud(60, 2, 0), cloud(50, 2, 1, 1.0)
    with pytest.warns(ConvergenceWarning, match="training diverged") as caught:
        result = quick("relu", lipschitz="gp", learning_rate=1e30).fit(x, y)
    assert caught[0].filename == __file__
    assert np.isnan(result.estimate)
    assert "lower learning_rate" in result.message
    assert result.bracket.lower == 0
    assert wasserstein(x, y).distance in result.bracket


@pytest.mark.parametrize("critic", ["peaks", "valleys", "sorting"])
@pytest.mark.parametrize("rate", [1e14, 1e16, 1e30])
def test_rates_that_blow_up_certify_no_more_than_is_proved(critic, rate):
    for seed in (2, 10, 11):
        x, y = cloud(60, 4, seed), cloud(60, 4, seed + 100, 0.5)
        with pytest.warns(ConvergenceWarning, match="training diverged: try a lower learning_rate"):
            result = quick(critic, learning_rate=rate, seed=seed).fit(x, y)
        exact = wasserstein(x, y).distance
        assert not result.converged
        assert result.lower is not None
        assert result.lower <= exact  # 1e16 gave 6.55 for 1.65: differences of huge heights
        assert result.estimate <= result.compare_exact().exact * (1 + 1e-9)
        assert exact in result.bracket


@pytest.mark.parametrize("rate", [1e8, 1e12, 1e30])
def test_convex_potentials_that_blow_up_certify_no_more_than_is_proved(rate):
    x, y = cloud(60, 2, 0), cloud(60, 2, 1, 0.5)
    with pytest.warns(ConvergenceWarning, match="training diverged"):
        result = ConvexDual((8,), learning_rate=rate, steps=10).fit(x, y)
    exact = wasserstein(x, y, p=2).distance
    assert result.lower is not None
    assert result.lower <= exact
    assert 0.7 * exact < result.estimate < 1.3 * exact  # the map between normal distributions
    assert exact in result.bracket


def test_frozen_layers_of_a_clipped_critic_stay_as_they_are():
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    net[0].requires_grad_(False)
    result = quick(net, lipschitz="clip").fit(cloud(60, 2, 0), cloud(60, 2, 1, 1.0))
    state = result.critic.state_dict()
    assert torch.equal(state["module.0.weight"].float(), net[0].weight)
    assert float(state["module.2.weight"].abs().max()) <= 0.01 + 1e-9
