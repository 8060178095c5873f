"""FID and its interval: the Fréchet distance with covariances divided by n − 1."""

import numpy as np
import pytest
import torch

import otdist
from otdist.core import measure
from otdist.discrepancy import DISCREPANCIES
from otdist.moments import gaussian

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(80, 4)), RNG.normal(0.3, 1.4, size=(60, 4))


def stretched(z: np.ndarray) -> np.ndarray:
    """The same mean; covariances over n are those over n − 1 of the given points."""
    return z.mean(0) + np.sqrt(len(z) / (len(z) - 1)) * (z - z.mean(0))


@pytest.mark.parametrize("columns", [4, 1])
def test_fid_divides_by_one_less(columns):
    x, y = X[:, :columns], Y[:, :columns]
    found = otdist.evaluate(x, y, metrics=["fid", "frechet"], progress=False).metrics
    assert found["fid"].estimate == pytest.approx(
        otdist.gaussian_wasserstein(stretched(x), stretched(y)) ** 2, rel=1e-12
    )
    low, high = found["fid"].interval
    assert low < found["fid"].estimate < high
    assert found["fid"].centre is None  # the interval is around the figure beside it
    assert found["fid"].estimate != found["frechet"].estimate


def test_fid_of_fewer_rows_than_columns_keeps_its_digits():
    x = RNG.normal(size=(20, 50))
    y = x + 1e-6 * RNG.normal(size=(20, 50))
    frame = measure.pair(x, y)
    value = DISCREPANCIES["fid"]().value(frame, 0).value
    truth = otdist.gaussian_wasserstein(stretched(x), stretched(y)) ** 2
    assert value == pytest.approx(truth, rel=1e-6)


def test_the_gradient_of_the_corrected_cost():
    y = torch.from_numpy(Y)

    def cost(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        pair = measure.pair(x, y, a / a.sum())
        return gaussian.cost(pair, corrected=False) * pair.scale**2

    def corrected(x: torch.Tensor) -> torch.Tensor:
        pair = measure.pair(x, y)
        return gaussian.cost(pair, corrected=True) * pair.scale**2

    x = torch.from_numpy(X[:9]).requires_grad_()
    a = torch.rand(9, dtype=torch.float64).add_(0.5).requires_grad_()
    assert torch.autograd.gradcheck(cost, (x, a))
    assert torch.autograd.gradcheck(corrected, (x,))


def test_one_row_has_no_unbiased_covariance():
    found = otdist.evaluate(X, Y[:1], metrics=["fid", "w1"], progress=False).metrics
    assert found["fid"].estimate is None
    assert "at least 2 rows" in found["fid"].note
    assert found["w1"].estimate is not None
