"""c-transforms by cells: never above the truth, and equal to it where bounds rule cells out."""

import numpy as np
import pytest
import torch

from otdist.core import certificate, pruned
from otdist.core.point_cost import PointCost


def points(kind, n, d, rng):
    if kind == "clusters":
        return 5.0 * rng.integers(0, 4, (n, 1)) + 0.1 * rng.normal(size=(n, d))
    if kind == "lattice":
        return rng.integers(0, 12, (n, d)) / 8
    return rng.normal(size=(n, d))


@pytest.mark.parametrize("size", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kind", ["normal", "clusters", "lattice"])
def test_never_above_and_near(kind, d, size):
    rng = np.random.default_rng(0)
    x, y = points(kind, 1000, d, rng), points(kind, 700, d, rng) + 0.5
    # A smooth potential, as of a nearby problem, which rules cells out, and noise, which does not.
    g = np.square(y).sum(1) * 0.3 + (size * rng.normal(size=700) if size != 1 else 0)
    squared = np.square(x[:, None].astype(np.longdouble) - y).sum(2)
    truth = (squared - g).min(1)
    cost = PointCost(torch.from_numpy(x), torch.from_numpy(y), 2)
    found = pruned.ctransform(cost, torch.from_numpy(g), 16).numpy()
    assert (found <= truth).all()
    assert (truth - found).max() <= 1e-4 * max(np.abs(g).max(), squared.max())


def test_most_cells_are_ruled_out(monkeypatch):
    shares, over = [], pruned._over

    def counted(left, right, x, y, cells, low):
        shares.append(float(cells.float().mean()))
        return over(left, right, x, y, cells, low)

    monkeypatch.setattr(pruned, "_over", counted)
    rng = np.random.default_rng(1)
    x, y = rng.random((3000, 2)), rng.random((3000, 2))
    cost = PointCost(torch.from_numpy(x), torch.from_numpy(y), 2)
    pruned.ctransform(cost, torch.zeros(3000).double(), 16)
    assert sum(shares) < 0.3


def test_the_quick_bound_takes_it_for_many_pairs(monkeypatch):
    rng = np.random.default_rng(2)
    x, y = (torch.from_numpy(rng.normal(size=(n, 2))) for n in (300, 200))
    cost, a, b = PointCost(x, y, 2), torch.full((300,), 1 / 300), torch.full((200,), 1 / 200)
    g = torch.from_numpy(rng.normal(size=200))
    dense = certificate.lower_from_potentials(cost, a, b, g=g, quick=True)
    monkeypatch.setattr(pruned, "LEAST_PAIRS", 0)
    cells = certificate.lower_from_potentials(cost, a, b, g=g, quick=True)
    assert cells.cost == pytest.approx(dense.cost, rel=1e-4, abs=1e-4)
