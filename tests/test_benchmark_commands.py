"""The commands of the benchmarks: what they refuse, and what the regression check finds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks import compare, device, gan, harness, machine, publish, records
from benchmarks.__main__ import EXPERIMENTS, earlier, run
from benchmarks.case import OURS
from benchmarks.compare import notes, regressions
from benchmarks.harness import quartiles

ROOT = Path(__file__).parents[1]
MACHINE = {"cpu": "c", "threads": 1, "device": "cpu", "python": "3", "versions": {"POT": "1"}}
HEADER = {"suite": "tiny.naps", "seed": 0, "device": "cpu", "rounds": 3, "timeout": 2.0}


def measured(competitor, **columns):
    row = {
        "suite": "tiny.naps", "case": "naps", "problem": "naps", "quantity": "W_1", "n": 10,
        "m": 10, "d": 1, "p": 1, "parameters": {}, "competitor": competitor, "status": "ok",
        "value": 2.0, "truth": 2.0, "error": 0.0, "gap": None, "converged": None, "peak_mb": 1.0,
        "rounds": 3, "seconds": quartiles([0.1]), "ratio": quartiles([1.0]),
    }  # fmt: skip
    return row | columns


@pytest.fixture
def rows():
    return [
        measured(OURS, gap=1.0, converged=True),
        measured("slow", value=3.0, error=0.5, ratio=quartiles([5.0])),
        measured("broken", status="failed", message="no kernel | for this"),
    ]


def test_an_interrupted_run_is_resumed_only_as_the_same_run(rows, tmp_path):
    header = {"schema_version": 1, **HEADER, "machine": {"cpu": "c"}}
    assert earlier(tmp_path, header) == []
    (tmp_path / "results.json").write_text(json.dumps({**header, "rows": rows}))
    assert earlier(tmp_path, header) == rows
    with pytest.raises(typer.BadParameter, match="another run"):
        earlier(tmp_path, {**header, "seed": 1})


def invoke(function, *words):
    """Exit code and output, in one line, of a command line."""
    app = typer.Typer()
    app.command()(function)
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(done.exception, SystemExit | None)
    return done.exit_code, " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.output).split())


@pytest.mark.parametrize("name", ["", "publish", "device", ".compare", "coverage"])
def test_command_line_explains_itself(name):
    module = ["benchmarks", *name.split()] if name[:1] != "." else [f"benchmarks{name}"]
    command = [sys.executable, "-m", *module, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    words = ("--suite", "--device", "one call may take") if name == "" else ("results",)
    words = ("table", "File of the rows") if name in EXPERIMENTS else words
    assert all(word in " ".join(re.sub("│", " ", done.stdout).split()) for word in words)


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["ring", "magic"], "WORDS: must be among ring, grid"),
        (["--critics", "magic"], "critics must be among gp, lp"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_experiments_refuse_what_they_do_not_know(words, sentence, tmp_path):
    out = tmp_path / "rows.json"
    code, text = invoke(gan.EXPERIMENT.command(), "--out", out, *words)
    assert code == 2
    assert sentence in text.replace("'", "")
    assert not out.exists()


@pytest.mark.parametrize(
    "option, value, sentence",
    [
        ("--suite", "exact,magic", "no suite 'magic', there are: batches"),
        ("--suite", "exact,", "no suite ''"),
        ("--suite", "no.such", "no suite 'no.such': No module named 'no'"),
        ("--suite", "os.path", "has no function cases()"),
        ("--threads", 0, ""),
        ("--rounds", 0, ""),
        ("--seed", -1, ""),
        ("--timeout", 0, "must be a positive number of seconds: got 0"),
        ("--timeout", "nan", "got nan"),
        ("--minutes", 0, "must be positive: got 0"),
        ("--device", "tpu", "must be cpu or cuda"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_made(
    option, value, sentence, tmp_path, monkeypatch
):
    monkeypatch.setattr(harness, "run", None)
    code, text = invoke(run, "--out", tmp_path / "new", option, value)
    assert code == 2
    assert f"Invalid value for {option}: " in text.replace("'", "")
    assert sentence in text
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_none_and_results_that_are_none_are_refused(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "run", None)
    file = tmp_path / "results.json"
    whole = json.dumps({**HEADER, "machine": MACHINE, "rows": rows})
    for text, sentence in (
        (whole[:200], "cannot read"),
        ("[1]", "no result file"),
        (whole, "another run"),
    ):
        file.write_text(text)
        code, said = invoke(run, "--out", tmp_path, "--resume")
        assert code == 2
        assert "Invalid value for --resume: " in said
        assert sentence in said
        assert file.read_text() == text
    code, said = invoke(run, "--out", file)
    assert code == 2
    assert "--out" in said


def test_publishing_refuses_what_is_no_run(tmp_path):
    (tmp_path / "page.md").write_text("no results")
    for words, sentence in (
        ([tmp_path / "gone.json"], "cannot read"),
        ([tmp_path / "page.md"], "cannot read"),
    ):
        code, said = invoke(publish.main, *words)
        assert code == 2
        assert sentence in said


def test_a_device_that_is_not_there_is_refused():
    if not machine.missing("cuda"):
        pytest.skip("there is a CUDA device")
    command = [sys.executable, "-m", "benchmarks", "--device", "cuda"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "cuda cannot be measured here" in " ".join(done.stderr.split())
    assert "cpu or cuda: got 'tpu'" in str(machine.missing("tpu"))


def test_the_command_of_a_device_tests_before_it_measures(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "run", None)  # nothing is measured in any of these
    if machine.missing("cuda"):
        code, said = invoke(device.main, "--out", tmp_path / "new")
        assert code == 2
        assert "nothing was measured" in said
    monkeypatch.setattr(machine, "missing", lambda name: None)
    monkeypatch.setattr(device, "run_tests", lambda: 1)
    code, said = invoke(device.main, "--out", tmp_path / "new")
    assert code == 1
    assert "because tests failed" in said
    assert not list(tmp_path.iterdir())


def test_the_tests_of_a_device_give_their_code(tmp_path):
    (tmp_path / "test_one.py").write_text("def test_one():\n    assert False\n")
    assert device.run_tests([str(tmp_path)]) == 1


def test_the_cases_of_a_device_run_on_the_cpu_when_they_are_small():
    for case in device.cases():
        inputs = {**case.make(0), "device": "cpu"}
        small = {k: v[:50] if k in "xy" else v for k, v in inputs.items()}
        assert case.competitors[OURS](small)() is not None


def test_the_cpu_is_never_missing():
    assert machine.missing("cpu") is None


def test_the_instructions_of_the_sort_are_those_of_numpy(monkeypatch):
    for found, words in ((["X86_V3", "X86_V4"], "AVX-512"), (["AVX2"], "AVX2"), ([], "no vectors")):
        config = {"SIMD Extensions": {"baseline": ["SSE"], "found": found}}
        monkeypatch.setattr(np, "show_config", lambda mode, config=config: config)
        assert machine.sort_instructions().startswith(words)


def changed(rows, competitor, **columns):
    """The same results but for one competitor."""
    copy = [row | columns if row["competitor"] == competitor else row for row in rows]
    return {"rows": copy, "machine": MACHINE}


@pytest.mark.parametrize(
    ("competitor", "columns", "sentence"),
    [
        ("slow", {"ratio": {"median": 1.5}}, "slower: naps: "),
        (OURS, {"error": 0.1}, "less accurate: "),
        (OURS, {"gap": 4.0}, "wider bracket: naps: otdist: 1 → 4"),
        (OURS, {"gap": None}, "wider bracket: naps: otdist: 1 → none"),
        (OURS, {"converged": False}, "not converged: "),
        (OURS, {"peak_mb": 500.0}, "more memory: "),
        (OURS, {"status": "failed", "message": "boom"}, "failed: "),
    ],
)
def test_regressions_are_seen_through_paired_ratios(rows, competitor, columns, sentence):
    old = {"rows": rows, "machine": MACHINE}
    assert regressions(old, old, tolerance=0.1) == []
    worse = changed(rows, competitor, **columns)
    (found,) = regressions(old, worse, tolerance=0.1)
    assert found.startswith(sentence)
    assert regressions(worse, old, tolerance=0.1) == []


def test_what_was_not_compared_is_said(rows):
    old = {"rows": rows, "machine": MACHINE}
    other = {"rows": [rows[0] | {"case": "new"}], "machine": MACHINE | {"versions": {"POT": "2"}}}
    assert notes(old, other) == [
        "0 cases compared",
        "1 cases in the earlier file only",
        "1 cases in the later file only",
        "POT 1 → 2",
    ]
    moved = old | {"seed": 0, "machine": MACHINE | {"cpu": "d", "threads": 2}}
    assert notes(old | {"seed": 1}, moved)[1:] == ["seed 1 → 0", "cpu c → d", "threads 1 → 2"]


def test_a_row_that_went_away_is_a_regression_where_it_is_ours(rows):
    old = {"rows": rows, "machine": MACHINE}
    for lost, sentences in ((OURS, ["missing: naps: otdist"]), ("slow", [])):
        new = {"rows": [row for row in rows if row["competitor"] != lost], "machine": MACHINE}
        assert regressions(old, new, tolerance=0.1) == sentences
    assert "no longer measured: naps: slow" in notes(old, new)
    gone = changed(rows, "slow", status="timeout", message="no answer")
    assert "no longer measured: naps: slow" in notes(old, gone)


def test_the_regression_check_is_a_command(rows, tmp_path):
    for name, content in (
        ("old", changed(rows, OURS)),
        ("new", changed(rows, OURS, converged=False)),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps({**HEADER, **content}))
    (tmp_path / "other.json").write_text(
        json.dumps({**HEADER, "machine": MACHINE, "rows": [rows[0] | {"case": "other"}]})
    )
    for second, code in (("old", 0), ("new", 1), ("other", 2)):
        files = [str(tmp_path / "old.json"), str(tmp_path / f"{second}.json")]
        command = [sys.executable, "-m", "benchmarks.compare", *files]
        assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == code


def test_the_published_file_is_compared_run_by_run_and_may_only_warn(rows, tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    other = [row | {"suite": "other", "case": "more"} for row in rows]
    runs = [{**HEADER, "machine": MACHINE, "rows": found} for found in (rows, other)]
    records.publish({"runs": runs, "experiments": {}}, old)
    worse = changed(rows, OURS, converged=False)["rows"]
    new.write_text(json.dumps({**HEADER, "machine": MACHINE, "rows": [*worse, *other]}))
    code, said = invoke(compare.main, old, new)
    assert (code, said.count("not converged: naps")) == (1, 1)
    code, said = invoke(compare.main, old, new, "--warn")
    assert (code, said.count("warning: not converged: naps")) == (0, 1)
    new.write_text(json.dumps({**HEADER, "machine": MACHINE, "rows": [other[0] | {"case": "x"}]}))
    code, said = invoke(compare.main, old, new, "--warn")
    assert code == 2
    assert "has no case of" in said
