"""The command: right numbers, stable records, exit codes, and no traceback for a user's errors."""

import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import otdist
from otdist import problems
from otdist.cli import app

ROUNDING = 1e-9

KEYS = {
    "schema_version", "command", "inputs", "p", "distance", "cost", "lower", "upper", "converged",
    "message", "solver", "seconds", "seed", "versions",
}  # fmt: skip


@pytest.fixture
def pair(tmp_path):
    """Files with a translation by a vector of length √3."""
    problem = problems.translation(n=40, d=3, shift=1.0)
    np.save(tmp_path / "a.npy", problem.x)
    np.savetxt(tmp_path / "b.csv", problem.y, delimiter=",", fmt="%.17g")
    return str(tmp_path / "a.npy"), str(tmp_path / "b.csv")


def call(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def told(*arguments, code=0):
    return json.loads(call(*arguments, "--json", code=code).stdout)


def test_record_has_the_promised_keys_and_the_right_number(pair):
    content = told("distance", *pair, "--p", "2", "--seed", "7")
    assert content.keys() >= KEYS
    assert content["schema_version"] == 1
    assert content["command"] == "distance"
    assert content["inputs"] == [
        {"path": pair[0], "n": 40, "d": 3, "dtype": "float64"},
        {"path": pair[1], "n": 40, "d": 3, "dtype": "float64"},
    ]
    assert content["p"] == 2
    assert content["seed"] == 7
    assert content["converged"] is True
    assert content["distance"] == pytest.approx(math.sqrt(3), rel=ROUNDING)
    assert content["cost"] == pytest.approx(3, rel=ROUNDING)
    assert content["lower"] <= math.sqrt(3) * (1 + 1e-12)
    assert content["upper"] >= math.sqrt(3) * (1 - 1e-12)
    assert {"otdist", "numpy", "torch", "python"} <= content["versions"].keys()


def test_command_agrees_with_the_function(pair, tmp_path):
    x, y = np.load(pair[0]), np.loadtxt(pair[1], delimiter=",")
    a = np.linspace(0, 1, 40)
    a /= a.sum()
    np.save(tmp_path / "weights.npy", a)
    content = told("distance", *pair, "--weights-a", tmp_path / "weights.npy")
    assert content["distance"] == otdist.wasserstein(x, y, a=a).distance


def test_plain_output_is_aligned_text_and_can_be_piped(pair):
    text = call("distance", *pair, "--p", "2").stdout
    assert "\nW_2                   1.732050808\n" in text
    assert "certified within" in text
    assert not set("│┃━╭") & set(text)


def test_output_file_holds_the_record(pair, tmp_path):
    call("distance", *pair, "--output", tmp_path / "record.json")
    assert json.loads((tmp_path / "record.json").read_text()).keys() >= KEYS


@pytest.mark.parametrize("limit, code", [(2.0, 0), (1.0, 1)])
def test_gate(pair, limit, code):
    result = call("distance", *pair, "--fail-above", limit, code=code)
    assert ("is above 1" in result.stderr) == (code == 1)


def test_notes_go_to_stderr_unless_quiet(tmp_path):
    np.save(tmp_path / "images.npy", np.zeros((3, 2, 2)))
    arguments = ("distance", tmp_path / "images.npy", tmp_path / "images.npy")
    assert "flattened to 4" in call(*arguments).stderr
    assert call(*arguments, "-q").stderr == ""
    assert "flattened to 4" in told(*arguments, "-q")["notes"][0]


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_plot_is_written(tmp_path, d, suffix):
    pytest.importorskip("matplotlib")
    problem = problems.convex_gradient(n=30, d=d)
    np.save(tmp_path / "x.npy", problem.x)
    np.save(tmp_path / "y.npy", problem.y)
    picture = tmp_path / f"plan.{suffix}"
    call("distance", tmp_path / "x.npy", tmp_path / "y.npy", "--plot", picture)
    assert picture.stat().st_size > 2000
    if suffix == "svg":
        assert picture.read_text().startswith("<?xml")


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("option, value", [("--mass", "0.5"), ("--reach", "0.02")])
def test_plots_are_told_what_stays(tmp_path, monkeypatch, d, option, value):
    drawing = pytest.importorskip("otdist.drawing")
    problem, plans, draw = problems.convex_gradient(n=30, d=d), [], drawing.plot_transport
    np.save(tmp_path / "x.npy", problem.x)
    np.save(tmp_path / "y.npy", problem.y)

    def noted(x, y, plan, **options):
        plans.append(plan)
        return draw(x, y, plan, **options)

    monkeypatch.setattr(drawing, "plot_transport", noted)
    pair, picture = (tmp_path / "x.npy", tmp_path / "y.npy"), tmp_path / "plan.png"
    call("distance", *pair, option, value, "--plot", picture)
    assert 0 <= plans[0].sum() < 0.99
    assert picture.stat().st_size > 2000


def test_the_bottleneck(pair, tmp_path):
    x, y = np.load(pair[0]), np.loadtxt(pair[1], delimiter=",")
    plan = tmp_path / "plan.png"
    content = told("distance", *pair, "--p", "inf", "--metric", "cityblock", "--plot", plan)
    found = otdist.wasserstein(x, y, p=math.inf, metric="cityblock")
    assert content["distance"] == found.distance
    assert (content["quantity"], content["p"]) == ("W_inf", None)  # JSON has no infinity
    assert content["solver"] == "bottleneck"
    assert plan.stat().st_size > 2000
    assert "W_inf certified within" in call("distance", *pair, "--p", "inf").stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--eps", "0.1"], "belongs to --solver sinkhorn"),
        (["--solver", "sinkhorn", "--max"], "belongs to --solver sliced"),
        (["--solver", "sliced", "--rtol", "0.1"], "belongs to --solver exact"),
        (["--solver", "sliced", "--max", "--n-projections", "9"], "does not apply with --max"),
        (["--solver", "sinkhorn", "--eps", "-1"], "eps"),
        (["--steps", "9"], "belongs to --solver neural"),
        (["--solver", "neural", "--p", "2"], "must be 1 with --solver neural"),
        (["--solver", "neural", "--plot", "a.png"], "draws a plan"),
        (["--max-seconds", "0"], "max_seconds"),
        (["--solver", "sliced", "--n-projections", "0"], "--n-projections"),
        (["--seed", "-1"], "--seed"),
        (["--rtol", "-0.1"], "--rtol"),
        (["--fail-above", "nan"], "nothing is above NaN"),
        (["--solver", "magic"], "magic"),
        (["--p", "two"], "--p"),
        (["--plot", "plan.docx"], "must end in one of"),
        (["--plot", "nowhere/plan.png"], "no directory"),
        (["--output", "nowhere/record.json"], "no directory"),
        (["--mass", "0.5", "--reach", "1"], "does not apply with --mass"),
        (["--solver", "sliced", "--mass", "0.5"], "belongs to --solver exact"),
        (["--penalty", "kl"], "belongs to --reach"),
        (["--mass", "0"], "must be positive and finite"),
        (["--reach", "nan"], "must be positive and finite"),
        (["--p", "inf", "--solver", "sinkhorn"], "must be finite with --solver sinkhorn"),
        (["--p", "inf", "--mass", "0.5"], "must be finite with --mass"),
        (["--p", "inf", "--max-seconds", "9"], "must be finite with --max-seconds"),
        (["--p", "nan"], "at least 1"),
        (["--frobnicate"], "frobnicate"),
    ],
)
def test_usage_errors(pair, arguments, words):
    result = call("distance", *pair, *arguments, code=2)
    assert words in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


@pytest.mark.parametrize(
    "content, words",
    [
        (np.array([[1.0, np.nan]]), "nan at row 0"),
        (np.array([["a", "b"]]), "must be numbers"),
        (np.zeros((0, 3)), "no samples"),
        (np.zeros((4, 2)), "differ in dimension"),
    ],
)
def test_bad_data_names_the_file(pair, tmp_path, content, words):
    np.save(tmp_path / "bad.npy", content)
    result = call("distance", tmp_path / "bad.npy", pair[1], code=3)
    assert "bad.npy" in result.stderr
    assert words in result.stderr
    assert result.stdout == ""


def test_other_bad_data(pair, tmp_path):
    assert "no such file" in call("distance", "missing.npy", pair[1], code=3).stderr
    assert "at least 1: got 0.5" in call("distance", *pair, "--p", "0.5", code=2).stderr
    np.save(tmp_path / "weights.npy", np.full(40, 1.0))
    stderr = call("distance", *pair, "--weights-b", tmp_path / "weights.npy", code=3).stderr
    assert "weights.npy: weights must sum to 1" in stderr


def test_not_converged_is_an_exit_code(pair, monkeypatch):
    real = otdist.wasserstein

    def unfinished(*arguments, **options):
        result = real(*arguments, **options)
        state = {"converged": False, "message": "stopped early; allow more time"}
        vars(result).update(state)
        return result

    monkeypatch.setattr(otdist, "wasserstein", unfinished, raising=False)
    result = call("distance", *pair, "--fail-above", "0.1", code=4)
    assert "stopped early; allow more time" in result.stderr
    assert "W_1" in result.stdout


@pytest.mark.parametrize("options", [["--n-projections", "64"], ["--max"]])
def test_sliced(pair, options, tmp_path):
    picture = tmp_path / "slice.png"
    content = told("distance", *pair, "--solver", "sliced", "--plot", picture, *options)
    assert picture.exists()
    assert content["lower"] <= math.sqrt(3) <= content["upper"] * (1 + 1e-9)
    assert content["distance"] <= math.sqrt(3) * (1 + 1e-9)
    assert content["quantity"] == ("max-SW_1" if "--max" in options else "SW_1")


def test_sinkhorn(pair):
    content = told("distance", *pair, "--solver", "sinkhorn", "--eps", "0.05")
    assert content["lower"] <= math.sqrt(3) <= content["upper"]
    assert content["distance"] == pytest.approx(math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("option", ["mass", "reach"])
def test_mass_that_stays(pair, option):
    x, y = np.load(pair[0]), np.loadtxt(pair[1], delimiter=",")
    solve = {"mass": otdist.partial_wasserstein, "reach": otdist.unbalanced_wasserstein}[option]
    content = told("distance", *pair, f"--{option}", "0.7", "--p", "2")
    expected = solve(x, y, p=2, **{option: 0.7})
    assert content["distance"] == expected.distance
    assert content["lower"] <= content["distance"] <= content["upper"]
    assert content["price"] == expected.details["price"]
    text = call("distance", *pair, f"--{option}", "0.7", "--p", "2").stdout
    assert f"W_2 {'of mass' if option == 'mass' else 'with reach'} 0.7" in text


def test_kullback_leibler(pair):
    x, y = np.load(pair[0]), np.loadtxt(pair[1], delimiter=",")
    content = told("distance", *pair, "--reach", "0.7", "--penalty", "kl")
    expected = otdist.unbalanced_wasserstein(x, y, reach=0.7, penalty="kl")
    assert content["distance"] == expected.distance
    assert content["solver"] == "scaling"


def test_a_mass_that_is_not_there(pair):
    assert "mass must be at most 1" in call("distance", *pair, "--mass", "1.5", code=3).stderr


def test_neural(pair):
    arguments = ("distance", *pair, "--solver", "neural", "--steps", "5")
    content = told(*arguments)
    assert content.keys() >= KEYS
    assert content["solver"] == "neural"
    assert content["exact"] == pytest.approx(math.sqrt(3), rel=ROUNDING)
    assert content["lower"] <= math.sqrt(3) * (1 + 1e-12) <= content["upper"] * (1 + ROUNDING)
    assert 0 < content["confidence_lower"] < content["distance"]
    table = call(*arguments).stdout
    assert "population W_1 ≥ (95%)" in table
    assert "exact W_1" in table
    assert f"neural ({content['critic']})" in table
    assert f"at least {content['confidence_lower']:.5g} with 95% confidence" in table


def test_neural_tells_zeros(pair):
    table = call("distance", pair[0], pair[0], "--solver", "neural", "--steps", "2").stdout
    assert re.search(r"exact W_1 +0\b", table)
    assert re.search(r"population W_1 ≥ \(95%\) +0\b", table)


def run(*arguments, **environment):
    command = [sys.executable, "-m", "otdist", *arguments]
    own = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, check=False, env=own, encoding="utf-8")


NOISY = """
import os, sys
os.write(1, b"from C")
print("on import")
def first(rows):
    print("at work", file=sys.__stdout__, flush=True)
    return rows[:, :1]
"""


def test_stdout_holds_the_record_alone_whatever_a_module_prints(pair, tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    arguments = ("--features", "noisy:first", "--metrics", "w1", "--json")
    done = run("evaluate", *pair, *arguments, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["command"] == "evaluate"
    for words in ("from C", "on import", "at work"):
        assert words in done.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_that_is_not_unicode_is_no_error(pair, tmp_path, encoding):
    name = str(tmp_path / "größe→.npy")
    np.save(name, np.load(pair[0]))
    done = run("distance", name, pair[1], "--json", PYTHONIOENCODING=encoding)
    assert json.loads(done.stdout)["inputs"][0]["path"] == name, done.stderr
    for arguments in (["distance", name, pair[1]], ["--help"], ["drift", "--help"]):
        command = [sys.executable, "-m", "otdist", *arguments]
        own = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run(command, capture_output=True, check=False, env=own)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_options_say_how_text_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("größe|ort|n\n1,5|Köln|3\n2,5|Bonn|4\n".encode("latin-1"))
    options = ("--sep", "|", "--decimal", ",", "--exclude", "ort")
    error = call("distance", path, path, *options, code=3).stderr
    assert "a.csv: is not utf-8 text" in error
    assert "--encoding latin-1" in error
    told("distance", path, path, *options, "--encoding", "latin-1")
    content = told("distance", path, path, *options[:4], "--columns", "n", "--encoding", "latin-1")
    assert content["inputs"][0]["d"] == 1
    np.save(tmp_path / "b.npy", np.ones((3, 2)))
    told("distance", path, tmp_path / "b.npy", *options, "--encoding", "latin-1")
    for wrong, words in ((["--decimal", ";"], "decimal must be"), (["--sep", ";"], "text files")):
        stderr = call("distance", tmp_path / "b.npy", tmp_path / "b.npy", *wrong, code=2).stderr
        assert words in " ".join(stderr.replace("│", " ").split())


def test_the_stream_is_given_back(pair, capfd):
    from otdist.cli import _common

    told("distance", *pair)
    print("after")
    assert capfd.readouterr().out == "after\n"
    assert _common.stdout() is sys.stdout


def test_version_and_help_do_not_import_torch():
    assert run("--version").stdout == f"otdist {otdist.__version__}\n"
    script = "import sys; from otdist.cli import app; app(['--help'], standalone_mode=False);"
    script += "print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "Exit codes: 0 fine" in output.stdout
    assert output.stdout.endswith("False\n")


def test_a_real_process_exits_with_the_code_and_without_a_traceback(tmp_path):
    (tmp_path / "bad.csv").write_text("u,v\n1,Rome\n")
    done = run("distance", str(tmp_path / "bad.csv"), str(tmp_path / "bad.csv"))
    assert done.returncode == 3
    assert done.stderr.startswith("otdist: ")
    assert "column 'v' is not numeric: 'Rome' in row 0 (line 2)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["distance", "evaluate", "test", "drift", "train", "info"])
@pytest.mark.parametrize("width", [60, 80])
def test_help_shows_every_option_whole(command, width):
    text = CliRunner().invoke(app, [command, "--help"], terminal_width=width).stdout
    parameters = get_command(app).commands[command].params
    names = {name for parameter in parameters for name in parameter.opts if name[:2] == "--"}
    words = {word.rstrip(",") for word in text.split()}
    assert names <= words
    assert max(map(len, text.splitlines())) <= width
    assert ("Gates (exit code 1):" in text) == any(name.startswith("--fail") for name in names)


def test_the_command_alone_shows_its_help():
    done = run()
    assert done.returncode == 0
    assert "evaluate" in done.stdout
    assert "--install-completion" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("kind", ["csv", "npy"])
def test_stdin_is_read_in_the_format_that_is_stated(pair, kind, monkeypatch):
    path = pair[0] if kind == "npy" else pair[1]
    with open(path, "rb") as file:
        content = file.read()
    options = ["distance", pair[0], "-", "--format", kind, "--json"]
    result = CliRunner().invoke(app, options, input=content)
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert [side["path"] for side in content["inputs"]] == [pair[0], "stdin"]


def test_errors_on_stdin_speak_of_it(pair):
    result = CliRunner().invoke(
        app, ["distance", pair[1], "-", "--format", "csv"], input=b"1,x,2\n"
    )
    assert result.exit_code == 3
    assert "otdist: stdin: column" in result.stderr
    result = CliRunner().invoke(app, ["distance", pair[1], "-"], input=b"1,2,3\n")
    assert result.exit_code == 2
    assert "--format" in result.stderr


def test_a_metric_is_chosen_by_name(tmp_path):
    np.save(tmp_path / "a.npy", [[0.0, 0.0]])
    np.save(tmp_path / "b.npy", [[3.0, 4.0]])
    files = [str(tmp_path / name) for name in ("a.npy", "b.npy")]
    found = run("distance", *files, "--metric", "cityblock", "--json")
    assert json.loads(found.stdout)["distance"] == 7
    assert run("distance", *files, "--metric", "manhattan").returncode == 2
    assert run("distance", *files, "--metric", "cosine", "--solver", "sliced").returncode == 2


def test_images_and_histograms_are_masses(tmp_path):
    image = np.zeros((8, 9))
    image[1:3, 2:5] = [[1, 2, 1], [3, 1, 1]]
    np.save(tmp_path / "a.npy", image)
    np.save(tmp_path / "b.npy", np.roll(image, (3, 4), (0, 1)))
    a, b = tmp_path / "a.npy", tmp_path / "b.npy"
    found = json.loads(call("distance", a, b, "--grid", "--p", 2, "--json", "-q").stdout)
    assert found["distance"] == pytest.approx(5.0)
    assert [source["n"] for source in found["inputs"]] == [6, 6]
    for name, centres in (("c.csv", (0, 1, 2)), ("d.csv", (1, 2, 3))):
        rows = "".join(f"{c},{n}\n" for c, n in zip(centres, (5, 0, 9), strict=True))
        (tmp_path / name).write_text("bin,count\n" + rows)
    c, d = tmp_path / "c.csv", tmp_path / "d.csv"
    found = json.loads(call("distance", c, d, "--histogram", "--json", "-q").stdout)
    assert found["distance"] == pytest.approx(1.0)
    assert "have mass" in call("distance", c, d, "--histogram").stderr
    message = call("distance", a, b, "--grid", "--histogram", code=2).stderr
    assert "does not apply with --grid" in message
    call("distance", c, d, "--histogram", "--weights-a", c, code=2)
    assert "b.csv" in call("distance", a, tmp_path / "b.csv", "--grid", code=3).stderr
