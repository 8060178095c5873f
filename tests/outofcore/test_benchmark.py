"""The benchmark of large samples: what it measures agrees, and the page shows the rows it kept."""

from __future__ import annotations

import json

from benchmarks import outofcore, page

EXPERIMENT = outofcore.EXPERIMENT


def test_the_page_shows_the_rows_that_were_kept():
    for mark, render in EXPERIMENT.tables.items():
        assert page.get(EXPERIMENT.page, mark) == render(EXPERIMENT.rows()).strip()


def test_line_and_slices_run_small(tmp_path):
    outofcore.prepare("line", tmp_path, 5000)
    line = {part: outofcore.measure_line(tmp_path, part) for part in ("all", "tenth", "memory")}
    assert line["tenth"]["lower"] <= line["memory"]["distance"] <= line["tenth"]["upper"]
    assert line["all"]["lower"] <= line["all"]["distance"] <= line["all"]["upper"]
    outofcore.prepare("sliced", tmp_path, 300)
    batches, whole = (outofcore.measure_sliced(tmp_path, part) for part in ("batches", "memory"))
    assert abs(batches["distance"] - whole["distance"]) <= batches["error"]


def test_a_measurement_runs_in_a_process_of_its_own_and_tells_its_memory(tmp_path):
    outofcore.prepare("line", tmp_path, 5000)
    row = outofcore.in_process("line", tmp_path, "memory")
    assert row["distance"] == outofcore.measure_line(tmp_path, "memory")["distance"]
    assert row["peak_mb"] > 10


def test_rows_replace_earlier_ones(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "rows.json"
    monkeypatch.setitem(outofcore.SIZES, "sliced", 300)
    monkeypatch.setattr(outofcore, "in_process", lambda name, folder, part: {"seen": part})
    for folder in (None, tmp_path):
        EXPERIMENT.run(["sliced"], outofcore.Settings(folder=folder), path)
    assert [(row["part"], row["seen"]) for row in EXPERIMENT.rows(path)] == [
        ("batches", "batches"), ("memory", "memory"),
    ]  # fmt: skip
    assert not list(tmp_path.glob("tmp*"))  # the data are deleted
    machine = json.loads(path.read_text())["experiments"]["outofcore"]["machine"]
    assert machine["versions"]["torch"]
    file = tmp_path / "page.md"
    (mark,) = EXPERIMENT.tables
    file.write_text(f"before\n<!-- {mark}: start -->\nold\n<!-- {mark}: end -->\nafter\n")
    EXPERIMENT.into(file, EXPERIMENT.rows())
    assert file.read_text().startswith("before\n")
    assert file.read_text().endswith("after\n")
    assert "old" not in file.read_text()
