"""Costs that span more digits than float64 has: the right value, or a bracket that says so."""

import numpy as np
import pytest

import otdist
from otdist.core.result import ConvergenceWarning
from otdist.exact.limits import Sizes

ALWAYS = otdist.Exact(_sizes=Sizes(matrix_pairs=0))  # no matrix at first, as for large samples
UNRESCUED = otdist.Exact(_sizes=Sizes(matrix_pairs=0, rescued_pairs=0))
BY = np.array([1.0, 2.0, 3.0])


def dyadic(n=300):
    """Points with 20 bits behind the point, so that moves by powers of two are exact."""
    rng = np.random.default_rng(0)
    return np.round(rng.normal(size=(n, 3)) * 2**20) / 2**20, rng


def contains(result, truth, rel=1e-12):
    assert result.lower <= truth * (1 + rel)
    assert result.upper >= truth * (1 - rel)


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("bits", [20, 30])
def test_a_tiny_move_of_all_points(bits, p):
    x, rng = dyadic()
    by = BY * 2.0**-bits
    result = otdist.wasserstein(x, rng.permutation(x + by), p=p, solver=ALWAYS)
    assert result.converged
    assert result.distance == pytest.approx(np.linalg.norm(by), rel=1e-9)
    assert result.gap <= 1e-6 * result.distance
    contains(result, np.linalg.norm(by))


@pytest.mark.parametrize("d", [3, 20])
@pytest.mark.parametrize("p", [1, 2])
def test_nearly_equal_samples_of_more_points_than_a_matrix_has(p, d):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1300, d))
    y = x * (1 + 1e-9)
    truth = np.mean(np.linalg.norm(x - y, axis=1) ** p) ** (1 / p)
    result = otdist.wasserstein(x, rng.permutation(y), p=p, solver=UNRESCUED)
    assert result.converged
    assert result.distance == pytest.approx(truth, rel=1e-9)
    contains(result, truth, 1e-9)


def test_a_high_power_beside_a_far_point():
    x, rng = dyadic(300)
    far = np.array([[1e7, 0.0, 0.0]])
    y = np.vstack([rng.permutation(x + BY / 4), far])
    truth = np.linalg.norm(BY / 4) * (300 / 301) ** (1 / 60)
    result = otdist.wasserstein(np.vstack([x, far]), y, p=60, solver=ALWAYS)
    contains(result, truth)
    assert result.distance == pytest.approx(truth, rel=1e-9)
    assert result.gap < 1e-3 * truth


@pytest.mark.parametrize("p", [1, 2])
def test_coordinates_that_span_the_exponents(p):
    n = 300
    x = np.zeros((n, 2))
    x[0, 0], x[1:, 1] = 1e200, np.arange(1, n) * 1e-200
    y = x.copy()
    y[1:, 1] = np.arange(1.5, n) * 1e-200
    truth = 0.5e-200 * ((n - 1) / n) ** (1 / p)
    result = otdist.wasserstein(x, np.random.default_rng(0).permutation(y), p=p, solver=ALWAYS)
    assert result.converged
    assert result.distance == pytest.approx(truth, rel=1e-9)
    contains(result, truth, 1e-9)


def test_single_precision_that_spans_its_exponents():
    n = 300
    x = np.zeros((n, 2), np.float32)
    x[0, 0], x[:, 1] = 1e30, np.arange(1, n + 1) * np.float32(1e-12)
    y = x.copy()
    y[:, 1] *= 3
    heights, others = x[:, 1].astype(float), y[:, 1].astype(float)
    truth = np.abs(np.sort(heights[1:]) - np.sort(others[1:])).sum() + abs(heights[0] - others[0])
    result = otdist.wasserstein(x, y, solver=ALWAYS)
    assert result.converged
    assert result.distance == pytest.approx(truth / n, rel=1e-9)


def test_what_no_matrix_can_help_is_told():
    x, rng = dyadic(300)
    y = rng.permutation(x + BY / 4)
    with pytest.warns(ConvergenceWarning, match="p = 40 span more than the digits"):
        result = otdist.wasserstein(x, y, p=40, solver=UNRESCUED)
    assert not result.converged
    contains(result, np.linalg.norm(BY / 4))


def test_equal_samples_in_another_order_are_equal():
    x, rng = dyadic()
    a = rng.random(len(x))
    a /= a.sum()
    order = rng.permutation(len(x))
    for masses in (None, a):
        b = None if masses is None else masses[order]
        result = otdist.wasserstein(x, x[order], a=masses, b=b, p=2, solver=ALWAYS)
        assert result.converged
        assert result.distance < 1e-7
        assert result.lower == 0
