"""Energy distance and MMD: SciPy, plain formulas, unbiasedness, gradients, errors."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import scipy.stats
import torch

import otdist.core.cost as blocks
from otdist.distances import energy_distance, mmd


def sample(seed: int, n: int = 40, m: int = 30, d: int = 3) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    a = rng.random(n) + 0.1
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.5, a / a.sum()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_CPU_BLOCK", 200)


def lengths(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.norm(x[:, None] - y, axis=2)


def gram(kernel: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if kernel == "gaussian":
        return np.exp(-(lengths(x, y) ** 2) / (2 * 0.7**2))
    if kernel == "laplacian":
        return np.exp(-lengths(x, y) / 0.7)
    return (x @ y.T / x.shape[1] + 1) ** 3


WIDTHS = {"gaussian": 0.7, "laplacian": 0.7, "polynomial": None}


def test_energy_on_the_line_is_scipys() -> None:
    x, y, a = sample(0, d=1)
    expected = scipy.stats.energy_distance(x[:, 0], y[:, 0], a)
    assert energy_distance(x[:, 0], y[:, 0], a=a) == pytest.approx(expected, rel=1e-10)


def test_energy_is_the_plain_formula_in_any_dimension() -> None:
    x, y, a = sample(1)
    b = np.full(30, 1 / 30)
    expected = 2 * a @ lengths(x, y) @ b - a @ lengths(x, x) @ a - b @ lengths(y, y) @ b
    assert energy_distance(x, y, a=a) == pytest.approx(expected**0.5, rel=1e-10)
    single = energy_distance(x.astype(np.float32), y.astype(np.float32), a=a)
    assert single == pytest.approx(expected**0.5, rel=1e-4)


@pytest.mark.parametrize("kernel", WIDTHS)
def test_mmd_is_the_plain_formula(kernel: str) -> None:
    x, y, a = sample(2)
    b = np.full(30, 1 / 30)
    options = {"kernel": kernel, "bandwidth": WIDTHS[kernel]}
    xx, xy, yy = gram(kernel, x, x), gram(kernel, x, y), gram(kernel, y, y)
    biased = a @ xx @ a + b @ yy @ b - 2 * a @ xy @ b
    assert mmd(x, y, a=a, **options) ** 2 == pytest.approx(biased, rel=1e-9)
    for z in (xx, yy):
        np.fill_diagonal(z, 0)
    unbiased = (
        a @ xx @ a / (1 - a @ a) + b @ yy @ b / (1 - b @ b) - 2 * a @ xy @ b
    )  # fmt: skip
    assert mmd(x, y, a=a, statistic="U", **options) == pytest.approx(unbiased, rel=1e-9)


def test_u_is_unbiased_over_all_subsamples() -> None:
    """Its mean over all halves of a finite population is exactly the population's value, 0."""
    points = np.random.default_rng(3).normal(size=(6, 2))
    values = [
        mmd(points[list(half)], points[[i for i in range(6) if i not in half]],
            bandwidth=1.0, statistic="U")
        for half in itertools.combinations(range(6), 3)
    ]  # fmt: skip
    assert np.mean(values) == pytest.approx(0, abs=1e-12)
    assert min(values) < 0


def test_the_median_rule_follows_the_units() -> None:
    x, y, _ = sample(4)
    assert mmd(100 * x, 100 * y) == pytest.approx(mmd(x, y), rel=1e-9)
    pooled = np.vstack([x, y])
    pairs = lengths(pooled, pooled)[np.triu_indices(70, 1)]
    median = float(np.sort(pairs)[(len(pairs) - 1) // 2])
    assert mmd(x, y) == pytest.approx(mmd(x, y, bandwidth=median), rel=1e-9)


@pytest.mark.parametrize("function", [energy_distance, mmd])
def test_zero_for_equal_samples_with_zero_gradient(function) -> None:
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = function(x, x.detach().clone())
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert x.grad.abs().max() < 1e-6
    assert float(function(np.ones((3, 2)), np.ones((4, 2)))) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("kernel", [None, *WIDTHS])
def test_gradients(kernel: str | None) -> None:
    x, y, a = sample(5, n=7, m=6)
    inputs = [torch.tensor(z, requires_grad=True) for z in (x, y, a, np.full(6, 1 / 6))]

    def value(x, y, a, b):
        weights = {"a": a / a.sum(), "b": b / b.sum()}
        if kernel is None:
            return energy_distance(x, y, **weights)
        return mmd(x, y, kernel=kernel, bandwidth=WIDTHS[kernel], **weights)

    assert torch.autograd.gradcheck(value, inputs)


def test_errors_name_the_argument() -> None:
    x, y, _ = sample(6)
    with pytest.raises(ValueError, match="kernel must be"):
        mmd(x, y, kernel="cosine")
    with pytest.raises(ValueError, match="statistic must be"):
        mmd(x, y, statistic="W")
    with pytest.raises(ValueError, match="bandwidth must be positive"):
        mmd(x, y, bandwidth=0.0)
    with pytest.raises(ValueError, match="bandwidth must be None"):
        mmd(x, y, kernel="polynomial", bandwidth=1.0)
    with pytest.raises(ValueError, match="y must hold at least two points"):
        mmd(x, y[:1], statistic="U")
    with pytest.raises(ValueError, match="x must be finite"):
        energy_distance(x * np.nan, y)


def naive(x, y, kernel):
    """MMD² by all differences."""
    k = [kernel(np.linalg.norm(u[:, None] - v, axis=2)) for u, v in ((x, x), (y, y), (x, y))]
    return k[0].mean() + k[1].mean() - 2 * k[2].mean()


@pytest.mark.parametrize("kernel", ["gaussian", "laplacian"])
@pytest.mark.parametrize("far", [1e5, 1e8])
def test_far_points_do_not_blur_near_ones(kernel, far):
    rng = np.random.default_rng(0)
    x, y = 1e-3 * rng.normal(size=(50, 2)), 1e-3 * rng.normal(size=(40, 2)) + 5e-4
    for outliers in (1, 20):
        x[:outliers, 0] = far
        truth = naive(
            x, y, lambda d: np.exp(-d * 1e3 if kernel == "laplacian" else -((d * 1e3) ** 2) / 2)
        )
        assert mmd(x, y, kernel=kernel, bandwidth=1e-3) ** 2 == pytest.approx(truth, rel=1e-6)


def test_any_bandwidth_has_a_value():
    x, y = np.random.default_rng(0).normal(size=(2, 30, 2))
    assert mmd(x, y, bandwidth=1e-200) ** 2 == pytest.approx(2 / 30)
    assert mmd(x, y, bandwidth=1e300) == 0
    assert mmd([0.0, 1.0, 3.0], [0.5]) == mmd(
        [0.0, 1.0, 3.0], [0.5], bandwidth=np.median([1.0, 3.0, 0.5, 2.0, 0.5, 2.5])
    )


def test_what_overflows_is_not_zero():
    x, y = 1e150 * np.random.default_rng(0).normal(size=(2, 9, 2))
    assert mmd(x, y, kernel="polynomial") != 0


FUNCTIONS = {
    "energy": energy_distance,
    "gaussian": mmd,
    "laplacian": partial(mmd, kernel="laplacian"),
    "polynomial": partial(mmd, kernel="polynomial"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_samples_in_another_order_are_at_distance_zero(name, dtype):
    rng = np.random.default_rng(0)
    for n, d in ((50, 1), (50, 3), (300, 30)):
        x = rng.normal(size=(n, d)).astype(dtype)
        assert FUNCTIONS[name](x, x[rng.permutation(n)]) == 0


def test_a_sample_and_a_shifted_one_keep_their_digits_or_are_zero():
    """The truth from series in the shift: kernel means differ by δ² times the mean of −k''."""
    x = np.random.default_rng(0).normal(size=50)
    gap = (x[:, None] - x) ** 2
    slope = np.sqrt(((1 - gap) * np.exp(-gap / 2)).mean())
    assert mmd(x, x + 1e-6, bandwidth=1.0) == pytest.approx(1e-6 * slope, rel=0.02)
    assert mmd(x, x + 1e-9, bandwidth=1.0) == 0
    for shift in (1e-6, 1e-9):  # a point meets itself alone within the shift
        expected = np.sqrt(2 * shift / 50)
        assert energy_distance(x, x + shift) == pytest.approx(expected, rel=1e-3)


def test_no_figure_below_its_rounding_has_a_gradient():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    again = x.flip(0).requires_grad_()
    for function in FUNCTIONS.values():
        (slope,) = torch.autograd.grad(function(x, again), again)
        assert slope.abs().max() == 0


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("offset", [0.0, 1e7])
@pytest.mark.parametrize("weighted", [False, True])
def test_arrays_and_tensors_give_the_same(name, offset, weighted):
    x, y, a = sample(20, 40, 30, 4)
    if name == "polynomial":
        offset = min(offset, 1.0)
    plain = FUNCTIONS[name](x + offset, y + offset, a=a if weighted else None)
    x, y, a = (torch.from_numpy(z) for z in (x + offset, y + offset, a))
    assert plain == pytest.approx(
        float(FUNCTIONS[name](x, y, a=a if weighted else None)), rel=1e-12
    )
