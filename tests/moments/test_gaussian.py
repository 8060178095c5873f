"""Bures–Wasserstein: closed forms, singular covariances, gradients."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch

from otdist.distances import gaussian_wasserstein


def sample(seed: int, n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


def test_equals_pot_on_the_same_moments() -> None:
    x, y = sample(0, 80, 4), sample(1, 70, 4)
    moments = x.mean(0), y.mean(0), np.cov(x.T, bias=True), np.cov(y.T, bias=True)
    theirs = ot.gaussian.bures_wasserstein_distance(*moments)
    assert gaussian_wasserstein(x, y) == pytest.approx(float(theirs), rel=1e-9)


def test_weights_count_points() -> None:
    x, y = sample(2, 6, 2), sample(3, 5, 2)
    a = np.array([1, 2, 0, 3, 1, 1]) / 8
    repeated = np.repeat(x, [1, 2, 0, 3, 1, 1], axis=0)
    assert gaussian_wasserstein(x, y, a=a) == pytest.approx(gaussian_wasserstein(repeated, y))


def test_on_the_line_only_mean_and_deviation_count() -> None:
    x, y = sample(4, 50, 1)[:, 0], 3 * sample(5, 40, 1)[:, 0] + 2
    expected = np.hypot(x.mean() - y.mean(), x.std() - y.std())
    assert gaussian_wasserstein(x, y) == pytest.approx(expected, rel=1e-12)


def test_singular_covariances() -> None:
    """In orthogonal planes F vanishes, and only the traces remain."""
    x, y = np.zeros((9, 4)), np.zeros((7, 4))
    x[:, :2], y[:, 2:] = sample(6, 9, 2), sample(7, 7, 2)
    spread = x.var(0).sum() + y.var(0).sum()
    expected = np.sqrt(spread + ((x.mean(0) - y.mean(0)) ** 2).sum())
    assert gaussian_wasserstein(x, y) == pytest.approx(expected, rel=1e-9)
    wide = np.random.default_rng(0).normal(size=(5, 30))
    assert gaussian_wasserstein(wide, wide) == pytest.approx(0, abs=1e-6)
    assert gaussian_wasserstein(wide, wide + 2) == pytest.approx(2 * np.sqrt(30), rel=1e-9)


def test_is_a_lower_bound_of_w2() -> None:
    x, y = sample(8, 60, 3), sample(9, 60, 3) ** 3
    assert gaussian_wasserstein(x, y) <= np.sqrt(ot.emd2([], [], ot.dist(x, y))) + 1e-12


def test_gradients() -> None:
    arrays = sample(10, 8, 2), sample(11, 7, 2), np.full(8, 1 / 8), np.full(7, 1 / 7)
    inputs = [torch.tensor(z, requires_grad=True) for z in arrays]
    assert torch.autograd.gradcheck(
        lambda x, y, a, b: gaussian_wasserstein(x, y, a=a / a.sum(), b=b / b.sum()), inputs
    )


def test_gradients_are_finite_where_covariances_are_singular() -> None:
    x = torch.randn(4, 10, generator=torch.Generator().manual_seed(0)).requires_grad_()
    y = torch.randn(5, 10, generator=torch.Generator().manual_seed(1))
    gaussian_wasserstein(x, y).backward()
    assert torch.isfinite(x.grad).all()
    assert x.grad.abs().sum() > 0
    x.grad = None
    gaussian_wasserstein(x, torch.zeros(1, 10)).backward()
    assert torch.isfinite(x.grad).all()


def test_numpy_and_torch_agree() -> None:
    x, y = sample(12, 20, 3).astype(np.float32), sample(13, 20, 3).astype(np.float32)
    ours = gaussian_wasserstein(torch.from_numpy(x), torch.from_numpy(y))
    assert ours.dtype == torch.float32
    assert float(ours) == pytest.approx(gaussian_wasserstein(x, y), rel=1e-6)


def test_far_from_the_origin() -> None:
    x, y = sample(14, 30, 3), sample(15, 30, 3)
    assert gaussian_wasserstein(x + 1e7, y + 1e7) == pytest.approx(
        gaussian_wasserstein(x, y), rel=1e-6
    )
