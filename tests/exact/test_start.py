"""The potentials that column generation begins with."""

import numpy as np
import pytest
import torch

import otdist
from otdist.core import measure, task
from otdist.core.certificate import lower_from_potentials
from otdist.core.point_cost import PointCost
from otdist.exact import start
from otdist.exact.limits import Sizes
from otdist.metrics import Angular, Chebyshev, Cosine
from otdist.unbalanced.bounds import partial_dual
from otdist.unbalanced.node import NodeCost


def test_clusters_keep_their_mass_among_landmarks():
    """Equal shares of a subsample of the clusters would send mass from one to another."""
    rng = np.random.default_rng(0)
    centre, label = 20 * rng.normal(size=(12, 2)), rng.integers(12, size=1200)
    x = centre[label] + rng.normal(size=(1200, 2))
    y = centre[label] + rng.normal(size=(1200, 2)) + 2.0
    cost, a = PointCost(*map(torch.from_numpy, (x, y)), 2), torch.full((1200,), 1 / 1200).double()
    g = start.entropic_start(cost, a, a, 256)
    truth = otdist.wasserstein(x, y, p=2).cost
    found = lower_from_potentials(cost, a, a, g=g).cost
    assert 0.9 * truth <= found <= truth


def bound(x, y, p, **kwargs):
    """What the start alone proves, and the exact cost."""
    problem = task.of_pair(measure.pair(x, y), p)
    g = start.entropic_start(problem.cost, problem.a, problem.b, **kwargs)
    found = lower_from_potentials(problem.cost, problem.a, problem.b, g=g)
    exact = otdist.wasserstein(x, y, p=p, solver=otdist.Exact(_sizes=Sizes(matrix_pairs=10**7)))
    return found.cost, (exact.distance / problem.scale) ** p


@pytest.mark.parametrize("p", [1, 2, 3])
def test_clusters_far_apart_with_other_masses(p):
    rng = np.random.default_rng(0)
    x, y = (100.0 * rng.integers(0, 5, (1300, 1)) + rng.normal(size=(1300, 10)) for _ in "xy")
    found, truth = bound(x, y + 7, p)
    assert 0.98 * truth < found <= truth * (1 + 1e-9)


@pytest.mark.parametrize("p", [1, 2])
def test_centres_of_cells_stand_for_points(p):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(1000, 2)), 2 * rng.normal(size=(900, 2)) + 1
    assert start._has_cells(task.of_pair(measure.pair(x, y), p).cost, 128)
    found, truth = bound(x, y, p, landmarks=128)
    assert 0.95 * truth < found <= truth * (1 + 1e-9)


def test_a_rough_start_of_clusters_takes_few_rounds():
    rng = np.random.default_rng(0)
    x, y = (100.0 * rng.integers(0, 5, (1300, 1)) + rng.normal(size=(1300, 10)) for _ in "xy")
    result = otdist.wasserstein(x, y + 7, p=3)
    assert result.converged
    assert result.iterations <= 6  # 44 where potentials of clusters were not balanced


@pytest.mark.parametrize(("mass", "share"), [(0.9, 0.9), (0.5, 0.8)])
def test_few_landmarks_know_the_price_at_which_mass_stays(mass, share):
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(1000, 10)), 1.2 * rng.normal(size=(800, 10)) + 0.5
    cost = PointCost(*map(torch.from_numpy, (x, y)), 2)
    a, b = (torch.full((k,), 1 / k, dtype=torch.float64) for k in cost.shape)
    rest = a.new_tensor([1 - mass])
    with_node = [torch.cat([w, rest]) / (2 - mass) for w in (a, b)]
    g = start.exact_start(NodeCost.around(cost, (0.0, 0.0, 100.0)), *with_node, start.NODE)
    found = partial_dual(cost, a, b, mass, g[:-1] - g[-1]).lower / mass
    truth = otdist.partial_wasserstein(x, y, mass=mass, p=2).distance ** 2
    assert share * truth < found <= truth * (1 + 1e-9)


@pytest.mark.parametrize("metric", [Chebyshev(), Angular(), Cosine()])
def test_medoids_of_cells_prove_nearly_all_for_metrics(metric):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(1500, 3)), 1.3 * rng.normal(size=(1500, 3)) + 0.5
    points = (metric.enter(torch.from_numpy(part), name) for part, name in ((x, "x"), (y, "y")))
    cost, unit = metric.cost(*points, 1.0, 0.0)
    weights = torch.full((1500,), 1 / 1500, dtype=torch.float64)
    truth = otdist.wasserstein(x, y, p=1, metric=metric).distance / unit
    g = start.cell_start(cost, weights, weights, (256, 256))
    assert 0.9 * truth < lower_from_potentials(cost, weights, weights, g=g).cost <= truth


@pytest.mark.parametrize(("d", "p", "most"), [(2, 1, 7), (3, 2, 4)])
def test_samples_far_apart_take_few_rounds(d, p, most):
    """Soft-mins as wide as a part of the cost, a constant here: 14 and 7 rounds."""
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(1500, d)), rng.normal(size=(1400, d)) + 20
    found = otdist.wasserstein(x, y, p=p)
    assert found.converged
    assert found.iterations <= most


@pytest.mark.parametrize("n", [1, 2, 3, 7, 40])
def test_few_or_equal_points_have_a_start(n):
    rng = np.random.default_rng(7)
    for x, y in ((rng.normal(size=(n, 2)), rng.normal(size=(n, 2))), (np.ones((n, 2)),) * 2):
        pair = measure.pair(x, y)
        cost, weights = task.of_pair(pair, 1).cost, torch.full((n,), 1 / n, dtype=torch.float64)
        g = start.usual_start(cost, weights, weights)
        assert g.shape == (n,)
        assert bool(torch.isfinite(g).all())


def test_cells_are_split_by_the_coordinates_that_vary():
    points = torch.zeros(64, 200, dtype=torch.float64)
    points[:, 150] = torch.arange(64.0)
    middle, masses = start._medoids(points, torch.full((64,), 1 / 64, dtype=torch.float64), 8)
    assert sorted((points[middle, 150] // 8).tolist()) == list(range(8))
    assert masses.tolist() == [1 / 8] * 8
