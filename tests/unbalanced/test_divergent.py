"""Kullback–Leibler penalties: closed forms, a general minimiser, limits, brackets, gradients."""

import itertools
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from otdist import Exact, Sinkhorn, transport, unbalanced_wasserstein, wasserstein
from otdist.core.result import ConvergenceWarning
from otdist.exact.limits import Sizes
from otdist.losses import ExactLoss


def kl(x, y, **options):
    return unbalanced_wasserstein(x, y, penalty="kl", **options)


def objective(plan, cost, a, b, rho):
    """The primal, from a plan alone."""
    value = float((plan * cost).sum())
    for q, w in ((plan.sum(1), a), (plan.sum(0), b)):
        q, w = q[w > 0], w[w > 0]
        logs = np.log(np.where(q > 0, q / w, 1.0))
        value += rho * float((q * logs - q + w).sum())
    return value


def minimum(cost, a, b, rho):
    """The least objective by a general minimiser over positive plans."""
    n, m = cost.shape

    def value(root):
        plan = root.reshape(n, m) ** 2
        slope = cost + rho * np.log(plan.sum(1) / a)[:, None] + rho * np.log(plan.sum(0) / b)
        return objective(plan, cost, a, b, rho), (2 * root.reshape(n, m) * slope).ravel()

    start = np.sqrt(np.outer(a, b) / max(a.sum(), b.sum())).ravel()
    options = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-12}
    return minimize(value, start, jac=True, method="L-BFGS-B", options=options).fun


@pytest.mark.parametrize("reach", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("p", [1, 2])
def test_brackets_the_minimum(reach, p):
    rng = np.random.default_rng(int(10 * reach) + p)
    for _ in range(5):
        n, m = rng.integers(2, 7, size=2)
        x, y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
        a, b = rng.uniform(0.1, 2, n), rng.uniform(0.1, 1, m)
        cost = np.linalg.norm(x[:, None] - y, axis=2) ** p
        found = kl(x, y, a=a, b=b, reach=reach, p=p, rtol=1e-3)
        truth = minimum(cost, a, b, reach**p)
        assert found.converged
        assert found.lower <= truth ** (1 / p)
        assert found.upper <= found.lower * (1 + 1e-3)
        assert found.upper >= truth ** (1 / p) * (1 - 1e-6)  # the minimiser's own accuracy
        plan = found.plan.toarray()
        assert found.cost == pytest.approx(objective(plan, cost, a, b, reach**p), rel=1e-9)
        f, g = found.potentials
        assert (f[:, None] + g <= cost + 1e-9).all()


def test_diracs():
    for reach, a, b, p in (
        (2.0, 1.0, 3.0, 1),
        (0.3, 2.0, 1.0, 1),
        (1.0, 0.5, 0.7, 2),
        (1e4, 1.0, 2.0, 2),
        (1e-3, 1.0, 2.0, 2),
    ):
        rho = reach**p
        truth = rho * (a + b - 2 * math.sqrt(a * b) * math.exp(-1 / (2 * rho)))
        found = kl([0.0], [1.0], a=[a], b=[b], reach=reach, p=p, rtol=1e-9)
        assert found.cost == pytest.approx(truth, rel=1e-12)
        assert found.lower * (1 - 1e-15) <= truth ** (1 / p) <= found.upper * (1 + 1e-15)


def test_gaussian_measures():
    """Marginals of the best plan are Gaussian too, so that five numbers say all of it."""
    rho, (m, v, s), (n, w, t) = 2.0, (0.0, 1.0, 1.1), (1.3, 0.5, 0.8)

    def penalty(mass, mean, var, centre, spread, whole):
        shape = (math.log(spread / var) + (var + (mean - centre) ** 2) / spread - 1) / 2
        return rho * (mass * (math.log(mass / whole) + shape) - mass + whole)

    def value(at):
        mass, v1, v2 = np.exp(at[:3])
        paid = mass * ((at[3] - at[4]) ** 2 + (math.sqrt(v1) - math.sqrt(v2)) ** 2)
        return paid + penalty(mass, at[3], v1, m, v, s) + penalty(mass, at[4], v2, n, w, t)

    truth = minimize(value, [0.0, 0.0, 0.0, m, n], tol=1e-10).fun
    nodes = np.linspace(-5, 5, 201)
    weights = np.exp(-(nodes**2) / 2) / np.exp(-(nodes**2) / 2).sum()
    x, y = m + nodes * v**0.5, n + nodes * w**0.5
    found = kl(x, y, a=s * weights, b=t * weights, p=2, reach=rho**0.5, rtol=2e-3)
    assert found.converged
    assert found.cost == pytest.approx(truth, rel=5e-3)


def test_equal_samples_cost_nothing():
    x = np.random.default_rng(0).normal(size=(40, 2))
    for reach in (0.01, 1.0, 100.0):
        found = kl(x, x, reach=reach)
        assert found.cost == pytest.approx(0, abs=1e-12 * reach)
        assert found.converged


def test_limits_and_order():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(60, 2)), rng.normal(size=(50, 2)) + 0.5
    assert kl(x, y, reach=1e5, p=2).distance == pytest.approx(
        wasserstein(x, y, p=2).distance, rel=1e-6
    )
    found = [kl(x, y, reach=r, rtol=1e-3) for r in np.geomspace(0.01, 100, 9)]
    for near, far in itertools.pairwise(found):
        assert near.lower <= far.upper  # the objective grows with its penalty
    # Destroying and creating everything is one plan.
    assert found[0].upper <= 0.02 * (1 + 1e-12)
    # Penalties of total variation are at least as large as ρ KL where mass only stays.
    assert kl(x, y, reach=1.0).lower <= unbalanced_wasserstein(x, y, reach=1.0).upper


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("d", [1, 3])
def test_one_percent_is_proved_by_default(p, d):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(150, d)), rng.normal(size=(120, d)) + 0.5
    a = rng.uniform(size=150)
    for reach in (0.05, 0.3, 1.0, 10.0):
        found = kl(x, y, a=a, reach=reach, p=p)
        assert found.converged
        assert found.upper <= 1.01 * found.lower


def test_far_points_do_not_move():
    found = kl([[0.0], [1.0]], [[0.5], [1e6]], reach=0.5, p=2)
    assert found.converged
    assert found.moved_y[1] == 0
    nothing = kl([[0.0]], [[1e6]], reach=1.0, p=2)
    assert nothing.cost == pytest.approx(2.0)
    assert nothing.moved_x.tolist() == [0.0]


def test_without_a_matrix_as_with_one():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(200, 2)), rng.normal(size=(180, 2)) + 0.5
    whole = kl(x, y, reach=0.7, p=2)
    without = Exact(_sizes=Sizes(matrix_pairs=0))
    found = kl(x, y, reach=0.7, p=2, solver=without)
    assert found.converged
    assert max(found.lower, whole.lower) <= min(found.upper, whole.upper)
    late = replace(without, max_seconds=1e-9)
    with pytest.warns(ConvergenceWarning, match="max_seconds"):
        early = kl(x, y, reach=0.7, p=2, rtol=1e-9, solver=late)
    assert early.lower <= whole.upper
    assert early.upper >= whole.lower


def test_gradients_of_points_and_masses():
    rng = np.random.default_rng(4)
    x = torch.tensor(rng.normal(size=(1, 2)), requires_grad=True)
    y = torch.tensor(rng.normal(size=(1, 2)), requires_grad=True)
    a, b = (torch.tensor([w], dtype=torch.float64, requires_grad=True) for w in (0.7, 1.2))

    def value(x, y, a, b):
        return kl(x, y, a=a, b=b, reach=1.2, p=2).cost

    assert torch.autograd.gradcheck(value, (x, y, a, b))  # one point each: no gap
    x, y = (torch.tensor(rng.normal(size=(k, 2)), requires_grad=True) for k in (6, 5))
    found = kl(x, y, reach=1.0, p=2, rtol=1e-3)
    found.cost.backward()
    assert x.grad is not None
    step = torch.tensor(rng.normal(size=(6, 2)))
    ends = [kl(x.detach() + t * step, y.detach(), reach=1.0, p=2, rtol=1e-3) for t in (0.05, -0.05)]
    slope = float(ends[0].cost - ends[1].cost) / 0.1
    assert float((x.grad * step).sum()) == pytest.approx(slope, rel=0.02, abs=0.02)


def test_masses_of_zero_metrics_and_pickles():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(5, 2))
    a = np.array([0.0, 1, 1, 0.5, 0, 2])
    whole, part = kl(x, y, a=a, reach=1.0), kl(x[a > 0], y, a=a[a > 0], reach=1.0)
    assert whole.cost == pytest.approx(part.cost, rel=1e-12)
    assert whole.moved_x[0] == 0
    f, g = whole.potentials
    cost = np.linalg.norm(x[:, None] - y, axis=2)
    assert (f[:, None] + g <= cost + 1e-9).all()
    assert pickle.loads(pickle.dumps(whole)).cost == whole.cost
    masses = torch.tensor(a, requires_grad=True)
    found = kl(torch.tensor(x), torch.tensor(y), a=masses, reach=1.0)
    assert float(found.cost.detach()) == pytest.approx(whole.cost, rel=0.02)
    found.cost.backward()
    assert masses.grad is not None
    assert bool(torch.isfinite(masses.grad).all())
    assert kl(x, y, a=a, reach=1.0, metric="cityblock").upper >= whole.lower


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"rtol": 0.0}, ValueError, "rtol must be positive"),
        ({"solver": Sinkhorn(eps=0.1)}, TypeError, "solver must be None or"),
        ({"a": [-1.0]}, ValueError, "a must be non-negative"),
    ],
)
def test_wrong_options(options, error, text):
    with pytest.raises(error, match=text):
        kl([0.0], [1.0], reach=1.0, **options)


def test_a_matrix_has_either_penalty():
    assert transport([[1.0]], reach=0.25).cost == 0.5
    rng = np.random.default_rng(6)
    x, y, a = rng.normal(size=(8, 2)), rng.normal(size=(6, 2)), rng.uniform(0.2, 1, 8)
    cost = ((x[:, None] - y) ** 2).sum(2)
    found = transport(cost, a=a, reach=1.44, penalty="kl", rtol=1e-3)
    truth = kl(x, y, a=a, reach=1.2, p=2, rtol=1e-3)
    assert found.cost == pytest.approx(truth.cost, rel=2e-3)
    assert found.upper <= 1.001 * found.lower
    assert transport(cost, a=a, reach=1.44, penalty="kl").upper <= 1.01 * found.lower
    loss = ExactLoss(reach=1.2, penalty="kl")(torch.tensor(x), torch.tensor(y), torch.tensor(a))
    assert float(loss) == pytest.approx(truth.cost, rel=2e-3)
    assert "kl" in repr(ExactLoss(reach=1.0, penalty="kl"))
    for call in (lambda: transport(cost, penalty="kl"), lambda: ExactLoss(penalty="kl")):
        with pytest.raises(ValueError, match="penalty belongs to reach"):
            call()
