"""Tasks: an earlier result as a start means the same to every solver and at every size."""

import numpy as np
import pytest

import otdist

SAMPLES = {
    "line": (5, 4, 1),
    "few": (5, 4, 3),
    "many": (500, 400, 3),
}


def samples(name):
    n, m, d = SAMPLES[name]
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d))


@pytest.mark.parametrize("solver", [None, otdist.Exact(), otdist.Sinkhorn(eps=1.0)])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_start_is_checked_at_every_size(name, solver):
    x, y = samples(name)
    first = otdist.wasserstein(x, y, p=2)
    again = otdist.wasserstein(x + 0.1, y, p=2, start=first, solver=solver)
    assert again.lower <= otdist.wasserstein(x + 0.1, y, p=2).distance <= again.upper
    with pytest.raises(ValueError, match="start must be a result at p = 3: got p = 2"):
        otdist.wasserstein(x, y, p=3, start=first, solver=solver)
    with pytest.raises(ValueError, match=r"start must come from a problem of the same sizes"):
        otdist.wasserstein(x[1:], y, p=2, start=first, solver=solver)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_start_whose_potentials_overflow_is_named(name):
    x, y = (1e200 * z for z in samples(name))
    first = otdist.wasserstein(x, y, p=2)
    assert np.isinf(first.potentials[1]).any()
    with pytest.raises(ValueError, match="start must have finite potentials"):
        otdist.wasserstein(x, y, p=2, start=first)


@pytest.mark.parametrize("name", SAMPLES)
def test_any_finite_rtol_is_an_accuracy(name):
    x, y = samples(name)
    result = otdist.wasserstein(x, y, p=2, rtol=1e10)
    assert result.converged
    assert result.lower <= otdist.wasserstein(x, y, p=2).distance <= result.upper
