"""A verdict says what the figures show, and no more."""

import numpy as np
import pytest

import otdist
from otdist.evaluation.report import MetricResult
from otdist.evaluation.report.verdict import _against_floor, of_columns, of_sample

RNG = np.random.default_rng(0)


def metric(name, estimate=1.0, *, at=None, floor=None, p=None, labellings=999, better=False):
    return MetricResult(
        name, "", estimate, better, floor=floor, floor_spread=None if floor is None else 0.1,
        at_floor=at, pvalue=p, labellings=labellings,
    )  # fmt: skip


def said(*results, name="fake", ranking=("fake",)):
    return of_sample(name, {r.name: r for r in results}, ranking, "real")


def test_a_test_that_rejects_after_correction_shows_a_difference():
    text = said(metric("energy", p=0.02), metric("mmd", p=0.5))
    assert text == (
        "fake: differs from real; energy tells them apart (p = 0.04 after correction over 2 tests)."
    )
    text = said(metric("energy", p=0.03), metric("mmd", p=0.5))  # 0.06 after Holm
    assert text.startswith("fake: not told apart from real; no test rejects (least p = 0.06")


def test_a_floor_is_a_band_and_no_test():
    text = said(metric("w1", at=2.0, floor=1.0), metric("w2", at=1.1, floor=1.0))
    assert text == (
        "fake: looks different from real, which no test has confirmed; w1 beyond its floor; "
        "w2 at its floor."
    )
    text = said(metric("coverage", at=0.5, floor=0.95, better=True))
    assert "coverage beyond its floor" in text
    text = said(metric("coverage", at=1.5, floor=0.95, better=True))
    assert text == "fake: looks like real at this size; coverage at its floor."


def test_what_no_figure_can_tell_is_not_told():
    assert said(metric("w1")) == "fake: not enough data to tell."
    text = said(metric("energy", p=0.1, labellings=9), metric("w1", at=3.0, floor=1.0))
    assert text == (
        "fake: not enough data to tell; no test can reach p ≤ 0.05 after correction over 1 test; "
        "w1 beyond its floor."
    )


@pytest.mark.parametrize(
    "name, words", [("a", "closest of 3"), ("b", "place 2 of 3"), ("c", "farthest of 3")]
)
def test_places(name, words):
    assert words in said(metric("w1", at=1.0, floor=1.0), name=name, ranking=("a", "b", "c"))


def test_columns_that_moved_are_named():
    moved = {name: metric(name, p=0.001 if name < "h" else 0.4) for name in "abcdefghij"}
    (text,) = of_columns({"current": moved}, "reference")
    assert text == "7 columns of 10 differ from reference: a, b, c, d, e and 2 more."
    (text,) = of_columns({"current": {"a": metric("a", p=0.4)}}, "reference")
    assert text == "No column of 1 is shown to differ from reference (least p = 0.4)."
    (text,) = of_columns({"current": {"a": metric("a")}}, "reference")
    assert text == "Not tested: 1 column, distances only."
    table = {"a": metric("a", p=0.001), "a: missing": metric("a: missing", p=0.01)}
    table |= {"b": metric("b", p=0.5), "b: missing": metric("b: missing", p=0.02)}
    table["all columns jointly"] = metric("all columns jointly", p=0.01)
    (text,) = of_columns({"current": {**table, "c": metric("c", p=0.5)}}, "reference")
    said = "2 columns of 3 differ from reference: a (missing cells too) and b (missing cells)."
    assert text == said
    still = {"b": table["b"], "all columns jointly": table["all columns jointly"]}
    (text,) = of_columns({"current": still}, "reference")
    assert text.endswith("(least p = 0.5); jointly they do (p = 0.01).")
    windows = {"0–9": {"a": metric("a", p=0.3)}, "10–19": {"a": metric("a", p=0.01)}}
    (text,) = of_columns(windows, "reference")
    assert text == "1 window of 2 differs from reference: 10–19 (a)."


def test_samples_of_one_law_are_not_told_apart():
    real, same = RNG.normal(size=(2, 200, 2))
    far = same + 1.0
    report = otdist.evaluate(
        real, {"same": same, "far": far}, metrics=["energy", "sliced_w2"], n_permutations=199,
        progress=False,
    )  # fmt: skip
    same_line, far_line = report.verdict.split("\n")
    assert same_line.startswith("same: not told apart from real; closest of 2")
    assert far_line.startswith("far: differs from real; farthest of 2")
    assert "sliced_w2 and energy tell them apart (p = 0.01" in far_line


def test_drift_names_its_columns():
    old = {"age": RNG.normal(size=100), "height": RNG.normal(size=100)}
    report = otdist.drift(old, {**old, "age": old["age"] + 3})
    assert "differs from reference: age" in report.verdict or "age and all" in report.verdict
    assert str(report).startswith(report.verdict)


def test_few_figures_of_equal_laws_lie_beyond_their_floors():
    """27 samples of one law: 0 to 5% of figures of each metric, so 30% would be a broken band."""
    beyond = {"w1": 0, "sliced_w2": 0, "energy": 0, "coverage": 0}
    for seed in range(27):
        rng = np.random.default_rng(seed)
        real, fake = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
        report = otdist.evaluate(real, fake, metrics=list(beyond), confidence=None, progress=False)
        for key in _against_floor(report.metrics)[0]:
            beyond[key] += 1
    assert max(beyond.values()) <= 8
