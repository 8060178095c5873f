"""The benchmark of large samples: what it measures agrees, and the page shows the rows it kept."""

from __future__ import annotations

from benchmarks import outofcore


def test_the_page_shows_the_rows_that_were_kept():
    page = outofcore.PAGE.read_text(encoding="utf-8")
    shown = page.split(outofcore.START)[1].split(outofcore.END)[0].strip()
    assert shown == outofcore.render(outofcore.read(outofcore.RESULTS)).strip()


def test_kept_rows_stay_within_their_bounds_and_their_memory():
    rows = {(r["experiment"], r["part"]): r for r in outofcore.read(outofcore.RESULTS)}
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


def test_rows_replace_earlier_ones(tmp_path, capsys):
    path = tmp_path / "deep" / "rows.json"
    for seconds in (1.0, 2.0):
        outofcore.keep({"experiment": "line", "part": "all", "seconds": seconds}, path)
    assert [row["seconds"] for row in outofcore.read(path)] == [2.0]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{outofcore.START}\nold\n{outofcore.END}\nafter\n")
    outofcore.into(page, outofcore.read(outofcore.RESULTS))
    assert page.read_text().startswith("before\n")
    assert "old" not in page.read_text()
