"""Matrices of costs by one product: the bound on their error holds, or differences are taken."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

import otdist
from otdist.core.point_cost import PointCost
from otdist.exact import cost_matrix


def clouds(n=64, d=48, spread=1.0, offset=0.0, apart=0.3, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d)) + apart
    return offset + spread * x, offset + spread * y


def squared(x, y):
    """‖x − y‖² without rounding."""
    return sum((Fraction(u) - Fraction(v)) ** 2 for u, v in zip(x, y, strict=True))


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("apart", [0.3, 30.0])
@pytest.mark.parametrize("offset", [0.0, 1e4, -1e9])
def test_the_error_of_a_product_is_within_its_bound(offset, apart, p):
    x, y = clouds(offset=offset, apart=apart)
    out = np.empty((64, 64))
    error = cost_matrix._by_product(x, y, p, out)
    if error == math.inf:  # the clouds are not around the mean of one of them
        assert apart == 30
        return
    for i, j in np.random.default_rng(1).integers(0, 64, (200, 2)):
        exact = squared(x[i].tolist(), y[j].tolist())
        found = Fraction(float(out[i, j]))
        if p == 2:
            assert abs(found - exact) <= Fraction(error)
        else:
            rounded = Fraction(error) + Fraction(float(out[i, j])) / 2**52
            assert max(found - rounded, 0) ** 2 <= exact <= (found + rounded) ** 2


@pytest.mark.parametrize("p", [1, 2])
def test_points_that_nearly_meet_are_left_to_differences(p):
    x, y = clouds()
    y[3] = x[5] + 1e-9
    values, error, _ = cost_matrix.costs(PointCost(torch.from_numpy(x), torch.from_numpy(y), p))
    assert error == 0
    assert values[5, 3] == pytest.approx((math.sqrt(48) * 1e-9) ** p, rel=1e-5)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_brackets_of_products_are_closed_around_those_of_differences(offset, weighted, p):
    x, y = clouds(n=80, d=64, offset=offset)
    rng = np.random.default_rng(2)
    a, b = (rng.dirichlet(np.ones(80)) for _ in "ab") if weighted else (None, None)
    found = otdist.wasserstein(x, y, a=a, b=b, p=p)
    given = otdist.transport(np.linalg.norm(x[:, None] - y, axis=2) ** p, a=a, b=b)
    assert found.lower <= found.distance <= found.upper <= found.lower * (1 + 1e-12)
    assert found.distance == pytest.approx(given.cost ** (1 / p), rel=1e-12)


def test_equal_samples_are_at_distance_zero():
    x, _ = clouds()
    found = otdist.wasserstein(x, x[::-1].copy(), p=2)
    assert found.distance == 0 == found.upper
