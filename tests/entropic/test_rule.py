"""What an entropic problem stops on sees every mass that is still to be moved."""

from typing import Any

import numpy as np
import pytest
import torch

from otdist.core.point_cost import PointCost
from otdist.distances import entropic_cost, sinkhorn_divergence, wasserstein
from otdist.entropic import entropic, newton, rule
from otdist.entropic.sinkhorn import Sinkhorn
from otdist.losses import SinkhornLoss

X, Y, B = [[0.0], [1.0]], [[0.0], [1.0], [1000.0]], [0.5, 0.4999, 1e-4]


@pytest.mark.parametrize(("p", "right"), [(1, 0.0999), (2, 99.8)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_far_point_of_little_mass_is_paid_for(p: float, right: float, dtype: Any) -> None:
    x, y, b = np.array(X, dtype), np.array(Y, dtype), np.array(B, dtype)
    found = sinkhorn_divergence(x, y, b=b, p=p)
    assert found.converged
    assert found.cost == pytest.approx(right, rel=1e-3)
    assert sinkhorn_divergence(y, x, a=b, p=p).cost == pytest.approx(found.cost, rel=1e-6)
    assert entropic_cost(x, y, b=b, p=p).cost >= 0.99 * right


@pytest.mark.parametrize(("p", "right"), [(1, 0.0999), (2, 99.8)])
@pytest.mark.parametrize("entries", [1, 3])
def test_losses_pay_for_it_too(p: float, right: float, entries: int) -> None:
    x, y, b = (torch.tensor(z) for z in (X, Y, B))
    loss = SinkhornLoss(p=p)(x.expand(entries, -1, -1), y.expand(entries, -1, -1), None, b)
    assert loss.item() == pytest.approx(right, rel=1e-3)


@pytest.mark.parametrize("n", [300, 700])
def test_among_many_points_too(n: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2))
    y, b = np.concatenate([x, [[1e4, 0.0]]]), np.full(n + 1, (1 - 1e-4) / n)
    b[-1] = 1e-4
    found = sinkhorn_divergence(x, y, b=b, p=2)
    assert found.converged
    assert found.cost == pytest.approx(1e4, rel=0.02)  # 10⁻⁴ of mass over 10⁴, squared


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("tol", [0.3, 1e-2])
def test_values_are_within_tol_of_the_mean_cost(
    p: float, tol: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_t(1.5, size=(200, 2)), rng.standard_t(1.5, size=(180, 2))
    close = entropic_cost(x, y, p=p)
    monkeypatch.setattr(newton, "LARGEST", 0)  # as if there were more points
    loose = entropic_cost(x, y, p=p, tol=tol)
    mean = 100 * close.eps
    assert close.cost - tol * mean <= loose.cost <= close.cost * (1 + 1e-9)


def test_the_reach_bounds_the_potential() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 2, generator=generator, dtype=torch.float64) for n in (12, 9))
    a, b = (torch.rand(n, generator=generator, dtype=torch.float64) + 0.01 for n in (12, 9))
    a, b = a / a.sum(), b / b.sum()
    cost = PointCost(x, y, 2)
    g = entropic.solve(cost, a, b, 0.05, tol=1e-10, max_iter=500).g
    bound = rule.reach(cost, a, b, 1e-3) * 1e-3 / 2
    assert bool(((g - b @ g).abs() <= bound).all())


def test_the_plain_error_is_the_mass_that_is_missing() -> None:
    missing, move = torch.tensor([0.1, -0.1]), torch.tensor([100.0, 0.0])
    assert rule.error(missing, move, None) == pytest.approx(0.2)
    assert rule.error(missing, move, torch.ones(2)) == pytest.approx(10**0.5)
    assert rule.error(missing, 0 * move, torch.tensor([1.0, 7.0])) == pytest.approx(0.8)


@pytest.mark.parametrize("n", [6, 50, 250, 400])
def test_a_small_shift_costs_its_square(n: int) -> None:
    """Moving a sample by h moves nothing else: S_eps = h² at p = 2, whatever eps."""
    x = np.random.default_rng(0).normal(size=(n, 1))
    for h in (1e-4, 1e-5, 1e-6):
        assert sinkhorn_divergence(x, x + h, p=2).distance == pytest.approx(h, rel=0.05)


@pytest.mark.parametrize("p", [1, 1.5, 2])
@pytest.mark.parametrize("n", [50, 400])
def test_what_is_below_rounding_is_zero_and_says_so(p: float, n: int) -> None:
    x = np.random.default_rng(1).normal(size=(n, 2))
    found = sinkhorn_divergence(x, x[::-1].copy(), p=p)
    assert found.converged
    assert found.cost == 0
    assert "below what rounding leaves of it" in found.message
    assert sinkhorn_divergence(x, x + 1e-8, p=2).distance in (0, pytest.approx(1.41e-8, rel=0.05))


def test_a_zero_below_rounding_keeps_a_finite_gradient() -> None:
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    leaf = x.flip(0).requires_grad_()
    sinkhorn_divergence(leaf, x, p=2).distance.backward()
    assert leaf.grad is not None
    assert bool(leaf.grad.isfinite().all())
    assert float(leaf.grad.abs().max()) < 1e-6


@pytest.mark.parametrize("eps", [5e6, 1e30])
@pytest.mark.parametrize("entries", [1, 2])
def test_float32_and_a_weight_of_zero_at_huge_strengths(eps: float, entries: int) -> None:
    """There S_eps is the kernel distance, whose value is known; OT_eps is the mean cost."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(8, 2, generator=generator) for _ in range(2))
    a = torch.full((8,), 1 / 7)
    a[3], b = 0.0, torch.full((8,), 1 / 8)
    across, left, right = (
        float(u.double() @ torch.cdist(s.double(), t.double()).square() @ v.double())
        for s, t, u, v in ((x, y, a, b), (x, x, a, a), (y, y, b, b))
    )
    for debias, limit in ((False, across), (True, across - left / 2 - right / 2)):
        loss = SinkhornLoss(eps=eps, debias=debias)
        both = (z.expand(entries, -1, -1) for z in (x, y))
        assert loss(*both, a).item() == pytest.approx(limit, rel=1e-5)
        function = sinkhorn_divergence if debias else entropic_cost
        assert float(function(x, y, a=a, p=2, eps=eps).cost) == pytest.approx(limit, rel=1e-5)


def test_a_strength_out_of_all_range_ends() -> None:
    x, y = torch.randn(2, 8, 2, generator=torch.Generator().manual_seed(1))
    found = wasserstein(10 * x, 10 * y, p=60, solver=Sinkhorn(eps=1e100))
    assert found.converged
    with pytest.raises(ValueError, match="eps must be within reach of the costs"):
        wasserstein(1e3 * x, 1e3 * y, p=60, solver=Sinkhorn(eps=1e45))
    flat = wasserstein(x, y, p=2, solver=Sinkhorn(eps=1e38))
    again = wasserstein(x, y, p=2, start=flat)
    assert float(again.distance) == pytest.approx(float(wasserstein(x, y, p=2).distance), rel=1e-6)
