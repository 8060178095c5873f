"""1% is proved by one round without pricing, and brackets contain the truth throughout."""

import numpy as np
import pytest

import otdist
from otdist.exact import column_generation, start
from otdist.exact.limits import Sizes

RTOL = 0.01
ALWAYS = otdist.Exact(_sizes=Sizes(matrix_pairs=0))


def mixtures(n, m, d, rng):
    """Two mixtures of 20 normal components each."""

    def draw(size):
        centre, spread = 2 * rng.normal(size=(20, d)), rng.uniform(0.3, 1, size=20)
        label = rng.integers(20, size=size)
        return centre[label] + spread[label, None] * rng.normal(size=(size, d))

    return draw(n), draw(m)


def shifted_clusters(n, m, d, rng):
    """The same clusters with other masses: a little mass must travel far."""
    x, y = (100.0 * rng.integers(0, 5, (k, 1)) + rng.normal(size=(k, d)) for k in (n, m))
    return x, y + 7


def lattice(n, m, d, rng):
    return rng.integers(0, 20, (n, d)).astype(float), rng.integers(0, 25, (m, d)).astype(float)


def heavy_tails(n, m, d, rng):
    return rng.standard_t(2, size=(n, d)), 1.5 * rng.standard_t(2, size=(m, d)) + 1


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize(("d", "m"), [(2, 400), (2, 300), (10, 400)])
@pytest.mark.parametrize("kind", [mixtures, shifted_clusters, lattice, heavy_tails])
def test_the_bracket_contains_the_truth(kind, d, m, p):
    rng = np.random.default_rng(0)
    x, y = kind(400, m, d, rng)
    b = rng.random(m) + 0.1
    b = None if m == 400 else b / b.sum()
    exact = otdist.wasserstein(x, y, b=b, p=p)
    rough = otdist.wasserstein(x, y, b=b, p=p, rtol=RTOL, solver=ALWAYS)
    assert exact.gap < 1e-9 * exact.distance
    assert rough.converged
    assert rough.upper - rough.lower <= RTOL * rough.lower
    assert rough.lower <= exact.distance * (1 + 1e-12)
    assert rough.upper >= exact.distance * (1 - 1e-12)
    assert np.abs(np.asarray(rough.plan.sum(0)).ravel() - (1 / m if b is None else b)).max() < 1e-14


@pytest.mark.parametrize("d", [2, 10])
def test_one_round_and_no_pricing(d, monkeypatch):
    """With the start of larger samples."""

    def unwanted(*args):
        raise AssertionError("the accuracy is reached without pricing")

    monkeypatch.setattr(column_generation._Run, "_price", unwanted)
    monkeypatch.setattr(column_generation, "usual_start", start.entropic_start)
    x, y = mixtures(1500, 1500, d, np.random.default_rng(1))
    result = otdist.wasserstein(x, y, p=2, rtol=0.02)
    assert result.iterations == 1
    assert result.upper - result.lower <= 0.02 * result.lower
