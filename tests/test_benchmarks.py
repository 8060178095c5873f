"""The harness: failures and time-outs are rows, ratios are paired, tables come from rows."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from benchmarks import harness, machine, report, suites
from benchmarks.__main__ import earlier
from benchmarks.case import OURS
from benchmarks.compare import regressions
from benchmarks.harness import Settings, quartiles

ROOT = Path(__file__).parents[1]

SUITE = """
import time
import numpy as np
from benchmarks.case import OURS, Case, Outcome

def sleeper(seconds, value):
    def prepare(inputs):
        def call():
            time.sleep(seconds)
            return Outcome(value, lower=value - 0.5, upper=value + 0.5, converged=value == 2)
        return call
    return prepare

def failing(inputs):
    raise RuntimeError("no kernel | for this")

def hungry(inputs):
    def call():
        block = np.ones(2**25)
        return Outcome(float(block[0]))
    return call

def cases():
    competitors = {
        OURS: sleeper(0.01, 2.0), "slow": sleeper(0.05, 3.0), "broken": failing,
        "endless": sleeper(60, 0.0), "hungry": hungry,
    }
    return [
        Case("naps", "W_1", n, n, 1, 1, lambda seed: {"p": 1}, competitors,
             truth=lambda inputs: 2.0, quick=n == 10)
        for n in (10, 20)
    ]
"""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    package = folder / "tiny"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "naps.py").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
        settings = Settings(threads=1, rounds=3, timeout=6.0, quick=True)
        ((name, found),) = harness.run(["tiny.naps"], settings)
        assert name == "tiny.naps: W_1 naps n=10 d=1 p=1"
        return found


def test_failures_and_timeouts_are_rows(rows):
    status = {row["competitor"]: row["status"] for row in rows}
    assert status == {
        OURS: "ok", "slow": "ok", "broken": "failed", "endless": "timeout", "hungry": "ok",
    }  # fmt: skip
    messages = {row["competitor"]: row.get("message", "") for row in rows}
    assert "no kernel" in messages["broken"]
    assert "6 s" in messages["endless"]


def test_ratios_memory_and_errors(rows):
    by_name = {row["competitor"]: row for row in rows}
    slow, ours = by_name["slow"], by_name[OURS]
    assert 2 < slow["ratio"]["median"] < 6
    assert ours["ratio"]["median"] == 1
    assert slow["error"] == pytest.approx(0.5)
    assert ours["error"] == 0
    assert ours["gap"] == pytest.approx(1)
    assert slow["converged"] is False
    assert 200 < by_name["hungry"]["peak_mb"] < 400
    assert ours["peak_mb"] < 50
    assert ours["seconds"]["q25"] <= ours["seconds"]["median"] <= ours["seconds"]["q75"]
    json.dumps(rows, allow_nan=False)


def test_an_interrupted_run_is_resumed_only_as_the_same_run(rows, tmp_path):
    header = {"schema_version": 1, "suite": "tiny.naps", "seed": 0, "machine": {"cpu": "c"}}
    assert earlier(tmp_path, header) == []
    (tmp_path / "results.json").write_text(json.dumps({**header, "rows": rows}))
    assert earlier(tmp_path, header) == rows
    with pytest.raises(typer.BadParameter, match="another run"):
        earlier(tmp_path, {**header, "seed": 1})


def test_table_and_plots_are_made_from_rows(rows, tmp_path):
    machine = {"cpu": "c", "threads": 1, "device": "cpu", "python": "3", "versions": {}}
    text = report.markdown({"machine": machine, "seed": 0, "rows": rows})
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(rows)
    assert {line.count("|") for line in lines} == {len(report.HEADER) + 1}
    assert "timeout: no answer after 6 s" in text
    assert "not converged" in text
    larger = [row | {"n": 100, "case": "larger"} for row in rows]
    pictures = report.plots([*rows, *larger], tmp_path)
    assert [picture.name for picture in pictures] == [
        "tiny.naps-scaling.svg", "tiny.naps-accuracy.svg",
    ]  # fmt: skip
    page = report.markdown({"machine": machine, "seed": 0, "rows": rows}, pictures)
    assert "![tiny.naps-scaling](tiny.naps-scaling.svg)" in page


def test_regressions_are_seen_through_paired_ratios(rows):
    old = {"rows": rows}
    assert regressions(old, old, tolerance=0.1) == []
    slower = json.loads(json.dumps(old))
    for row in slower["rows"]:
        if row["competitor"] == "slow":
            row["ratio"]["median"] /= 2
    (sentence,) = regressions(old, slower, tolerance=0.1)
    assert sentence.startswith("slower: W_1 naps")
    wrong = json.loads(json.dumps(old))
    wrong["rows"][0] |= {"error": 0.1}
    (sentence,) = regressions(old, wrong, tolerance=0.1)
    assert sentence.startswith("less accurate")
    broken = json.loads(json.dumps(old))
    broken["rows"][0] |= {"status": "failed", "message": "boom"}
    (sentence,) = regressions(old, broken, tolerance=0.1)
    assert sentence.startswith("failed")


def test_headline_is_against_the_fastest_other(rows):
    (line,) = report.headline(rows)[2:]
    assert "hungry" in line or "slow" in line
    assert "times as fast" in line


def test_readme_shows_the_measured_headline():
    text = (ROOT / "docs" / "benchmarks" / "results.json").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\n".join(report.headline(json.loads(text)["rows"])) in readme


def test_quartiles():
    assert quartiles([5.0]) == {"q25": 5.0, "median": 5.0, "q75": 5.0}


@pytest.mark.parametrize("name", suites.names())
def test_every_suite_has_cases_against_ours_and_a_quick_one(name):
    cases = suites.load(name)
    assert len({case.key for case in cases}) == len(cases)
    assert all(OURS in case.competitors for case in cases)
    assert any(case.quick for case in cases)


def test_unknown_suite():
    with pytest.raises(ValueError, match=re.escape("no suite 'magic', there are: ")):
        suites.load("magic")


def test_command_line_explains_itself():
    command = [sys.executable, "-m", "benchmarks", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert "--suite" in done.stdout
    assert "--device" in done.stdout


def test_a_device_that_is_not_there_is_refused():
    if not machine.missing("cuda"):
        pytest.skip("there is a CUDA device")
    command = [sys.executable, "-m", "benchmarks", "--device", "cuda"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "cuda cannot be measured here" in " ".join(done.stderr.split())
    assert "cpu or cuda: got 'tpu'" in str(machine.missing("tpu"))
    assert machine.missing("cpu") is None


def test_a_device_is_a_column(rows):
    there = {"status": "ok", "seconds": quartiles([0.002]), "peak_mb": 7.0}
    absent = {"status": "cpu only", "message": "does not use cuda"}
    both = [row | {"cuda": there if row["competitor"] == OURS else absent} for row in rows]
    lines = report.table(both)
    assert lines[0].endswith("| CUDA |")
    assert {line.count("|") for line in lines} == {len(report.HEADER) + 2}
    assert any(line.endswith("| 2 ms, 7 MB |") for line in lines)
    assert any(line.endswith("| cpu only: does not use cuda |") for line in lines)
