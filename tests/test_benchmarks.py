"""The harness: failures and time-outs are rows, ratios are paired, tables come from rows."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import harness, pace, plots, process, report, suites
from benchmarks.case import OURS
from benchmarks.harness import Settings, quartiles

ROOT = Path(__file__).parents[1]
MACHINE = {"cpu": "c", "threads": 1, "device": "cpu", "python": "3", "versions": {"POT": "1"}}
HEADER = {"suite": "tiny.naps", "seed": 0, "device": "cpu", "rounds": 3, "timeout": 2.0}

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

def compiled(inputs):
    time.sleep(2.5)
    return lambda: Outcome(2.0)

def moody(inputs):
    calls = []
    def call():
        calls.append(0)
        if len(calls) == 3:
            raise RuntimeError("enough")
        return Outcome(2.0)
    return call

def truth(inputs):
    time.sleep(2.5)
    return 2.0

def hungry(inputs):
    def call():
        block = np.ones(2**25)
        return Outcome(float(block[0]))
    return call

def cases():
    competitors = {
        OURS: sleeper(0.01, 2.0), "slow": sleeper(0.05, 3.0), "broken": failing,
        "endless": sleeper(60, 0.0), "hungry": hungry, "moody": moody, "compiled": compiled,
    }
    return [
        Case("naps", "W_1", n, n, 1, 1, lambda seed: {"p": 1}, competitors,
             truth=truth, quick=n == 10)
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
        settings = Settings(threads=1, rounds=3, timeout=2.0, quick=True)
        ((name, case),) = cases = harness.chosen(["tiny.naps"], settings)
        assert (name, case.key) == ("tiny.naps", "W_1 naps n=10 d=1 p=1")
        (found,) = harness.run(cases, settings)
        return found


def test_failures_and_timeouts_are_rows(rows):
    status = {row["competitor"]: row["status"] for row in rows}
    assert status == {
        OURS: "ok", "slow": "ok", "broken": "failed", "endless": "timeout", "hungry": "ok",
        "moody": "failed", "compiled": "ok",
    }  # fmt: skip
    messages = {row["competitor"]: row.get("message", "") for row in rows}
    assert "no kernel" in messages["broken"]
    assert messages["endless"] == "no answer after 2 s"
    assert messages["moody"] == "in turns: RuntimeError: enough"


def test_who_fails_in_turns_takes_nobody_along(rows):
    times = {row["competitor"]: row for row in rows if row["status"] == "ok"}
    assert times.keys() == {OURS, "slow", "hungry", "compiled"}
    assert all(row["rounds"] == 3 and row["ratio"] for row in times.values())


def test_preparation_and_truth_may_take_longer_than_a_call(rows):
    found = {row["competitor"]: row for row in rows}["compiled"]
    assert found["seconds"]["median"] < 1
    assert found["truth"] == 2


SERVER = """
import json, sys, time

def send(**message):
    print(json.dumps(message), flush=True)

send(ready=1)
for line in sys.stdin:
    request = json.loads(line)
    if request["task"] == "end":
        sys.exit(3)
    if request["task"] == "slow":
        child = subprocess.Popen(["sleep", "60"])
        send(pid=child.pid)
        send(step=[request["kind"], "a peer"])
        send(end=child.wait())
    else:
        send(pid=0)
        send(answer={"task": request["task"]})
        send(end=0)
"""


@pytest.fixture
def workers(tmp_path, monkeypatch):
    """Workers whose server answers, is late, or ends, as it is told."""
    package = tmp_path / "benchmarks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "server.py").write_text(f"import subprocess\n{SERVER}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with process.Workers(threads=1) as found:
        yield found


@pytest.mark.parametrize("kind, allowed", [("call", "0.2 s"), ("preparation", "0.6 s of prep")])
def test_a_late_step_is_told_with_its_competitor(kind, allowed, workers):
    with pytest.raises(process.Failed, match=f"^no answer after {allowed}") as failure:
        workers.ask({"task": "slow", "kind": kind}, limit=0.2)
    assert (failure.value.status, failure.value.competitor) == ("timeout", "a peer")
    assert workers.ask({"task": "next"}, limit=5) == {"task": "next"}


def test_a_server_that_ends_is_started_again(workers):
    with pytest.raises(process.Failed, match="server of the workers ended: exit code 3"):
        workers.ask({"task": "end"}, limit=5)
    assert workers.ask({"task": "next"}, limit=5) == {"task": "next"}


PROBE = """
import os, time
from pathlib import Path
import numpy as np
import torch
from benchmarks.case import OURS, Case, Outcome

def threads(inputs):
    return lambda: Outcome(torch.get_num_threads())

def late(inputs):
    return lambda: Outcome(0.0, late=lambda: time.sleep(0.05) or Outcome(inputs["made"]))

def quick(inputs):
    return lambda: Outcome(os.getpid())

def killed(inputs):
    return lambda: os.kill(os.getpid(), 9)

def make(seed):
    made = Path(os.environ["MADE"])
    made.write_text(made.read_text() + "x")
    return {"p": 1, "made": len(made.read_text())}

def heavy(inputs):
    return lambda: time.sleep(0.3) or Outcome(1.0)

def cases():
    competitors = {OURS: threads, "late": late, "quick": quick, "killed": killed, "heavy": heavy}
    return [Case("probe", "", 1, 1, 1, 1, make, competitors)]
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    package = folder / "odd"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "probe.py").write_text(PROBE)
    (folder / "made").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", f"{folder}:{ROOT}")
        patch.setenv("MADE", str(folder / "made"))
        settings = Settings(threads=2, rounds=3, timeout=20.0, budget=1.0)
        (found,) = harness.run(harness.chosen(["odd.probe"], settings), settings)
    return {row["competitor"]: row for row in found}


def test_children_have_the_threads_asked_for_and_one_set_of_inputs(probe):
    assert probe[OURS]["value"] == 2
    assert probe["late"]["value"] == 1  # inputs are made once, and read by the others


def test_a_child_that_is_killed_is_a_row_and_nothing_more(probe):
    assert probe["killed"]["status"] == "failed"
    assert "killed by signal 9" in probe["killed"]["message"]
    assert probe["quick"]["status"] == "ok"


def test_short_calls_are_repeated_and_long_ones_are_not(probe):
    assert probe["quick"]["repeats"] > 100
    assert probe["quick"]["seconds"]["median"] < 1e-3
    assert probe["heavy"]["rounds"] == 1
    assert "repeats" not in probe["heavy"]
    assert probe["heavy"]["seconds"]["median"] == probe["heavy"]["seconds_alone"] >= 0.3


def test_a_proof_is_not_in_the_time(probe):
    assert probe["late"]["seconds_alone"] < 0.05


def test_a_run_says_what_is_left():
    cases = [("tiny", suites.load("univariate")[i]) for i in range(3)]
    known = [{"suite": "tiny", "case": case.key, "wall": 60.0} for _, case in cases[:2]]
    progress = pace.Pace(cases, known)
    assert progress.left() == 180  # the third is taken for one of its suite
    progress.next()
    assert progress.left() < 120  # it went faster than expected
    assert str(progress).startswith("1/3, 0 min, about ")


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


def test_table_and_plots_are_made_from_rows(rows, tmp_path):
    content = {**HEADER, "machine": MACHINE, "rows": rows}
    text = report.markdown([content])
    assert "`python -m benchmarks --suite tiny.naps --seed 0 --rounds 3 --timeout 2` on c" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(rows)
    assert {line.count("|") for line in lines} == {len(report.HEADER) + 1}
    assert "timeout: no answer after 2 s" in text
    assert "not converged" in text
    (tmp_path / "sliced-accuracy.svg").touch()
    larger = [row | {"n": 100, "m": 100, "case": "larger"} for row in rows]
    report.write({**content, "rows": [*rows, *larger]}, tmp_path)
    names = ["results.json", "results.md", "tiny.naps-accuracy.svg", "tiny.naps-scaling.svg"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    page = (tmp_path / "results.md").read_text()
    assert "](tiny.naps-scaling.svg)" in page
    again = [(tmp_path / name).read_bytes() for name in names]
    report.write(json.loads((tmp_path / "results.json").read_text()), tmp_path)
    assert [(tmp_path / name).read_bytes() for name in names] == again


def test_pictures_have_a_panel_for_each_kind_and_none_for_spare_places():
    figure, axes = plots.figure_of(7, columns=3)
    assert figure.axes == axes
    assert len(axes) == 7


def test_the_last_exception_is_the_reason_whatever_stands_below(tmp_path):
    errors = tmp_path / "errors"
    errors.write_text(
        "Traceback\na.b.OutOfRoomError: 3 GB\n\nFor simplicity, frames are left out.\n"
    )
    assert process._reason(1, errors) == "a.b.OutOfRoomError: 3 GB"
    errors.write_text("no room\n")
    assert process._reason(1, errors) == "no room"
    assert process._reason(-9, errors) == "killed by signal 9 (out of memory?)"


def test_fewer_rounds_than_asked_for_are_said(rows):
    times = [line.split(" | ")[2] for line in report.table(rows, rounds=5) if " MB | " in line]
    assert len(times) == 4
    assert all(time.endswith(", 3 rounds") for time in times)
    assert "round" not in "".join(report.table(rows, rounds=3))
    assert "MB, 3 rounds |" in report.brief(rows, rounds=4)[2]


def test_quartiles():
    assert quartiles([5.0]) == {"q25": 5.0, "median": 5.0, "q75": 5.0}


@pytest.mark.parametrize("name", suites.names())
def test_every_suite_has_cases_against_ours_and_a_quick_one(name):
    cases = suites.load(name)
    assert len({case.key for case in cases}) == len(cases)
    assert all(OURS in case.competitors for case in cases)
    assert any(case.quick for case in cases) == (name not in suites.LONG)


def test_unknown_suite():
    with pytest.raises(ValueError, match=re.escape("no suite 'magic', there are: ")):
        suites.load("magic")


def test_a_device_is_a_column(rows):
    there = {"status": "ok", "seconds": quartiles([0.002]), "rounds": 2, "peak_mb": 7.0}
    absent = {"status": "cpu only", "message": "does not use cuda"}
    both = [row | {"cuda": there if row["competitor"] == OURS else absent} for row in rows]
    lines = report.table(both, rounds=3)
    assert lines[0].endswith("| CUDA |")
    assert {line.count("|") for line in lines} == {len(report.HEADER) + 2}
    assert any(line.endswith("| 2 ms, 7 MB, 2 rounds |") for line in lines)
    assert any(line.endswith("| cpu only: does not use cuda |") for line in lines)
