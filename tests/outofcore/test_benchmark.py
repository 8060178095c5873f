"""The benchmark of large samples: what it measures agrees, and the page shows the rows it kept."""

from __future__ import annotations

import json

from benchmarks import outofcore, page, records


def test_the_page_shows_the_rows_that_were_kept():
    shown = page.get(outofcore.PAGE, outofcore.MARK)
    assert shown == outofcore.render(records.read(outofcore.RESULTS)).strip()


def test_kept_rows_stay_within_their_bounds_and_their_memory():
    rows = {(r["experiment"], r["part"]): r for r in records.read(outofcore.RESULTS)}
    assert rows["line", "all"]["rows"] == 2 * 10**8
    assert rows["line", "all"]["peak_mb"] < 2000
    assert rows["sliced", "batches"]["peak_mb"] < 3000
    tenth, exact = rows["line", "tenth"], rows["line", "memory"]
    assert tenth["lower"] <= exact["distance"] <= tenth["upper"]
    batches, whole = rows["sliced", "batches"], rows["sliced", "memory"]
    assert abs(batches["distance"] - whole["distance"]) <= batches["error"]


def test_line_and_slices_run_small(tmp_path):
    outofcore.prepare("line", tmp_path, 5000)
    line = {part: outofcore.measure_line(tmp_path, part) for part in ("all", "tenth", "memory")}
    assert line["tenth"]["lower"] <= line["memory"]["distance"] <= line["tenth"]["upper"]
    assert line["all"]["lower"] <= line["all"]["distance"] <= line["all"]["upper"]
    outofcore.prepare("sliced", tmp_path, 300)
    batches, whole = (outofcore.measure_sliced(tmp_path, part) for part in ("batches", "memory"))
    assert abs(batches["distance"] - whole["distance"]) <= batches["error"]


def test_rows_replace_earlier_ones(tmp_path):
    path = tmp_path / "deep" / "rows.json"
    for seconds in (1.0, 2.0):
        row = {"experiment": "line", "part": "all", "seconds": seconds}
        records.keep(row, path, outofcore.KEY, threads=1)
    assert [row["seconds"] for row in records.read(path)] == [2.0]
    machine = json.loads(path.read_text())["machine"]
    assert machine["threads"] == 1
    assert machine["versions"]["torch"]
    file = tmp_path / "page.md"
    marks = [f"<!-- {outofcore.MARK}: {side} -->" for side in ("start", "end")]
    file.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
    outofcore.into(file, records.read(outofcore.RESULTS))
    assert file.read_text().startswith("before\n")
    assert file.read_text().endswith("after\n")
    assert "old" not in file.read_text()
