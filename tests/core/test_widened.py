"""Costs of points in single precision, in double: those of a widened copy, without the copy."""

import numpy as np
import pytest
import torch

import otdist
from otdist.core import widened as module
from otdist.core.point_cost import PointCost
from otdist.core.widened import WidenedCost, widened
from otdist.exact.limits import Sizes


def samples(n, m, d):
    rng = np.random.default_rng(0)
    return (torch.from_numpy(rng.normal(size=(k, d))).float() for k in (n, m))


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("d", [2, 20, 100])
def test_every_number_is_that_of_a_widened_copy(d, p):
    x, y = samples(40, 30, d)
    found, whole = widened(PointCost(x, y, p)), PointCost(x.double(), y.double(), p)
    assert isinstance(found, WidenedCost)
    assert found.x.data_ptr() == x.data_ptr()
    i, j, g = torch.arange(40) % 7, torch.arange(40) % 30, torch.linspace(0, 1, 30).double()
    for of in (lambda c: c, lambda c: c.T.T, lambda c: c.centred(), lambda c: c.to(torch.float64)):
        ours, theirs = of(found), of(whole)
        assert ours.dtype == torch.float64
        assert torch.equal(ours.pairs(i, j), theirs.pairs(i, j))
        assert torch.equal(ours.dense(), theirs.dense())
        assert torch.equal(ours.softmin(g, 0.1), theirs.softmin(g, 0.1))
        assert torch.equal(ours.ctransform(g)[0], theirs.ctransform(g)[0])
        assert torch.equal(ours.mean(g.new_ones(40), g), theirs.mean(g.new_ones(40), g))
        assert (ours.slack, ours.largest) == (theirs.slack, theirs.largest)
    assert torch.equal(found.sub(i, j).dense(), whole.sub(i, j).dense())
    part, block = slice(0, 5), torch.rand(5, 30, dtype=torch.float64)
    forces = (c.force(part, c.rows(0, 5), block.clone()) for c in (found, whole))
    assert torch.equal(*forces)
    assert found.to(torch.float32).dtype == torch.float32


@pytest.mark.parametrize("d", [2, 20])
def test_an_accuracy_is_proved_without_a_copy(d, monkeypatch):
    def unwanted(self):
        raise AssertionError("all points were widened")

    x, y = samples(500, 400, d)
    exact = otdist.wasserstein(x.double(), y.double(), p=2)
    solver = otdist.Exact(_sizes=Sizes(matrix_pairs=0, coarse_from=200, first_level=5))
    monkeypatch.setattr(module.WidenedCost, "_whole", property(unwanted))
    found = otdist.wasserstein(x, y, p=2, rtol=0.01, solver=solver)
    assert found.converged
    assert found.lower <= exact.upper
    assert found.upper >= exact.lower
