"""Drift: distances per column, corrected p-values, names kept, tables of numbers and categories."""

import decimal
import fractions
import importlib
import json

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import wasserstein_distance

import otdist
from otdist.evaluation.corrections import CORRECTIONS, corrected
from otdist.evaluation.drift import JOINT
from otdist.evaluation.table_columns import labellings

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
    assert corrected(values, "holm") == pytest.approx([0.03, 0.06, 0.06])
    assert corrected(values, "bonferroni") == pytest.approx([0.03, 0.12, 0.09])
    assert corrected(values, "none") == values
    assert corrected([0.9, 0.8], "holm") == [1, 1]
    assert corrected(values, "benjamini-hochberg") == pytest.approx([0.03, 0.04, 0.04])
    more = corrected(values, "benjamini-yekutieli")
    assert more == pytest.approx(np.array([0.03, 0.04, 0.04]) * (1 + 1 / 2 + 1 / 3))


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_corrections_grow_with_every_pvalue(correction):
    """What lets a window stand for its column."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        values = rng.random(5)
        raised = values.copy()
        raised[2] += 0.3 * rng.random()
        assert corrected(raised, correction)[2] >= corrected(values, correction)[2]


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
        (NEW, {"n_permutations": -1}, "n_permutations must be"),
        (NEW, {"block": 61}, "block must be at most the 60 rows of current"),
        (NEW, {"step": 5}, "step applies to windows only"),
        (NEW, {"window": 61}, "window must be at most the 60 rows of current: got 61"),
        (NEW, {"window": 20, "block": 6}, "window must be a multiple of block, 6: got 20"),
        (NEW, {"window": 12, "block": 6, "step": 3}, "step must be a multiple of block"),
        ({**NEW, "age": np.full(60, "old")}, {}, "'age' must be of one kind: got numbers and cat"),
        ({**NEW, "city": np.zeros(60)}, {}, "'city' must be of one kind: got categories and num"),
        ({**NEW, "age": [1.0]}, {}, "columns of one length"),
        ({**NEW, "age": np.full(60, np.inf)}, {}, "'age' must be finite: got inf at row 0"),
        ({**NEW, "age": np.full(60, 1e301)}, {}, r"'age' must be at most 1e\+300 in size"),
        ({**NEW, "age": 5}, {}, "'age' must hold one cell a row: got 5"),
        ({**NEW, "age": [[1.0]] * 60}, {}, "'age' must hold single cells: got a list"),
        (NEW, {"exclude": ["height"]}, "has no column height"),
        (NEW, {"exclude": ["city", "height"]}, "has no column height"),
        (NEW, {"exclude": ["age", "income", "city"]}, "reference has no column left"),
        (NEW, {"missing": 7}, "missing must be a list of texts and numbers: got 7"),
        (NEW, {"columns": 1.5}, "columns must be a list of texts: got 1.5"),
    ],
)
def test_errors(new, options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        otdist.drift(OLD, new, **options)


def test_a_column_of_one_table_alone_can_be_left_out():
    more = {**NEW, "debug": [1] * 60}
    report = otdist.drift(OLD, more, exclude=["debug"], n_permutations=9)
    assert list(report.metrics) == ["age", "income", "city", JOINT]


def test_times_are_compared_in_days():
    days = np.datetime64("2024-01-01") + np.arange(40).repeat(2)
    moved = days + np.timedelta64(36, "h").astype("timedelta64[h]")
    forms = {
        "numpy": (days, moved),
        "text": (days.astype(str), (days + 3).astype(str)),
        "objects": (days.tolist(), [None, *(days + 3).tolist()]),
        "differences": (days - days[0], moved - days[0]),
    }
    for name, (old, new) in forms.items():
        found = otdist.drift({"day": old}, {"day": new}, n_permutations=9).metrics["day"]
        expected = 3 if name in ("text", "objects") else 1.5
        assert found.estimate == pytest.approx(expected, rel=0.02), name
        if name != "differences":
            assert (found.convention, found.note) == ("W_1, days", "times, in days")


NOTHING = (None, float("nan"), "", "NA", np.datetime64("NaT"))


@pytest.mark.parametrize("one", NOTHING)
@pytest.mark.parametrize("other", NOTHING)
def test_a_missing_cell_is_no_category(one, other):
    report = otdist.drift({"c": ["Rome", one] * 50}, {"c": ["Rome", other] * 50}, n_permutations=9)
    assert {name: r.estimate for name, r in report.metrics.items()} == {
        "c": 0, "c: missing": 0, JOINT: 0,
    }  # fmt: skip


def test_missing_cells_are_a_result_of_their_own_and_the_others_are_compared_among_themselves():
    rng = np.random.default_rng(8)
    old, new = rng.normal(size=200), rng.normal(size=150)
    gaps = rng.random(150) < 0.4
    holed = {"v": np.where(gaps, np.nan, new), "w": np.where(gaps, "", "a")}
    report = otdist.drift({"v": old, "w": ["a", "b"] * 100}, holed, n_permutations=199)
    expected = wasserstein_distance(old, new[~gaps])
    assert report.metrics["v"].estimate == pytest.approx(expected)
    assert report.metrics["v"].pvalue > 0.05
    rate = report.metrics["v: missing"]
    assert rate.estimate == pytest.approx(gaps.mean())
    assert rate.pvalue <= 0.05
    assert report.metrics["w"].estimate == pytest.approx(0.5)
    windows = otdist.drift({"v": old}, {"v": [*new, *[None] * 50]}, window=50, n_permutations=19)
    last = windows.samples["150–199"]
    assert (last["v"].estimate, last["v: missing"].estimate) == (None, 1)
    assert last["v"].note == "all cells of this window are missing"
    empty = otdist.drift({"v": old, "e": [None] * 200}, {"v": new, "e": [1.0] * 150})
    assert empty.metrics["e: missing"].estimate == 1
    assert "e" not in empty.metrics
    assert "'e' is empty in reference: only its gaps are compared" in empty.notes


def test_gaps_do_not_raise_false_alarms_about_values():
    """At 5% for one column in 150 trials: more than 17 has a probability below 0.1%."""
    rng = np.random.default_rng(9)
    alarms = 0
    for trial in range(150):
        old, new = rng.normal(size=30), np.where(rng.random(25) < 0.6, np.nan, rng.normal(size=25))
        found = otdist.drift(
            {"v": old}, {"v": new}, n_permutations=99, correction="none", seed=trial
        )
        alarms += found.metrics["v"].pvalue <= 0.05
    assert alarms <= 17


def test_numbers_of_any_type_are_numbers_and_missing_words_can_be_stated():
    values = [1.25, 2.5, 3.75] * 20
    money = [decimal.Decimal(str(value)) for value in values]
    shifted = [value + 1 for value in values]
    for new in (money, [*money, None], [*values, "NA"], [fractions.Fraction(v) for v in values]):
        found = otdist.drift({"m": shifted}, {"m": new}, n_permutations=9).metrics["m"]
        assert found.estimate == pytest.approx(1)
    sentinel = {"m": [*values, -999, "none"]}
    found = otdist.drift({"m": values}, sentinel, missing=[-999, "none"], n_permutations=9)
    assert (found.metrics["m"].estimate, found.metrics["m: missing"].estimate) == (
        0,
        pytest.approx(2 / 62),
    )
    masked = np.ma.masked_array([1.25, 9.0] * 30, mask=[False, True] * 30)
    found = otdist.drift({"m": [1.25] * 9}, {"m": masked}, n_permutations=9).metrics
    assert (found["m"].estimate, found["m: missing"].estimate) == (0, 0.5)
    huge = otdist.drift({"m": [1e200, 3e200] * 9}, {"m": [2e200, 4e200] * 9}, n_permutations=9)
    assert huge.metrics["m"].effect == pytest.approx(1)
    flags = otdist.drift({"ok": [True, False] * 9}, {"ok": [True, None] * 9}, n_permutations=9)
    assert flags.metrics["ok"].estimate == 0.5


def test_identifiers_are_left_out_with_a_note_unless_they_are_asked_for():
    old = {"v": OLD["age"], "id": range(80), "user_key": RNG.permutation(900)[:80], "n": [3.0] * 80}
    old["uuid"] = [f"a{k}" for k in range(80)]
    new = {name: list(values)[:60] for name, values in old.items()}
    report = otdist.drift(old, new, n_permutations=9)
    assert list(report.metrics) == ["v", "n", JOINT]
    assert report.metrics["n"].pvalue == 1
    assert report.notes[0] == "columns by kind: measurement 1; constant n"
    assert [note.split(" left out")[0] for note in report.notes[1:-1]] == [
        "'id'",
        "'user_key'",
        "'uuid'",
    ]
    asked = otdist.drift(old, new, ["id", "v"], n_permutations=9)
    assert list(asked.metrics) == ["id", "v", JOINT]
    chosen = otdist.drift(old, new, exclude=["v"], categories=["n"], n_permutations=9)
    assert chosen.metrics["n"].convention.startswith("total variation")
    assert list(otdist.drift(np.arange(40.0), np.arange(30.0), n_permutations=9).metrics) == [
        "0",
        JOINT,
    ]


def test_data_frames_and_arrow_tables_are_tables():
    arrow = pytest.importorskip("pyarrow")
    old = {"v": [1, 2, None, 4] * 5, "c": ["a", None] * 10, "ok": [True, None, False, True] * 5}
    expected = otdist.drift(old, old, n_permutations=9)
    frames = [arrow.table(old), arrow.table(old)]
    coded = arrow.table({"k": arrow.array([1, 2, 2, None] * 5).dictionary_encode()})
    assert otdist.drift(coded, coded, n_permutations=9).metrics["k"].convention.startswith("total")
    for module in ("pandas", "polars"):
        try:
            library = importlib.import_module(module)
        except ImportError:
            continue
        frames.append(library.DataFrame(old))
        if module == "pandas":
            frames += [
                library.DataFrame(old).convert_dtypes(),
                library.DataFrame(old).astype("category"),
            ]
    for table in frames:
        report = otdist.drift(table, table, n_permutations=9)
        assert list(report.metrics) == list(expected.metrics)
        assert all(abs(result.estimate) < 1e-6 for result in report.metrics.values())


def test_the_shapes_of_single_rows_are_compared():
    wide, tall = np.zeros((5, 8, 6)), np.zeros((5, 6, 8))
    with pytest.raises(ValueError, match=r"reference has \(8, 6\), current has \(6, 8\)"):
        otdist.drift(wide, tall)


def test_labellings_suffice_for_the_correction_or_a_note_says_what_does():
    rng = np.random.default_rng(10)
    old, new = rng.normal(size=(40, 60)), rng.normal(size=(40, 60)) + 3
    few = otdist.drift(old, new, n_permutations=99)
    assert few.notes[-1] == (
        "with n_permutations=99 and holm over 60 results, no p-value can be below 0.6: "
        "5999 reach 0.01"
    )
    new[:, 30:] -= 3
    enough = otdist.drift(old, new)
    found = [r.pvalue for name, r in enough.metrics.items() if name != JOINT]
    assert max(found[:30]) <= 0.011
    assert min(found[30:]) > 0.05
    assert len(enough.notes) == 1
    assert len(enough.metrics["0"].test.null) == 5999
    assert len(enough.metrics["59"].test.null) == 999


def test_equal_tables_are_equal_jointly_however_many_rows_there_are():
    rng = np.random.default_rng(11)
    old = {"u": rng.normal(size=9000), "c": rng.choice(["a", "b"], 9000)}
    order = rng.permutation(9000)
    mixed = {name: values[order] for name, values in old.items()}
    for new in (old, mixed):
        found = otdist.drift(old, new, n_permutations=9).metrics[JOINT]
        assert (found.estimate, found.pvalue) == (pytest.approx(0, abs=1e-6), 1)
    new = {"u": rng.normal(size=9000), "c": mixed["c"]}
    assert otdist.drift(old, new, n_permutations=99).metrics[JOINT].pvalue > 0.01
    new["u"] += 0.2
    assert otdist.drift(old, new, n_permutations=99).metrics[JOINT].pvalue == 0.01


def test_without_permutations_there_are_effects_alone():
    report = otdist.drift(OLD, NEW, n_permutations=0)
    assert all(result.pvalue is None for result in report.metrics.values())
    tested = otdist.drift(OLD, NEW).metrics
    for name, result in report.metrics.items():
        assert result.effect == pytest.approx(tested[name].effect)
    assert "null" not in report.kinds()


def series(rows, rng, persistence=0.9):
    """A stationary autoregression of order one with unit variance."""
    noise = rng.normal(size=rows + 200) * np.sqrt(1 - persistence**2)
    return lfilter([1], [1, -persistence], noise)[200:]


def test_blocks_keep_false_alarms_rare_where_rows_depend_on_each_other():
    """At a nominal 5%: single rows raise an alarm in most trials, blocks of 60 in a few."""
    rng = np.random.default_rng(0)
    alarms = {1: 0, 60: 0}
    for trial in range(60):
        old, new = series(600, rng), series(600, rng)
        for block in alarms:
            found = otdist.drift(
                {"v": old}, {"v": new}, block=block, n_permutations=99, seed=trial
            ).metrics
            alarms[block] += found["v"].pvalue <= 0.05
    assert alarms[1] > 30
    assert alarms[60] <= 9


def test_blocks_still_see_a_shift():
    rng = np.random.default_rng(3)
    old, new = series(1200, rng), series(1205, rng) + 1.5
    report = otdist.drift({"v": old}, {"v": new}, block=60, n_permutations=99)
    assert report.metrics["v"].pvalue == 0.01
    assert report.metrics[JOINT].pvalue <= 0.02
    assert report.sizes == {"reference": 1200, "current": 1200}
    assert "0 + 5 last rows left out" in report.features


def test_windows_have_the_distances_of_their_rows_and_find_the_moment():
    rng = np.random.default_rng(4)
    old = {"u": rng.normal(size=300), "c": rng.choice(["a", "b"], 300)}
    new = {"u": rng.normal(size=400), "c": rng.choice(["a", "b"], 400)}
    new["u"][250:] += 1.5
    report = otdist.drift(old, new, window=100, step=50, n_permutations=199)
    assert list(report.windows.values()) == [(k, k + 100) for k in range(0, 301, 50)]
    assert list(report.samples) == [f"{k}–{k + 99}" for k in range(0, 301, 50)]
    for (first, last), results in zip(
        report.windows.values(), report.samples.values(), strict=True
    ):
        expected = wasserstein_distance(old["u"], new["u"][first:last])
        assert results["u"].estimate == pytest.approx(expected)
        share = np.mean(new["c"][first:last] == "a") - np.mean(old["c"] == "a")
        assert results["c"].estimate == pytest.approx(abs(share))
    moved = [results["u"].pvalue <= 0.05 for results in report.samples.values()]
    assert moved == [False, False, False, False, True, True, True]
    assert all(results["c"].pvalue > 0.05 for results in report.samples.values())


def test_alarms_over_all_windows_stay_rare():
    """At 5% for any of 9 overlapping windows of two columns: 100 trials exceed 13 below 0.2%."""
    rng = np.random.default_rng(5)
    alarms = 0
    for trial in range(100):
        old, new = rng.normal(size=(40, 2)), rng.normal(size=(100, 2))
        found = otdist.drift(old, new, window=20, step=10, n_permutations=99, seed=trial)
        columns = [r for results in found.samples.values() for r in results.values()]
        assert len(columns) == 18
        alarms += any(result.pvalue <= 0.05 for result in columns)
    assert alarms <= 13


def test_windows_in_all_forms(tmp_path):
    rng = np.random.default_rng(6)
    report = otdist.drift(
        rng.normal(size=(60, 2)), rng.normal(size=(90, 2)), ["u", "v"], window=30, block=10
    )
    text = str(report)
    for word in ("60–89", "u", "v", "(p = ", "against reference (60 rows)"):
        assert word in text
    content = json.loads(report.to_json())
    assert content["windows"]["30–59"] == [30, 60]
    assert set(content["samples"]["30–59"]) == {"u", "v"}
    pytest.importorskip("matplotlib")
    assert report.kinds() == ["windows", "null"]
    (axis,) = report.plot().axes
    np.testing.assert_allclose(axis.get_lines()[0].get_xdata(), [14.5, 44.5, 74.5])
    assert "windows of the series against reference" in report.to_html(tmp_path / "w.html")


def test_one_seed_gives_one_report_whatever_the_size_of_the_pieces():
    rng = np.random.default_rng(0)
    whole = np.concatenate(list(labellings(12, 3, 50, rng)))
    rng = np.random.default_rng(0)
    pieces = list(labellings(12, 3, 50, rng, entries=36))
    assert len(pieces) == 17
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    np.testing.assert_array_equal(whole[0], np.arange(12))
    assert (np.sort(whole, axis=1) == np.arange(12)).all()
    assert (np.diff(whole.reshape(51, 4, 3), axis=2) == 1).all()  # blocks stay together
