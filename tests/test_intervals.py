"""Confidence intervals cover what they name, and are refused where they would not.

Coverage of every statistic is simulated in `benchmarks/coverage.py`; here are two of them, and the
parts that all are made of.
"""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from scipy.stats import t as student

import otdist
from benchmarks import coverage, coverage_cases, coverage_truth
from otdist.core.measure import pair
from otdist.discrepancy import line_limit, named
from otdist.discrepancy.limit import ConfidenceInterval, average, of_influence
from otdist.discrepancy.sliced import of_slices
from otdist.sliced.directions import Directions, draw

RNG = np.random.default_rng(2)
X, Y = RNG.normal(size=(60, 2)), RNG.normal(size=(50, 2)) * 1.2 + 1.5
DOUBLE = 1e-9
OPTIONS = {
    "wasserstein": {},
    "sliced": {"n_projections": 64},
    "max_sliced": {},
    "sinkhorn": {"eps": 1.0},
    "energy": {},
    "mmd": {"bandwidth": 2.0},
    "kid": {},
    "frechet": {},
}


def samples(statistic):
    """Small enough for KID that many rows make up its kernel."""
    return (X / 2, Y / 2) if statistic == "kid" else (X, Y)


@pytest.mark.parametrize("statistic", ["sinkhorn", "energy"])
def test_the_interval_covers_the_population(statistic):
    """95% nominal: of 100 trials between 88 and 100 except with a probability below 1%."""
    eps = 0.5
    case = next(
        c for c in coverage.cases() if (c.statistic, c.laws) == ("sinkhorn", "on four points")
    )
    if statistic == "energy":
        case = next(c for c in coverage.cases() if c.statistic == "energy")
        assert case.target == coverage_truth.energy(3, 1.0, 1.5)
    else:
        assert case.target == coverage_truth.atoms_sinkhorn(eps)
    row = coverage.cover(case, 100, 80, 100)
    assert row["given"] == 100
    assert 88 <= row["covered"] <= 100


def test_the_interval_covers_the_expectation_of_exact_transport():
    rng = np.random.default_rng(1)
    draws = [(rng.normal(size=(60, 2)), rng.normal(size=(50, 2)) + 2) for _ in range(100)]
    intervals = [otdist.confidence_interval(x, y, "wasserstein") for x, y in draws]
    truth = np.mean([interval.estimate for interval in intervals])
    covered = sum(i.lower <= truth <= i.upper for i in intervals)
    assert 88 <= covered <= 100


def test_coverage_counts_refusals_apart():
    case = coverage_cases.Case("energy", "equal", coverage_cases.normal(2, 0.0, 1.0), 0.0)
    row = coverage.cover(case, 25, 25, 20)
    assert row["given"] <= 2
    assert row["trials"] == 20


def test_estimates_are_those_of_the_functions():
    direct = {
        "wasserstein": otdist.wasserstein(X, Y, p=2).cost,
        "mmd": otdist.mmd(X, Y, bandwidth=2.0, statistic="U"),
        "kid": otdist.mmd(*samples("kid"), kernel="polynomial", statistic="U"),
        "frechet": otdist.gaussian_wasserstein(X, Y) ** 2,
    }
    for name, value in direct.items():
        interval = otdist.confidence_interval(*samples(name), name, **OPTIONS[name])
        assert interval.estimate == pytest.approx(value, rel=1e-6), name
        assert interval.lower < interval.estimate < interval.upper


@pytest.mark.parametrize("statistic", OPTIONS)
def test_the_terms_predict_what_one_row_changes(statistic):
    """The influence function is the derivative in a row's weight: without one row of n, to 1/n²."""
    if statistic in (
        "max_sliced",
        "sliced",
        "sinkhorn",
    ):  # halves are drawn anew: see the next test
        return

    first, second = samples(statistic)

    def value(x):
        return named(statistic, OPTIONS[statistic], "interval").limit(pair(x, second), 0)

    whole = value(first)
    change = np.array([whole.value - value(np.delete(first, i, 0)).value for i in range(12)])
    predicted = whole.x[:12] * len(X) / (len(X) - 1)
    if statistic == "wasserstein":  # also moves the bias, which depends on the size
        change = change - change.mean() + predicted.mean()
    assert np.corrcoef(change, predicted)[0, 1] > 0.98
    assert np.abs(change - predicted).max() < 0.15 * np.abs(whole.x).max()


def test_the_terms_of_sliced_and_its_bias():
    """The potentials are those of the plug-in value, from which a bias of order 1/n is taken."""
    chosen = _directions(64)
    rows = chosen.rows
    found = of_slices(pair(X, Y), 2, chosen, 0)
    plug_in = otdist.sliced_wasserstein(X, Y, p=2, directions=rows).cost
    change = [
        plug_in - otdist.sliced_wasserstein(np.delete(X, i, 0), Y, p=2, directions=rows).cost
        for i in range(12)
    ]
    assert np.corrcoef(change, found.x[:12])[0, 1] > 0.98
    rng = np.random.default_rng(0)
    many = [rng.normal(size=(2, 40, 20)) for _ in range(40)]
    shift = np.eye(20)[0] * 3
    rows = otdist.sliced_wasserstein(X[:, :1] @ shift[None], X[:, :1] @ shift[None]).directions
    corrected = [of_slices(pair(x, y + shift), 2, _drawn(rows), 0).value for x, y in many]
    plain = [otdist.sliced_wasserstein(x, y + shift, p=2, directions=rows).cost for x, y in many]
    truth = float(((rows @ shift) ** 2).mean())
    assert abs(np.mean(corrected) - truth) < 0.3 * (np.mean(plain) - truth)


@pytest.mark.parametrize("statistic", OPTIONS)
def test_numpy_torch_units_and_order(statistic):
    """Same numbers for tensors, rows in another order, and other units of length."""

    def ends(x, y, **changes):
        found = otdist.confidence_interval(x, y, statistic, **OPTIONS[statistic] | changes)
        return np.array([found.lower, found.estimate])

    x, y = samples(statistic)
    first = ends(x, y)
    assert ends(torch.tensor(x), torch.tensor(y)) == pytest.approx(first, rel=DOUBLE)
    assert ends(x[::-1].copy(), y[RNG.permutation(len(y))]) == pytest.approx(first, rel=1e-6)
    if statistic == "kid":  # depends on the origin and the units
        return
    units = {"sinkhorn": {"eps": 9.0}, "mmd": {"bandwidth": 6.0}}.get(statistic, {})
    power = {"mmd": 0, "energy": 1}.get(statistic, 2)
    assert ends(3 * X + 50, 3 * Y + 50, **units) == pytest.approx(3**power * first, rel=1e-5)


def test_a_higher_level_is_wider():
    usual = otdist.confidence_interval(X, Y, eps=1.0)
    wider = otdist.confidence_interval(X, Y, eps=1.0, level=0.99)
    assert wider.lower < usual.lower < usual.estimate < usual.upper < wider.upper
    assert "eps = 1" in usual.target
    assert usual.distance == (usual.lower**0.5, usual.upper**0.5)


def test_max_sliced_bounds_from_below():
    interval = otdist.confidence_interval(X, Y, "max_sliced")
    assert interval.upper == np.inf
    assert 0 < interval.lower < interval.estimate <= otdist.wasserstein(X, Y, p=2).cost * 1.5


def test_the_line_is_bootstrapped():
    x, y = np.random.default_rng(0).normal(size=(2, 80))
    for p in (1, 2):
        found = otdist.confidence_interval(x, y + 2, "wasserstein", p=p, n_resamples=200)
        assert found.quantity == f"W_{p}"
        assert found.lower < 2 < found.upper
        assert found.estimate == pytest.approx(otdist.wasserstein(x, y + 2, p=p).distance)
    assert found == otdist.confidence_interval(x, y + 2, "wasserstein", p=2, n_resamples=200)


def test_w1_is_lowered_by_what_it_exceeds_where_the_laws_may_be_equal(monkeypatch):
    """Samples that pass by chance are too far apart: 74% of such intervals covered without it."""
    x, y = coverage_cases.exponential(np.random.default_rng(1), 300, 250)
    found = otdist.confidence_interval(x, y, "wasserstein", p=1)
    excess = line_limit._excess(x[:, 0], y[:, 0])
    assert excess > 0.01
    monkeypatch.setattr(line_limit, "_excess", lambda x, y: 0.0)
    plain = otdist.confidence_interval(x, y, "wasserstein", p=1)
    assert found.lower == pytest.approx(plain.lower - excess)
    assert (found.estimate, found.upper) == (plain.estimate, plain.upper)


def test_w1_is_refused_where_the_laws_are_equal_in_part():
    rng = np.random.default_rng(1)
    x, y = coverage_cases.half_equal(rng, 400, 300)
    with pytest.raises(otdist.inference.NoIntervalError, match="too long a stretch"):
        otdist.confidence_interval(x, y, "wasserstein", p=1)
    assert otdist.confidence_interval(x, y, "wasserstein", p=2).lower > 0


def test_directions_add_their_noise():
    few = of_slices(pair(X, Y), 2, _directions(16), 0)
    many = of_slices(pair(X, Y), 2, _directions(1024), 0)
    assert few.noise > 4 * many.noise > 0
    ends = few.interval(0.95)
    assert ends.upper - ends.lower > 2 * 1.96 * (few.x @ few.x + few.y @ few.y) ** 0.5


def _drawn(rows):
    return Directions(rows, np.arange(len(rows)))


def _directions(count):
    return draw("iid", count, 2, np.random.default_rng(0))


def test_draws_that_share_rows_are_not_independent():
    f, g = RNG.normal(size=20), RNG.normal(size=10)
    part = of_influence(1.0, f, g, "", "")
    rows = (np.arange(20), np.arange(10))
    same = average([part, part], [rows, rows], (20, 10))
    assert same.interval(0.95) == part.interval(0.95)
    apart = [rows, (rows[0] + 20, rows[1] + 10)]
    both = average([part, part], apart, (40, 20)).interval(0.95)
    whole = part.interval(0.95)
    ratio = (both.upper - both.estimate) / (whole.upper - whole.estimate)
    assert ratio == pytest.approx(0.5**0.5, rel=0.05)


def test_repr_tells_the_target():
    interval = ConfidenceInterval(1.0, 2.0, 1.5, 0.9, "W_1", "the population's W_1")
    assert repr(interval) == "W_1 = 1.5, 90% interval [1, 2] for the population's W_1"


@pytest.mark.parametrize(
    "shift, options, words",
    [
        (2, {"statistic": "precision"}, "no central limit"),
        (2, {"statistic": "frechet_infinity"}, "no honest interval"),
        (2, {"statistic": "magic"}, "must be one of"),
        (2, {"statistic": "max_sliced", "p": 1}, "not unique"),
        (2, {"statistic": "sliced", "p": 1}, "not unique"),
        (2, {"statistic": "sliced", "n_projections": 0}, "at least 1"),
        (2, {}, "eps must be given"),
        (2, {"eps": -1}, "eps must be"),
        (2, {"eps": 1, "p": 3}, "between 1 and 2"),
        (2, {"statistic": "mmd"}, "bandwidth must be given"),
        (2, {"statistic": "mmd", "bandwidth": -1}, "bandwidth must be positive"),
        (2, {"statistic": "wasserstein", "eps": 1}, "no option eps"),
        (2, {"statistic": "wasserstein", "p": 1}, "not unique"),
        (2, {"statistic": "wasserstein", "n_resamples": 10}, "on the line only"),
        (2, {"eps": 1, "level": 1}, "level must be"),
        (0, {"eps": 1}, "do not differ visibly"),
        (0, {"statistic": "frechet"}, "moments up to order 2"),
        (2, {"statistic": "kid"}, "rows of . make up its kernel values, fewer than 20"),
    ],
)
def test_refusals(shift, options, words):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + shift
    with pytest.raises(ValueError, match=words):
        otdist.confidence_interval(x, y, **options)


def test_equal_moments_have_no_frechet_interval():
    """The laws differ, but not in what the Fréchet distance sees."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(300, 2)), rng.choice([-1.0, 1.0], size=(300, 2))
    assert otdist.two_sample_test(x, y, "energy", n_permutations=99).pvalue == 0.01
    with pytest.raises(ValueError, match="moments up to order 2"):
        otdist.confidence_interval(x, y, "frechet")
    with pytest.raises(ValueError, match="moments up to order 3"):
        otdist.confidence_interval(x, rng.normal(size=(300, 2)), "kid")


def test_wider_rows_are_visible_in_many_dimensions():
    """A kernel of ⟨z, z'⟩/d sees no covariances there: p is 0.4."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2100, 512)), 1.05 * rng.normal(size=(2100, 512))
    found = otdist.confidence_interval(x, y, "frechet")
    assert 0 < found.lower < found.estimate < found.upper


def test_few_or_repeated_rows_are_refused():
    x = np.arange(30.0)
    with pytest.raises(ValueError, match="at least 20 rows"):
        otdist.confidence_interval(x[:19], x + 50, eps=1)
    with pytest.raises(ValueError, match="rows repeat"):
        otdist.confidence_interval(np.repeat(x, 2), x + 50, "wasserstein")
    wide = np.random.default_rng(0).normal(size=(30, 10))
    with pytest.raises(ValueError, match="fewer than 4 rows per column"):
        otdist.confidence_interval(wide, wide + 1, "frechet")


def test_heavy_tails_widen_the_interval_on_the_line():
    """The rare row makes W_2 large: an interval without it must reach further up, and says so."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=200), 2 + rng.normal(size=200)
    plain = otdist.confidence_interval(x, y, "wasserstein", p=2)
    assert plain.note == ""
    y[:3] = 20.0 + rng.random(3)
    found = otdist.confidence_interval(x, y, "wasserstein", p=2)
    assert found.note.endswith("wider for heavy tails")
    assert found.lower < found.estimate < found.upper
    report = otdist.evaluate(x, y, metrics=["w2"], progress=False)
    assert "wider for heavy tails" in report.metrics["w2"].note


@pytest.mark.parametrize("terms", [np.ones(40), np.r_[np.zeros(38), 1.0, -1.0]])
def test_the_widening_is_that_of_a_variance_of_so_many_rows(terms):
    """Of N equal squares the variance is known; of two it has 2 / (1/2 − 1/N) degrees."""
    widening = line_limit._widening([terms[:20], terms[20:]], 0.975)
    freedom = 2 / (0.5 - 1 / 40)
    wanted = student.ppf(0.975, freedom) / norm.ppf(0.975) if not terms.all() else 1.0
    assert widening == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("statistic", ["kid", "wasserstein", "frechet"])
def test_heavy_tails_are_refused(statistic):
    """Where one row carries the variance: such intervals of KID covered 3 times in 10."""
    rng = np.random.default_rng(0)
    x, y = np.exp(rng.normal(size=30)), 30 + np.exp(rng.normal(size=30))
    y[0] = 300.0
    with pytest.raises(
        otdist.inference.NoIntervalError, match=r"one row carries .* variance|rows of x make up"
    ):
        otdist.confidence_interval(x, y, statistic)
    row = otdist.evaluate(x, y, metrics=["frechet"], progress=False).metrics["frechet"]
    assert "one row carries" in row.no_interval
