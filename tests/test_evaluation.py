"""Metrics equal their definitions; floors, draws and features do what they say."""

import importlib

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, pdist

import otdist
from otdist.core.measure import pair
from otdist.discrepancy import Classifier, neighbours
from otdist.evaluation.metrics import names

RNG = np.random.default_rng(7)
REAL, FAKE = RNG.normal(size=(60, 5)), RNG.normal(size=(45, 5)) * 1.3 + 0.2
TIGHT = 1e-9
ROOT = 1e-7  # of the rounding of a difference that vanishes


def test_precision_recall_density_coverage_by_their_definition():
    for d in (3, 5, 20):
        real, fake = RNG.normal(size=(50, d)), RNG.normal(size=(40, d)) * 1.2
        k = 5
        radius_real = np.sort(cdist(real, real), axis=1)[:, k]
        radius_fake = np.sort(cdist(fake, fake), axis=1)[:, k]
        between = cdist(real, fake)
        inside = between < radius_real[:, None]
        found = neighbours.shares(pair(real, fake), k)
        assert found == {
            "precision": pytest.approx(inside.any(0).mean()),
            "recall": pytest.approx((between < radius_fake).any(1).mean()),
            "density": pytest.approx(inside.sum(0).mean() / k),
            "coverage": pytest.approx((between.min(1) < radius_real).mean()),
            "points": 0,
        }


def test_neighbours_do_not_depend_on_blocks(monkeypatch):
    whole = neighbours.shares(pair(REAL, FAKE))
    monkeypatch.setattr("otdist.core.cost._CPU_BLOCK", 100)
    assert neighbours.shares(pair(REAL, FAKE)) == whole


@pytest.mark.parametrize("d", [1, 60])
def test_rows_that_repeat_lie_in_their_own_balls_of_radius_0(d):
    rows = np.repeat(RNG.normal(size=(20, d)) + 1e4, 7, axis=0)
    report = otdist.evaluate(rows, rows[RNG.permutation(140)], metrics=["precision", "recall",
        "coverage", "density"], progress=False)  # fmt: skip
    for name in ("precision", "recall", "coverage"):
        assert report.metrics[name].estimate == 1
        assert "280 of 280 balls have radius 0, because rows repeat" in report.metrics[name].note
    apart = otdist.evaluate(rows, rows + 1e-3, metrics=["precision", "coverage"], progress=False)
    assert apart.metrics["precision"].estimate == apart.metrics["coverage"].estimate == 0


def test_neighbour_classifier_by_its_definition():
    fake = FAKE[:40]
    z = np.concatenate([REAL[:40], fake])
    distance = cdist(z, z)
    np.fill_diagonal(distance, np.inf)
    label = np.arange(80) < 40
    expected = (label == label[distance.argmin(1)]).mean()
    assert Classifier().value(pair(REAL[:40], fake), 0).value == expected
    far = otdist.two_sample_test(REAL[:40], fake + 9, "classifier", n_permutations=19)
    assert (far.statistic, far.pvalue) == (1.0, 0.05)
    # Of samples of different sizes each counts half, so that chance is one half.
    right = label[:70] == label[:70][distance[:70, :70].argmin(1)]
    halves = right[:40].mean() / 2 + right[40:].mean() / 2
    assert Classifier().value(pair(REAL[:40], fake[:30]), 0).value == pytest.approx(halves)


@pytest.fixture(scope="module")
def report():
    return otdist.evaluate(REAL, FAKE, n_permutations=19, progress=False)


def test_estimates_are_those_of_the_functions(report):
    both = np.concatenate([REAL, FAKE])
    own_eps = 0.01 * (cdist(both, both) ** 2).mean()
    direct = {
        "w1": otdist.wasserstein(REAL, FAKE).distance,
        "w2": otdist.wasserstein(REAL, FAKE, p=2).distance,
        "sliced_w2": otdist.sliced_wasserstein(REAL, FAKE, p=2).distance,
        "sinkhorn": otdist.sinkhorn_divergence(REAL, FAKE, p=2, eps=own_eps).distance,
        "energy": otdist.energy_distance(REAL, FAKE),
        "mmd": otdist.mmd(REAL, FAKE),
        "frechet": otdist.gaussian_wasserstein(REAL, FAKE) ** 2,
        "kid": otdist.mmd(REAL, FAKE, kernel="polynomial", statistic="U"),
        **neighbours.shares(pair(REAL, FAKE)),
    }
    direct.pop("points")
    for name, value in direct.items():
        assert report.metrics[name].estimate == pytest.approx(value, rel=TIGHT), name
    assert list(report.metrics) == names()


def test_exact_metrics_are_certified_and_bound_the_others(report):
    w2, slices = report.metrics["w2"], report.metrics["max_sliced_w2"]
    assert w2.lower <= w2.estimate <= w2.upper * (1 + TIGHT)
    assert report.metrics["sliced_w2"].estimate <= slices.estimate <= w2.upper


def test_pvalues_are_given_where_asked_for_and_valid(report):
    for name, result in report.metrics.items():
        valid = name in ("sliced_w2", "energy", "mmd", "classifier")
        assert (result.pvalue is not None) == valid, name
        assert (result.interval is None) == bool(result.no_interval) != bool(result.target)
    without = otdist.evaluate(REAL, FAKE, metrics=["energy", "classifier"])
    assert all(result.pvalue is None for result in without.metrics.values())


def test_the_floor_is_what_equal_laws_give():
    real = RNG.normal(size=(200, 6))
    fakes = {"same": RNG.normal(size=(200, 6)), "shifted": RNG.normal(size=(200, 6)) + 1}
    report = otdist.evaluate(real, fakes, metrics=["w1", "energy"])
    same, shifted = report.samples["same"]["w1"], report.samples["shifted"]["w1"]
    assert same.floor == shifted.floor
    assert same.floor_size == 100
    assert same.at_floor == pytest.approx(same.floor, rel=0.15)
    assert shifted.at_floor > 1.3 * shifted.floor
    assert report.ranking == ["same", "shifted"]
    assert report.metrics is report.samples["same"]


def test_the_floor_does_not_depend_on_the_metrics_named():
    options = {"progress": False, "confidence": None}
    alone = otdist.evaluate(REAL, FAKE, metrics=["energy"], **options).metrics["energy"]
    beside = otdist.evaluate(REAL, FAKE, **options).metrics["energy"]
    assert (alone.floor, alone.at_floor, alone.floor_spread) == (
        beside.floor, beside.at_floor, beside.floor_spread
    )  # fmt: skip
    splits = [RNG.permutation(60) for _ in range(200)]
    values = [otdist.energy_distance(REAL[i[:30]], REAL[i[30:]]) for i in splits]
    assert alone.floor == pytest.approx(np.mean(values), abs=4 * np.std(values) / 20**0.5)
    assert alone.floor_spread == pytest.approx(np.std(values), rel=0.6)


def test_a_row_speaks_of_one_functional():
    """The estimate is the tested statistic, and lies in an interval that is around it."""
    far = FAKE + 1
    report = otdist.evaluate(REAL, {"far": far, "near": FAKE}, n_permutations=19, progress=False)
    row = report.samples["far"]
    for name in ("sliced_w2", "energy", "mmd", "classifier"):
        assert row[name].test.statistic == pytest.approx(row[name].estimate, rel=TIGHT), name
    for name, found in row.items():
        if found.interval is None:
            continue
        low, high = found.interval
        assert low <= (found.estimate if found.centre is None else found.centre) <= high, name
        assert (found.centre is not None) == ("around" in found.target), name
    assert {name for name, found in row.items() if found.centre is not None} == {
        "sliced_w2", "max_sliced_w2", "sinkhorn", "energy", "mmd"
    }  # fmt: skip
    every = np.concatenate([REAL, far, FAKE])
    width = float(np.median(pdist(every)))
    assert row["mmd"].estimate == pytest.approx(otdist.mmd(REAL, far, bandwidth=width))
    assert f"bandwidth {width:.4g}" in row["mmd"].target
    assert "centre" in report.to_dict()["samples"]["far"]["mmd"]


def test_extrapolated_frechet_is_less_biased():
    real, fake = RNG.normal(size=(400, 20)), RNG.normal(size=(400, 20))
    metrics = otdist.evaluate(real, fake, metrics=["frechet", "frechet_infinity"]).metrics
    assert abs(metrics["frechet_infinity"].estimate) < metrics["frechet"].estimate / 2


def test_many_rows_are_drawn_and_averaged(monkeypatch):
    from otdist.discrepancy import Wasserstein
    from otdist.evaluation.evaluate import evaluate

    monkeypatch.setattr(Wasserstein, "most_rows", 20)
    result = evaluate(REAL, FAKE, metrics=["w1"]).metrics["w1"]
    assert result.note == "mean of 5 draws of 20 rows"
    assert result.spread > 0
    assert result.lower is None
    assert result.size == result.floor_size == 20
    asked = evaluate(REAL, FAKE, metrics=["w1"], max_samples=40).metrics["w1"]
    assert (asked.note, asked.size) == ("", 40)
    assert asked.lower is not None


def test_numpy_torch_and_seed():
    options = {"metrics": ["sliced_w2", "classifier"], "max_samples": 30}
    first = otdist.evaluate(REAL, FAKE, **options).metrics
    tensors = otdist.evaluate(torch.tensor(REAL), torch.tensor(FAKE), **options).metrics
    other = otdist.evaluate(REAL, FAKE, seed=1, **options).metrics
    for name in first:
        assert first[name].estimate == tensors[name].estimate
    assert first["sliced_w2"].estimate != other["sliced_w2"].estimate


def test_features():
    images = RNG.normal(size=(30, 2, 3))
    flat = otdist.evaluate(images, images + 1, metrics=["w1"])
    assert flat.dimension == 6
    assert flat.metrics["w1"].estimate == pytest.approx(np.sqrt(6))
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 4), torch.nn.Dropout(0.5))
    report = otdist.evaluate(images, images + 1, features=net, metrics=["w1"])
    weights = net[1].weight.detach().double()
    expected = (weights @ torch.ones(6, dtype=torch.float64)).norm()
    assert report.metrics["w1"].estimate == pytest.approx(float(expected), rel=1e-4)
    assert net.training
    half = otdist.evaluate(images, images + 1, features=lambda x: x[:, 0], metrics=["w1"])
    assert half.dimension == 3
    named = otdist.evaluate([[4.0]], [[9.0]], features="numpy:sqrt", metrics=["w1"])
    assert named.metrics["w1"].estimate == 1


def test_all_principal_components_keep_distances():
    raw = otdist.evaluate(REAL, FAKE, metrics=["w1"]).metrics["w1"].estimate
    full = otdist.evaluate(REAL, FAKE, features="pca-5", metrics=["w1"]).metrics["w1"].estimate
    less = otdist.evaluate(REAL, FAKE, features="pca-2", metrics=["w1"])
    assert full == pytest.approx(raw, rel=TIGHT)
    assert less.metrics["w1"].estimate < raw
    assert less.dimension == 2


def test_the_order_of_rows_changes_nothing():
    shuffled = REAL[RNG.permutation(60)], FAKE[RNG.permutation(45)]
    options = {"n_permutations": 9, "max_samples": 40, "progress": False}
    first = otdist.evaluate(REAL, FAKE, **options).metrics
    again = otdist.evaluate(*shuffled, **options).metrics
    for name, result in first.items():
        for key in ("estimate", "floor", "at_floor", "pvalue", "spread"):
            value = getattr(result, key)
            expected = value if value is None else pytest.approx(value, rel=1e-7)
            assert getattr(again[name], key) == expected, (name, key)


def test_intervals_name_their_target_or_the_reason():
    far = FAKE + 1
    metrics = otdist.evaluate(REAL, far, progress=False).metrics
    given = {"w2", "sliced_w2", "max_sliced_w2", "sinkhorn", "energy", "mmd", "frechet"}
    assert {name for name, result in metrics.items() if result.interval} == given
    assert "rows too few" in metrics["kid"].no_interval
    for name in ("w2", "sliced_w2", "energy", "mmd", "frechet"):
        low, high = metrics[name].interval
        assert low < high
        assert low < 1.2 * metrics[name].estimate
        assert high > 0.9 * metrics[name].estimate
    assert "the expectation" in metrics["w2"].target
    assert metrics["precision"].spread > 0
    wider = otdist.evaluate(REAL, far, confidence=0.999, metrics=["w2"], progress=False).metrics
    assert wider["w2"].interval[0] < metrics["w2"].interval[0]
    none = otdist.evaluate(REAL, far, confidence=None, metrics=["w2"], progress=False).metrics
    assert (none["w2"].interval, none["w2"].no_interval) == (None, "not asked for")
    on_line = otdist.evaluate(REAL[:, 0], far[:, 0], metrics=["w1"], progress=False).metrics
    assert "population's W_1" in on_line["w1"].target


def frames_of(values):
    """A minimal frame, and those of the libraries that are installed."""
    yield type("Minimal", (), {"columns": list(values), "__getitem__": lambda s, k: values[k]})()
    for module, make in (
        ("pyarrow", "table"),
        ("polars", "DataFrame"),
        ("pandas", "DataFrame"),
    ):
        try:
            made = getattr(importlib.import_module(module), make)(values)
        except ImportError:
            continue
        yield made
        if module == "pandas":
            yield made.convert_dtypes()


def test_data_frames_are_samples_matched_by_the_names_of_their_columns():
    flags = RNG.random(45) < 0.5
    fake = {"v": FAKE[:, 1].tolist(), "ok": flags.tolist(), "u": FAKE[:, 0].tolist()}
    real = {"u": REAL[:, 0].tolist(), "v": REAL[:, 1].tolist(), "ok": [True] * 60}
    x = np.column_stack([REAL[:, :2], np.ones(60)])
    expected = otdist.wasserstein(x, np.column_stack([FAKE[:, :2], flags])).distance
    for first in frames_of(real):
        for second in frames_of(fake):
            report = otdist.evaluate(first, {"second": second}, metrics=["w1"])
            assert report.metrics["w1"].estimate == pytest.approx(expected)
    for values, words in (
        ({**fake, "u": ["a"] * 45}, "fake: column 'u' must hold numbers: got a in row 0"),
        ({**fake, "u": [1.0] * 44 + [None]}, "fake: column 'u' must have no missing cell: row 44"),
        ({"u": fake["u"]}, r"real and fake must have the same columns: got \['ok', 'v'\]"),
    ):
        with pytest.raises(ValueError, match=words):
            otdist.evaluate(next(frames_of(real)), next(frames_of(values)))


def test_pixels_have_one_depth_and_their_scale_is_noted():
    images = RNG.integers(0, 256, (20, 4, 3), dtype=np.uint8)
    deep = images.astype(np.uint16) * 257
    with pytest.raises(ValueError, match="real has uint8, fake has uint16"):
        otdist.evaluate(images, deep)
    options = {"metrics": ["w1", "kid"], "progress": False}
    same = otdist.evaluate(images, torch.tensor(images), **options)
    assert same.notes == ("pixels are compared on their own scale, 0 to 255",)
    assert "meant for features of a size near 1" in same.metrics["kid"].note
    scaled = otdist.evaluate(images, images / 255.0, **options)
    assert "are they on one scale?" in scaled.notes[0]
    assert "note: real has pixels" in str(scaled)
    plain = otdist.evaluate(REAL, FAKE, **options)
    assert (plain.notes, plain.metrics["kid"].note) == ((), "")


@pytest.mark.parametrize("n, m", [(1, 1), (1, 5), (2, 2), (3, 3)])
def test_few_rows_give_figures_or_reasons(n, m):
    report = otdist.evaluate(REAL[:n], FAKE[:m], n_permutations=9)
    for result in report.metrics.values():
        assert (result.estimate is None) == bool(result.note)
        assert result.estimate is None or np.isfinite(result.estimate)


def test_constant_columns_and_duplicates():
    real, fake = np.ones((12, 3)), np.ones((10, 3))
    report = otdist.evaluate(real, fake, n_permutations=9)
    for name in ("w1", "w2", "sliced_w2", "energy", "mmd", "frechet"):
        assert report.metrics[name].estimate == pytest.approx(0, abs=ROOT)
    assert report.metrics["energy"].pvalue == 1


@pytest.mark.parametrize(
    "fake, options, words",
    [
        (FAKE, {"metrics": ["fidelity"]}, "metrics must be among"),
        (FAKE, {"metrics": []}, "metrics must be among"),
        (FAKE, {"features": "pca-6"}, "between 1 and 5"),
        (FAKE, {"features": "nonsense"}, "features must be"),
        (FAKE, {"features": "nowhere:f"}, "cannot be imported"),
        (FAKE, {"features": lambda x: x[:2]}, "must have 60 rows"),
        (FAKE, {"max_samples": 0}, "max_samples must be at least 1"),
        (FAKE, {"confidence": 95}, "confidence must be above 0 and below 1"),
        (FAKE, {"n_permutations": -1}, "n_permutations must be at least 0"),
        (FAKE[:, :4], {}, "same dimension"),
        (FAKE * np.nan, {}, "must be finite"),
        ({}, {}, "at least one sample"),
        ({"real": FAKE}, {}, "none of them named"),
    ],
)
def test_errors(fake, options, words):
    with pytest.raises(ValueError, match=words):
        otdist.evaluate(REAL, fake, **options)


@pytest.mark.parametrize(
    "options", [{"features": 3}, {"features": dict}, {"metrics": [3]}], ids=str
)
def test_options_of_the_wrong_type(options):
    with pytest.raises(TypeError, match=f"{next(iter(options))} must be"):
        otdist.evaluate(REAL, FAKE, **options)
