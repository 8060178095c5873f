"""The harness: failures and time-outs are rows, ratios are paired, tables come from rows."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from benchmarks import harness, headline, machine, process, report, suites
from benchmarks.__main__ import earlier
from benchmarks.case import OURS
from benchmarks.compare import notes, regressions
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
        ((name, found),) = harness.run(["tiny.naps"], settings)
        assert name == "tiny.naps: W_1 naps n=10 d=1 p=1"
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


@pytest.mark.parametrize("kind, allowed", [("call", "0.2 s"), ("preparation", "2 s of prep")])
def test_a_late_step_is_told_with_its_competitor(kind, allowed, tmp_path, monkeypatch):
    package = tmp_path / "benchmarks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "worker.py").write_text(
        "import sys, time; from pathlib import Path\n"
        f"Path(sys.argv[1], 'steps').write_text('{kind} a peer\\n'); time.sleep(60)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(process.Failed, match=f"^no answer after {allowed}") as failure:
        process.ask({}, threads=1, limit=0.2)
    assert (failure.value.status, failure.value.competitor) == ("timeout", "a peer")


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


MACHINE = {"cpu": "c", "threads": 1, "device": "cpu", "python": "3", "versions": {"POT": "1"}}
HEADER = {"suite": "tiny.naps", "seed": 0, "device": "cpu", "rounds": 3, "timeout": 2.0}


def test_table_and_plots_are_made_from_rows(rows, tmp_path):
    content = {**HEADER, "machine": MACHINE, "rows": rows}
    text = report.markdown(content)
    assert "`python -m benchmarks --suite tiny.naps --seed 0 --rounds 3 --timeout 2` on c" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(rows)
    assert {line.count("|") for line in lines} == {len(report.HEADER) + 1}
    assert "timeout: no answer after 2 s" in text
    assert "not converged" in text
    (tmp_path / "sliced-accuracy.svg").touch()
    larger = [row | {"n": 100, "case": "larger"} for row in rows]
    report.write({**content, "rows": [*rows, *larger]}, tmp_path)
    names = ["results.json", "results.md", "tiny.naps-accuracy.svg", "tiny.naps-scaling.svg"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    page = (tmp_path / "results.md").read_text()
    assert "](tiny.naps-scaling.svg)" in page
    again = [(tmp_path / name).read_bytes() for name in names]
    report.write(json.loads((tmp_path / "results.json").read_text()), tmp_path)
    assert [(tmp_path / name).read_bytes() for name in names] == again


def test_brief_tables_show_errors_of_ours_too():
    row = {"status": "ok", "peak_mb": 7.0, "seconds": quartiles([0.002]), "case": "c"}
    ours = row | {"competitor": OURS, "error": 0.865}
    peer = row | {"competitor": "peer", "error": 0.004, "ratio": quartiles([5.0])}
    rough = row | {"competitor": "rough", "error": 0.02, "ratio": quartiles([3.0])}
    (found,) = report.brief([ours, peer, rough])[2:]
    others = "peer **5** (7 MB); rough **3** (7 MB, error 2%)"
    assert found == f"| c | 2 ms, 7 MB, error 86% | {others} |"


def changed(rows, competitor, **columns):
    """The same results but for one competitor."""
    copy = [row | columns if row["competitor"] == competitor else row for row in rows]
    return {"rows": copy, "machine": MACHINE}


@pytest.mark.parametrize(
    ("competitor", "columns", "sentence"),
    [
        ("slow", {"ratio": {"median": 1.5}}, "slower: W_1 naps n=10 d=1 p=1: "),
        (OURS, {"error": 0.1}, "less accurate: "),
        (OURS, {"gap": 4.0}, "wider bracket: W_1 naps n=10 d=1 p=1: otdist: 1 → 4"),
        (OURS, {"gap": None}, "wider bracket: W_1 naps n=10 d=1 p=1: otdist: 1 → none"),
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


def test_the_regression_check_is_a_command(rows, tmp_path):
    for name, content in (
        ("old", changed(rows, OURS)),
        ("new", changed(rows, OURS, converged=False)),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    for second, code in (("old", 0), ("new", 1)):
        files = [str(tmp_path / "old.json"), str(tmp_path / f"{second}.json")]
        command = [sys.executable, "-m", "benchmarks.compare", *files]
        assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == code


def line(suite="exact", n=100, name="peer", ratio=2.0, **columns):
    row = {
        "suite": suite, "case": f"{suite} {n}", "problem": "clouds", "quantity": "W_2", "n": n,
        "m": n, "d": 2, "parameters": {}, "competitor": name, "status": "ok", "value": 1.0,
        "error": None, "ratio": {"median": ratio},
    }  # fmt: skip
    return row | columns


def test_headline_groups_sizes_and_shows_where_others_win():
    rows = []
    for n, ratio in ((100, 0.5), (300, 0.8), (500, 1.6), (1000, 4.4)):
        rows += [line(n=n, name=OURS, ratio=1.0), line(n=n, ratio=ratio), line(n=n, ratio=9.0)]
    start = "| exact: W_2, clouds | n = "
    assert headline.headline(rows)[2:] == [
        start + "100, 300, d = 2 | peer | **slower**, 1.2 to 2 times as long |",
        start + "500, 1,000, d = 2 | peer | 1.6 to 4.4 times as fast |",
    ]


def test_headline_leaves_out_what_is_no_match():
    ours = line(name=OURS, ratio=1.0, error=1e-9)
    others = [
        line(name="wrong", ratio=0.1, error=0.2),
        line(name="no value", ratio=0.1, value=None),
        line(name="otdist, 1 thread", ratio=0.1),
        {"suite": "exact", "case": ours["case"], "competitor": "failed", "status": "failed"},
        line(name="peer", ratio=3.0, error=0.005),
    ]
    others[3] |= {"value": None, "message": "boom"}
    (found,) = headline.headline([ours, *others])[2:]
    assert "| peer | 3 times as fast |" in found
    assert headline.headline([line("gan", name=OURS), line("gan")])[2:] == []
    assert headline.headline([ours])[2:] == []


def test_published_pages_are_what_the_measurements_say(tmp_path):
    pytest.importorskip("matplotlib")
    folder = ROOT / "docs" / "benchmarks"
    text = (folder / "results.json").read_text(encoding="utf-8")
    content = json.loads(text)
    report.write(content, tmp_path)
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == text
    page = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert (folder / "results.md").read_text(encoding="utf-8") == page
    pictures = [sorted(file.name for file in at.glob("*.svg")) for at in (tmp_path, folder)]
    assert pictures[0] == pictures[1]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    copy = tmp_path / "README.md"
    copy.write_text(readme, encoding="utf-8")
    headline.into(copy, content)
    assert copy.read_text(encoding="utf-8") == readme


@pytest.mark.parametrize(
    "results, page",
    [
        ("exact", "exact"),
        ("exact_parts", "exact"),
        ("sliced", "sliced"),
        ("entropic", "sinkhorn"),
    ],
)
def test_tables_of_a_guide_are_what_the_measurements_say(results, page, tmp_path):
    content = json.loads((ROOT / f"benchmarks/results/{results}.json").read_text(encoding="utf-8"))
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    copy = tmp_path / "page.md"
    copy.write_text(text, encoding="utf-8")
    report.fill(copy, content)
    assert copy.read_text(encoding="utf-8") == text
    copy.write_text("a page without marks", encoding="utf-8")
    with pytest.raises(ValueError, match="no marks for a suite"):
        report.fill(copy, content)


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
