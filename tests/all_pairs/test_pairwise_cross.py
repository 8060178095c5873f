"""Distances from one list of samples to another."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import otdist

RNG = np.random.default_rng(5)
X = [RNG.normal(size=(n, 2)) for n in (4, 5, 6)]
Y = [RNG.normal(size=(n, 2)) for n in (7, 3)]
pairwise: Any = otdist.pairwise


@pytest.mark.parametrize("distance", [otdist.wasserstein, otdist.energy_distance])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_cross_matrix_is_that_of_single_calls(distance, n_jobs):
    result = pairwise(X, Y, distance=distance, n_jobs=n_jobs)
    wanted = [[float(distance(x, y)) for y in Y] for x in X]
    np.testing.assert_allclose(result.matrix, wanted, rtol=1e-12)
    assert result.shape == np.asarray(result).shape == (3, 2)
    assert "3 by 2 samples, 6 pairs" in repr(result)
    if distance is otdist.wasserstein:
        assert (result.lower <= result.matrix).all()
        assert (result.matrix <= result.upper * (1 + 1e-12)).all()


def test_shared_slices_and_weights():
    sliced = partial(otdist.sliced_wasserstein, n_projections=16)
    together = pairwise([*X, *Y], distance=sliced).matrix
    np.testing.assert_allclose(pairwise(X, Y, distance=sliced).matrix, together[:3, 3:])
    a = [np.r_[0.5, np.full(len(x) - 1, 0.5 / (len(x) - 1))] for x in X]
    found = pairwise(X, Y, weights=a, other_weights=[None, [0.2, 0.3, 0.5]]).matrix
    assert found[1, 1] == otdist.wasserstein(X[1], Y[1], a=a[1], b=[0.2, 0.3, 0.5]).distance
    assert found[2, 0] == otdist.wasserstein(X[2], Y[0], a=a[2]).distance


def test_equal_samples_of_both_lists_are_at_zero_and_others_are_not():
    matrix = pairwise(X, X).matrix
    assert (matrix.diagonal() == 0).all()
    np.testing.assert_allclose(matrix, pairwise(X).matrix, rtol=1e-12)


def test_failures_and_the_cache_have_places_in_both_lists(tmp_path):
    broken = [Y[0], np.full((2, 2), np.nan)]
    with pytest.warns(UserWarning, match="3 pairs failed and are NaN; the first, 0 and 1"):
        result = pairwise(X, broken, cache=tmp_path)
    assert list(result.failures) == [(0, 1), (1, 1), (2, 1)]
    assert np.isfinite(result.matrix[:, 0]).all()
    again = pairwise(X, Y, cache=tmp_path)
    assert again.reused == 3
    np.testing.assert_array_equal(again.matrix[:, 0], result.matrix[:, 0])


@pytest.mark.parametrize(
    "others, options, error, words",
    [
        ([], {}, ValueError, "others must hold at least one sample"),
        ("xy", {}, TypeError, "others must be a sequence"),
        (Y, {"other_weights": [None]}, ValueError, "other_weights must hold one vector"),
        (None, {"other_weights": [None]}, ValueError, "pass others as well"),
    ],
)
def test_errors_name_the_argument(others, options, error, words):
    with pytest.raises(error, match=words):
        pairwise(X, others, **options)
