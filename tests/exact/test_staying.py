"""Mass that both samples have at a point stays there."""

import numpy as np
import pytest
import torch

import otdist
from otdist.core.point_cost import PointCost
from otdist.exact import exact, staying
from otdist.exact.limits import Limits, Sizes
from otdist.metrics import Chebyshev, Cityblock


def pieces(seed, shared, n=60, m=50, d=2):
    """Samples of which `shared` points are in both, in other places, with other weights."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    y[m - shared :] = x[:shared]
    a, b = rng.random(n), rng.random(m)
    return x, y, a / a.sum(), b / b.sum()


def outcome(x, y, a, b, p=1.0):
    x, y, a, b = (torch.from_numpy(part) for part in (x, y, a, b))
    return staying.solve(PointCost(x, y, p), a, b, Limits())


@pytest.mark.parametrize("shared", [0, 1, 20, 50])
@pytest.mark.parametrize("p", [1.0, 2.0])
def test_plan_and_potential_prove_each_other(shared, p):
    x, y, a, b = pieces(shared, shared)
    found = outcome(x, y, a, b, p)
    cost = np.linalg.norm(x[:, None] - y, axis=-1) ** p
    plan = np.zeros_like(cost)
    np.add.at(plan, (found.arcs.rows.numpy(), found.arcs.cols.numpy()), found.arcs.mass.numpy())
    np.testing.assert_allclose(plan.sum(1), a, atol=1e-14)
    np.testing.assert_allclose(plan.sum(0), b, atol=1e-14)
    f = (cost - found.g.numpy()).min(1)
    g = (cost - f[:, None]).min(0)
    assert (plan * cost).sum() == pytest.approx(a @ f + b @ g, rel=1e-11)
    assert found.optimal


def test_equal_samples_stay():
    x, _, a, _ = pieces(0, 0)
    order = np.random.default_rng(1).permutation(len(x))
    found = outcome(x, x[order], a, a[order])
    assert torch.equal(found.arcs.rows, torch.from_numpy(order))
    assert found.rounds == 0


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_the_same_measure_is_proved_without_a_pass_over_pairs(p, monkeypatch):
    rng = np.random.default_rng(1)
    x = rng.integers(0, 90, (1500, 3)).astype(float)  # 1,499 points, one of them twice
    x[7], x[3] = x[5], [0.0, 0.0, -0.0]
    a = rng.integers(1, 9, 1500) / 64
    a /= a.sum()
    order = rng.permutation(1500)
    monkeypatch.setattr(exact, "_bound", None)
    for weights in ({}, {"a": a, "b": a[order]}):
        result = otdist.wasserstein(x, x[order], p=p, rtol=0.01 * (p == 2), **weights)
        assert result.lower == result.distance == result.upper == 0
        assert result.converged
        rows, cols = result.plan.nonzero()
        assert (x[rows] == x[order][cols]).all()


def test_nearly_the_same_measure_moves():
    x = np.random.default_rng(2).normal(size=(1500, 2))
    y, b = x[::-1].copy(), np.full(1500, 1 / 1500)
    y[0, 1] += 1e-3
    assert otdist.wasserstein(x, y, p=2).distance == pytest.approx(1e-3 / 1500**0.5, rel=1e-6)
    b[:2] += [1e-4, -1e-4]
    moved = otdist.wasserstein(x, x[::-1], b=b, p=2)
    assert 0 < moved.lower <= (1e-4**0.5) * np.linalg.norm(x[-1] - x[-2])


def test_half_of_two_images_stays():
    """The public function, with a start, a tolerance and gradients."""
    rng = np.random.default_rng(2)
    (x, a), (y, b) = (otdist.grid(rng.random((36, 36))) for _ in range(2))
    solver = otdist.Exact(_sizes=Sizes(matrix_pairs=10_000))
    exact = otdist.wasserstein(x, y, a=a, b=b, solver=solver)
    assert exact.gap <= 1e-11
    assert exact.distance == pytest.approx(otdist.wasserstein(x, y, a=a, b=b).distance, rel=1e-11)
    again = otdist.wasserstein(x, y, a=a, b=b, solver=solver, start=exact)
    assert again.distance == pytest.approx(exact.distance, rel=1e-11)
    rough = otdist.wasserstein(x, y, a=a, b=b, solver=solver, rtol=0.05)
    assert rough.lower <= exact.distance <= rough.upper <= 1.05 * exact.distance
    chebyshev = otdist.wasserstein(x, y, a=a, b=b, solver=solver, metric="chebyshev")
    wanted = otdist.wasserstein(x, y, a=a, b=b, metric="chebyshev").distance
    assert chebyshev.distance == pytest.approx(wanted, rel=1e-11)


def test_a_solver_of_all_pairs_is_not_asked_where_mass_stays_or_a_lattice_is_filled():
    rng = np.random.default_rng(4)
    (x, a), (y, b) = (otdist.grid(rng.random((5, 5))) for _ in range(2))
    x, y, a, b = (torch.from_numpy(np.asarray(z, dtype=float)) for z in (x, y, a, b))
    city, _ = Cityblock().cost(x, y + 0.5, 1.0, 0.0)
    assert staying.gains(city, a, b)
    for metric in (Cityblock(), Chebyshev()):
        assert staying.gains(metric.cost(x, y, 1.0, 0.0)[0], a, b)
        apart = torch.from_numpy(rng.random((25, 2)))
        assert not staying.gains(metric.cost(x, apart, 1.0, 0.0)[0], a, b)
    assert not staying.gains(Chebyshev().cost(x, y + 0.5, 1.0, 0.0)[0], a, b)
    assert not staying.gains(Chebyshev().cost(x, y, 2.0, 0.0)[0], a, b)


def test_metrics_between_more_points_than_others_agree_with_and_without_a_matrix():
    x, y, a, b = pieces(5, 0, 130, 120, 3)
    for metric, kept in (("cityblock", 10_000), ("chebyshev", 10_000), ("angular", 40_000)):
        few, none = (otdist.Exact(_sizes=Sizes(matrix_pairs=k)) for k in (kept, 1_000))
        first, second = (
            otdist.wasserstein(x, y, a=a, b=b, metric=metric, solver=s) for s in (few, none)
        )
        assert first.iterations == 0 < second.iterations
        assert first.distance == pytest.approx(second.distance, rel=1e-11)
