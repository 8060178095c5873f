"""MIND: 3 d SW_2² with the floor, interval and test of SW_2."""

import numpy as np
import pytest

import otdist

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(90, 5)), RNG.normal(0.8, 1.0, size=(70, 5))


def test_mind_is_three_times_the_dimension_times_sw2_squared():
    found = otdist.evaluate(X, Y, metrics=["mind"], n_permutations=19, progress=False)
    mind = found.metrics["mind"]
    slices = otdist.sliced_wasserstein(X, Y, p=2, n_projections=1000, seed=0)
    assert mind.estimate == pytest.approx(15 * slices.distance**2, rel=1e-12)
    assert mind.pvalue == pytest.approx(1 / 20)
    assert mind.floor < mind.at_floor
    low, high = mind.interval
    assert low < mind.centre < high
    interval = otdist.confidence_interval(X, Y, "sliced", n_projections=1000)
    assert (low, high) == pytest.approx((15 * interval.lower, 15 * interval.upper), rel=1e-9)


def test_mind_of_one_law_that_moves_is_known():
    """Over directions the mean of ⟨u, shift⟩² is |shift|²/d: MIND of a shift is 3 |shift|²."""
    found = otdist.evaluate(X, X + 2.0, metrics=["mind"], progress=False).metrics["mind"]
    assert found.estimate == pytest.approx(3 * 5 * 4.0, rel=0.1)


def test_labellings_have_the_value_of_the_observed_one():
    test = otdist.two_sample_test(X, Y, "mind", n_projections=50, n_permutations=19)
    assert test.statistic == pytest.approx(
        15 * otdist.sliced_wasserstein(X, Y, p=2, n_projections=50, seed=0).distance ** 2, rel=1e-9
    )
