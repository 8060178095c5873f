"""The known answers are right: checked against SciPy's linear programs, duals and quadrature."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog
from scipy.stats import norm

from otdist import problems
from otdist.problems import Problem, RayMonotone

ROUNDING = 1e-9
"""Relative error that a linear program solved in float64 may leave."""


def solved(problem: Problem, p: float) -> float:
    """W_p by SciPy: an assignment for equal uniform samples, otherwise a linear program."""
    x, y = problem.x, problem.y
    cost = np.linalg.norm(x[:, None] - y, axis=2) ** p
    n, m = cost.shape
    if problem.a is None and problem.b is None and n == m:
        return float(np.mean(cost[linear_sum_assignment(cost)]) ** (1 / p))
    a = np.full(n, 1 / n) if problem.a is None else problem.a
    b = np.full(m, 1 / m) if problem.b is None else problem.b
    margins = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    result = linprog(cost.ravel(), A_eq=margins, b_eq=np.concatenate([a, b]))
    return float(max(result.fun, 0.0) ** (1 / p))


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("index", range(len(problems.catalogue())))
def test_sample_distance_is_what_a_linear_program_finds(index, seed, p):
    problem = problems.catalogue(seed)[index]
    exact = problem.sample(p)
    if exact is None:
        assert p != 2 or "ray" in problem.name
        return
    assert solved(problem, p) == pytest.approx(exact, rel=ROUNDING, abs=1e-7)


@pytest.mark.parametrize("problem", problems.catalogue(), ids=lambda problem: problem.name)
def test_pairing_attains_the_distance(problem):
    if problem.pairing is None:
        return
    partner = problem.y[problem.pairing]
    assert sorted(problem.pairing) == list(range(len(problem.y)))
    length = np.linalg.norm(problem.x - partner, axis=1)
    known = [p for p in (1, 1.5, 2, 3) if problem.sample(p) is not None]
    assert known
    for p in known:
        assert np.mean(length**p) ** (1 / p) == pytest.approx(problem.sample(p), abs=1e-12)


@pytest.mark.parametrize("name", ["translation", "convex_gradient", "gaussians", "gaussians_1d"])
def test_seed_decides_the_points_and_global_state_stays(name):
    make = getattr(problems, name)
    np.random.seed(3)  # noqa: NPY002  (that the global generator is left alone is the point)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = make(seed=1), make(seed=1), make(seed=2)
    assert np.array_equal(first.x, again.x)
    assert np.array_equal(first.y, again.y)
    assert not np.array_equal(first.x, other.x)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("p", [1, 1.7, 2, 3, 5])
@pytest.mark.parametrize(
    "mean, std", [(0.0, 1.0), (2.0, 0.5), (-3.0, 0.01), (1.0, 0.0), (0.3, 2.0)]
)
def test_gaussian_line_distance_is_the_integral_over_quantiles(mean, std, p):
    t = (np.arange(400_000) + 0.5) / 400_000
    integral = np.mean(np.abs(mean + std * norm.ppf(t)) ** p) ** (1 / p)
    assert problems.gaussian_distance_1d(mean, std, p) == pytest.approx(integral, rel=1e-4)


def test_gaussian_facts():
    assert problems.gaussians_1d().population(2) == pytest.approx(2.0616, abs=5e-5)
    zero, one = np.zeros(3), np.eye(3)
    assert problems.bures(zero, one, zero, 4 * one) == pytest.approx(np.sqrt(3))
    assert problems.bures(zero, one, zero + 1, one) == pytest.approx(np.sqrt(3))
    assert problems.gaussians().population(1) is None


def test_population_distance_is_approached_by_large_samples():
    problem = problems.gaussians(n=4000, m=4000, d=2)
    means = problem.x.mean(axis=0), problem.y.mean(axis=0)
    fitted = problems.bures(means[0], np.cov(problem.x.T), means[1], np.cov(problem.y.T))
    assert fitted == pytest.approx(problem.population(2), rel=0.03)


@pytest.mark.parametrize("d, published", [(2, 0.230), (16, 1.554), (64, 1.317)])
def test_ray_monotone_distance_is_near_the_published_one(d, published):
    mean, error = RayMonotone(d, n_funnels=64).w1(4000)
    assert error < 0.03
    assert mean == pytest.approx(
        published, rel=0.15
    )  # funnels are drawn anew: the law of W_1 is wide


@pytest.mark.parametrize("d", [1, 2, 16])
def test_ray_monotone_critic_is_one_lipschitz_and_proves_the_pairing(d):
    pair = RayMonotone(d, n_funnels=16, seed=3)
    x, y = pair.draw(2000, seed=3)
    assert np.abs(x).max() <= 2.5 + 1e-12
    # On the ray the critic falls at rate one: gap and length agree for every single pair.
    gap = pair.critic(x) - pair.critic(y)
    np.testing.assert_allclose(gap, np.linalg.norm(x - y, axis=1), atol=1e-10)
    points = np.concatenate([x[:200], y[:200]])
    rise = np.abs(np.subtract.outer(pair.critic(points), pair.critic(points)))
    assert (rise <= np.linalg.norm(points[:, None] - points, axis=2) + 1e-10).all()


def test_ray_monotone_gradient_is_that_of_the_critic():
    pair = RayMonotone(5, n_funnels=8)
    y = pair.draw(50)[1]
    gradient, step = pair.critic_gradient(y), 1e-6
    for k in range(5):
        shift = step * np.eye(5)[k]
        slope = (pair.critic(y + shift) - pair.critic(y - shift)) / (2 * step)
        np.testing.assert_allclose(slope, gradient[:, k], atol=1e-5)


def test_ray_monotone_refuses_sizes_below_one():
    with pytest.raises(ValueError, match="n_funnels must be at least 1: got 0"):
        RayMonotone(2, n_funnels=0)


@pytest.mark.parametrize(
    "mixture, k", [(problems.eight_gaussians(), 8), (problems.twenty_five_gaussians(), 25)]
)
def test_mixtures_count_their_modes(mixture, k):
    points = mixture.draw(5000)
    assert mixture.modes(points) == k
    assert mixture.quality(points) == pytest.approx(1 - np.exp(-4.5), abs=0.006)
    assert mixture.modes(points[:0]) == 0
    assert mixture.modes(mixture.centres[:3]) == 3
    assert mixture.quality(points + 100) == 0


def test_scales_are_those_of_the_literature():
    assert np.linalg.norm(problems.eight_gaussians().centres, axis=1) == pytest.approx(2 / 1.414)
    assert problems.twenty_five_gaussians().centres.max() == pytest.approx(4 / 2.828)
    roll = problems.swiss_roll(2000)
    assert roll.shape == (2000, 2)
    assert 1.7 < np.linalg.norm(roll, axis=1).max() < 2.1
