"""Dask arrays: the numbers of the functions in memory, and errors where there are no blocks."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

import otdist
from otdist.streaming import Slices

da = pytest.importorskip("dask.array")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3000, 4)), RNG.normal(0.2, 1.1, size=(2500, 4))
A = RNG.random(3000)
A /= A.sum()


@pytest.fixture(scope="module", autouse=True)
def threads():
    """The threads of this process, whatever other tests have set up."""
    with pytest.importorskip("dask").config.set(scheduler="threads", num_workers=2):
        yield


def lazy(array, rows=700, columns=3):
    return da.from_array(array, chunks=(rows, columns)[: array.ndim])


def both(function, x=X, y=Y, **options):
    """The value in blocks, and in memory."""
    weights = {} if "a" not in options else {"a": lazy(options["a"], 900)}
    blocks = function(lazy(x), lazy(y, 640, 2), **{**options, **weights})
    return float(blocks), float(function(x, y, **options))


@pytest.mark.parametrize("options", [{}, {"a": A}], ids=["uniform", "weighted"])
@pytest.mark.parametrize(
    "function", [otdist.gaussian_wasserstein, otdist.energy_distance, otdist.mmd]
)
def test_the_values_of_the_functions_in_memory(function, options):
    ours, wanted = both(function, **options)
    assert math.isclose(ours, wanted, rel_tol=1e-10)


@pytest.mark.parametrize("statistic", ["U", "V"])
@pytest.mark.parametrize("kernel", ["gaussian", "laplacian", "polynomial"])
def test_kernels_and_statistics(kernel, statistic):
    bandwidth = None if kernel == "polynomial" else 1.5
    options = {"kernel": kernel, "statistic": statistic, "bandwidth": bandwidth, "a": A}
    ours, wanted = both(otdist.mmd, **options)
    assert math.isclose(ours, wanted, rel_tol=1e-9)


@pytest.mark.parametrize("p", [1, 2.5])
def test_the_line_is_exact_while_the_values_fit(p):
    result = otdist.wasserstein(lazy(X[:, :1]), lazy(Y[:, 0]), a=lazy(A), p=p)
    wanted = otdist.wasserstein(X[:, 0], Y[:, 0], a=A, p=p)
    assert math.isclose(result.distance, wanted.distance, rel_tol=1e-12)
    assert result.lower <= wanted.distance <= result.upper
    assert "exact" in result.message


def test_rtol_adds_cells_until_the_bracket_proves_it(monkeypatch):
    from otdist.outofcore import functions

    monkeypatch.setattr(functions, "CELLS", 16)
    x, y = lazy(X[:, 0]), lazy(2 * Y[:, 1])
    coarse = otdist.wasserstein(x, y, p=2)
    assert coarse.gap > 0.01 * coarse.lower
    fine = otdist.wasserstein(x, y, p=2, rtol=0.01)
    assert fine.bracket.proves(0.01)
    assert fine.converged
    monkeypatch.setattr(functions, "MOST_CELLS", 32)
    with pytest.warns(otdist.ConvergenceWarning, match="32 cells proves"):
        assert not otdist.wasserstein(x, y, p=2, rtol=1e-6).converged


def test_slices_within_their_error():
    result = otdist.sliced_wasserstein(lazy(X), lazy(Y), p=2, n_projections=16)
    wanted = otdist.sliced_wasserstein(X, Y, p=2, n_projections=16)
    assert abs(result.distance - wanted.distance) <= result.error
    coarse = Slices(2, n_projections=16, cells=64).update(X, Y).compute()
    assert abs(coarse.distance - wanted.distance) <= coarse.error < 0.05
    drawn = otdist.sliced_wasserstein(lazy(X), lazy(Y), n_projections=4, seed=None)
    assert not np.array_equal(drawn.directions, result.directions[:4])


def test_a_sample_in_memory_and_unknown_sizes():
    x = lazy(X)
    positive = x[x[:, 0] > 0]
    wanted = X[X[:, 0] > 0]
    ours = otdist.energy_distance(positive, Y)
    assert math.isclose(ours, otdist.energy_distance(wanted, Y), rel_tol=1e-10)
    assert math.isclose(otdist.mmd(positive, Y), otdist.mmd(wanted, Y), rel_tol=1e-10)
    a = lazy(A)[x[:, 0] > 0]
    weights = A[X[:, 0] > 0] / A[X[:, 0] > 0].sum()
    ours = otdist.gaussian_wasserstein(positive, Y, a=a / a.sum())
    assert math.isclose(ours, otdist.gaussian_wasserstein(wanted, Y, a=weights), rel_tol=1e-10)
    assert math.isclose(otdist.gaussian_wasserstein(positive, Y, a=weights), ours, rel_tol=1e-10)
    none = x[x[:, 0] > 99]
    with pytest.raises(ValueError, match="x has no points"):
        otdist.gaussian_wasserstein(none, Y)


def test_half_of_the_values_is_empty_blocks():
    x = da.concatenate([lazy(X), da.zeros((0, 4))])
    ours = otdist.sliced_wasserstein(x, Y, n_projections=4).distance
    assert math.isclose(ours, otdist.sliced_wasserstein(X, Y, n_projections=4).distance)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, y: otdist.max_sliced_wasserstein(x, y),
        lambda x, y: otdist.sinkhorn_divergence(x, y),
        lambda x, y: otdist.entropic_cost(x, y),
        lambda x, y: otdist.transport(x),
        lambda x, y: otdist.two_sample_test(x, y),
        lambda x, y: otdist.evaluate(x, y),
        lambda x, y: otdist.drift(x, y),
        lambda x, y: otdist.NeuralDual().fit(x, y),
        lambda x, y: otdist.streaming.Frechet().update(x),
        lambda x, y: otdist.soft_ctransform(x, y, np.zeros(5), eps=1.0),
    ],
)
def test_elsewhere_an_error_says_what_to_use(call):
    with pytest.raises(TypeError, match=r"is a dask array, which .* sliced_wasserstein.*compute"):
        call(lazy(X), lazy(Y))


def test_errors_name_the_argument_and_the_block():
    bad = X[:, 0].copy()
    bad[1000] = np.nan
    with pytest.raises(ValueError, match="block 1 of x: x must be finite: found 1 NaN"):
        otdist.wasserstein(lazy(bad), lazy(Y[:, 0]))
    with pytest.raises(ValueError, match=r"block 1 of x .*must be finite"):
        otdist.energy_distance(lazy(bad), lazy(Y[:, 0]))
    with pytest.raises(ValueError, match=r"x must lie on the line .* use sliced_wasserstein"):
        otdist.wasserstein(lazy(X), lazy(Y))
    with pytest.raises(ValueError, match="x has 4, y has 1"):
        otdist.gaussian_wasserstein(lazy(X), lazy(Y[:, 0]))
    with pytest.raises(ValueError, match="a must sum to 1"):
        otdist.gaussian_wasserstein(lazy(X), lazy(Y), a=lazy(2 * A))
    with pytest.raises(ValueError, match="a must sum to 1"):
        otdist.mmd(lazy(X), lazy(Y), a=lazy(2 * A))
    with pytest.raises(ValueError, match=r"a must hold one weight per point of x, shape \(3000,\)"):
        otdist.wasserstein(lazy(X[:, 0]), lazy(Y[:, 0]), a=A[:7])
    with pytest.raises(ValueError, match="solver must be None for dask arrays"):
        otdist.wasserstein(lazy(X[:, 0]), lazy(Y[:, 0]), solver=otdist.Exact())
    with pytest.raises(ValueError, match="stderr_rtol must be None"):
        otdist.sliced_wasserstein(lazy(X), lazy(Y), stderr_rtol=0.1)
    with pytest.raises(TypeError, match="y must be a numpy array beside a dask array"):
        otdist.wasserstein(lazy(X[:, 0]), torch.zeros(3))
    with pytest.raises(TypeError, match="x must be an array of real numbers"):
        otdist.wasserstein(lazy(X[:, 0]) + 1j, lazy(Y[:, 0]))
    with pytest.raises(ValueError, match="x must have shape"):
        otdist.wasserstein(da.zeros((2, 2, 2)), lazy(Y[:, 0]))
    with pytest.raises(ValueError, match="two points with weight"):
        otdist.mmd(lazy(X[:1]), lazy(Y), statistic="U")
    with pytest.raises(ValueError, match="p must be finite and at least 1: got inf"):
        otdist.wasserstein(lazy(X[:, 0]), lazy(Y[:, 0]), p=np.inf)
    with pytest.raises(ValueError, match="kernel must be"):
        otdist.mmd(lazy(X), lazy(Y), kernel="cubic")


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        otdist.wasserstein(lazy(X[:, 0]), lazy(Y[:, 0]))
        otdist.energy_distance(lazy(X), lazy(Y))


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        (otdist.wasserstein, {"rtol": float("nan")}, "rtol must be finite"),
        (otdist.wasserstein, {"p": 0.5}, "p must be finite and at least 1"),
        (otdist.sliced_wasserstein, {"seed": -1}, "seed must be"),
        (otdist.sliced_wasserstein, {"stderr_rtol": "a"}, "stderr_rtol must be"),
        (otdist.sliced_wasserstein, {"n_projections": 0}, "n_projections must be at least 1"),
        (otdist.mmd, {"bandwidth": "a"}, "bandwidth must be"),
        (otdist.mmd, {"statistic": "W"}, "statistic must be one of U, V"),
    ],
)
def test_options_are_refused_in_the_words_of_the_functions_in_memory(function, options, words):
    for samples in ((da.zeros(4), da.ones(4)), (np.zeros(4), np.ones(4))):
        with pytest.raises((TypeError, ValueError), match=words):
            function(*samples, **options)
