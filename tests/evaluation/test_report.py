"""The report in its four forms."""

import itertools
import json
import pickle
import re
from html.parser import HTMLParser

import numpy as np
import pytest

import otdist
from otdist.drawing.samples import density, levels
from otdist.evaluation.report import MetricResult, Report
from otdist.evaluation.report.evidence import keep
from otdist.evaluation.report.look import STYLE
from otdist.evaluation.report.tables import of_ranking

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def report():
    real = RNG.normal(size=(40, 3))
    fakes = {"far <b>": RNG.normal(size=(30, 3)) + 2, "near": RNG.normal(size=(30, 3))}
    return otdist.evaluate(real, fakes, metrics=["w1", "energy", "precision"], n_permutations=99)


def test_ranking_uses_the_direction_of_each_metric():
    def sample(low, high):
        return {
            "low": MetricResult("low", "", low),
            "high": MetricResult("high", "", high, higher_is_better=True),
            "none": MetricResult("none", "", None),
        }

    samples = {"bad": sample(3, 0.1), "middle": sample(2, 0.5), "good": sample(1, 0.9)}
    report = Report(samples, {"real": 1}, 1, "raw", 0, 0.0)
    assert report.ranking == ["good", "middle", "bad"]
    assert report.metrics["low"].estimate == 1


def test_text_shows_every_metric(report):
    text = str(report)
    assert text.index("near (30)") < text.index("far <b> (30)")
    for word in ("w1", "energy", "precision", "floor", "at half size"):
        assert word in text


def test_json_is_strict_and_complete(report, tmp_path):
    text = report.to_json(tmp_path / "report.json")
    content = json.loads(text, parse_constant=pytest.fail)
    assert json.loads((tmp_path / "report.json").read_text()) == content
    w1 = content["samples"]["near"]["w1"]
    assert w1["estimate"] == report.metrics["w1"].estimate
    assert w1["interval"] is None
    assert w1["no_interval"]
    assert content["ranking"] == ["near", "far <b>"]
    assert content["sizes"] == {"real": 40, "far <b>": 30, "near": 30}


def test_json_writes_null_for_what_is_not_finite():
    samples = {"f": {"m": MetricResult("m", "", float("nan"), note="not finite")}}
    text = Report(samples, {"real": 1, "f": 1}, 1, "raw", 0, 0.0).to_json()
    assert json.loads(text)["samples"]["f"]["m"]["estimate"] is None


class Links(HTMLParser):
    """What a page would load, and its tags in order; data within the page is not loaded."""

    def __init__(self):
        super().__init__()
        self.loads, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for key, value in attrs:
            within = value and value.startswith(("#", "data:"))
            if key in ("src", "href", "xlink:href") and not within:
                self.loads.append(value)


def test_page_is_self_contained(report, tmp_path):
    pytest.importorskip("matplotlib")
    text = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    page = Links()
    page.feed(text)
    assert page.loads == []
    assert page.tags.count("table") == 3  # the ranking, and one for each sample
    assert page.tags.count("svg") == len(report.kinds()) == 3
    assert text.count('role="img" aria-label="') == 3
    assert {"h1", "style"} <= set(page.tags)
    assert page.tags.count("script") == 1  # sorts the tables
    assert text.index("</h1>") < text.index('class="verdict"') < text.index("<table>")
    assert page.tags.count("main") == 1
    assert text.count('<div class="scroll" tabindex="0" role="region"') == 3
    assert '<th scope="col" class="words">metric</th>' in text
    assert '<th scope="row" class="words">w1</th>' in text
    assert "far &lt;b&gt;" in text
    assert "@import" not in text
    assert "url(http" not in text


def test_page_tells_conventions_reasons_and_environment(report):
    pytest.importorskip("matplotlib")
    text = report.to_html()
    w1 = report.metrics["w1"]
    assert f"{w1.convention}<small>no interval: {w1.no_interval}</small>" in text
    assert f"<dt>numpy</dt><dd>{np.__version__}</dd>" in text
    assert "<dt>system</dt>" in text
    assert f"[{w1.lower:.5g}, {w1.upper:.5g}]" in text


def test_page_adapts_to_the_scheme_of_the_screen(report):
    """What matplotlib draws in black takes the colour of the text."""
    pytest.importorskip("matplotlib")
    text = report.to_html()
    assert "prefers-color-scheme: dark" in text
    assert "currentColor" in text
    assert "#000000" not in text


def test_ranking_in_one_table(report):
    first = report.to_dict()["ranking"]
    headings, rows = of_ranking(report.samples, report.ranking)
    assert headings == ["metric", "floor", *first] == ["metric", "floor", "near", "far <b>"]
    assert [row[0] for row in rows] == ["w1", "energy", "precision"]
    assert all("*" in row[2] and "*" not in row[3] for row in rows)
    assert ["(p = " in cell for cell in rows[1]] == [False, False, True, True]
    assert all("±" in row[1] for row in rows)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_samples_are_drawn_with_densities(d):
    pytest.importorskip("matplotlib")
    real, fake = RNG.normal(size=(40, d)), RNG.normal(size=(30, d))
    figure = otdist.evaluate(real, {"u": fake, "v": fake}, metrics=["energy"]).plot()
    assert len(figure.axes) == 2
    for axis in figure.axes:
        kinds = [type(item).__name__ for item in axis.collections]
        if d > 1:
            assert kinds == ["PathCollection", "QuadContourSet"] * 2
        assert len(axis.get_legend().get_texts()) == 2


def test_contours_hold_the_mass_they_say():
    points = RNG.normal(size=(4000, 2))
    edges = [np.linspace(-5, 5, 73)] * 2
    values = density(points, edges)
    assert values.sum() == pytest.approx(1, abs=1e-3)
    outer, inner = levels(values)
    for level, share in ((outer, 0.9), (inner, 0.5)):
        assert values[values >= level].sum() == pytest.approx(share, abs=0.02)
        radius = np.sqrt((values >= level).sum() * (10 / 72) ** 2 / np.pi)
        assert radius == pytest.approx(np.sqrt(-2 * np.log(1 - share)), rel=0.1)  # a normal law


def test_the_worst_matched_row_is_the_far_one():
    real, fake = RNG.normal(size=(60, 3)), RNG.normal(size=(50, 3))
    fake[17] += 40
    report = otdist.evaluate(real, fake, metrics=["energy"])
    match = report.evidence.matches["fake"]
    assert report.evidence.indices["fake"][match.fake[0]] == 17
    assert (np.diff(match.distance) <= 0).all()
    # The distances that rows travel average to W_1.
    assert match.distance.mean() == pytest.approx(otdist.wasserstein(real, fake).distance)
    texts = [text.get_text() for text in report.plot("worst").axes[0].texts]
    assert "17" in texts


def test_growth_compares_equal_sizes():
    x, y = RNG.normal(size=(200, 2)), RNG.normal(size=(150, 2)) + 5
    curve = otdist.evaluate(x, y, metrics=["energy"]).evidence.growth["fake"]
    assert curve.size.tolist() == [12, 25, 50, 100]
    assert (curve.value > 5).all()
    assert (curve.floor < 2).all()
    assert curve.floor[-1] < curve.floor[0]


def test_null_distributions_are_those_of_the_table():
    pytest.importorskip("matplotlib")
    x, y = RNG.normal(size=(40, 2)), RNG.normal(size=(30, 2)) + 1
    report = otdist.evaluate(x, y, metrics=["w1", "energy"], n_permutations=19)
    energy = report.metrics["energy"]
    assert energy.test.pvalue == energy.pvalue
    assert len(energy.test.null) == 19
    (axis,) = report.plot("null").axes
    assert sum(bar.get_height() for bar in axis.patches) == 19
    assert "test" not in report.to_dict()["samples"]["fake"]["energy"]


def test_images_are_found_or_given_a_shape():
    pytest.importorskip("matplotlib")
    flat, stacked = RNG.random((40, 12)), RNG.random((40, 3, 4))
    colour = RNG.random((40, 3, 6, 5))
    found = otdist.evaluate(stacked, stacked[::-1], metrics=["energy"])
    assert "images" in found.kinds()
    given = otdist.evaluate(flat, flat[::-1], metrics=["energy"])
    assert "images" not in given.kinds()
    assert "images" in given.kinds((3, 4))
    assert len(given.plot("images", shape=(3, 4)).axes) == 2
    assert given.plot("worst", shape=(3, 4)).axes[0].images
    kept = otdist.evaluate(colour, colour, metrics=["energy"]).evidence
    assert kept.images("real").shape == (40, 6, 5, 3)
    order = kept.indices["real"]
    np.testing.assert_array_equal(kept.images("real")[0, :, :, 1], colour[order[0], 1])
    with pytest.raises(ValueError, match="shape must hold 12 numbers"):
        given.plot("images", shape=(5, 5))


def test_a_picture_that_does_not_exist():
    report = otdist.evaluate(RNG.normal(size=(9, 2)), RNG.normal(size=(8, 2)), metrics=["energy"])
    assert report.kinds() == ["samples", "worst"]
    with pytest.raises(ValueError, match="kind must be one of samples, worst: got 'null'"):
        report.plot("null")


@pytest.mark.parametrize("rows", [np.zeros((1, 3)), np.zeros((40, 3)), np.ones((40, 1))])
def test_constant_samples_are_drawn(rows, tmp_path):
    pytest.importorskip("matplotlib")
    report = otdist.evaluate(rows, rows, metrics=["energy"])
    report.to_html(tmp_path / "report.html")


def test_evidence_is_small():
    assert len(otdist.evaluate(np.zeros((1500, 1)), np.ones((9, 1)), metrics=["frechet"])
               .evidence.rows["real"]) == 1000  # fmt: skip
    large = keep({"real": np.zeros((200, 70_000))}, {}, "real", 0)
    assert len(large.rows["real"]) == 64


def test_names_are_shown_as_they_are():
    """Neither as mathematics, nor as markup, nor left out of a legend."""
    pytest.importorskip("matplotlib")
    names = ["$x^{$", "_hidden", "[red]y[/red]"]
    table = {name: RNG.normal(size=20) for name in names}
    report = otdist.drift(table, table, n_permutations=9)
    for name in names:
        assert name in str(report)
    figure = report.plot("effects")
    figure.canvas.draw()
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == [r"\$x^{\$", " _hidden", "[red]y[/red]"][::-1]
    report.to_html()
    fakes = {name: RNG.normal(size=(40, 2)) for name in names}
    otdist.evaluate(RNG.normal(size=(40, 2)), fakes, metrics=["energy"], n_permutations=9).to_html()


def test_reports_pickle():
    report = otdist.evaluate(RNG.normal(size=(40, 2)), RNG.normal(size=(40, 2)), metrics=["w1"])
    report.plot("worst")
    again = pickle.loads(pickle.dumps(report))
    assert again.to_dict() == report.to_dict()
    assert again.kinds() == report.kinds()


def test_an_interval_is_shown_with_its_target():
    pytest.importorskip("matplotlib")
    kid = MetricResult("kid", "MMD²", 0.5, interval=(0.25, 0.75), target="the laws' MMD²")
    samples = {"f": {"kid": kid, "w1": MetricResult("w1", "W_1", 2.0, no_interval="no limit")}}
    report = Report(samples, {"real": 9, "f": 8}, 1, "raw", 0, 0.0)
    assert "[0.25, 0.75]" in str(report)
    page = report.to_html()
    assert "the interval covers the laws&#x27; MMD²" in page
    assert "no interval: no limit" in page
    assert json.loads(report.to_json())["samples"]["f"]["kid"]["target"] == "the laws' MMD²"


def test_a_record_comes_back(report, tmp_path):
    report.to_json(tmp_path / "report.json")
    for source in (tmp_path / "report.json", report.to_json()):
        again = Report.from_json(source)
        assert again.to_dict() == report.to_dict()
        assert again["w1"] == report["w1"]
        assert again.verdict == report.verdict
    with pytest.raises(ValueError, match="not a record of a report"):
        Report.from_json('{"ranking": []}')
    with pytest.raises(ValueError, match="not a record of a report"):
        Report.from_json("{nothing")


def test_figures_by_name(report):
    scalars = report.scalars()
    assert all(type(value) is float for value in scalars.values())
    assert scalars["near/w1"] == report.samples["near"]["w1"].estimate == float(report["w1"])
    assert scalars["far <b>/energy/pvalue"] == report.samples["far <b>"]["energy"].pvalue
    assert scalars["near/w1/floor"] < scalars["far <b>/w1"]
    one = otdist.evaluate(RNG.normal(size=(20, 2)), RNG.normal(size=(20, 2)), metrics=["w1"])
    assert {"w1", "w1/lower", "w1/upper", "w1/floor"} <= set(one.scalars())
    with pytest.raises(ValueError, match="key must be one of"):
        report["w3"]


def test_a_frame_has_a_row_for_each_figure(report):
    pytest.importorskip("pandas")
    table = report.to_frame()
    assert list(table["sample"]) == ["near"] * 3 + ["far <b>"] * 3
    assert list(table["metric"][:3]) == ["w1", "energy", "precision"]
    assert table.loc[0, "estimate"] == float(report["w1"])


def test_notebooks_show_the_verdict_and_the_tables(report):
    text = report._repr_html_()
    assert text.index("differs from real") < text.index("<table>")
    assert "far &lt;b&gt;" in text
    assert "<b>" not in text


def test_the_verdict_comes_first_everywhere(report):
    first, second = report.verdict.split("\n")
    assert first.startswith("near: ")
    assert second.startswith("far <b>: ")
    assert str(report).startswith(first)
    assert report.to_dict()["verdict"] == report.verdict
    assert str(report).rstrip().endswith("not a test.")


def test_a_result_without_an_estimate_is_no_number():
    with pytest.raises(ValueError, match="kid has no estimate: too few rows"):
        float(MetricResult("kid", "", None, note="too few rows"))


def luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(scheme):
    block = STYLE.split("prefers-color-scheme: dark")[scheme == "dark"]
    found = dict(re.findall(r"--(\w+): (#\w+)", block))
    colours = {name: c if len(c) == 7 else "#" + 2 * c[1:] for name, c in found.items()}
    for ink, paper in itertools.product(("ink", "soft"), ("paper", "band", "mark")):
        high, low = sorted([luminance(colours[ink]), luminance(colours[paper])], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


@pytest.fixture(scope="module")
def drifted():
    old = {"age": RNG.normal(40, 9, 80), "city": RNG.choice(["Rome", "Oslo"], 80)}
    new = {"age": RNG.normal(55, 9, 60), "city": RNG.choice(["Rome", "Oslo"], 60)}
    old["day"] = np.datetime64("2024-01-01") + np.arange(80).astype("timedelta64[D]")
    new["day"] = np.datetime64("2024-01-20") + np.arange(60).astype("timedelta64[D]")
    new["age"][:6] = np.nan
    return otdist.drift(old, new, n_permutations=99, progress=False)


def test_a_page_of_drift_shows_columns_by_effect(drifted):
    pytest.importorskip("matplotlib")
    text = drifted.to_html()
    titles = re.findall("<h3>(\\w+)", text)
    effects = [drifted[name].effect for name in titles]
    assert sorted(titles) == ["age", "city", "day"]
    assert effects == sorted(effects, reverse=True)
    assert '<span class="badge moved">moved, effect' in text
    assert "not shown to have moved" in text
    assert "missing 0.0% → 10.0%" in text
    assert "city: &#x27;" in text
    assert "age: reference has a median of" in text
    assert text.count("<svg") == len(drifted.kinds()) - 1 + 3
    rows = re.findall('<tr><th scope="row" class="words">(.*?)</th>', text)
    assert rows[0] == titles[0]


def test_columns_are_drawn_in_a_notebook(drifted):
    pytest.importorskip("matplotlib")
    assert "columns" in drifted.kinds()
    assert len(drifted.plot("columns").subfigs) == 3


def test_columns_of_one_value_and_of_many_words_are_drawn():
    pytest.importorskip("matplotlib")
    words = [f"$w_{k}^" for k in range(40)]
    old, new = {"w": words, "one": [1.0] * 40}, {"w": words[::-1], "one": [1.0] * 40}
    report = otdist.drift(old, new, ["w", "one"], n_permutations=9, progress=False)
    assert report.columns["w"].labels[-1] == "all others"
    assert report.columns["w"].shares.sum(1) == pytest.approx(1)
    assert report.to_html().count("<svg") == len(report.kinds()) - 1 + 2


def test_alternative_texts_say_what_is_seen(report):
    pytest.importorskip("matplotlib")
    text = report.to_html()
    assert re.search('aria-label="rows in two principal.* near has its centre', text)
    assert "the farthest row of near travels" in text
    assert "of the random labellings" in text
