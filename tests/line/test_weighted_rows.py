"""Weighted slices in kept memory against the walk with whole tensors, which the tests know."""

import numpy as np
import pytest
import torch

from otdist.line import univariate, weighted_rows

ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5}


def walked(x, y, p, a, b):
    """The same cost through the general walk: a graph is what the fast rows do not take."""
    return univariate.cost(x.clone().requires_grad_(), y, p, a, b).detach()


def weights(rng, shape, lattice: bool) -> torch.Tensor:
    values = rng.integers(1, 4, shape).astype(float) if lattice else rng.random(shape) + 1e-3
    return torch.from_numpy(values / values.sum(-1, keepdims=True))


@pytest.mark.parametrize("lattice", [False, True], ids=["generic", "lattice"])
@pytest.mark.parametrize("sizes", [(1, 5), (40, 30), (1500, 1100), (2500, 3000)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rows_equal_the_walk(sizes, dtype, lattice):
    rng = np.random.default_rng(0)
    n, m = sizes
    x, y = (torch.from_numpy(rng.normal(size=(3, 7, k))).to(dtype) for k in sizes)
    shared, each = weights(rng, n, lattice), weights(rng, (3, 7, m), lattice)
    for p in (1.0, 2.0, 1.5):
        for a, b in ((shared, each), (shared, None), (None, each)):
            expected = walked(x, y, p, a, b)
            found = univariate.cost(x, y, p, a, b)
            assert found.shape == (3, 7)
            assert found.dtype == dtype
            torch.testing.assert_close(found, expected, rtol=ROUNDING[dtype], atol=ROUNDING[dtype])


def test_chunks_and_kept_memory_leave_no_trace():
    rng = np.random.default_rng(1)
    x, y = (torch.from_numpy(rng.normal(size=(9, k))) for k in (50, 60))
    a = weights(rng, 50, lattice=False)
    whole = univariate.cost(x, y, 2.0, a)
    weighted_rows.cost(x[:, :20] + 5, y[:, :7], 2.0, weights(rng, 20, lattice=False), None, 200)
    torch.testing.assert_close(weighted_rows.cost(x, y, 2.0, a, None, 200), whole, rtol=0, atol=0)
    alone = weighted_rows.cost(x, y, 2.0, a, None, 100)  # less than one row: as a long line
    torch.testing.assert_close(alone, whole)


def test_equal_measures_are_at_distance_zero_in_any_order():
    rng = np.random.default_rng(2)
    x, a = torch.from_numpy(rng.normal(size=(4, 3000))), weights(rng, (4, 3000), lattice=False)
    order = torch.from_numpy(rng.permuted(np.tile(np.arange(3000), (4, 1)), axis=1))
    assert float(univariate.cost(x, x.gather(1, order), 2.0, a, a.gather(1, order)).max()) < 1e-28


def test_neighbours_that_differ_in_the_last_bits_are_put_in_order():
    """The packed keys do not tell them apart, and the rows must be sorted after all."""
    rng = np.random.default_rng(3)
    x = torch.from_numpy(1.0 + rng.integers(0, 1000, (2, 3000)) * 2.0**-52)
    y, a = torch.zeros(2, 5, dtype=torch.float64), weights(rng, (2, 3000), lattice=True)
    torch.testing.assert_close(univariate.cost(x, y, 1.0, a), walked(x, y, 1.0, a, None))
    torch.testing.assert_close(univariate.cost(x, x + 1, 1.0, a, a), torch.ones(2).double())
