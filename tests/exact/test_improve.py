"""Plans improved in blocks: marginals stay, and every sweep makes them cheaper."""

import itertools

import numpy as np
import ot
import torch

from otdist.core.point_cost import PointCost
from otdist.core.result import Arcs
from otdist.exact import improve


def independent(n, m, rng):
    """A dense plan, far from optimal."""
    a, b = rng.random(n) + 0.1, rng.random(m) + 0.1
    mass = np.outer(a / a.sum(), b / b.sum())
    rows, cols = np.indices((n, m)).reshape(2, -1)
    return Arcs(*map(torch.from_numpy, (rows, cols, mass.ravel())), (n, m)), mass


def test_sweeps_keep_the_marginals_and_lower_the_cost():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(30, 2)) + 1
    cost = PointCost(torch.from_numpy(x), torch.from_numpy(y), 2)
    arcs, mass = independent(40, 30, rng)
    paid = [float(cost.pairs(arcs.rows, arcs.cols) @ arcs.mass)]
    for ends, line in ((0, x[:, 0]), (1, y[:, 1]), (0, x[:, 1]), (1, y[:, 0])):
        place = line[(arcs.rows, arcs.cols)[ends].numpy()]
        arcs = improve.sweep(cost, arcs, place, lambda: True)
        paid.append(float(cost.pairs(arcs.rows, arcs.cols) @ arcs.mass))
        np.testing.assert_allclose(np.bincount(arcs.rows, arcs.mass, 40), mass.sum(1), atol=1e-16)
        np.testing.assert_allclose(np.bincount(arcs.cols, arcs.mass, 30), mass.sum(0), atol=1e-16)
    assert all(later <= before + 1e-15 for before, later in itertools.pairwise(paid))
    best = ot.emd2(mass.sum(1), mass.sum(0), cost.dense().numpy())
    assert best <= paid[-1] < best + 0.2 * (paid[0] - best)


def test_a_sweep_that_is_stopped_keeps_the_rest():
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(size=(40, 2)))
    arcs, mass = independent(40, 40, rng)
    answers = iter([True, False])
    found = improve.sweep(PointCost(x, x, 1), arcs, arcs.rows.numpy(), lambda: next(answers))
    np.testing.assert_allclose(np.bincount(found.rows, found.mass, 40), mass.sum(1), atol=1e-16)
    assert len(found.mass) < 1600
