"""Steps for few points: those of `scaling`, and the values of the path for more points."""

import numpy as np
import pytest
import torch

from otdist.core.point_cost import PointCost
from otdist.distances import entropic_cost, sinkhorn_divergence
from otdist.entropic import few, newton
from otdist.entropic.scaling import Softmins, Stored, SymmetricStored, extend


def problem(n: int = 30, m: int = 20, d: int = 2, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    options = {"generator": generator, "dtype": torch.float64}
    x, y = torch.randn(n, d, **options), torch.randn(m, d, **options) + 0.5
    a, b = torch.rand(n, **options) + 0.1, torch.rand(m, **options) + 0.1
    return few.FewCosts.of(PointCost(x, y, 2)), a / a.sum(), b / b.sum()


def begun(cost, a, b, eps, phi, reach=None) -> few.FewSteps:
    step = few.FewSteps(cost, a, b)
    step.begin(eps, phi, reach)
    return step


@pytest.mark.parametrize("d", [2, 40])
def test_all_costs_are_those_of_the_points(d):
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(k, d, generator=generator, dtype=torch.float64) for k in (9, 7))
    for p in (1, 1.5, 2):
        matrix = few.FewCosts.of(PointCost(x, y, p)).matrix
        torch.testing.assert_close(matrix, torch.cdist(x, y) ** p, rtol=1e-12, atol=0)


@pytest.mark.parametrize("eps", [2.0, 0.05])
@pytest.mark.parametrize("weighed", [True, False])
def test_a_step_is_that_of_a_stored_kernel(eps, weighed):
    cost, a, b = problem()
    reach = cost.reach(a, b, 1.0) if weighed else None
    phi, room = torch.zeros_like(b), torch.empty_like(cost.matrix)
    stored, step = (
        Stored(cost, a, b, eps, phi, room, reach),
        begun(cost, a, b, eps, phi.numpy(), reach),
    )
    for point in (phi, torch.linspace(0, 3, len(b), dtype=torch.float64), phi + 100):
        (new, error), (ours, off) = stored(point), step(point.numpy())
        np.testing.assert_allclose(ours, new, rtol=1e-12, atol=1e-12)
        assert off == pytest.approx(error, rel=1e-9)
        torch.testing.assert_close(step.f, stored.f, rtol=1e-12, atol=1e-12)


def test_a_column_out_of_reach_of_the_kernel_is_found_by_softmins():
    cost, a, b = problem()
    cost.matrix[:, 0] += 100
    phi = torch.zeros_like(b)
    step, plain = begun(cost, a, b, 0.1, phi.numpy()), Softmins(cost, a, b, 0.1)
    with np.errstate(all="ignore"):
        ours, off = step(phi.numpy())
    new, error = plain(phi)
    np.testing.assert_allclose(ours, new, rtol=1e-12)
    assert off == pytest.approx(error, rel=1e-9)


@pytest.mark.parametrize("level", [0.0, 50.0])
def test_a_symmetric_step_is_that_of_a_stored_kernel(level):
    cost, a, _ = problem(20, 20)
    cost = few.FewCosts((cost.matrix + cost.matrix.T) / 2)
    phi = torch.full_like(a, level)
    stored = SymmetricStored(cost, a, 0.3, phi, torch.empty_like(cost.matrix))
    step = few.FewSymmetricSteps(cost, a, 0.3, phi.numpy(), None)
    for point in (phi, phi + torch.linspace(0, 1, 20, dtype=torch.float64), phi - 90):
        (new, error), (ours, off) = stored(point), step(point.numpy())
        np.testing.assert_allclose(ours, new, rtol=1e-12, atol=1e-12)
        assert off == pytest.approx(error, rel=1e-9)
        torch.testing.assert_close(step.f, stored.f, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("eps", [5.0, 0.3, 0.02])
def test_potentials_end_with_all_their_digits(eps):
    cost, a, b = problem()
    options = {"tol": 1e-3, "finest": 1e-11, "max_iter": 100}
    f, stop = few.solve(cost, a, b, eps, None, reach=cost.reach(a, b, 1.0), **options)
    assert stop.converged
    assert stop.error <= 1e-11
    torch.testing.assert_close(f, extend(cost, stop.point, b, eps), rtol=0, atol=1e-10)
    torch.testing.assert_close(stop.point, extend(cost.T, f, a, eps), rtol=0, atol=1e-10)


def test_the_limit_of_steps_holds():
    cost, a, b = problem()
    for most in (1, 2, 9):
        options = {"tol": 1e-3, "finest": 1e-11, "max_iter": most}
        _, stop = few.solve(cost, a, b, 0.02, None, reach=None, **options)
        assert stop.iterations <= most


def test_newton_says_where_there_is_no_factor():
    cost, a, b = problem()
    step = begun(cost, a, b, 0.3, np.zeros(len(b)))
    step(step.phi0)
    assert few.FewNewtonSteps(step).exists
    step.missing = -2 * step.b
    assert not few.FewNewtonSteps(step).exists


@pytest.mark.parametrize("function", [sinkhorn_divergence, entropic_cost])
@pytest.mark.parametrize("options", [{"p": 1}, {"p": 2}, {"p": 1, "metric": "cityblock"}])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_values_are_those_of_the_path_for_more_points(function, options, kind, monkeypatch):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(50, 3)) + 0.3
    a, b = rng.dirichlet(np.ones(40)), rng.dirichlet(np.ones(50))
    if kind == "torch":
        x, y, a, b = (torch.from_numpy(z) for z in (x, y, a, b))
    ours = function(x, y, a=a, b=b, **options)
    monkeypatch.setattr(newton, "LARGEST", 0)
    other = function(x, y, a=a, b=b, tol=1e-11, **options)
    assert float(ours.cost) == pytest.approx(float(other.cost), rel=1e-10)
    for mine, theirs in zip(ours.potentials, other.potentials, strict=True):
        mine, theirs = np.asarray(mine), np.asarray(theirs)
        np.testing.assert_allclose(mine - mine.mean(), theirs - theirs.mean(), atol=1e-8)
