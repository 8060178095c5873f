"""Distances on the sphere: lower bounds by one product, and the largest of few directions."""

import numpy as np
import pytest
import torch

import otdist
from otdist import metrics
from otdist.exact.limits import Sizes


@pytest.mark.parametrize("metric", [metrics.Cosine(), metrics.Angular()])
@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-6])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lower_bounds_by_products_are_below_and_near(metric, spread, p, dtype):
    rng = np.random.default_rng(0)
    place = rng.normal(size=3)
    x, y = (torch.from_numpy(place + spread * rng.normal(size=(k, 3))) for k in (120, 90))
    if spread == 1:
        y[:40] = -x[:40]  # opposite points
    y[50:60] = x[50:60]
    cost, _ = metric.cost(*metric.enter_both(x, y)[:2], p, 0.0)
    left, right = cost.lifted(dtype)
    below = cost.of_product_(left @ right).double()
    i, j = torch.arange(120).repeat_interleave(90), torch.arange(90).repeat(120)
    truth = cost.pairs(i, j).view(120, 90)
    typical = float(truth.mean())
    assert bool((below <= truth * (1 + 8 * p * torch.finfo(dtype).eps) + 1e-30).all())
    u, v = (torch.nn.functional.normalize(z) for z in (x, y))
    apart = (truth > 0.1 * typical) & (u @ v.T > -0.99)  # a root is steep at opposite points
    assert bool((below >= truth * (1 - 1e4 * torch.finfo(dtype).eps))[apart].all())


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-7])
@pytest.mark.parametrize("d", [2, 3, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_block_of_angles_is_that_of_pairs(spread, d, dtype):
    """Also of equal, of nearly equal and of opposite points, and where all points are near."""
    metric, rng = metrics.Angular(), np.random.default_rng(2)
    place = rng.normal(size=d)
    x, y = (torch.from_numpy(place + spread * rng.normal(size=(k, d))) for k in (120, 90))
    y[:2] = -x[:2]
    y[2:4] = -x[2:4] + 1e-9
    y[4:6], y[6:8] = x[4:6], x[6:8] + 1e-9
    x, y = (metric.enter(z, "x").to(dtype) for z in (x, y))
    i, j = torch.arange(120).repeat_interleave(90), torch.arange(90).repeat(120)
    truth = metric.pairs(x[i].double(), y[j].double()).view(120, 90)
    off = (metric.block(x, y).double() - truth).abs()
    units = torch.finfo(dtype).eps / torch.finfo(torch.float64).eps
    assert float(off.max()) <= metric.slack(x.double(), y.double()) * units
    if dtype == torch.float64 and d < 40:  # by differences: products lose what is near
        assert bool((off <= 1e-12 * truth)[4:8, 4:8].all())


@pytest.mark.parametrize("metric", [metrics.Cosine(), metrics.Angular()])
@pytest.mark.parametrize("spread", [1.0, 1e-2])
def test_the_bound_on_all_distances_knows_the_spread(metric, spread):
    rng = np.random.default_rng(1)
    place = rng.normal(size=3)
    x, y = (torch.from_numpy(place + spread * rng.normal(size=(k, 3))) for k in (70, 50))
    x, y = (metric.enter(z, "x") for z in (x, y))
    largest, truth = metric.largest(x, y), float(metric.block(x, y).max())
    assert truth <= largest <= 5 * truth


@pytest.mark.parametrize("p", [1, 2])
def test_streets_of_a_town_are_told_apart(p):
    """Points within a hundred metres: a millionth of a turn."""
    rng = np.random.default_rng(0)
    x, y = (np.array([48.85, 2.35]) + 1e-3 * rng.normal(size=(300, 2)) for _ in range(2))
    for solver in (None, otdist.Exact(_sizes=Sizes(matrix_pairs=0))):
        found = otdist.wasserstein(x, y, p=p, metric="haversine", solver=solver)
        assert found.converged
        assert found.gap <= 1e-5 * found.distance
