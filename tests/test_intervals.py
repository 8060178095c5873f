"""Confidence intervals cover what they name, and are refused where they would not."""

import numpy as np
import pytest

import otdist

ATOMS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
FIRST, SECOND = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])


def test_the_interval_covers_the_population_divergence():
    """95% nominal: of 150 trials between 134 and 149 except with a probability below 1%."""
    truth = otdist.sinkhorn_divergence(ATOMS, ATOMS, a=FIRST, b=SECOND, p=2, eps=0.5).cost
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(150):
        x, y = (ATOMS[rng.choice(4, 100, p=law)] for law in (FIRST, SECOND))
        interval = otdist.confidence_interval(x, y, eps=0.5)
        covered += interval.lower <= truth <= interval.upper
    assert 133 <= covered <= 149


def test_the_interval_covers_the_expectation_of_exact_transport():
    rng = np.random.default_rng(1)
    intervals = [
        otdist.confidence_interval(
            rng.normal(size=(60, 2)), rng.normal(size=(50, 2)) + 2, "wasserstein"
        )
        for _ in range(120)
    ]
    truth = np.mean([interval.estimate for interval in intervals])
    covered = sum(i.lower <= truth <= i.upper for i in intervals)
    assert 105 <= covered <= 119


def test_a_higher_level_is_wider():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(40, 2)) + 2
    usual = otdist.confidence_interval(x, y, eps=1.0)
    wider = otdist.confidence_interval(x, y, eps=1.0, level=0.99)
    assert wider.lower < usual.lower < usual.estimate < usual.upper < wider.upper
    assert "eps = 1" in usual.target


@pytest.mark.parametrize(
    "shift, options, words",
    [
        (2, {"statistic": "precision", "eps": 1}, "no known central limit"),
        (2, {"statistic": "max_sliced"}, "direction was chosen"),
        (2, {"statistic": "magic"}, "must be"),
        (2, {}, "eps must be given"),
        (2, {"statistic": "wasserstein", "eps": 1}, "does not apply"),
        (2, {"statistic": "wasserstein", "p": 1}, "not unique"),
        (2, {"eps": 1, "level": 1}, "level must be"),
        (0, {"eps": 1}, "do not differ visibly"),
    ],
)
def test_refusals(shift, options, words):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + shift
    with pytest.raises(ValueError, match=words):
        otdist.confidence_interval(x, y, **options)


def test_few_or_repeated_rows_are_refused():
    x = np.arange(30.0)
    with pytest.raises(ValueError, match="at least 20 rows"):
        otdist.confidence_interval(x[:19], x + 50, eps=1)
    with pytest.raises(ValueError, match="rows repeat"):
        otdist.confidence_interval(np.repeat(x, 2), x + 50, "wasserstein")
