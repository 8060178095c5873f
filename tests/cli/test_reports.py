"""`otdist evaluate`, `test` and `info`: the library's numbers, records, pages, gates and codes."""

import importlib.util
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import otdist
from otdist.cli import app, info

ROOT = Path(__file__).parents[2]

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


def test_training_rows_flag_a_copycat(files, tmp_path):
    np.save(tmp_path / "train.npy", NEAR + 0.01)
    options = ("--train", tmp_path / "train.npy", "--metrics", "copying,w1", "--alpha", "0.01")
    copied = call("evaluate", *files, *options, "--n-permutations", "199", "--json", code=1)
    content = json.loads(copied.stdout)
    assert [side["n"] for side in content["inputs"]] == [50, 40, 40, 40]
    assert content["samples"]["near"]["copying"]["pvalue"] == 0.005
    assert "copying of near has p = 0.005" in copied.stderr
    assert "must hold training rows" in call("evaluate", *files, *options[2:4], code=2).stderr


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


@pytest.mark.parametrize(
    "gate, code, words",
    [
        (["--fail-below", "coverage=0.5"], 1, "coverage of far = 0.12 is below 0.5"),
        (["--fail-below", "coverage=-1"], 0, ""),
        (["--fail-worse", "w1=2"], 1, "w1 of far"),
        (["--fail-worse", "coverage=0.5"], 1, "is below 0.5"),
        (["--fail-worse", "w1=99", "--fail-worse", "coverage=0"], 0, ""),
        (["--fail-above-floor", "3"], 1, "above its floor"),
        (["--fail-above-floor", "1e6", "--metrics", "w1"], 0, ""),
        (["--alpha", "0.05"], 1, "of far has p = 0.01 after correction"),
        (["--alpha", "1e-4"], 0, "raise --n-permutations"),
    ],
)
def test_gates_know_directions_floors_and_tests(files, gate, code, words):
    metrics = () if "--metrics" in gate else ("--metrics", "w1,energy,coverage")
    result = call("evaluate", *files, *metrics, "--n-permutations", "99", *gate, code=code)
    assert words in " ".join(result.stderr.split())


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
        (["--metrics", "fidelity"], "metrics must be among"),
        (["--fail-above", "w1"], "must be METRIC=VALUE"),
        (["--fail-above", "fidelity=1"], "not among the metrics"),
        (["--metrics", "w1", "--fail-above", "w2=1"], "not among the metrics"),
        (["--fail-above", "w1=nan"], "nothing is above NaN"),
        (["--fail-below", "w1"], "must be METRIC=VALUE"),
        (["--fail-worse", "nothing=1"], "not among the metrics"),
        (["--fail-above-floor", "0.5"], "--fail-above-floor"),
        (["--alpha", "0.05"], "--n-permutations"),
        (["--alpha", "2"], "must be above 0 and below 1"),
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
    for features, words in (("pca-9", "between 1 and 3"), ("nothing", "module:function")):
        assert words in call("evaluate", *files, "--features", features, code=2).stderr
    assert "given twice" in call("evaluate", files[0], files[1], files[1], code=2).stderr


@pytest.mark.parametrize("statistic", ["sliced", "energy", "mmd"])
def test_test_agrees_with_the_function(files, statistic):
    options = ("--statistic", statistic, "--n-permutations", 39, "--seed", 2)
    content = json.loads(call("test", files[0], files[2], *options, "--json").stdout)
    direct = otdist.two_sample_test(REAL, FAR, statistic, n_permutations=39, seed=2)
    assert content["statistic"] == pytest.approx(direct.statistic, rel=1e-12)
    assert content["pvalue"] == direct.pvalue == 1 / 40


@pytest.fixture
def donors(tmp_path):
    """Two tables of six donors each: the donors differ, and the samples do not."""
    rng, paths = np.random.default_rng(5), []
    for name in ("a", "b"):
        centres = np.repeat(rng.normal(size=(6, 2)), 10, axis=0)
        rows = centres + 0.1 * rng.normal(size=centres.shape)
        text = "donor,u,v\n" + "".join(
            f"{name}{k // 10},{u:.17g},{v:.17g}\n" for k, (u, v) in enumerate(rows)
        )
        paths.append(tmp_path / f"{name}.csv")
        paths[-1].write_text(text)
    return paths


def test_groups_are_exchanged_whole(donors):
    content = json.loads(call("test", *donors, "--groups", "donor", "--json").stdout)
    names = [np.repeat([f"{name}{k}" for k in range(6)], 10) for name in "ab"]
    x, y = (np.genfromtxt(path, delimiter=",", skip_header=1)[:, 1:] for path in donors)
    direct = otdist.two_sample_test(x, y, groups_x=names[0], groups_y=names[1])
    assert content["pvalue"] == direct.pvalue > 0.05
    assert content["exchanged"] == "6 + 6 groups"
    assert content["notes"] == [direct.note]
    assert [side["d"] for side in content["inputs"]] == [2, 2]
    rows = json.loads(call("test", *donors, "--exclude", "donor", "--json").stdout)
    assert rows["pvalue"] < 0.01
    assert rows["exchanged"] == "rows"


def test_pairs_change_places(donors, tmp_path):
    before = donors[0].read_text().splitlines()
    after = tmp_path / "after.csv"
    after.write_text("\n".join([before[0], *(f"{line}1" for line in before[1:])]))
    options = ("--paired", "--groups", "donor", "--statistic", "energy", "--json")
    assert "6 groups of pairs" in call("test", donors[0], after, *options).stdout
    told = call("test", *donors, *options, code=3).stderr
    assert "column 'donor' has 'a0' and 'b0' in row 0" in told


@pytest.mark.parametrize(
    ("groups", "second", "code", "words"),
    [
        ("who", None, 2, "no column who"),
        ("donor", "donor,u,v\na0,1,2\nb1,1,2\n", 3, "got 'a0' in both x and y"),
        ("donor", "donor,u,v\nb0,1,2\n,1,2\n", 3, "b.csv: column 'donor' names no group in row 1"),
        ("donor", "u,v\n1,2\n", 2, "b.csv has no column donor"),
    ],
)
def test_groups_that_do_not_fit(donors, groups, second, code, words):
    if second:
        donors[1].write_text(second)
    told = call("test", *donors, "--groups", groups, code=code).stderr
    assert words in " ".join(told.replace("│", " ").split()).replace("a.csv and ", "")


def test_permutations_are_counted_on_stderr(files):
    told = call("test", *files[:2], "--statistic", "energy", "--n-permutations", "19")
    assert "otdist: energy distance: permutations (19 of 19 done" in told.stderr
    assert "permutations (" not in told.stdout
    assert call("test", *files[:2], "--n-permutations", "19", "--quiet").stderr == ""


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


@pytest.mark.parametrize(
    "arguments", [["--statistic", "energy", "--p", "2"], ["--statistic", "mmd", "--eps", "1"]]
)
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
    stderr = call("drift", *tables, "--columns", "z", code=2).stderr
    assert "nocolumnz" in "".join(stderr.replace("│", "").split())


@pytest.fixture
def people(tmp_path):
    """Ages, cities and a code; in the second file people are older and the code is another."""
    paths = []
    for name, shift, code in (("before", 0, 1), ("after", 15, 2)):
        rows = [
            f"{40 + shift + 10 * z:.17g},{city},{code}"
            for z, city in zip(RNG.normal(size=60), RNG.choice(["Rome", "Oslo"], 60), strict=True)
        ]
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["age,city,code", *rows]) + "\n")
        paths.append(str(path))
    return paths


def test_drift_compares_categories(people):
    options = ("--categories", "code", "--n-permutations", "99", "--json")
    content = json.loads(call("drift", *people, *options).stdout)
    found = content["samples"]["current"]
    assert found["city"]["convention"].startswith("total variation")
    assert found["code"]["estimate"] == 1
    assert found["age"]["convention"].startswith("W_1")
    assert content["inputs"][0]["dtype"] == "1 numeric, 2 categorical"
    error = call("drift", *people, "--categories", "height", code=2).stderr
    assert "before.csvhasnocolumnheight" in "".join(error.replace("│", "").split())


@pytest.mark.parametrize(
    "limits, code, words",
    [
        (["age=5"], 0, ""),
        (["age=0.2"], 1, "age of current = "),
        (["0.2"], 1, "is above 0.2"),
        (["city=0.4", "age=9"], 0, ""),
        (["all columns jointly=0.1"], 1, "all columns jointly of current"),
        (["height=1"], 2, "'height' is not among the metrics here: age, city"),
        (["age=big"], 2, "must be METRIC=VALUE or VALUE: got 'age=big'"),
        (["code=1"], 3, "constant in the reference"),
    ],
)
def test_drift_gates_compare_effect_sizes(people, limits, code, words):
    columns = () if code in (2, 3) else ("--columns", "age,city")
    gates = [part for limit in limits for part in ("--fail-above", limit)]
    result = call("drift", *people, *columns, *gates, "--n-permutations", "0", code=code)
    told = " ".join(result.stderr.replace("│", " ").split())
    assert words in told


def test_drift_reads_tables_as_it_is_told_to(tmp_path):
    paths = []
    for name, shift in (("old", 0), ("new", 30)):
        rows = [f"{k};{20 + shift + k % 7},5;{'?' if k % 5 == 0 else 'a'};x" for k in range(40)]
        paths.append(tmp_path / f"{name}.csv")
        paths[-1].write_text("\n".join(["id;age;word;note", *rows, "99;unknown;?;x"]))
    assert "state missing (--missing unknown)" in call("drift", *paths, code=3).stderr
    options = ("--missing", "unknown,?", "--exclude", "note", "--n-permutations", "199")
    result = call("drift", *paths, *options, "--fail-above", "age: missing=0.5", "--json")
    content = json.loads(result.stdout)
    found = content["samples"]["current"]
    assert found["age"]["estimate"] == pytest.approx(30)
    assert found["word: missing"]["estimate"] == 0
    assert "id" not in found or found["id"]["note"]
    assert any("commas read as decimal points" in note for note in content["notes"])
    assert any("columns by kind" in note for note in content["notes"])
    stderr = call("drift", *paths, *options[:4], "--fail-above", "note=1", code=2).stderr
    assert "'note' is not among" in " ".join(stderr.replace("│", " ").split())


def test_a_limit_on_a_column_that_is_left_out_is_an_error(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["id,v", *(f"{k},{k * k % 11}" for k in range(30))]))
    stderr = call("drift", path, path, "--fail-above", "id=1", code=3).stderr
    assert "id has a limit, but is not compared: 'id' left out: an identifier" in stderr
    call("drift", path, path, "--columns", "id,v", "--fail-above", "id=1")


def test_an_alpha_that_no_p_value_can_reach_is_noted(tables):
    few = call("drift", *tables, "--n-permutations", "19", "--alpha", "0.01")
    assert "no p-value could reach --alpha 0.01: the least is 0.15" in few.stderr


def test_drift_in_windows(tables, tmp_path):
    pytest.importorskip("matplotlib")
    options = ("--window", "20", "--step", "10", "--block", "5", "--n-permutations", "99")
    record, page = tmp_path / "w.json", tmp_path / "w.html"
    result = call(
        "drift", *tables, *options, "--alpha", "0.05", "--output", record, "--html", page, code=1
    )
    assert "v in rows 20–39" in result.stderr
    assert "20–39" in result.stdout
    content = json.loads(record.read_text())
    assert content["windows"] == {"0–19": [0, 20], "10–29": [10, 30], "20–39": [20, 40]}
    assert content["block"] == 5
    assert "windows of the series" in page.read_text()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--step", "5"], "applies with --window only"),
        (["--window", "7", "--block", "2"], "must be a multiple of --block, 2: got 7"),
        (["--alpha", "0.1", "--n-permutations", "0"], "needs p-values"),
        (["--window", "10", "--fail-above", "all columns jointly=1"], "is not among the metrics"),
    ],
)
def test_usage_errors_of_drift(tables, options, words):
    told = call("drift", *tables, *options, code=2).stderr.replace("│", " ")
    assert words in " ".join(told.split())


def test_test_has_a_page_and_a_gate(files, tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "test.html"
    options = ("--statistic", "energy", "--n-permutations", "19", "--html", page)
    call("test", files[0], files[2], *options, "--fail-above", "99")
    text = page.read_text()
    assert "far against held_out" in text
    assert text.count("<svg") == 2
    assert (
        "is above 0.5"
        in call("test", files[0], files[2], *options, "--fail-above", "energy=0.5", code=1).stderr
    )
    call("test", *files[:2], "--fail-above", "mmd=1", code=2)


def test_evaluate_reads_folders_of_images(tmp_path):
    pytest.importorskip("matplotlib")
    image = pytest.importorskip("PIL.Image")
    images = RNG.integers(0, 256, (24, 6, 5), dtype=np.uint8)
    for name, part in (("real", images[:12]), ("fake", images[12:])):
        (tmp_path / name).mkdir()
        for k, pixels in enumerate(part):
            image.fromarray(pixels).save(tmp_path / name / f"{k:02d}.png")
    page = tmp_path / "r.html"
    options = ("--metrics", "w1", "--html", page, "--json")
    folders = (tmp_path / "real", tmp_path / "fake")
    content = json.loads(call("evaluate", *folders, *options).stdout)
    direct = otdist.wasserstein(*(part.reshape(12, -1).astype(float) for part in
                                  (images[:12], images[12:])))  # fmt: skip
    found = next(iter(content["samples"].values()))["w1"]
    assert found["estimate"] == pytest.approx(direct.distance)
    assert "images of each sample" in page.read_text()
    image.fromarray(images[0, :4]).save(tmp_path / "fake" / "03.png")
    error = call("evaluate", *folders, code=3).stderr
    assert "03.png: 5 × 4 pixels, but 00.png has 5 × 6" in error


def test_evaluate_shows_flat_rows_as_images(files, tmp_path):
    pytest.importorskip("matplotlib")
    page = tmp_path / "r.html"
    call("evaluate", *files[:2], "--metrics", "w1", "--html", page, "--shape", "3,1")
    assert "images of each sample" in page.read_text()
    wrong = call("evaluate", *files[:2], "--metrics", "w1", "--shape", "8,8", code=2)
    assert "does not fit rows of 3 numbers" in wrong.stderr


def test_info():
    content = json.loads(call("info", "--json").stdout)
    assert content["versions"]["otdist"]
    assert content["threads"] >= 1
    assert "plot" in content["extras"]
    text = " ".join(call("info").stdout.split())
    assert "otdist[plot]" in text
    lacking = [extra for extra, there in content["extras"].items() if not there]
    assert text.count("not installed: ") == len(lacking)
    for extra in lacking:
        name = info.missing(extra)[0]
        assert importlib.util.find_spec(name) is None
        assert name in text
    assert ("pip install" in text) == bool(lacking)


def test_info_knows_every_extra_that_adds_a_function():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tools = {"bench", "peers", "docs", "dev", "all"}
    assert set(info.EXTRAS) == project["optional-dependencies"].keys() - tools


@pytest.mark.parametrize(
    "function, code, words",
    [
        ("wrong", 3, "failed on real: TypeError: no rows (failing_features.py, line 2)"),
        ("words", 3, "features of real must be an array of real numbers"),
        ("number", 2, "features 'failing_features:number' must be a function: got 3"),
    ],
)
def test_evaluate_names_the_module_whose_features_fail(
    files, tmp_path, monkeypatch, function, code, words
):
    module = tmp_path / "failing_features.py"
    module.write_text(
        "def wrong(rows):\n    raise TypeError('no rows')\n"
        "def words(rows):\n    return [['a']] * len(rows)\nnumber = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    path = f"failing_features:{function}"
    stderr = call("evaluate", *files, "--metrics", "w1", "--features", path, code=code).stderr
    assert words in " ".join(stderr.replace("│", "").split())
    assert path in stderr


def test_drift_names_the_files_that_do_not_fit(tables):
    stderr = call("drift", *tables, "--block", "1000", "--n-permutations", "0", code=3).stderr
    assert "block must be at most the" in stderr
    assert all(str(path) in stderr.replace("\n", "") for path in tables)
