"""Sweeps over many assignments end at potentials that prove each of them."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from otdist.exact.assignment import duals, nearer


@pytest.mark.parametrize("n", [16, 64, 120])
def test_duals_prove_assignments(n):
    rng = np.random.default_rng(n)
    costs = np.stack([cdist(*rng.normal(size=(2, n, 4))) for _ in range(3)])
    sources = np.empty((3, n), dtype=np.int64)
    best = []
    for k, c in enumerate(costs):
        rows, cols = linear_sum_assignment(c)
        sources[k, cols] = rows
        best.append(c[rows, cols].sum())
    g = duals(torch.from_numpy(costs), sources)
    f = (costs - g[:, None]).min(2)
    np.testing.assert_allclose(f.sum(1) + g.sum(1), best, rtol=1e-13)


@pytest.mark.parametrize("scale", [0.0, 1e-200, 1.0, 1e200])
def test_nearer_costs_have_the_same_assignment(scale):
    costs = np.stack([cdist(*np.random.default_rng(k).normal(size=(2, 20, 3))) for k in range(4)])
    for c, r in zip(costs, nearer(torch.from_numpy(costs * scale)), strict=True):
        assert np.isfinite(r).all()
        assert (r >= 0).all()
        if scale > 0:
            rows, cols = linear_sum_assignment(r)
            assert c[rows, cols].sum() == pytest.approx(
                c[linear_sum_assignment(c)].sum(), rel=1e-12
            )
