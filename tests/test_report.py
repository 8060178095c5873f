"""The report in its four forms."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

import otdist
from otdist.report import MetricResult, Report

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def report():
    real = RNG.normal(size=(40, 3))
    fakes = {"far <b>": RNG.normal(size=(30, 3)) + 2, "near": RNG.normal(size=(30, 3))}
    return otdist.evaluate(real, fakes, metrics=["w1", "energy", "precision"], n_permutations=9)


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
    """What a page would load, and its tags in order."""

    def __init__(self):
        super().__init__()
        self.loads, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "xlink:href") and value and not value.startswith("#"):
                self.loads.append(value)


def test_page_is_self_contained(report, tmp_path):
    pytest.importorskip("matplotlib")
    text = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    page = Links()
    page.feed(text)
    assert page.loads == []
    assert page.tags.count("table") == 2
    assert {"svg", "h1", "style"} <= set(page.tags)
    assert "script" not in page.tags
    assert "far &lt;b&gt;" in text
    assert "@import" not in text


@pytest.mark.parametrize("d", [1, 2, 4])
def test_plot_has_one_panel_per_sample(d):
    pytest.importorskip("matplotlib")
    real, fake = RNG.normal(size=(9, d)), RNG.normal(size=(8, d))
    figure = otdist.evaluate(real, {"u": fake, "v": fake}, metrics=["energy"]).plot()
    assert [len(axis.collections) for axis in figure.axes] == [2, 2]
