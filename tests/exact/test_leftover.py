"""Mass without a way: marginals are kept, and where asked for the plan is optimal."""

import numpy as np
import ot
import pytest
import torch

from otdist.core.point_cost import PointCost
from otdist.exact import leftover


@pytest.mark.parametrize("optimal", [True, False])
def test_masses_arrive(optimal):
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.normal(size=(40, 3))), torch.from_numpy(rng.normal(size=(50, 3)))
    i, j = np.array([3, 7, 20, 39]), np.array([0, 11, 49])
    left, lack = rng.random(4), rng.random(3)
    lack *= left.sum() / lack.sum()
    cost = PointCost(x, y, 2)
    rows, cols, mass = leftover.send(cost, i, j, left, lack, leftover.PAIRS if optimal else 0)
    assert np.abs(np.bincount(rows, mass, 40)[i] - left).max() < 1e-15
    assert np.abs(np.bincount(cols, mass, 50)[j] - lack).max() < 1e-15
    paid = float(cost.pairs(torch.from_numpy(rows), torch.from_numpy(cols)).numpy() @ mass)
    best = ot.emd2(left, lack, cost.dense().numpy()[np.ix_(i, j)])
    assert abs(paid - best) < 1e-14 if optimal else paid >= best - 1e-14
