"""Whatever the samples, masses and options: the brackets contain what a linear programme finds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from otdist import partial_wasserstein, unbalanced_wasserstein

SLACK = 1e-7  # of HiGHS, relative to the size of costs
coordinates = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(-1e3, 1e3).map(lambda v: v if abs(v) > 1e-100 else 0.0),  # squares of others vanish
)
masses = st.one_of(st.just(0.0), st.just(1.0), st.floats(1e-3, 10))


@st.composite
def problems(draw):
    """Points in the plane with ties, offsets and masses of zero, an exponent, their costs."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    x, y = (
        np.array(draw(st.lists(st.tuples(coordinates, coordinates), min_size=k, max_size=k)))
        for k in (n, m)
    )
    a, b = (np.array(draw(st.lists(masses, min_size=k, max_size=k))) for k in (n, m))
    a[0], b[-1] = max(a[0], 0.5), max(b[-1], 0.25)
    p = draw(st.sampled_from([1, 1.5, 2]))
    return x, y, a, b, p, np.linalg.norm(x[:, None] - y, axis=2) ** p


def optimum(objective, a, b, mass=None):
    """The least objective of a plan below a and b, by HiGHS."""
    n, m = objective.shape
    sums = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    total = {} if mass is None else {"A_eq": np.ones((1, n * m)), "b_eq": [mass]}
    size = np.abs(objective).max() or 1.0
    scaled = objective.ravel() / size
    return linprog(scaled, A_ub=sums, b_ub=np.concatenate([a, b]), **total).fun * size


def holds(found, truth, unit):
    """Whether a cost lies within the bracket, up to the accuracy of the programme."""
    p, off = found.p, SLACK * unit
    low, high = (max(truth + sign * off, 0.0) ** (1 / p) for sign in (-1, 1))
    assert found.lower <= high * (1 + 1e-12)
    assert found.upper >= low * (1 - 1e-12)
    assert found.lower <= found.distance * (1 + 1e-15)
    assert found.distance <= found.upper * (1 + 1e-15)


@settings(max_examples=60, deadline=None)
@given(problems(), st.floats(0.01, 1.0))
def test_partial(problem, share):
    x, y, a, b, p, cost = problem
    mass = share * min(a.sum(), b.sum())
    found = partial_wasserstein(x, y, a=a, b=b, mass=mass, p=p)
    holds(found, optimum(cost, a, b, mass) / mass, cost.max() * max(1.0, a.sum() / mass))
    assert found.moved_x.sum() == pytest.approx(mass)


@pytest.mark.parametrize("share", [0.01, 0.02, 0.3])
def test_the_value_of_a_rounded_mass_lies_in_the_bracket(share):
    """One source before much larger targets: the mass of the plan has lost digits."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        b = np.append(0.0, rng.uniform(1, 10, size=2))
        found = partial_wasserstein(
            np.array([[0.0, 1.0]]), np.zeros((3, 2)), a=[0.5], b=b, mass=share * 0.5, p=1
        )
        holds(found, 1.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(problems(), st.floats(1e-2, 1e3))
def test_total_variation(problem, reach):
    x, y, a, b, p, cost = problem
    price = reach**p
    found = unbalanced_wasserstein(x, y, a=a, b=b, reach=reach, p=p)
    total = a.sum() + b.sum()
    truth = optimum(cost - 2 * price, a, b) + price * total
    holds(found, truth, (cost.max() + price) * total)


@settings(max_examples=25, deadline=None)
@given(problems(), st.floats(0.1, 100))
def test_divergent(problem, reach):
    x, y, a, b, p, cost = problem
    options = {"a": a, "b": b, "reach": reach, "p": p, "penalty": "kl"}
    found, fine = (unbalanced_wasserstein(x, y, rtol=r, **options) for r in (0.3, 1e-2))
    assert found.lower <= fine.upper
    assert fine.lower <= found.upper
    rho, (i, j) = reach**p, np.unravel_index(cost.argmin(), cost.shape)
    nothing = rho * (a.sum() + b.sum())
    moved = math.sqrt(a[i] * b[j]) * math.exp(-cost[i, j] / (2 * rho))  # one arc, the best amount
    assert fine.lower**p <= (nothing - 2 * rho * moved) * (1 + 1e-12) + 1e-12 * nothing
    assert fine.upper**p >= rho * (math.sqrt(a.sum()) - math.sqrt(b.sum())) ** 2 - 1e-9 * nothing
