"""Clipped density and coverage equal their definitions, and read as a share of good fakes."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import betabinom

import otdist
from otdist.core.measure import pair
from otdist.discrepancy import clipped

RNG = np.random.default_rng(3)


def defined(real, fake, k=5):
    """Clipped density by its definition, and the coverage before its calibration."""
    own, between = cdist(real, real), cdist(real, fake)
    radius = np.sort(own, axis=1)[:, k]
    narrow = np.minimum(radius, np.median(radius))[:, None]
    np.fill_diagonal(own, np.inf)
    fakes = np.minimum((between <= narrow).sum(0), k).mean()
    reals = np.minimum((own <= narrow * (1 + 1e-12)).sum(0), k).mean()
    covered = np.minimum((between < radius[:, None]).sum(1), k).mean() / k
    return min(fakes / reals, 1), covered


@pytest.mark.parametrize("d, n, m", [(2, 50, 40), (20, 41, 70), (3, 9, 4)])
def test_definition(d, n, m):
    real, fake = RNG.normal(size=(n, d)), RNG.normal(size=(m, d)) * 1.1
    density, covered = defined(real, fake)
    found = clipped.shares(pair(real, fake))
    assert found["clipped_density"] == pytest.approx(density)
    at = found["clipped_coverage"] * m  # the calibration is linear between whole numbers of fakes
    if at < m:
        curve = clipped.expected_coverage(n, m, 5)
        assert np.interp(at, np.arange(m + 1), curve) == pytest.approx(covered)


@pytest.mark.parametrize("n, m, k", [(30, 20, 5), (7, 3, 5), (300, 2, 1)])
def test_calibration_is_the_mean_of_a_beta_binomial(n, m, k):
    j = np.arange(m + 1)
    direct = [(np.minimum(j, k) * betabinom(i, k, n - k).pmf(j)).sum() / k for i in range(m + 1)]
    assert clipped.expected_coverage(n, m, k) == pytest.approx(np.array(direct), abs=1e-12)


def test_figures_are_shares_of_good_fakes_and_outliers_do_not_vouch():
    """Peers: an outlying real makes a ball that holds all bad fakes, and density counts them."""
    real, good = RNG.normal(size=(200, 4)), RNG.normal(size=(200, 4))
    real[0] = 60  # its ball reaches back to the others
    bad = np.full((200, 4), 40.0) + RNG.normal(size=(200, 4))
    names = ["clipped_density", "clipped_coverage", "density", "precision"]
    for share in (0, 50, 150):
        fake = np.concatenate([good[: 200 - share], bad[:share]])
        found = otdist.evaluate(real, fake, metrics=names, progress=False).metrics
        for name in names[:2]:
            assert found[name].estimate == pytest.approx(1 - share / 200, abs=0.1), name
        assert found["precision"].estimate > 0.9


def test_equal_rows():
    rows = np.repeat(RNG.normal(size=(20, 3)) + 1e4, 7, axis=0)
    found = clipped.shares(pair(rows, rows[RNG.permutation(140)]))
    assert found == {"clipped_density": 1.0, "clipped_coverage": 1.0}
    assert clipped.shares(pair(rows, rows + 1e-3)) == {
        "clipped_density": 0.0,
        "clipped_coverage": 0.0,
    }
