"""Sorting indices: a packed key sort where neighbours may differ in the last bits only."""

import numpy as np
import pytest
import torch

from otdist.line import sorting


def hard_rows() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=5000),
        rng.integers(-3, 4, 5000).astype(float),
        1.0 + rng.integers(0, 1000, 5000) * 2.0**-52,
        -1.0 - rng.integers(0, 3, 5000) * 2.0**-52,
        np.where(np.arange(5000) % 97 == 0, rng.normal(size=5000), 1.0 + 2.0**-52),
        np.array([np.inf, -np.inf, 0.0, -0.0, 1e-310, -1e-310, 3.0, 3.0]),
        np.array([7.0]),
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("number", range(len(hard_rows())))
def test_argsort_sorts(number, dtype):
    values = torch.from_numpy(hard_rows()[number].astype(dtype))
    (order,) = sorting.argsort(values)
    torch.testing.assert_close(values[order], values.sort().values, rtol=0, atol=0)
    torch.testing.assert_close(order.sort().values, torch.arange(len(values)))


def test_rows_are_sorted_each():
    values = torch.from_numpy(np.stack(hard_rows()[:5])).reshape(1, 5, 5000)
    (order,) = sorting.argsort(values)
    assert order.shape == values.shape
    assert bool((values.gather(-1, order).diff(dim=-1) >= 0).all())


def test_equal_values_keep_their_order():
    (order,) = sorting.argsort(torch.zeros(1000, dtype=torch.float64))
    torch.testing.assert_close(order, torch.arange(1000))
