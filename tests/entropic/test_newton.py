"""Newton's method on small entropic problems: optimal to rounding where steps barely move."""

import warnings

import numpy as np
import pytest
import torch

from otdist.core.result import ConvergenceWarning
from otdist.distances import entropic_cost, wasserstein
from otdist.entropic import newton
from otdist.entropic.sinkhorn import Sinkhorn


def problem(n: int = 9, m: int = 7, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, 2, generator=generator, dtype=torch.float64) for k in (n, m))
    a, b = (torch.rand(k, generator=generator, dtype=torch.float64) + 0.1 for k in (n, m))
    return torch.cdist(x, y).square(), a / a.sum(), b / b.sum()


def off(costs, a, b, eps, found) -> float:
    """L1 error of both marginals of the plan that potentials describe."""
    plan = a[:, None] * b * ((found.f[:, None] + found.g - costs) / eps).exp()
    return float((plan.sum(1) - a).abs().sum() + (plan.sum(0) - b).abs().sum())


@pytest.mark.parametrize("eps", [10.0, 0.1, 1e-3, 1e-5])
def test_following_ends_at_the_optimum(eps):
    costs, a, b = problem()
    start = torch.zeros_like(b)
    found = newton.follow(costs, a, b, eps, start, tol=1e-10, max_iter=100, reach=None)
    assert found.error <= 1e-10
    assert off(costs, a, b, eps, found) <= 1e-9


def test_polishing_squares_the_error():
    costs, a, b = problem(seed=1)
    near = newton.follow(costs, a, b, 0.1, torch.zeros_like(b), tol=1e-2, max_iter=100, reach=None)
    found = newton.polish(costs, a, b, 0.1, near.g, tol=1e-12, max_iter=8, reach=None)
    assert found.error <= 1e-12
    assert found.iterations <= 5


def test_polishing_never_makes_it_worse():
    costs, a, b = problem(seed=2)
    far = torch.linspace(-40, 40, len(b), dtype=torch.float64)
    alone = newton.polish(costs, a, b, 1e-3, far, tol=1e-12, max_iter=8, reach=None)
    assert alone.error <= 2


def test_few_normal_points_converge_at_the_default_strength():
    """In about one sample in fifty, clusters exchange mass too slowly for plain steps."""
    for seed in [*range(20), 161, 163]:
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(6, 2)), rng.normal(size=(5, 2))
        found = wasserstein(x, y, p=2, solver=Sinkhorn())
        assert found.converged, seed
        exact = wasserstein(x, y, p=2).distance
        assert found.lower <= exact <= found.upper
        assert found.distance == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("eps", [1.0, 30.0, None])
def test_mass_crosses_between_far_clusters(eps):
    """The clusters' masses differ by 10⁻⁴, below tol, at a distance of 1,000: 100 of cost."""
    x, y = [[0.0], [1000.0]], [[0.0], [1.0], [1000.0]]
    b = [0.25, 0.2499, 0.5001]
    exact = wasserstein(x, y, b=b, p=2).cost
    assert exact == pytest.approx(100.2499, rel=1e-6)
    found = entropic_cost(x, y, b=b, p=2, eps=eps)
    assert found.converged
    assert exact <= found.cost <= exact + 3 * found.eps  # KL to a ⊗ b is at most that entropy


@pytest.mark.parametrize("p", [2, 20, 60])
def test_masses_and_distances_of_all_sizes_end_soon(p):
    """Right, or not converged and said: never an error from within."""
    for seed in [*range(12), 192]:
        rng = np.random.default_rng(seed)
        n, m = rng.integers(1, 8, 2)
        x = rng.normal(size=(n, 2)) * 10.0 ** rng.uniform(-12, 12, size=(n, 1))
        y = rng.normal(size=(m, 2)) * 10.0 ** rng.uniform(-12, 12, size=(m, 1))
        a, b = (10.0 ** rng.uniform(-25, 0, size) for size in (n, m))
        a, b = a / a.sum(), b / b.sum()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = entropic_cost(x, y, a=a, b=b, p=p)
            lower = wasserstein(x, y, a=a, b=b, p=p).lower
        if found.converged:
            assert found.distance >= lower * (1 - 1e-3), seed
        else:
            assert found.residual > 1e-3


def test_near_pairs_keep_their_digits_beside_far_ones():
    """One target: the plan is known, and so is the value."""
    x, a = np.array([[1.8e5], [4.4e-2], [-28.0]]), np.array([1e-8, 1 - 1e-8 - 1e-17, 1e-17])
    right = float(a @ x[:, 0] ** 2)
    assert entropic_cost(x, [[0.0]], a=a, p=2).cost == pytest.approx(right, rel=1e-13)
