"""Costs between lattices, axis by axis, against all pairs of their places."""

import math

import pytest
import torch

from otdist.core.lattice import Axis, Lattices

SIDES = {
    "line": [(9, 7)],
    "plane": [(7, 9), (5, 3)],
    "space": [(7, 1), (5, 3), (2, 6)],
}


def lattices(sides, p):
    """Sources of step 1 and targets of step 0.7, shifted; one axis is uneven."""
    axes = [
        Axis(torch.arange(n).double(), torch.arange(m).double() * 0.7 + 0.1, p) for n, m in sides
    ]
    axes[0].v[-1] += 0.25
    return Lattices(axes)


def all_costs(lattice):
    x, y = (
        torch.cartesian_prod(*sides).reshape(-1, len(lattice.axes))
        for sides in ([a.v for a in lattice.axes], [a.u for a in lattice.axes])
    )
    return (x[:, None] - y).abs().pow(lattice.axes[0].p).sum(-1)


@pytest.fixture(params=[(side, p) for side in SIDES for p in (1.0, 1.5, 2.0)], ids=str)
def case(request):
    side, p = request.param
    lattice = lattices(SIDES[side], p)
    return lattice, all_costs(lattice), torch.Generator().manual_seed(0)


@pytest.mark.parametrize("eps", [0.003, 0.1, 10.0])
def test_softmin(case, eps):
    lattice, costs, rng = case
    h = 4 * torch.randn(2, 3, costs.shape[1], generator=rng, dtype=torch.float64)
    h[1, 0, :2] = -math.inf
    found = lattice.softmin(h, eps)
    assert found.shape == (2, 3, costs.shape[0])
    wanted = -eps * ((h[..., None, :] - costs) / eps).logsumexp(-1)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eps", [0.003, 0.1, 10.0])
def test_what_is_spent(case, eps):
    lattice, costs, rng = case
    h = torch.randn(2, costs.shape[1], generator=rng, dtype=torch.float64)
    plain, paid = lattice.spent(h, eps)
    terms = (h[:, None] - costs) / eps
    torch.testing.assert_close(plain, terms.logsumexp(-1), rtol=1e-10, atol=1e-10)
    wanted = (terms + costs.log()).logsumexp(-1)
    torch.testing.assert_close(paid, wanted, rtol=1e-10, atol=1e-10)


def test_tiles_of_small_eps_are_many():
    axis = Axis(torch.arange(30).double(), torch.arange(30).double(), 2)
    assert axis.tiles(0.01).rho.shape[0] > axis.tiles(10.0).rho.shape[0] > 0
    far = torch.full((1, 30), -math.inf, dtype=torch.float64)
    far[0, 0] = 0.0  # the other tiles are empty
    found = axis.tiles(0.01).sums(far)
    torch.testing.assert_close(found, -axis.costs[None, :, 0] / 0.01 / math.log(2))
    assert bool((axis.tiles(0.01).sums(torch.full_like(far, -math.inf)) < -1e200).all())


def test_sums_and_minima(case):
    lattice, costs, rng = case
    n, m = costs.shape
    a, b = (torch.rand(2, k, generator=rng, dtype=torch.float64) for k in (n, m))
    close = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(lattice.ctransform(b), (costs - b[:, None]).amin(-1), **close)
    torch.testing.assert_close(lattice.T.ctransform(a), (costs.T - a[:, None]).amin(-1), **close)
    torch.testing.assert_close(lattice.apply(b), b @ costs.T, **close)
    torch.testing.assert_close(lattice.mean(a, b), ((a @ costs) * b).sum(-1), **close)
    means = b @ costs.T
    torch.testing.assert_close(lattice.farthest(b), (means[..., None] - costs).amax(-2), **close)
    assert lattice.shape == (n, m)
    assert lattice.T.T is lattice
    assert lattice.largest == pytest.approx(float(costs.max()))
