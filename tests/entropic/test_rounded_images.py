"""Sinkhorn between points of lattices: the same plan and bracket as with all pairs."""

import numpy as np
import pytest
import torch

import otdist
from otdist.core import places
from otdist.core.point_cost import PointCost
from otdist.entropic import rounded_images, sinkhorn


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    monkeypatch.setattr(rounded_images, "PIXELS", 100)


def images(seed, shape=(12, 15), empty=0.2):
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(2):
        masses = rng.random(shape) * (rng.random(shape) > empty)
        points, weights = otdist.grid(masses)
        order = rng.permutation(len(points))
        out += [points[order], weights[order]]
    return out


def test_rounded_cost_is_that_of_all_pairs():
    x, a, y, b = (torch.from_numpy(part) for part in images(0))
    cost = PointCost(x, y, 2)
    on = places.of(cost, least=100)
    assert on is not None
    rng = torch.Generator().manual_seed(0)
    for eps, size in ((0.5, 0.01), (3.0, 2.0)):  # nearly converged, and far from it
        start = sinkhorn.entropic.solve(cost, a, b, eps, tol=1e-3, max_iter=200).f
        f = start + size * torch.randn(len(x), generator=rng, dtype=torch.float64)
        wanted, _ = sinkhorn._rounded_cost(cost, a, b, f, eps)
        found, slack = rounded_images.rounded_cost(on, a, b, f, eps)
        assert found == pytest.approx(wanted, rel=1e-10)
        assert 0 < slack < 1e-7 * found


@pytest.mark.parametrize("shape", [(12, 15), (5, 6, 7)])
def test_bracket_contains_the_exact_distance(shape):
    x, a, y, b = images(1, shape)
    exact = otdist.wasserstein(x, y, a=a, b=b, p=2)
    for eps in (None, 0.1, 5.0):
        found = otdist.wasserstein(x, y, a=a, b=b, p=2, solver=otdist.Sinkhorn(eps))
        assert found.lower <= exact.lower
        assert exact.upper <= found.upper
        assert found.distance == pytest.approx(found.upper, rel=1e-7)
        plan = found.plan
        assert plan.sum(0) == pytest.approx(b, abs=1e-12)
        squares = ((x[plan.row] - y[plan.col]) ** 2).sum(1)
        assert plan.data @ squares == pytest.approx(found.cost, rel=1e-9)


def test_default_strength_is_at_most_a_pixel():
    x, a, y, b = images(2, (30, 30))
    found = otdist.wasserstein(x, y, a=a, b=b, p=2, solver=otdist.Sinkhorn())
    assert found.details["eps"] == pytest.approx(1.0)
    spread = otdist.wasserstein(x * 0.5, y * 0.5, a=a, b=b, p=2, solver=otdist.Sinkhorn())
    assert spread.details["eps"] == pytest.approx(0.25)


def test_start_and_streets():
    x, a, y, b = images(3)
    first = otdist.wasserstein(x, y, a=a, b=b, p=2, solver=otdist.Sinkhorn(0.5))
    again = otdist.wasserstein(x, y, a=a, b=b, p=2, solver=otdist.Sinkhorn(0.5), start=first)
    assert again.iterations <= first.iterations
    exact = otdist.wasserstein(x, y, a=a, b=b, metric="cityblock")
    found = otdist.wasserstein(
        x, y, a=a, b=b, metric="cityblock", solver=otdist.Sinkhorn(0.1, tol=1e-5)
    )
    assert found.lower <= exact.distance <= found.upper <= 1.2 * exact.distance


def test_translated_image():
    rng = np.random.default_rng(0)
    small = rng.random((8, 8))
    first, second = np.zeros((2, 30, 30))
    first[2:10, 3:11] = second[14:22, 19:27] = small
    (x, a), (y, b) = otdist.grid(first), otdist.grid(second)
    found = otdist.wasserstein(x, y, a=a, b=b, p=2, solver=otdist.Sinkhorn(0.05))
    assert found.lower <= 20 <= found.upper <= 20.05


def test_too_few_steps_are_said():
    x, a, y, b = images(4)
    with pytest.warns(otdist.ConvergenceWarning):
        rough = otdist.wasserstein(
            x, y, a=a, b=b, p=2, solver=otdist.Sinkhorn(0.01, tol=1e-6, max_iter=1)
        )
    exact = otdist.wasserstein(x, y, a=a, b=b, p=2).distance
    assert rough.lower <= exact <= rough.upper
