"""Drift: distances per column, corrected p-values, names kept, tables of numbers and categories."""

import json

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

import otdist
from otdist.evaluation.drift import JOINT, _corrected

RNG = np.random.default_rng(2)
OLD = {
    "age": RNG.normal(40, 10, 80),
    "income": RNG.lognormal(3, 1, 80),
    "city": RNG.choice(["Rome", "Oslo", "Lima"], 80),
}
NEW = {
    "age": RNG.normal(48, 10, 60),
    "income": RNG.lognormal(3, 1, 60),
    "city": RNG.choice(["Rome", "Oslo", "Lima"], 60, p=[0.1, 0.1, 0.8]),
}


@pytest.fixture(scope="module")
def report():
    return otdist.drift(OLD, NEW)


def test_columns_have_their_distances_effects_and_names(report):
    assert list(report.metrics) == ["age", "income", "city", JOINT]
    age, city = report.metrics["age"], report.metrics["city"]
    assert age.estimate == pytest.approx(wasserstein_distance(OLD["age"], NEW["age"]))
    assert age.effect == pytest.approx(age.estimate / OLD["age"].std())
    share = [[(t["city"] == c).mean() for c in ("Rome", "Oslo", "Lima")] for t in (OLD, NEW)]
    assert city.estimate == pytest.approx(np.abs(np.subtract(*share)).sum() / 2)


def test_what_moved_is_found_and_what_did_not_is_not(report):
    assert report.metrics["age"].pvalue <= 0.05
    assert report.metrics["city"].pvalue <= 0.05
    assert report.metrics["income"].pvalue > 0.05
    assert report.metrics[JOINT].pvalue <= 0.01


def test_false_alarms_over_all_columns_stay_rare():
    """At 5% for any of four columns: 120 trials exceed 14 with a probability below 0.2%."""
    rng = np.random.default_rng(0)
    alarms = 0
    for trial in range(120):
        old, new = rng.normal(size=(15, 3)), rng.normal(size=(12, 3))
        codes = rng.integers(0, 3, 27).astype(str)
        tables = [
            {**{str(i): t[:, i] for i in range(3)}, "c": c}
            for t, c in ((old, codes[:15]), (new, codes[15:]))
        ]
        found = otdist.drift(*tables, n_permutations=99, seed=trial).metrics
        alarms += any(r.pvalue <= 0.05 for name, r in found.items() if name != JOINT)
    assert alarms <= 14


def test_corrections():
    values = [0.01, 0.04, 0.03]
    assert _corrected(values, "holm") == pytest.approx([0.03, 0.06, 0.06])
    assert _corrected(values, "bonferroni") == pytest.approx([0.03, 0.12, 0.09])
    assert _corrected(values, "none") == values
    assert _corrected([0.9, 0.8], "holm") == [1, 1]


def test_arrays_and_chosen_columns():
    old, new = RNG.normal(size=(30, 2)), RNG.normal(size=(25, 2))
    plain = otdist.drift(old, new, n_permutations=19)
    named = otdist.drift(old, new, columns=["u", "v"], n_permutations=19)
    assert list(plain.metrics) == ["0", "1", JOINT]
    assert named.metrics["u"].estimate == plain.metrics["0"].estimate
    chosen = otdist.drift(OLD, NEW, columns=["city"], n_permutations=19)
    assert list(chosen.metrics) == ["city", JOINT]


def test_a_constant_column_has_no_effect_size():
    report = otdist.drift({"c": [1, 1, 1]}, {"c": [1, 2]}, n_permutations=9)
    assert report.metrics["c"].effect is None
    assert "constant" in report.metrics["c"].note


def test_the_report_shows_effects(report, tmp_path):
    text = str(report)
    assert "effect" in text
    assert "floor" not in text
    assert "against reference (80 rows)" in text
    content = json.loads(report.to_json())
    assert content["samples"]["current"]["age"]["effect"] == report.metrics["age"].effect
    pytest.importorskip("matplotlib")
    assert len(report.plot().axes[0].patches) == 3
    assert "against reference" in report.to_html(tmp_path / "drift.html")


@pytest.mark.parametrize(
    "new, options, words",
    [
        ({"age": [1.0]}, {}, "differ in columns"),
        (NEW, {"columns": ["height"]}, "no column height"),
        (NEW, {"correction": "fdr"}, "correction must be one of"),
        (NEW, {"n_permutations": 0}, "n_permutations must be"),
        ({**NEW, "age": [1.0]}, {}, "columns of one length"),
        ({**NEW, "age": np.full(60, np.nan)}, {}, "'age' must be finite: got nan at row 0"),
    ],
)
def test_errors(new, options, words):
    with pytest.raises(ValueError, match=words):
        otdist.drift(OLD, new, **options)
