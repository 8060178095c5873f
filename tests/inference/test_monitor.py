"""The monitor: its chance of any false alarm holds over the whole run, and drifts are found."""

import pickle

import numpy as np
import pytest
import torch

import otdist
from otdist.inference.monitor import bet

RNG = np.random.default_rng(4)
REFERENCE = RNG.normal(size=(300, 3))


def ranks(monitor, rows):
    """The ranks of each score, row by row."""
    found = []
    for scores in monitor.scores(rows).tolist():
        found.append([monitor._rank(k, s, 0.5) for k, s in enumerate(scores)])
    return np.array(found)


def test_ranks_are_uniform_for_rows_of_the_reference_whatever_its_distribution():
    rows = np.exp(2 * RNG.normal(size=(1400, 2)))
    rows[:, 1] = RNG.integers(3, size=1400)
    monitor = otdist.DriftMonitor(rows[:400])
    assert len(monitor._ranked[0]) == 200
    found = ranks(monitor, rows[400:])
    assert found[:, 0].mean() == pytest.approx(0.5, abs=0.03)
    assert np.quantile(found[:, 0], [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.04)
    assert len(monitor._ranked[0]) == 1200
    assert monitor._ranked[0] == sorted(monitor._ranked[0])


def test_a_fair_bet_keeps_its_wealth_on_average():
    start = np.full((100_000, 1, 3), 1 / 3)
    wealth = bet(bet(start, RNG.random((100_000, 1))), RNG.random((100_000, 1)))
    assert wealth.sum(2).mean() == pytest.approx(1, abs=0.005)
    assert (wealth > 0).all()


@pytest.mark.parametrize("horizon", [None, 60])
def test_false_alarms_over_the_whole_run(horizon):
    rng, alarms = np.random.default_rng(0), 0
    thresholds = []
    for seed in range(60):
        monitor = otdist.DriftMonitor(
            rng.standard_t(2, size=(60, 2)), alpha=0.1, horizon=horizon, seed=seed
        )
        alarms += monitor.update(rng.standard_t(2, size=(horizon or 120, 2))).alarm
        thresholds.append(monitor.threshold)
        if horizon and seed == 14:
            break  # a threshold with an end is simulated
    assert alarms <= (5 if horizon else 14)  # 3 standard errors above a tenth
    assert max(thresholds) <= 10
    if horizon:
        assert min(thresholds) > 2


@pytest.mark.parametrize("change", ["mean", "spread", "less spread"])
def test_drifts_are_found_soon(change):
    monitor = otdist.DriftMonitor(REFERENCE, alpha=0.01)
    quiet = monitor.update(RNG.normal(size=(300, 3)))
    assert (quiet.alarm, quiet.alarm_row, quiet.rows) == (False, None, 300)
    rows = RNG.normal(size=(250, 3))
    if change == "mean":
        rows[:, 1] += 1
    elif change == "spread":
        rows *= 1.8
    else:
        rows *= 0.5
    found = monitor.update(rows)
    assert found.alarm
    assert 300 < found.alarm_row < 500
    assert found.evidence >= found.threshold == 100
    assert set(found.scores) == {"axis 1", "axis 2", "axis 3", "distance"}
    assert repr(found).startswith(f"alarm at row {found.alarm_row}: evidence")


def test_batches_torch_pickle_and_seed():
    rows = RNG.normal(size=(80, 3)) + 0.5
    whole = otdist.DriftMonitor(REFERENCE).update(rows)
    parts = otdist.DriftMonitor(torch.tensor(REFERENCE))
    parts.update(rows[:1])
    parts = pickle.loads(pickle.dumps(parts))
    assert not parts.state.alarm
    # Ranks among equal scores are drawn for a batch at a time, whatever its size.
    assert parts.update(torch.tensor(rows[1:])) == whole
    other = otdist.DriftMonitor(REFERENCE, seed=1).update(rows)
    assert other.evidence != whole.evidence


def test_the_line_constant_columns_and_a_strong_drift_without_overflow():
    assert otdist.DriftMonitor(REFERENCE[:, 0]).update(REFERENCE[:50, 0] + 3).alarm
    flat = np.column_stack([REFERENCE[:, 0], np.ones(300)])
    monitor = otdist.DriftMonitor(flat)
    assert not monitor.update(flat[:5]).alarm
    far = monitor.update(np.full((2000, 2), 1e6))
    assert far.alarm
    assert np.isfinite(far.evidence)


@pytest.mark.parametrize(
    "options, rows, words",
    [
        ({"reference": REFERENCE[:39]}, None, "reference must hold at least 40 rows: got 39"),
        ({"alpha": 1}, None, "alpha must be above 0 and below 1"),
        ({"horizon": 0}, None, "horizon must be from 1 to 100000: got 0"),
        ({}, np.ones((2, 2)), "rows must have the 3 columns of reference: got 2"),
        ({}, np.full((2, 3), np.nan), "rows must be finite"),
        ({"horizon": 2}, np.ones((3, 3)), "rows must end at the horizon of 2: got 3"),
    ],
)
def test_errors(options, rows, words):
    with pytest.raises(ValueError, match=words):
        otdist.DriftMonitor(**{"reference": REFERENCE, **options}).update(rows)
