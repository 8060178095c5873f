"""Sweeps over many assignments end at potentials that prove each of them."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from otdist.batches.duals import duals


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
