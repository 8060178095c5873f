"""Bures–Wasserstein: closed forms, singular covariances, gradients."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch

from otdist.distances import gaussian_wasserstein
from otdist.streaming import Frechet


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


def nuclear(x: np.ndarray, y: np.ndarray) -> float:
    """The formula with the nuclear norm of the cross matrix."""
    f, g = ((z - z.mean(0)) / len(z) ** 0.5 for z in (x, y))
    cross = np.linalg.svd(f @ g.T, compute_uv=False).sum()
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + (f**2).sum() + (g**2).sum() - 2 * cross


@pytest.mark.parametrize("size", [(30, 300), (300, 30), (20, 20)])
@pytest.mark.parametrize("noise", [1e-3, 1e-4])
def test_near_singular_covariances_lose_nothing(size: tuple[int, int], noise: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size[0], 10)) @ rng.normal(size=(10, size[1]))
    y = x + noise * rng.normal(size=size)
    assert gaussian_wasserstein(x, y) ** 2 == pytest.approx(nuclear(x, y), rel=1e-3)


def shared_axes(n: int, d: int, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal deviations (n, k) and axes (k, d): a sample and a rescaled one commute."""
    rng = np.random.default_rng(1)
    k = len(spread)
    left = np.linalg.qr(np.c_[np.ones(n), rng.normal(size=(n, k))])[0][:, 1:]
    return left * n**0.5, np.linalg.qr(rng.normal(size=(d, k)))[0].T


@pytest.mark.parametrize("size", [(40, 60), (60, 20)])
@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9])
def test_deviations_that_differ_little_keep_their_digits(
    size: tuple[int, int], step: float
) -> None:
    spread = np.geomspace(1, 1e-5, 12)
    deviations, axes = shared_axes(*size, spread)
    change = step * np.random.default_rng(2).normal(size=12) * spread
    x, y = deviations * spread @ axes, deviations * (spread + change) @ axes
    assert gaussian_wasserstein(x, y) == pytest.approx(np.linalg.norm(change), rel=1e-5)


@pytest.mark.parametrize("step", [1e-6, 1e-9, 1e-12])
def test_a_sample_and_its_multiple(step: float) -> None:
    x = sample(16, 50, 1)[:, 0]
    expected = step * np.sqrt((x**2).mean())
    assert gaussian_wasserstein(x, x * (1 + step)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("size", [(30, 300), (300, 30), (50, 1)])
def test_equal_samples_in_any_order_are_at_distance_zero(size: tuple[int, int]) -> None:
    x = sample(17, *size)
    x[:, -1] = x[:, 0]
    again = torch.tensor(x[::-1].copy(), requires_grad=True)
    value = gaussian_wasserstein(torch.tensor(x), again)
    value.backward()
    assert float(value.detach()) == 0
    assert float(again.grad.abs().max()) == 0


def test_covariances_alone_know_small_deviations_too() -> None:
    x = sample(18, 40, 60)
    y = x + 1e-4 * sample(19, 40, 60)
    stream = Frechet().update(x=x).update(y=y).compute()
    assert stream == pytest.approx(gaussian_wasserstein(x, y), rel=1e-6)
    assert Frechet().update(x=x).update(y=x[::-1].copy()).compute() < 1e-12


def test_is_a_lower_bound_of_w2() -> None:
    x, y = sample(8, 60, 3), sample(9, 60, 3) ** 3
    assert gaussian_wasserstein(x, y) <= np.sqrt(ot.emd2([], [], ot.dist(x, y))) + 1e-12


@pytest.mark.parametrize("d", [2, 5, 9])
def test_gradients(d: int) -> None:
    """More points than coordinates, fewer in the one or the other sample, fewer in both."""
    arrays = sample(10, 8, d), sample(11, 5, d), np.full(8, 1 / 8), np.full(5, 1 / 5)
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
    x, y, a = x.astype(float), y.astype(float), np.random.default_rng(0).dirichlet(np.ones(20))
    for rows in (20, 2):  # two points in three dimensions have singular covariances
        tensors = [torch.from_numpy(z) for z in (x, y[:rows], a)]
        ours = gaussian_wasserstein(*tensors[:2], a=tensors[2])
        assert float(ours) == pytest.approx(gaussian_wasserstein(x, y[:rows], a=a), rel=1e-12)


def test_far_from_the_origin() -> None:
    x, y = sample(14, 30, 3), sample(15, 30, 3)
    assert gaussian_wasserstein(x + 1e7, y + 1e7) == pytest.approx(
        gaussian_wasserstein(x, y), rel=1e-6
    )
