"""Points on lattices: c-transforms axis by axis are those of all pairs."""

import numpy as np
import pytest
import torch

import otdist
from otdist.core import places
from otdist.core.certificate import lower_from_potentials
from otdist.core.point_cost import PointCost
from otdist.metrics import Chebyshev, Cityblock


def lattice_points(seed, n, shape=(8, 9)):
    rng = np.random.default_rng(seed)
    axes = [np.sort(rng.normal(size=side)) for side in shape]
    full = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape))
    return torch.from_numpy(full[rng.permutation(len(full))[:n]])


def costs(x, y):
    return {
        "squares": PointCost(x, y, 2),
        "streets": Cityblock().cost(x, y, 1.0, 0.0)[0],
    }


@pytest.mark.parametrize("name", ["squares", "streets"])
@pytest.mark.parametrize("sizes", [(72, 72), (40, 30)])
def test_ctransform(name, sizes):
    x, y = (lattice_points(k, size) for k, size in enumerate(sizes))
    y = torch.cat([y, y[:5]])  # several at one place
    cost = costs(x, y)[name]
    found = places.of(cost, least=0)
    assert found is not None
    g = torch.randn(len(y), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    g[3] = -torch.inf
    close = {"rtol": 1e-13, "atol": 1e-13}
    torch.testing.assert_close(found.ctransform(g), (cost.dense() - g).amin(1), **close)
    f = torch.randn(len(x), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(found.T.ctransform(f), (cost.dense().T - f).amin(1), **close)


def test_what_has_no_places():
    x = lattice_points(0, 72)
    scattered = torch.randn(72, 2, dtype=torch.float64)
    for cost in (
        PointCost(x, x, 1),
        PointCost(x, scattered, 2),
        PointCost(x[:, :1], x[:, :1], 2),
        Cityblock().cost(x, x, 2.0, 0.0)[0],
        Chebyshev().cost(x, x, 1.0, 0.0)[0],
    ):
        assert places.of(cost, least=0) is None
    assert places.of(PointCost(x, x, 2)) is None  # too few


def test_the_certificate_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    (x, a), (y, b) = (otdist.grid(rng.random((33, 40))) for _ in range(2))
    x, y, a, b = (torch.from_numpy(part) for part in (x - 16, y - 16, a, b))
    g = torch.randn(len(y), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for cost in costs(x, y).values():
        with monkeypatch.context() as patch:
            patch.setattr(places, "of", lambda cost: None)
            wanted = lower_from_potentials(cost, a, b, g=g)
        found = lower_from_potentials(cost, a, b, g=g)
        assert places.of(cost) is not None
        assert found.value == pytest.approx(wanted.value, rel=1e-13)
        torch.testing.assert_close(found.f, wanted.f, rtol=1e-13, atol=1e-13)
