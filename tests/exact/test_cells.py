"""Cells of a balanced tree: ranges of one order, compact, with the masses of their points."""

import numpy as np
import pytest
import torch

from otdist.core.tree import split
from otdist.exact import cells


@pytest.mark.parametrize("n", [64, 100, 1001])
@pytest.mark.parametrize("levels", [0, 3, 6])
def test_cells_are_balanced_ranges_with_their_own_masses(n, levels):
    rng = np.random.default_rng(0)
    x, a = rng.normal(size=(n, 3)), rng.random(n)
    points, weights = torch.from_numpy(x), torch.from_numpy(a)
    order = split(points, 6)
    found = cells.divide(points, weights, levels, 2.0, order)
    assert sorted(order) == list(range(n))
    groups = np.split(order, found.starts[1:])
    assert len(groups) == 2**levels
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    spread = 0.0
    for members, centre, mass in zip(groups, found.centres, found.masses, strict=True):
        assert mass == pytest.approx(a[members].sum())
        np.testing.assert_allclose(centre, np.average(x[members], axis=0, weights=a[members]))
        spread += a[members] @ np.square(x[members] - centre).sum(1)
    assert found.spread == pytest.approx(spread)
    assert found.merged.group.bincount().tolist() == [len(g) for g in groups]
    for medoid, members, centre in zip(found.medoids(points), groups, found.centres, strict=True):
        away = np.linalg.norm(x[members] - centre, axis=1)
        assert int(medoid) == members[away.argmin()]


def test_cells_are_compact():
    """1,024 cells of the unit square are about 1/32 wide, and duplicates do no harm."""
    rng = np.random.default_rng(1)
    for x in (rng.random((8192, 2)), rng.integers(0, 64, (8192, 2)) / 64):
        points, weights = torch.from_numpy(x), torch.full((8192,), 1 / 8192).double()
        found = cells.divide(points, weights, 10, 2.0, split(points, 10))
        assert found.spread < 3 * 2 / 12 / 32**2
