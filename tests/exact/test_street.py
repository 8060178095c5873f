"""Cityblock distances on a lattice, by a flow between neighbours."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import otdist
from otdist.exact import street
from otdist.metrics import Cityblock


def cost(x, y):
    metric = Cityblock()
    return metric.cost(torch.from_numpy(x), torch.from_numpy(y), 1.0, 0.0)[0]


def image(rng, *shape, empty=0.2):
    masses = rng.random(shape) * (rng.random(shape) > empty)
    masses[(0,) * len(shape)] += 0.1
    return otdist.grid(masses, spacing=rng.uniform(0.5, 2, len(shape)).tolist())


def check(x, a, y, b):
    """The plan is feasible and costs what the potential proves; returns W_1."""
    between = cost(x, y)
    found = street.solve(between, torch.from_numpy(a), torch.from_numpy(b))
    assert found is not None
    plan = np.zeros((len(a), len(b)))
    np.add.at(plan, (found.arcs.rows.numpy(), found.arcs.cols.numpy()), found.arcs.mass.numpy())
    np.testing.assert_allclose(plan.sum(1), a, atol=1e-14)
    np.testing.assert_allclose(plan.sum(0), b, atol=1e-14)
    c, g = between.dense().numpy(), found.g.numpy()
    dual = a @ (c - g).min(1) + b @ g
    assert (plan * c).sum() == pytest.approx(dual, rel=1e-12, abs=1e-14)
    return dual * between.unit


@pytest.mark.parametrize("shape", [(12, 9), (4, 5, 3), (1, 30)])
def test_is_the_distance_of_pot(shape):
    rng = np.random.default_rng(0)
    (x, a), (y, b) = image(rng, *shape), image(rng, *shape)
    y = y * (x.max(0) / np.maximum(y.max(0), 1e-9))  # on one lattice
    wanted = ot.emd2(a, b, np.abs(x[:, None] - y).sum(-1))
    assert check(x, a, y, b) == pytest.approx(wanted, rel=1e-12)


masses = st.lists(st.integers(0, 3), min_size=12, max_size=12).filter(any)


@settings(max_examples=60, deadline=None)
@given(masses, masses, st.booleans())
def test_small_images(first, second, shifted):
    """Integer masses: ties everywhere, empty pixels, equal images, one pixel."""
    (x, a), (y, b) = (otdist.grid(np.reshape(v, (3, 4))) for v in (first, second))
    y = y + 0.5 if shifted else y
    wanted = otdist.wasserstein(x, y, a=a, b=b, metric="cityblock").distance
    if len(np.unique(np.r_[x, y][:, 0])) * len(np.unique(np.r_[x, y][:, 1])) <= 4 * len(
        a
    ) + 4 * len(b):
        assert check(x, a, y, b) == pytest.approx(wanted, rel=1e-12, abs=1e-14)


def test_several_points_at_one_place():
    x = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    a = np.array([0.1, 0.3, 0.4, 0.2])
    assert check(x, a, x[::-1].copy(), a) == pytest.approx(0.3)


def test_points_off_a_lattice_are_for_others():
    x = np.random.default_rng(0).normal(size=(30, 2))
    ones = torch.full((30,), 1 / 30, dtype=torch.float64)
    assert street.solve(cost(x, x + 1), ones, ones) is None
    euclidean = otdist.metrics.Chebyshev().cost(torch.ones(9, 2), torch.ones(9, 2), 1.0, 0.0)[0]
    assert street.solve(euclidean, ones, ones) is None


def test_images_by_the_public_function():
    rng = np.random.default_rng(1)
    (x, a), (y, b) = (otdist.grid(rng.random((40, 40))) for _ in range(2))
    order = rng.permutation(len(y))
    result = otdist.wasserstein(x, y[order], a=a, b=b[order], metric="cityblock")
    assert "neighbours" in result.message
    assert result.gap <= 1e-11 * result.distance
    costs = np.abs(x[:, None] - y[order]).sum(-1)
    f, g = result.potentials
    assert (f[:, None] + g - costs).max() < 1e-12
    assert result.plan.sum(0) == pytest.approx(b[order], abs=1e-14)
    weights = torch.from_numpy(a).requires_grad_()
    otdist.wasserstein(
        torch.from_numpy(x), torch.from_numpy(y), a=weights, b=torch.from_numpy(b),
        metric="cityblock",
    ).cost.backward()  # fmt: skip
    assert weights.grad is not None
    assert abs(float(weights.grad @ weights.detach())) < 1e-12


def test_values_of_natural_images():
    """China and flower of scikit-learn, 64 by 64 pixels: the value of `ot.emd2`."""
    sklearn = pytest.importorskip("sklearn.datasets")
    measures = []
    for picture in sklearn.load_sample_images().images:
        grey = picture[:, 106:533].mean(2)[:427, :427]
        edges = np.linspace(0, 427, 65).astype(int)
        small = np.add.reduceat(np.add.reduceat(grey, edges[:-1], 0), edges[:-1], 1)
        measures.append(otdist.grid(small))
    (x, a), (y, b) = measures
    result = otdist.wasserstein(x, y, a=a, b=b, metric="cityblock")
    assert result.distance == pytest.approx(14.297325543779447, rel=1e-12)
    assert result.gap < 1e-10
