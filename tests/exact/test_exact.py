"""Exact transport on the full matrix: three solvers, proofs, large powers and small distances."""

import math
import subprocess
import sys
import warnings

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

import otdist
from otdist.exact import matrix
from otdist.exact.limits import Sizes

COST_RTOL = 1e-9  # the simplex works in float64, on costs less potentials
ROOT_RTOL = 1e-9


def truth(x, y, a, b, p):
    return float(ot.emd2(a, b, cdist(x, y) ** p, numItermax=10**7))


def samples(n, m, d=4, clusters=False, seed=7):
    rng = np.random.default_rng(seed)
    centres = 100.0 * clusters * rng.integers(0, 3, (n + m, 1))
    points = rng.normal(size=(n + m, d)) + centres
    a, b = (w / w.sum() for w in (rng.random(n) ** 4, rng.random(m)))
    return points[:n], points[n:], a, b


def check(result, x, y, a, b, p):
    assert result.cost == pytest.approx(truth(x, y, a, b, p), rel=COST_RTOL)
    assert result.converged
    assert result.lower <= result.distance <= result.upper
    assert result.gap <= ROOT_RTOL * result.distance
    f, g = result.potentials
    costs = cdist(x, y) ** p
    assert (f[:, None] + g - costs).max() <= 1e-12 * costs.max()
    assert float(a @ f + b @ g) == pytest.approx(result.cost, rel=COST_RTOL)
    plan = result.plan.toarray()
    np.testing.assert_allclose(plan.sum(1), a, atol=1e-15)
    np.testing.assert_allclose(plan.sum(0), b, atol=1e-15)


@pytest.mark.parametrize("clusters", [False, True])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("d", [2, 20])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (16, 16), (60, 50), (130, 130), (330, 300)])
def test_every_solver_on_the_matrix_is_exact(n, m, d, p, clusters):
    x, y, a, b = samples(n, m, d, clusters)
    check(otdist.wasserstein(x, y, a=a, b=b, p=p), x, y, a, b, p)
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    check(otdist.wasserstein(x, y, p=p), x, y, a, b, p)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(1, 40),
    d=st.integers(2, 4),
    p=st.sampled_from([1.0, 1.5, 2.0, 5.0]),
    spread=st.sampled_from([1.0, 2.0, 5.0]),
    seed=st.integers(0, 2**20),
)
def test_assignments_with_ties_are_proved(n, d, p, spread, seed):
    x, y = np.round(spread * np.random.default_rng(seed).normal(size=(2, n, d)))
    result = otdist.wasserstein(x, y, p=p)
    costs = cdist(x, y) ** p
    assert result.cost == pytest.approx(costs[linear_sum_assignment(costs)].mean(), rel=COST_RTOL)
    assert result.converged
    assert result.gap <= ROOT_RTOL * result.distance


def test_column_generation_on_the_matrix_needs_no_good_start():
    x, y, a, b = samples(200, 180, 2)
    costs = cdist(x, y)
    bad = 10 * np.random.default_rng(0).normal(size=180)
    for start in (None, bad):
        flow = matrix.solve(costs, a, b, uniform=False, start=start)
        assert flow.mass @ costs[flow.rows, flow.cols] == pytest.approx(truth(x, y, a, b, 1))
        assert (costs - flow.f[:, None] - flow.g).min() > -1e-11


def test_a_start_is_used_where_it_saves_the_entropic_steps(monkeypatch):
    x, y, a, b = samples(300, 280)
    first = otdist.wasserstein(x, y, a=a, b=b, p=2)

    def unwanted(*args):
        raise AssertionError("a start replaces the entropic potential")

    monkeypatch.setattr(matrix, "_entropic", unwanted)
    again = otdist.wasserstein(x + 1e-3, y, a=a, b=b, p=2, start=first)
    check(again, x + 1e-3, y, a, b, 2)


def test_gradients_agree_between_solvers():
    x, y, a, b = samples(330, 300, clusters=True)
    found = []
    for pairs in (10**9, 0):
        points = torch.tensor(x, requires_grad=True)
        solver = otdist.Exact(_sizes=Sizes(matrix_pairs=pairs))
        result = otdist.wasserstein(points, torch.tensor(y), a=a, b=b, p=2, solver=solver)
        result.cost.backward()
        found.append(points.grad)
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-12)


def test_small_assignments_do_not_import_pot():
    code = (
        "import sys, numpy as np, otdist\n"
        "x = np.random.default_rng(0).normal(size=(50, 3))\n"
        "otdist.wasserstein(x, x + 1)\n"
        "assert 'ot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def bottleneck(x, y):
    """W_∞ of uniform samples of one size: the least d with a perfect matching within d."""
    costs = cdist(x, y)
    within = [linear_sum_assignment(costs > d) for d in np.unique(costs)]
    for d, (rows, cols) in zip(np.unique(costs), within, strict=True):
        if not (costs > d)[rows, cols].any():
            return d
    raise AssertionError


@pytest.mark.parametrize("p", [8, 20, 60, 300, 1000, 1e5, 1e6])
@pytest.mark.parametrize("weighted", [False, True])
def test_large_powers_end_at_the_bottleneck(p, weighted):
    x, y, a, b = samples(20, 20, 3)
    if not weighted:
        a = b = None
    result = otdist.wasserstein(x, y, a=a, b=b, p=p)
    assert result.converged
    assert result.lower <= result.distance <= result.upper
    assert result.gap <= 1e-6 * result.distance
    if not weighted:
        top = bottleneck(x, y)
        assert 20 ** (-1 / p) * top * (1 - 1e-9) <= result.lower
        assert result.upper <= top * (1 + 1e-9)


@pytest.mark.parametrize("p", [1, 2, 20, 60])
@pytest.mark.parametrize("far", [1e3, 1e7, 1e12])
def test_a_small_distance_beside_far_points_is_proved(p, far):
    result = otdist.wasserstein([[0, 0], [far, 0]], [[1, 0], [far, 0]], p=p)
    assert result.distance == pytest.approx(0.5 ** (1 / p), rel=1e-12)
    assert result.gap <= 1e-9
    assert result.converged


def test_a_translation_is_exact_beside_the_size_of_the_samples():
    x = np.random.default_rng(3).normal(size=(60, 5))
    shift = np.full(5, 2.0**-40)
    for a in (None, np.arange(1, 61) / 1830):
        result = otdist.wasserstein(x, x + shift, p=2, a=a, b=a)
        moved = np.linalg.norm((x + shift) - x, axis=1)
        expected = math.sqrt(np.average(moved**2, weights=a))
        assert result.distance == pytest.approx(expected, rel=1e-9)
        assert result.lower == pytest.approx(expected, rel=1e-6)


def test_mass_below_the_digits_of_the_others_is_moved_and_paid_for():
    tiny = 5e-18
    x, y = [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0]]
    result = otdist.wasserstein(x, y, a=[1.0, tiny], p=1)
    assert result.distance == pytest.approx(tiny, rel=1e-12)
    assert result.lower <= tiny <= result.upper


def test_what_float64_cannot_prove_is_said():
    points, mass = [[0.0, 0.0], [1.0, 0.0]], 2.0**-53
    with pytest.warns(otdist.core.result.ConvergenceWarning, match="more than the digits"):
        result = otdist.wasserstein(points, points, a=[0.5, 0.5], b=[0.5 - mass, 0.5 + mass], p=60)
    assert not result.converged
    assert result.lower <= mass ** (1 / 60) <= result.upper


def test_identical_weighted_samples_are_at_distance_zero_in_any_order():
    x, _, a, _ = samples(60, 1)
    order = np.random.default_rng(1).permutation(60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = otdist.wasserstein(x, x[order], a=a, b=a[order], p=2)
    assert result.distance == 0
    assert result.converged


def test_the_proof_does_not_trust_the_solver(monkeypatch):
    x, y, a, b = samples(60, 50)
    value = truth(x, y, a, b, 1)
    honest = matrix.solve

    def swapped(costs, *args, **options):
        return honest(costs[:, ::-1].copy(), *args, **options)

    monkeypatch.setattr(matrix, "solve", swapped)
    with pytest.warns(otdist.core.result.ConvergenceWarning):
        result = otdist.wasserstein(x, y, a=a, b=b)
    assert not result.converged
    assert result.lower <= value <= result.upper


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_distances_whose_squares_vanish_beside_the_size_of_the_samples(p):
    """Coordinates span the range of float64: a square of 1e-400 is lost, the distance is not."""
    result = otdist.wasserstein([[1e200, 0.0], [0.0, 1e-200]], [[1e200, 0.0], [0.0, 2e-200]], p=p)
    assert result.converged
    assert result.lower <= 1e-200 * 0.5 ** (1 / p) * (1 + 1e-12)
    assert result.upper >= 1e-200 * 0.5 ** (1 / p) * (1 - 1e-12)
    assert result.gap <= 1e-12 * result.lower
    thin = otdist.wasserstein(
        [[1.0, 0, 0], [0, 1e-200, 1e-200]], [[1.0, 0, 0], [0, 2e-200, 3e-200]], p=p
    )
    assert math.isclose(thin.distance, math.sqrt(5) * 1e-200 * 0.5 ** (1 / p), rel_tol=1e-12)


def test_a_distance_below_the_normal_numbers_is_left_open():
    x, y = [[1e300, 0.0], [0.0, 1e-320]], [[1e300, 0.0], [0.0, 2e-320]]
    with pytest.warns(otdist.ConvergenceWarning, match="span more than the digits of float64"):
        result = otdist.wasserstein(x, y)
    assert not result.converged
    assert result.lower <= 5e-321 <= result.upper
