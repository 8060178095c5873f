"""A generator that repeats its training rows is flagged, and no other one."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import otdist
from otdist.core.measure import pair
from otdist.discrepancy import Authenticity, Copying
from otdist.evaluation.metrics import names
from otdist.inference.permutation import permutation_test

RNG = np.random.default_rng(11)
TRAIN, REAL, FAKE = RNG.normal(size=(90, 3)), RNG.normal(size=(60, 3)), RNG.normal(size=(50, 3))


def copies(share, m=200, noise=0.02):
    fake = RNG.normal(size=(m, 3))
    some = int(share * m)
    fake[:some] = TRAIN[RNG.integers(90, size=some)] + noise * RNG.normal(size=(some, 3))
    return fake


def test_definitions():
    own, away = cdist(TRAIN, TRAIN), cdist(FAKE, TRAIN)
    np.fill_diagonal(own, np.inf)
    expected = (away.min(1) > own.min(1)[away.argmin(1)]).mean()
    frame = pair(REAL + 1e3, FAKE + 1e3)
    assert Authenticity(TRAIN + 1e3).value(frame, 0).value == pytest.approx(expected)
    share = (away.min(1) < cdist(FAKE, REAL).min(1)).mean()
    per_row = share / 90 / (share / 90 + (1 - share) / 60)
    assert Copying(TRAIN + 1e3).value(frame, 0).value == pytest.approx(per_row)
    found = permutation_test(Copying(TRAIN + 1e3), frame, 19, 0)
    assert (found.statistic, found.name) == (pytest.approx(per_row), "copying")


def test_a_copycat_is_flagged_and_others_are_not():
    """Neither noise nor missing modes nor crowding are copying."""
    crowded, half = 0.5 * RNG.normal(size=(200, 3)), RNG.normal(size=(200, 3))
    half[:, 0] = abs(half[:, 0])
    fakes = {"honest": copies(0), "copycat": copies(1), "a third": copies(1 / 3), "half": half}
    fakes |= {"noisy": 2 * RNG.normal(size=(200, 3)), "crowded": crowded}
    report = otdist.evaluate(REAL, fakes, train=TRAIN, metrics=["authenticity", "copying"],
                             n_permutations=199, progress=False)  # fmt: skip
    flagged = {name for name, row in report.samples.items() if row["copying"].pvalue <= 0.01}
    assert flagged == {"copycat", "a third"}
    for line in report.verdict.splitlines():
        assert ("repeats training rows" in line) == (line.split(":")[0] in flagged)
        assert "differs from real" not in line
    copycat = report.samples["copycat"]
    assert copycat["copying"].estimate > 0.95 > 0.6 > copycat["copying"].floor
    assert copycat["authenticity"].estimate < 0.1 < 0.4 < copycat["authenticity"].floor


def test_missing_modes_are_named_by_recall_and_noise_by_precision():
    real, half = RNG.normal(size=(300, 3)), RNG.normal(size=(300, 3))
    half[:, 0] = abs(half[:, 0])
    fakes = {
        "honest": RNG.normal(size=(300, 3)),
        "half": half,
        "noisy": 2 * RNG.normal(size=(300, 3)),
    }
    names = ["precision", "recall"]
    report = otdist.evaluate(real, fakes, metrics=names, progress=False)
    lost = {
        name: [row[key].floor - row[key].at_floor > 2 * row[key].floor_spread for key in names]
        for name, row in report.samples.items()
    }
    assert lost == {"honest": [False, False], "half": [False, True], "noisy": [True, False]}


def test_the_level_of_the_test_whatever_the_fakes():
    """Fakes of another distribution do not raise false alarms."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(200):
        rows, fakes = rng.normal(size=(50, 2)), 0.4 * rng.normal(size=(40, 2)) + 1
        test = permutation_test(Copying(rows[:30]), pair(rows[30:], fakes), 19, 0)
        alarms += test.pvalue <= 0.05
    assert alarms <= 20


def test_they_are_rows_where_there_are_training_rows():
    assert set(names(train=True)) - set(names()) == {"authenticity", "copying"}
    report = otdist.evaluate(REAL, FAKE, train=TRAIN, features="pca-2", metrics=["authenticity"])
    assert (report.dimension, list(report.metrics)) == (2, ["authenticity"])
    assert report.sizes == {"real": 60, "fake": 50}


def test_bad_training_rows():
    with pytest.raises(ValueError, match="train must hold training rows for the metric 'copying'"):
        otdist.evaluate(REAL, FAKE, metrics=["copying"])
    with pytest.raises(ValueError, match="copying needs training rows: use evaluate"):
        otdist.two_sample_test(REAL, FAKE, "copying")
    with pytest.raises(
        ValueError, match="real and train must have the same dimension: got 3 and 2"
    ):
        otdist.evaluate(REAL, FAKE, train=TRAIN[:, :2])
    with pytest.raises(ValueError, match='none of them named "real" or "train"'):
        otdist.evaluate(REAL, {"train": FAKE}, train=TRAIN)
    report = otdist.evaluate(REAL, FAKE, train=TRAIN[:1], metrics=["authenticity", "copying", "w1"])
    assert "at least 2 training rows" in report.metrics["authenticity"].note
    assert report.metrics["authenticity"].estimate is None
    assert report.metrics["w1"].estimate > 0
