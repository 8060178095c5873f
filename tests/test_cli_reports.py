"""`otdist evaluate`, `test` and `info`: the library's numbers, records, pages, gates and codes."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import otdist
from otdist.cli import app

RNG = np.random.default_rng(4)
REAL, NEAR = RNG.normal(size=(50, 3)), RNG.normal(size=(40, 3))
FAR = RNG.normal(size=(40, 3)) + 3


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "held_out.npy", REAL)
    np.save(tmp_path / "near.npy", NEAR)
    np.savetxt(tmp_path / "far.csv", FAR, delimiter=",", fmt="%.17g")
    return [str(tmp_path / name) for name in ("held_out.npy", "near.npy", "far.csv")]


def call(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_evaluate_agrees_with_the_function_and_ranks(files):
    options = ("--metrics", "w1,energy", "--n-permutations", "19", "--seed", "3")
    content = json.loads(call("evaluate", *files, *options, "--json").stdout)
    direct = otdist.evaluate(
        REAL, {"near": NEAR, "far": FAR}, metrics=["w1", "energy"], n_permutations=19, seed=3
    )
    assert content["ranking"] == ["near", "far"]
    for name, results in direct.samples.items():
        for key, result in results.items():
            told = content["samples"][name][key]
            assert told["estimate"] == pytest.approx(result.estimate, rel=1e-12)
            assert told["pvalue"] == result.pvalue
    assert content["command"] == "evaluate"
    assert [side["n"] for side in content["inputs"]] == [50, 40, 40]


def test_evaluate_writes_table_record_page_and_picture(files, tmp_path):
    pytest.importorskip("matplotlib")
    targets = [tmp_path / name for name in ("record.json", "report.html", "samples.png")]
    options = ("--output", targets[0], "--html", targets[1], "--plot", targets[2])
    text = call("evaluate", *files[:2], "--metrics", "w2, kid", *options).stdout
    assert "near (40) against real (50 rows)" in text
    assert json.loads(targets[0].read_text())["samples"]["near"]["w2"]["estimate"] > 0
    assert "<table>" in targets[1].read_text()
    assert targets[2].stat().st_size > 2000


@pytest.mark.parametrize("limit, code", [("w1=9", 0), ("w1=2", 1)])
def test_gates(files, limit, code):
    arguments = ("--metrics", "w1,energy", "--fail-above", "energy=99", "--fail-above", limit)
    result = call("evaluate", *files, *arguments, code=code)
    assert ("is above 2" in result.stderr) == (code == 1)
    if code:
        assert "w1 of far" in result.stderr


def test_features_from_a_module_of_the_current_directory(files, tmp_path, monkeypatch):
    (tmp_path / "own_features.py").write_text("def first(x):\n    return x[:, :1]\n")
    monkeypatch.chdir(tmp_path)
    arguments = ("--features", "own_features:first", "--metrics", "w1", "--json")
    content = json.loads(call("evaluate", *files[:2], *arguments).stdout)
    expected = otdist.wasserstein(REAL[:, 0], NEAR[:, 0]).distance
    assert content["samples"]["near"]["w1"]["estimate"] == pytest.approx(expected)


def test_a_missing_figure_fails_its_gate(tmp_path):
    np.save(tmp_path / "one.npy", REAL[:1])
    arguments = (tmp_path / "one.npy", tmp_path / "one.npy", "--metrics", "kid")
    call("evaluate", *arguments)
    stderr = call("evaluate", *arguments, "--fail-above", "kid=1", code=3).stderr
    assert "needs at least 2 rows" in stderr


def test_not_converged_comes_before_the_gate(files, monkeypatch):
    from dataclasses import replace

    real = otdist.evaluate

    def unfinished(*arguments, **options):
        report = real(*arguments, **options)
        for results in report.samples.values():
            results["w1"] = replace(results["w1"], converged=False, note="not converged")
        return report

    monkeypatch.setattr(otdist, "evaluate", unfinished)
    arguments = ("--metrics", "w1", "--fail-above", "w1=0")
    assert "not converged" in call("evaluate", *files, *arguments, code=4).stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--metrics", "fid"], "metrics must be among"),
        (["--fail-above", "w1"], "must be METRIC=VALUE"),
        (["--fail-above", "fid=1"], "not among the metrics"),
        (["--metrics", "w1", "--fail-above", "w2=1"], "not among the metrics"),
        (["--fail-above", "w1=nan"], "nothing is above NaN"),
        (["--html", "page.pdf"], "must end in one of"),
        (["--output", "nowhere/x.json"], "no directory"),
        (["--max-samples", "0"], "--max-samples"),
    ],
)
def test_usage_errors_of_evaluate(files, arguments, words):
    result = call("evaluate", *files, *arguments, code=2)
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_bad_data_of_evaluate(files, tmp_path):
    assert "no such file" in call("evaluate", files[0], "missing.npy", code=3).stderr
    np.save(tmp_path / "narrow.npy", NEAR[:, :2])
    narrow = tmp_path / "narrow.npy"
    assert "differ in dimension" in call("evaluate", files[0], narrow, code=3).stderr
    assert "between 1 and 3" in call("evaluate", *files, "--features", "pca-9", code=3).stderr
    assert "given twice" in call("evaluate", files[0], files[1], files[1], code=2).stderr


@pytest.mark.parametrize("statistic", ["sliced", "energy", "mmd"])
def test_test_agrees_with_the_function(files, statistic):
    options = ("--statistic", statistic, "--n-permutations", 39, "--seed", 2)
    content = json.loads(call("test", files[0], files[2], *options, "--json").stdout)
    direct = otdist.two_sample_test(REAL, FAR, statistic, n_permutations=39, seed=2)
    assert content["statistic"] == pytest.approx(direct.statistic, rel=1e-12)
    assert content["pvalue"] == direct.pvalue == 1 / 40


def test_test_tells_draws_and_decides(files, tmp_path):
    pytest.importorskip("matplotlib")
    options = ("--n-permutations", "39", "--alpha", "0.05")
    picture, record = tmp_path / "null.png", tmp_path / "record.json"
    written = ("--plot", picture, "--output", record)
    text = call("test", files[0], files[2], *options, *written, code=1)
    assert "p-value       0.025" in text.stdout
    assert "the samples differ" in text.stderr
    assert picture.stat().st_size > 2000
    assert json.loads(record.read_text())["n_permutations"] == 39
    call("test", files[0], files[0], *options)


@pytest.mark.parametrize("arguments", [["--p", "2"], ["--statistic", "mmd", "--eps", "1"]])
def test_test_refuses_options_of_another_statistic(files, arguments):
    assert "has no option" in call("test", *files[:2], *arguments, code=2).stderr


@pytest.fixture
def tables(tmp_path):
    np.savetxt(tmp_path / "old.csv", REAL, delimiter=",", header="u,v,w", comments="", fmt="%.17g")
    moved = NEAR + np.array([0, 2, 0])
    np.savetxt(tmp_path / "new.csv", moved, delimiter=",", header="u,v,w", comments="", fmt="%.17g")
    return str(tmp_path / "old.csv"), str(tmp_path / "new.csv")


def test_drift_agrees_with_the_function_and_keeps_names(tables):
    content = json.loads(call("drift", *tables, "--n-permutations", "99", "--json").stdout)
    found = content["samples"]["current"]
    direct = otdist.drift(REAL, NEAR + np.array([0, 2, 0]), list("uvw"), n_permutations=99).metrics
    assert list(found) == list(direct)
    for name, result in direct.items():
        assert found[name]["estimate"] == pytest.approx(result.estimate, rel=1e-12)
        assert found[name]["pvalue"] == result.pvalue
    assert content["correction"] == "holm"


def test_drift_gate_pages_and_errors(tables, tmp_path):
    pytest.importorskip("matplotlib")
    page, picture, record = (tmp_path / n for n in ("d.html", "d.svg", "d.json"))
    written = ("--html", page, "--plot", picture, "--output", record, "--n-permutations", "199")
    result = call("drift", *tables, *written, "--alpha", "0.05", code=1)
    assert "moved: v (p = 0.015)" in result.stderr
    assert "current (40) against reference (50 rows)" in result.stdout
    assert page.exists()
    assert picture.exists()
    assert json.loads(record.read_text())["command"] == "drift"
    only = ("--columns", "u", "--n-permutations", "19", "--alpha", "0.01")
    call("drift", *tables, *only)
    assert "no column z" in call("drift", *tables, "--columns", "z", code=3).stderr


def test_info():
    content = json.loads(call("info", "--json").stdout)
    assert content["versions"]["otdist"]
    assert content["threads"] >= 1
    assert "plot" in content["extras"]
    assert "otdist[plot]" in call("info").stdout
