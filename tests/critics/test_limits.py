"""The limit misses as often as it says, also where scores are skewed and Student's misses more."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from otdist import NeuralDual
from otdist.critics.limits import limit, unskewed
from otdist.problems import RayMonotone

REPEATS = 4000
BINOMIAL = 3 * math.sqrt(0.05 * 0.95 / REPEATS)  # 1.0%: three deviations of the share of misses


def welch(x: torch.Tensor, y: torch.Tensor) -> float:
    """Student's limit, by SciPy."""
    test = stats.ttest_ind(x, y, equal_var=False, alternative="greater")
    return float(test.confidence_interval(0.95).low)


@pytest.mark.parametrize(
    "skewed, students",
    [
        (lambda rng, n: -(rng.random(n) ** 4) + 0.2, 0.06),  # scores of x on a ray-monotone pair
        (lambda rng, n: rng.standard_normal(n), 0.04),
    ],
    ids=["rays", "normal"],
)
def test_the_share_of_misses(skewed, students):
    rng = np.random.default_rng(0)
    misses, usual = 0, 0
    for _ in range(REPEATS):
        x, y = (torch.from_numpy(s) for s in (skewed(rng, 20) + 3, rng.random(20) - 0.5))
        misses += limit(x, y)[1] > 3
        usual += welch(x, y) > 3
    assert misses / REPEATS < 0.05 + BINOMIAL
    assert usual / REPEATS > students  # 7% where skewed, which the limit is corrected for


def test_the_limit_of_a_trained_critic():
    """A fixed critic on fresh test points: its limit against its own expectation."""
    law = RayMonotone(2, 4)
    x, y = law.draw(3000, seed=1)[0], law.draw(3000, seed=2)[1]
    critic = NeuralDual("peaks", steps=50).fit(x, y)
    many = [critic.potential(law.draw(10**5, seed=s)[k]) for k, s in ((0, 3), (1, 4))]
    truth = many[0].mean() - many[1].mean()
    rng = np.random.default_rng(0)
    misses = 0
    for _ in range(REPEATS):
        up, down = (torch.from_numpy(rng.choice(scores, 60)) for scores in many)
        misses += limit(up, down)[1] > truth
    assert abs(misses / REPEATS - 0.05) < BINOMIAL


def test_symmetric_scores_have_students_limit_and_skewed_ones_never_a_higher():
    rng = np.random.default_rng(1)
    one = torch.from_numpy(rng.standard_normal(50))
    x, y = torch.cat([one, -one]) + 5, torch.cat([one, -one])[:60] * 2
    y = torch.cat([y, -y])
    assert limit(x, y)[1] == pytest.approx(welch(x, y), rel=1e-3)
    assert limit(x, y)[1] <= welch(x, y)
    for tail in (x.exp(), -x.exp() + 2000):
        lower = limit(tail, y)[1]
        assert lower <= max(0.0, welch(tail, y)) * (1 + 1e-12)
    assert limit(-x.exp() + 2000, y)[1] < welch(-x.exp() + 2000, y) - 1


@pytest.mark.parametrize("skewness", [-5.0, -0.3, -1e-9, 0.0, 1e-9, 0.3, 5.0])
def test_hall_s_function_is_inverted(skewness):
    for t in (-3.0, 0.0, 1.645, 6.3):
        back = unskewed(t, skewness)
        image = back + skewness * back**2 / 3 + skewness**2 * back**3 / 27 + skewness / 6
        assert image == pytest.approx(t, abs=1e-9)


def test_few_points_and_none_of_spread():
    assert limit(torch.tensor([1.0, 1.0]), torch.zeros(2)) == (1.0, 1.0)
    assert limit(torch.zeros(2), torch.zeros(2)) == (0.0, 0.0)
    estimate, lower = limit(torch.tensor([5.0, 6.0]), torch.tensor([0.0, 0.5]))
    assert estimate == 5.25
    assert 0 < lower < 5.25
    for factor in (1e-300, 1e300):
        scaled = limit(torch.tensor([5.0, 6.0, 9.0]).double() * factor, torch.zeros(3).double())
        assert scaled[1] == pytest.approx(
            limit(torch.tensor([5.0, 6.0, 9.0]).double(), torch.zeros(3).double())[1] * factor,
            rel=1e-12,
        )
