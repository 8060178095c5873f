"""Pairs drawn from plans: permutations come whole, all else in proportion to its mass."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

import otdist
from otdist.core import draws

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n, d", [(7, 1), (7, 3), (150, 2), (1, 2)])
def test_a_permutation_comes_whole(n, d):
    x, y = RNG.normal(size=(2, n, d))
    result = otdist.wasserstein(x, y, p=2)
    i: Any
    i, j = result.sample(n)
    assert sorted(i.tolist()) == sorted(j.tolist()) == list(range(n))
    assert i.dtype == j.dtype == np.int64
    paid = np.mean(((x[i] - y[j]) ** 2).sum(1))
    assert paid == pytest.approx(result.cost)
    assert np.array_equal(result.sample(n)[0], i)
    assert n < 3 or not np.array_equal(result.sample(n, seed=1)[0], i)


def test_draws_follow_the_mass():
    a = np.array([0.5, 0.3, 0.2])
    x, y = np.arange(6.0).reshape(3, 2), RNG.normal(size=(4, 2))
    result = otdist.wasserstein(x, y, a=a)
    plan, k = result.plan.toarray(), 40_000
    i, j = result.sample(k, seed=3)
    seen = np.zeros_like(plan)
    np.add.at(seen, (i, j), 1 / k)
    assert (seen[plan == 0] == 0).all()
    np.testing.assert_allclose(seen, plan, atol=5 * 0.5 / np.sqrt(k))


@pytest.mark.parametrize("k", [3, 12])
def test_fewer_or_more_than_a_permutation_are_independent(k):
    result = otdist.wasserstein(RNG.normal(size=(5, 2)), RNG.normal(size=(5, 2)))
    partner = dict(zip(*result.sample(5), strict=True))
    i, j = result.sample(k)
    assert len(i) == k
    assert all(partner[s] == t for s, t in zip(i, j, strict=True))


def test_torch_draws_the_same():
    x, y = RNG.normal(size=(30, 2)), RNG.normal(size=(20, 2))
    i, j = otdist.wasserstein(x, y).sample(50)
    p, q = otdist.wasserstein(torch.tensor(x, requires_grad=True), torch.tensor(y)).sample(50)
    assert isinstance(p, torch.Tensor)
    assert p.dtype == torch.int64
    assert (p.tolist(), q.tolist()) == (i.tolist(), j.tolist())


def test_weight_zero_and_other_solvers():
    x, y = RNG.normal(size=(4, 2)), RNG.normal(size=(4, 2))
    i, _ = otdist.wasserstein(x, y, a=[0.5, 0.0, 0.5, 0.0]).sample(100)
    assert set(i.tolist()) == {0, 2}
    i, j = otdist.wasserstein(x, y, solver=otdist.Sinkhorn(eps=0.1)).sample(10)
    assert len(i) == len(j) == 10


def test_errors():
    result = otdist.wasserstein([0.0, 1.0], [2.0, 3.0])
    with pytest.raises(ValueError, match="k must be at least 1: got 0"):
        result.sample(0)
    with pytest.raises(TypeError, match="k must be an integer"):
        draws.pairs(result.plan, "all")
    with pytest.raises(ValueError, match="seed must be"):
        result.sample(1, seed=-1)
    with pytest.raises(ValueError, match="moves no mass"):
        draws.pairs(scipy.sparse.coo_array((2, 2)), 1)
