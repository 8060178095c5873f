"""MMD-FUSE equals its definition, holds its level, and needs no bandwidth."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

import otdist
from otdist.core.measure import pair
from otdist.discrepancy import MmdFuse

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(14, 3)) * 1e3, RNG.normal(size=(19, 3)) * 1e3 + 500


def defined(x, y, count=10):
    z, n = np.concatenate([x, y]), len(x)
    low, high = np.quantile(pdist(z), [0.05, 0.95])
    distance, terms = cdist(z, z), []
    scale = np.sqrt(min(n, len(y)) * (min(n, len(y)) - 1))
    off = ~np.eye(len(z), dtype=bool)
    for kernel in (lambda d, w: np.exp(-0.5 * (d / w) ** 2), lambda d, w: np.exp(-d / w)):
        for width in np.linspace(low / 2, 2 * high, count):
            k = kernel(distance, width)
            inside = [k[p, p][off[p, p]].mean() for p in (slice(n), slice(n, None))]
            squared = sum(inside) - 2 * k[:n, n:].mean()
            terms.append(scale * squared / np.sqrt((k[off] ** 2).mean()))
    return np.log(np.mean(np.exp(terms))) / scale


def test_definition():
    found = otdist.two_sample_test(X, Y, "mmd_fuse", n_permutations=9)
    assert found.statistic == pytest.approx(defined(X, Y))
    assert MmdFuse().value(pair(X, Y), 0).value == pytest.approx(defined(X, Y))
    few = otdist.two_sample_test(X, Y, "mmd_fuse", n_permutations=9, n_bandwidths=3)
    assert few.statistic == pytest.approx(defined(X, Y, 3))


def test_the_level_with_ties_and_groups():
    rng, alarms, grouped = np.random.default_rng(0), 0, 0
    for seed in range(150):
        x, y = (rng.integers(3, size=(size, 2)) / 7 for size in (12, 17))
        options = {"n_permutations": 19, "seed": seed, "n_bandwidths": 3}
        alarms += otdist.two_sample_test(x, y, "mmd_fuse", **options).pvalue <= 0.05
        groups = {"groups_x": np.arange(12) // 4, "groups_y": 3 + np.arange(17) // 4}
        grouped += otdist.two_sample_test(x, y, "mmd_fuse", **options, **groups).pvalue <= 0.05
    assert max(alarms, grouped) <= 15


def test_it_sees_what_one_bandwidth_smooths_away():
    """Two rows of narrow peaks, at even and at odd places."""
    x, y = (2 * RNG.integers(20, size=150) + k + 0.1 * RNG.normal(size=150) for k in (0, 1))
    assert otdist.two_sample_test(x, y, "mmd_fuse", n_permutations=99).pvalue == 0.01
    assert otdist.two_sample_test(x, y, "mmd", n_permutations=99).pvalue > 0.05


def test_rows_that_are_all_equal():
    assert otdist.two_sample_test(np.ones(5), np.ones(6), "mmd_fuse").pvalue == 1
