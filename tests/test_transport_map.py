"""Maps of plans at new points: the plan's own images at the sources, and known maps elsewhere."""

import numpy as np
import pytest
import torch

import otdist
from otdist import barycentric_map, metrics


def cloud(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize("p", [1, 2, 3.5])
def test_the_plan_s_image_of_a_source_is_a_nearest_target(p):
    """Among several, as all pairs of a basis are tight."""
    x, y = cloud(40, 3, 0), cloud(40, 3, 1) + 2
    result = otdist.wasserstein(x, y, p=p)
    g = result.potentials[1]
    reduced = np.linalg.norm(x[:, None] - y, axis=2) ** p - g
    for image in (barycentric_map(result, y, x), barycentric_map(result, y)):
        at = np.square(image[:, None] - y).sum(2).argmin(1)
        assert reduced[range(40), at] == pytest.approx(reduced.min(1), abs=1e-8)


def test_the_nearest_target_by_potential_is_found_by_hand():
    x, y, z = cloud(30, 2, 0), cloud(20, 2, 1), cloud(50, 2, 2)
    result = otdist.wasserstein(x, y, p=2)
    reduced = ((z[:, None] - y) ** 2).sum(2) - result.potentials[1]
    assert np.array_equal(barycentric_map(result, y, z), y[reduced.argmin(1)])
    image = barycentric_map(result, torch.from_numpy(y), torch.from_numpy(z))
    assert np.array_equal(image.numpy(), y[reduced.argmin(1)])


def test_targets_without_mass_do_not_exist():
    x, y, z = cloud(30, 2, 0), cloud(20, 2, 1), cloud(50, 2, 2)
    b = np.full(21, 1 / 20)
    b[20] = 0
    more = np.concatenate([y, [[0.01, 0.02]]])
    one, other = otdist.wasserstein(x, y, p=2), otdist.wasserstein(x, more, p=2, b=b)
    assert np.array_equal(barycentric_map(one, y, z), barycentric_map(other, more, z))


def test_the_entropic_map_at_the_sources_is_the_barycentre_of_the_entropic_plan():
    x, y = cloud(30, 2, 0), cloud(20, 2, 1)
    b = np.random.default_rng(2).dirichlet(np.ones(20))
    result = otdist.entropic_cost(x, y, b=b, p=2, eps=0.5, tol=1e-10)
    f, g = result.potentials
    cost = ((x[:, None] - y) ** 2).sum(2)
    plan = b * np.exp((f[:, None] + g - cost) / 0.5)
    assert barycentric_map(result, y, x, b=b) == pytest.approx(plan @ y, abs=1e-7)


def test_the_entropic_map_of_two_points_on_the_line_in_closed_form():
    """−1, 1 to −1, 1 at p = 2: by symmetry g is constant, and z goes to tanh(2 z / eps)."""
    result = otdist.entropic_cost([-1.0, 1.0], [-1.0, 1.0], p=2, eps=0.7, tol=1e-12)
    z = np.linspace(-2, 2, 9)
    image = barycentric_map(result, np.array([-1.0, 1.0]), z)
    assert image == pytest.approx(np.tanh(2 * z / 0.7), abs=1e-9)


@pytest.mark.parametrize("metric", ["cityblock", metrics.Periodic(2.0)], ids=str)
def test_metrics(metric):
    x, y, z = (np.random.default_rng(s).random((25, 2)) * 2 for s in range(3))
    result = otdist.wasserstein(x, y, metric=metric)
    gap = np.abs(z[:, None] - y)
    gap = gap if metric == "cityblock" else np.minimum(gap, 2 - gap)
    away = gap.sum(2) if metric == "cityblock" else np.sqrt((gap**2).sum(2))
    reduced = away - result.potentials[1]
    found = barycentric_map(result, y, z, metric=metric)
    at = np.abs(found[:, None] - y).sum(2).argmin(1)
    assert reduced[range(25), at] == pytest.approx(reduced.min(1), abs=1e-9)
    soft = otdist.entropic_cost(x, y, metric=metric, p=1, eps=0.1, tol=1e-9)
    weights = np.exp((soft.potentials[1] - away) / 0.1)
    wanted = (weights / weights.sum(1, keepdims=True)) @ y
    assert barycentric_map(soft, y, z, metric=metric) == pytest.approx(wanted, abs=1e-6)


def test_new_points_come_near_the_map_of_the_distributions():
    x, y, z = cloud(800, 2, 0), cloud(800, 2, 1) * 2 + 1, cloud(500, 2, 2)
    plan, soft = otdist.wasserstein(x, y, p=2), otdist.entropic_cost(x, y, p=2, eps=0.2)
    for result, most in ((plan, 0.3), (soft, 0.3)):
        error = np.square(barycentric_map(result, y, z) - (2 * z + 1)).sum(1).mean()
        assert error < most


def test_what_is_refused():
    x, y, z = cloud(5, 2, 0), cloud(6, 2, 1), cloud(3, 2, 2)
    plan, soft = otdist.wasserstein(x, y), otdist.entropic_cost(x, y, p=2, eps=1.0)
    with pytest.raises(ValueError, match="b belongs to results of entropic_cost"):
        barycentric_map(plan, y, z, b=np.ones(6) / 6)
    with pytest.raises(ValueError, match="result must be one of entropic_cost"):
        barycentric_map(otdist.sinkhorn_divergence(x, y), y, z)
    with pytest.raises(TypeError, match="result must be an OTResult of one pair"):
        barycentric_map(soft, y)
    with pytest.raises(ValueError, match="y must have the result's 6 targets: got 5"):
        barycentric_map(soft, x, z)
    with pytest.raises(ValueError, match="y must have the plan's 6 targets: got 5"):
        barycentric_map(plan, x, z)
    with pytest.raises(ValueError, match="z and y must have one dimension: got 1 and 2"):
        barycentric_map(soft, y, z[:, :1])
    with pytest.raises(ValueError, match="b must hold one weight per point of y"):
        barycentric_map(soft, y, z, b=np.ones(3) / 3)
