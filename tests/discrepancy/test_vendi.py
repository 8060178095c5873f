"""The Vendi score counts directions."""

import numpy as np
import pytest

from otdist.core.measure import pair
from otdist.discrepancy import Vendi

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(12, 6))


def score(fake):
    return Vendi().value(pair(REAL[:, : fake.shape[1]], fake), 0).value


def test_equal_and_orthogonal_rows():
    assert score(np.ones((9, 6)) * np.arange(1, 10)[:, None]) == pytest.approx(1)
    assert score(np.repeat(np.eye(6) * 7, 2, axis=0)) == pytest.approx(6)


@pytest.mark.parametrize("m", [4, 40])
def test_definition_by_the_kernel(m):
    fake = RNG.normal(size=(m, 6)) + 3
    unit = fake / np.linalg.norm(fake, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / m)
    values = values[values > 1e-15]
    assert score(fake) == pytest.approx(np.exp(-(values * np.log(values)).sum()))


def test_rows_of_zero_have_no_direction():
    fake = np.concatenate([np.eye(6), np.zeros((6, 6))])
    assert "6 rows are 0" in Vendi().value(pair(REAL, fake), 0).note
