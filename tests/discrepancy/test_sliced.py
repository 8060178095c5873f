"""MIND: 3 d SW_2² with the floor, interval and test of SW_2."""

import numpy as np
import pytest

import otdist
from otdist.core.measure import pair
from otdist.discrepancy import Mind, projections
from otdist.discrepancy.rows import canonical
from otdist.discrepancy.sliced import SlicedDistance

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(90, 5)), RNG.normal(0.8, 1.0, size=(70, 5))


def test_mind_is_three_times_the_dimension_times_sw2_squared():
    found = otdist.evaluate(X, Y, metrics=["mind"], n_permutations=19, progress=False)
    mind = found.metrics["mind"]
    slices = otdist.sliced_wasserstein(X, Y, p=2, n_projections=1000, seed=0)
    assert mind.estimate == pytest.approx(15 * slices.distance**2, rel=1e-12)
    assert mind.pvalue == pytest.approx(1 / 20)
    assert mind.floor < mind.at_floor
    low, high = mind.interval
    assert low < mind.centre < high
    interval = otdist.confidence_interval(X, Y, "sliced", n_projections=1000)
    assert (low, high) == pytest.approx((15 * interval.lower, 15 * interval.upper), rel=1e-9)


def test_mind_of_one_law_that_moves_is_known():
    """Over directions the mean of ⟨u, shift⟩² is |shift|²/d: MIND of a shift is 3 |shift|²."""
    found = otdist.evaluate(X, X + 2.0, metrics=["mind"], progress=False).metrics["mind"]
    assert found.estimate == pytest.approx(3 * 5 * 4.0, rel=0.1)


def test_labellings_have_the_value_of_the_observed_one():
    test = otdist.two_sample_test(X, Y, "mind", n_projections=50, n_permutations=19)
    assert test.statistic == pytest.approx(
        15 * otdist.sliced_wasserstein(X, Y, p=2, n_projections=50, seed=0).distance ** 2, rel=1e-9
    )


@pytest.mark.parametrize("chosen", [Mind(60), SlicedDistance(2, 60), SlicedDistance(1, 60)])
@pytest.mark.parametrize(("kind", "offset", "rel"), [("f8", 0.0, 1e-12), ("f4", 300.0, 2e-4)])
def test_samples_projected_once_have_the_values_and_limits_of_the_points(chosen, kind, offset, rel):
    x, y = ((z[canonical(z)] + offset).astype(kind) for z in (X, Y))
    light, (px, *parts) = chosen.prepared([x, y[:30], y[30:]], 0)
    py = np.concatenate(parts)
    assert isinstance(light, projections.Projections)
    assert (px.shape, py.shape, len(parts[0])) == ((90, 60), (70, 60), 30)
    for rows in (slice(None), slice(20, 50)):
        found = light.value(light.frame(px[rows], py), 0).value
        assert found == pytest.approx(chosen.value(pair(x[rows], y), 0).value, rel=rel)
    if chosen.p > 1:
        found, usual = light.limit(light.frame(px, py), 0), chosen.limit(pair(x, y), 0)
        assert found.value == pytest.approx(usual.value, rel=rel)
        assert found.noise == pytest.approx(usual.noise, rel=100 * rel)
        assert np.allclose(found.x, usual.x, rtol=0, atol=rel * np.abs(usual.x).max())


def test_points_on_the_line_and_large_samples_are_not_projected(monkeypatch):
    chosen = SlicedDistance(2, 60)
    for samples in ([X[:, :1], Y[:, :1]], [X, Y]):
        monkeypatch.setattr(projections, "MOST", 60 * 160 - 1)
        same, rows = chosen.prepared(samples, 0)
        assert same is chosen
        assert rows is samples


@pytest.mark.parametrize("values", [1, 2, 3])
def test_rows_are_sorted_by_column_after_column(values):
    rows = RNG.integers(values, size=(200, 4)).astype(float)
    assert np.array_equal(canonical(rows), np.lexsort(rows.T[::-1]))
    rows[:, 2] += 0.1 * RNG.normal(size=200)
    assert np.array_equal(canonical(rows), np.lexsort(rows.T[::-1]))
    assert canonical(rows[:1]).tolist() == [0]
