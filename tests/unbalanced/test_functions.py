"""Partial and unbalanced transport: SciPy's linear programmes, closed forms, limits, bad input."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from otdist import (
    Exact,
    Sinkhorn,
    partial_wasserstein,
    transport,
    unbalanced_wasserstein,
    wasserstein,
)
from otdist.core.result import ConvergenceWarning
from otdist.exact.limits import Sizes

CLOSE = 1e-9  # what HiGHS reaches on problems of costs of order one


def programme(cost, a, b, *, mass=None, price=0.0):
    """The least cost of moving a mass, or the least objective at a price, by HiGHS."""
    n, m = cost.shape
    sums = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    limits = np.concatenate([a, b])
    if mass is not None:
        total = {"A_eq": np.ones((1, n * m)), "b_eq": [mass]}
        return linprog(cost.ravel(), A_ub=sums, b_ub=limits, **total).fun
    found = linprog((cost - 2 * price).ravel(), A_ub=sums, b_ub=limits)
    return found.fun + price * (a.sum() + b.sum())


def problem(seed):
    """A small problem: ties, equal points, zero masses and equal weights come up in turn."""
    rng = np.random.default_rng(seed)
    n, m, d = rng.integers(1, 9), rng.integers(1, 9), rng.integers(1, 4)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    a, b = rng.uniform(0.1, 2, n), rng.uniform(0.1, 1, m)
    if seed % 3 == 0:
        x, y = x.round(), y.round()
    if seed % 5 == 0:
        a, b = np.ones(n), np.ones(m)
    if seed % 4 == 0 and min(n, m) > 1:
        a[rng.integers(n)] = b[rng.integers(m)] = 0
    p = (1, 2, 1.5, 3)[seed % 4]
    cost = np.linalg.norm(x[:, None] - y, axis=2) ** p
    return rng, x, y, a, b, p, cost


@pytest.mark.parametrize("first", range(0, 240, 40))
def test_partial_is_the_linear_programme(first):
    for seed in range(first, first + 40):
        rng, x, y, a, b, p, cost = problem(seed)
        mass = min(a.sum(), b.sum()) * (1.0, 0.5, rng.uniform(0.01, 1))[seed % 3]
        found = partial_wasserstein(x, y, mass=mass, a=a, b=b, p=p)
        truth = programme(cost, a, b, mass=mass)
        assert found.cost == pytest.approx(truth, abs=CLOSE, rel=CLOSE), seed
        assert found.converged
        root = (max(truth, 0.0) / mass) ** (1 / p)
        assert found.lower <= root + CLOSE ** (1 / p)
        assert found.upper >= root - CLOSE ** (1 / p)
        assert found.distance == pytest.approx((found.cost / mass) ** (1 / p))
        plan = found.plan.toarray()
        assert plan.sum() == pytest.approx(mass)
        assert (plan.sum(1) <= a + CLOSE).all()
        assert (plan.sum(0) <= b + CLOSE).all()
        assert (plan * cost).sum() == pytest.approx(found.cost, abs=CLOSE)
        f, g = found.potentials
        h = found.details["price"]
        assert max(f.max(), g.max()) <= h + CLOSE
        assert (f[:, None] + g <= cost + CLOSE).all()
        dual = a @ (f - h) + b @ (g - h) + 2 * h * mass
        assert dual == pytest.approx(found.cost, abs=CLOSE)


@pytest.mark.parametrize("first", range(0, 240, 40))
def test_total_variation_is_the_linear_programme(first):
    for seed in range(first, first + 40):
        rng, x, y, a, b, p, cost = problem(seed)
        reach = 10 ** rng.uniform(-2, 1)
        found = unbalanced_wasserstein(x, y, reach=reach, a=a, b=b, p=p)
        truth, price = programme(cost, a, b, price=reach**p), reach**p
        assert found.cost == pytest.approx(truth, abs=CLOSE, rel=CLOSE), seed
        assert found.converged
        root = max(truth, 0.0) ** (1 / p)
        assert found.lower <= root * (1 + CLOSE) + CLOSE ** (1 / p)
        assert found.upper >= root * (1 - CLOSE) - CLOSE ** (1 / p)
        kept = a.sum() + b.sum() - 2 * found.moved_x.sum()
        paid = (found.plan.toarray() * cost).sum() + price * kept
        assert paid == pytest.approx(found.cost, abs=CLOSE, rel=CLOSE)
        f, g = found.potentials
        assert max(f.max(), g.max()) <= price * (1 + CLOSE)
        assert (f[:, None] + g <= cost + CLOSE * max(1, price)).all()
        assert a @ f + b @ g == pytest.approx(found.cost, abs=CLOSE, rel=CLOSE)


def test_diracs():
    found = partial_wasserstein([[0.0, 0.0]], [[3.0, 4.0]], a=[2.0], b=[5.0], mass=0.5, p=2)
    assert found.cost == pytest.approx(12.5)
    assert found.distance == pytest.approx(5.0)
    assert found.moved_x.tolist() == found.moved_y.tolist() == [0.5]
    for reach, a, b, p in ((2.0, 1.0, 3.0, 1), (0.3, 2.0, 1.0, 1), (1.0, 0.5, 0.7, 2)):
        found = unbalanced_wasserstein([0.0], [1.0], a=[a], b=[b], reach=reach, p=p)
        price = reach**p
        assert found.cost == pytest.approx(min(1, 2 * price) * min(a, b) + price * abs(a - b))


def test_outliers_stay():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    y = np.concatenate([x[:190] + 0.01, rng.normal(50, 1, size=(10, 2))])
    found = partial_wasserstein(x, y, mass=0.95, p=2)
    assert found.distance == pytest.approx(0.01 * math.sqrt(2))
    assert found.moved_y[190:].max() == 0
    assert wasserstein(x, y, p=2).distance > 10
    assert unbalanced_wasserstein(x, y, reach=1.0, p=2).moved_y[190:].max() == 0


def test_limits_are_balanced_transport_and_nothing():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(40, 3))
    for p in (1, 2):
        balanced = wasserstein(x, y, p=p)
        for found in (
            partial_wasserstein(x, y, mass=1.0, p=p),
            unbalanced_wasserstein(x, y, reach=1e6, p=p),
            unbalanced_wasserstein(x, y, reach=30.0, p=p),
        ):
            assert found.distance == pytest.approx(balanced.distance, rel=1e-10)
        assert unbalanced_wasserstein(x, y, reach=1e-3, p=p).moved_x.sum() == 0
    few = unbalanced_wasserstein(x, y, a=np.full(30, 0.1), reach=1e6)  # 3 against 1
    assert few.cost == pytest.approx(2e6, rel=1e-5)
    assert few.upper - few.lower <= 1e-9 * few.upper


def test_monotone_in_mass_and_reach():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(25, 2)), rng.normal(size=(35, 2)) + 1
    costs = [partial_wasserstein(x, y, mass=s, p=2).cost for s in np.linspace(0.1, 1, 10)]
    assert (np.diff(costs) > 0).all()
    assert (np.diff(costs, 2) > -1e-12).all()  # convex in the mass
    found = [unbalanced_wasserstein(x, y, reach=r) for r in np.geomspace(0.1, 10, 10)]
    assert (np.diff([float(r) for r in found]) > -1e-12).all()
    assert (np.diff([r.moved_x.sum() for r in found]) > -1e-12).all()


def test_partial_is_unbalanced_at_its_price():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 1
    found = partial_wasserstein(x, y, mass=0.6, p=2)
    reach = found.details["price"] ** 0.5
    priced = unbalanced_wasserstein(x, y, reach=reach, p=2)
    assert priced.cost == pytest.approx(found.cost + reach**2 * 0.8)


def test_without_a_matrix_as_with_one():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(300, 2)), rng.normal(size=(280, 2)) + 0.5
    a = rng.uniform(size=300)
    without = Exact(_sizes=Sizes(matrix_pairs=0))
    for p in (1, 2):
        options = [
            (partial_wasserstein, {"mass": 0.7, "a": a}),
            (unbalanced_wasserstein, {"reach": 0.4, "a": a}),
        ]
        for function, given in options:
            whole = function(x, y, p=p, **given)
            found = function(x, y, p=p, solver=without, **given)
            assert found.iterations > 0
            assert found.cost == pytest.approx(whole.cost, rel=1e-9)
            assert found.upper - found.lower <= 1e-9 * found.upper
            with pytest.warns(ConvergenceWarning, match="max_seconds"):
                early = function(x, y, p=p, solver=replace(without, max_seconds=1e-9), **given)
            assert early.lower <= whole.upper
            assert early.upper >= whole.lower
            rough = function(x, y, p=p, rtol=0.5, solver=without, **given)
            assert rough.upper <= 1.5 * rough.lower
            assert rough.converged


def taxi(u, v):
    """A caller's own distance between two blocks of points."""
    return torch.cdist(u, v, p=1)


@pytest.mark.parametrize("metric", ["cityblock", "haversine", taxi])
def test_other_metrics(metric):
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-60, 60, size=(6, 2)), rng.uniform(-60, 60, size=(5, 2))
    plan = wasserstein(x, y, metric=metric)
    assert partial_wasserstein(x, y, mass=1.0, metric=metric).cost == pytest.approx(plan.cost)
    half = partial_wasserstein(x, y, mass=0.5, metric=metric)
    assert half.cost < plan.cost / 2
    far = unbalanced_wasserstein(x, y, reach=1e5, metric=metric)
    assert far.cost == pytest.approx(plan.cost)


def test_many_dimensions_and_float32():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(60, 40)), rng.normal(size=(50, 40))
    whole = partial_wasserstein(x, y, mass=0.5)
    cost = np.linalg.norm(x[:, None] - y, axis=2)
    truth = programme(cost, np.full(60, 1 / 60), np.full(50, 1 / 50), mass=0.5)
    assert whole.cost == pytest.approx(truth, rel=1e-8)
    single = partial_wasserstein(x.astype(np.float32), y.astype(np.float32), mass=0.5)
    assert single.distance == pytest.approx(whole.distance, rel=1e-5)


def test_gradients_of_points_and_masses():
    rng = np.random.default_rng(7)
    x, y = (torch.tensor(rng.normal(size=(k, 2)), requires_grad=True) for k in (5, 4))
    a, b = (torch.tensor(rng.uniform(0.2, 1, k), requires_grad=True) for k in (5, 4))

    def partial(x, y, a, b):
        return partial_wasserstein(x, y, a=a, b=b, mass=1.1, p=2).cost

    def priced(x, y, a, b):
        return unbalanced_wasserstein(x, y, a=a, b=b, reach=1.2, p=2).cost

    for function in (partial, priced):
        assert torch.autograd.gradcheck(function, (x, y, a, b))
    distance = partial_wasserstein(x, y, a=a, b=b, mass=1.1, p=2).distance
    distance.backward()
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_a_mass_of_zero_has_a_derivative():
    a = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    y = torch.tensor([[2.0]], dtype=torch.float64)
    partial_wasserstein(x, y, a=a, b=[1.0], mass=0.5).cost.backward()
    assert a.grad is not None
    assert a.grad.tolist() == pytest.approx([0.0, -2.0])
    a = a.detach().requires_grad_()
    unbalanced_wasserstein(x, y, a=a, b=[1.0], reach=3.0).cost.backward()
    assert a.grad is not None
    assert a.grad.tolist()[0] - a.grad.tolist()[1] == pytest.approx(2.0)


def test_absent_points_change_nothing():
    x, y = [[0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0]]
    plain = partial_wasserstein(x, y, a=[0.5, 1.0], b=[2.0], mass=1.0)
    padded = partial_wasserstein(
        [*x, [1e9, 0.0]], [[-1e9, 3.0], *y], a=[0.5, 1.0, 0.0], b=[0.0, 2.0], mass=1.0
    )
    assert padded.cost == plain.cost
    assert padded.moved_x.tolist() == [0.5, 0.5, 0.0]
    assert padded.moved_y.tolist() == [0.0, 1.0]


X, Y = [[0.0], [1.0]], [[2.0]]


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"mass": 0.0}, ValueError, "mass must be positive"),
        ({"mass": 1.5}, ValueError, "mass must be at most 1, the smaller sum of the weights"),
        ({"mass": math.inf}, ValueError, "mass must be positive and finite"),
        ({"mass": 0.5, "a": [-1.0, 2.0]}, ValueError, "a must be non-negative: got -1 at entry 0"),
        ({"mass": 0.5, "a": [0.0, 0.0]}, ValueError, "a must have a positive and finite sum"),
        ({"mass": 0.5, "b": [1.0, 1.0]}, ValueError, "b must hold one weight per point of y"),
        ({"mass": 0.5, "a": [math.nan, 1.0]}, ValueError, "a must be finite"),
        ({"mass": 0.5, "p": 0.5}, ValueError, "p must be"),
        ({"mass": 0.5, "solver": Sinkhorn(eps=0.1)}, TypeError, "solver must be None or"),
        ({"mass": 0.5, "rtol": -1.0}, ValueError, "rtol must be"),
        ({"mass": 0.5, "metric": "manhattan"}, ValueError, "metric must be one of"),
    ],
)
def test_wrong_options_of_partial(options, error, text):
    with pytest.raises(error, match=text):
        partial_wasserstein(X, Y, **options)


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"reach": 0.0}, ValueError, "reach must be positive"),
        ({"reach": -1.0}, ValueError, "reach must be positive"),
        ({"reach": 1e300, "p": 3}, ValueError, "reach must have a p-th power"),
        ({"reach": 1.0, "penalty": "l2"}, ValueError, "penalty must be one of"),
        ({"reach": 1.0, "a": [0.0, 0.0]}, ValueError, "a must have a positive and finite sum"),
    ],
)
def test_wrong_options_of_unbalanced(options, error, text):
    with pytest.raises(error, match=text):
        unbalanced_wasserstein(X, Y, **options)


def test_a_matrix_with_mass_or_reach():
    rng = np.random.default_rng(8)
    cost, a, b = rng.uniform(size=(5, 6)), rng.uniform(size=5), rng.uniform(size=6)
    a[2] = 0
    found = transport(cost, a=a, b=b, mass=0.9)
    assert found.cost == pytest.approx(programme(cost, a, b, mass=0.9), abs=CLOSE)
    assert found.distance == pytest.approx(found.cost / 0.9)
    assert found.moved_x[2] == 0
    found = transport(cost, a=a, b=b, reach=0.1)
    assert found.cost == pytest.approx(programme(cost, a, b, price=0.1), abs=CLOSE)
    matrix, masses = (torch.tensor(v, requires_grad=True) for v in (cost, a + 0.1))

    def value(matrix, masses):
        return transport(matrix, a=masses, b=b, mass=0.7).cost

    assert torch.autograd.gradcheck(value, (matrix, masses))
    with pytest.raises(ValueError, match="pass mass or reach, not both"):
        transport(cost, mass=0.5, reach=0.5)
    with pytest.raises(ValueError, match="start does not apply with mass or reach"):
        transport(cost, mass=0.5, start=transport(cost))
    with pytest.raises(TypeError, match=r"solver must be None or an otdist\.Exact"):
        transport(cost, reach=0.5, solver=Sinkhorn(eps=0.1))
