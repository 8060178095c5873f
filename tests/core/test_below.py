"""c-transforms by matrix products: never above the truth, and near it where points are apart."""

import numpy as np
import pytest
import torch

from otdist.core import below
from otdist.core.point_cost import PointCost

EXACT = np.longdouble


def cost_of(x, y, p):
    return PointCost(torch.from_numpy(x), torch.from_numpy(y), p)


def points(kind, n, d, rng):
    if kind == "normal":
        return rng.normal(size=(n, d))
    if kind == "near":  # all distances far below the norms
        return 1 + 1e-5 * rng.normal(size=(n, d))
    if kind == "tiny":
        return 1e-25 * rng.normal(size=(n, d))
    return rng.integers(0, 3, (n, d)).astype(float)


def ctransform(x, y, p, g):
    """In more digits than float64 has, by differences."""
    squared = ((x[:, None].astype(EXACT) - y[None].astype(EXACT)) ** 2).sum(2)
    return (squared ** EXACT(p / 2) - g.astype(EXACT)).min(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("kind", ["normal", "near", "tiny", "integers"])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e5])
def test_never_above(kind, p, size, dtype):
    rng = np.random.default_rng(0)
    for d in (1, 3, 70):
        x, y = points(kind, 30, d, rng), points(kind, 20, d, rng)
        g = size * rng.normal(size=20)
        found = below.ctransform(cost_of(x, y, p), torch.from_numpy(g), dtype)
        assert (found.numpy() <= ctransform(x, y, p, g)).all()


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
@pytest.mark.parametrize("p", [1.0, 2.0, 2.5])
def test_near_the_truth(p, dtype, digits):
    rng = np.random.default_rng(1)
    x, y, g = rng.normal(size=(20, 5)), 2 + rng.normal(size=(3000, 5)), rng.normal(size=3000)
    found = below.ctransform(cost_of(x, y, p), torch.from_numpy(g), dtype)
    truth = ctransform(x, y, p, g)
    assert np.abs(found.numpy() - truth).max() <= digits * np.abs(truth).max()
