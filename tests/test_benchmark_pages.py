"""Tables on pages: what they show, and that they are what the files of measurements say."""

import shutil
from pathlib import Path

import pytest

from benchmarks import growth, headline, ladder, page, publish, records, report
from benchmarks.case import OURS
from benchmarks.harness import quartiles

ROOT = Path(__file__).parents[1]


def line(suite="exact", n=100, name="peer", ratio=2.0, **columns):
    row = {
        "suite": suite, "case": f"{suite} {n}", "problem": "clouds", "quantity": "W_2", "n": n,
        "m": n, "d": 2, "parameters": {}, "competitor": name, "status": "ok", "value": 1.0,
        "error": None, "ratio": {"median": ratio},
    }  # fmt: skip
    return row | columns


def test_headline_groups_sizes_and_shows_where_others_win():
    rows = []
    for n, ratio in ((500, 1.6), (1000, 4.4), (100, 0.5), (300, 0.8)):
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


def test_a_page_is_written_between_its_marks_only(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("a\n<!-- one: start -->\nold\n<!-- one: end -->\nb <!-- two: end -->\n")
    page.put(file, "one", "new\n")
    assert page.get(file, "one") == "new"
    assert file.read_text().startswith("a\n")
    assert file.read_text().endswith("-->\nb <!-- two: end -->\n")
    assert page.has(file, "one")
    for name in ("two", "three"):
        with pytest.raises(ValueError, match=f"must have <!-- {name}: start -->"):
            page.put(file, name, "lost")
    assert "lost" not in file.read_text()


def test_brief_tables_show_errors_of_ours_too():
    row = {"status": "ok", "peak_mb": 7.0, "seconds": quartiles([0.002]), "case": "c", "rounds": 2}
    ours = row | {"competitor": OURS, "error": 0.865}
    peer = row | {"competitor": "peer", "error": 0.004, "ratio": quartiles([5.0])}
    rough = row | {"competitor": "rough", "error": 0.02, "ratio": quartiles([3.0])}
    (found,) = report.brief([ours, peer, rough], rounds=2)[2:]
    others = "peer **5** (7 MB); rough **3** (7 MB, error 2%)"
    assert found == f"| c | 2 ms, 7 MB, error 86% | {others} |"


def rung(name, seconds, error, gap=None, case="one", **columns):
    row = line("ladder", name=name, case=case, error=error, gap=gap)
    return row | {"seconds": quartiles([seconds])} | columns


LADDER = [
    rung(OURS, 2.0, 0.0, gap=1e-12),
    rung("otdist, rtol 0.01", 0.5, 0.004, gap=0.04),
    rung("POT lazy 0.1", 0.1, 0.05),
    rung("POT emd", 1.0, 1e-16, gap=1e-13),
    rung("GeomLoss 0.1", 0.01, 0.3),
    rung("SciPy assignment", 0.001, 0.0, status="timeout"),
    rung(OURS, 1.0, 0.0, case="two"),
    rung("exact elsewhere", 0.001, 0.0, case="other") | {"suite": "exact"},
]


def test_a_ladder_has_the_fastest_answer_of_either_side_within_each_error():
    lines = ladder.section(LADDER).splitlines()[2:10]
    assert lines == [
        "| one | 10% | 500 ms, otdist, rtol 0.01, proved to 0.04 | **100 ms**, POT lazy 0.1 |",
        "|  | 1% | **500 ms**, otdist, rtol 0.01, proved to 0.04 | 1 s, POT emd, proved to 1e-13 |",
        "|  | 0.1% | 2 s, otdist, proved to 1e-12 | **1 s**, POT emd, proved to 1e-13 |",
        "|  | exact | 2 s, otdist, proved to 1e-12 | **1 s**, POT emd, proved to 1e-13 |",
        "| two | 10% | **1 s**, otdist | none |",
        "|  | 1% | **1 s**, otdist | none |",
        "|  | 0.1% | **1 s**, otdist | none |",
        "|  | exact | **1 s**, otdist | none |",
    ]
    assert ladder.section([LADDER[-1]]) == ladder.NOT_MEASURED


def test_the_picture_of_a_ladder_is_drawn_again_as_it_was(tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        ladder.draw(LADDER, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    ladder.draw([], tmp_path / "a.svg")  # figures that are gone leave no picture
    assert not (tmp_path / "a.svg").exists()


def scaled(n, competitor, seconds):
    return {
        "suite": "scale", "problem": "mixtures to 1%", "quantity": "W_2", "competitor": competitor,
        "n": n, "d": 2, "status": "ok", "seconds": {"median": seconds}, "peak_mb": 1.0,
    }  # fmt: skip


def test_the_picture_of_an_accuracy_gives_exponents_from_two_sizes_on(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.svg"
    rows = [scaled(n, growth.OURS, n**1.5) for n in (5000, 20_000)]
    growth.draw_accuracy(rows, path)
    assert "n to the 1.5" in path.read_text(encoding="utf-8")
    growth.draw_accuracy(rows[:1], path)
    assert not path.exists()


PAGES = ("README.md", "docs/*.md", "docs/benchmarks/*.md")
PICTURES = ("docs/benchmarks/*.svg", str(publish.GROWTH), str(publish.ACCURACY))


def files(root, *patterns):
    return {file.relative_to(root): file for pattern in patterns for file in root.glob(pattern)}


def test_published_pages_and_pictures_are_what_the_measurements_say(tmp_path):
    pytest.importorskip("matplotlib")
    for name, file in files(ROOT, *PAGES).items():
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    (tmp_path / publish.GROWTH).parent.mkdir(parents=True)
    publish.pages(records.published(), tmp_path)
    for patterns, ours in ((PAGES, files(ROOT, *PAGES)), (PICTURES, files(ROOT, *PICTURES))):
        written = files(tmp_path, *patterns)
        assert written.keys() == ours.keys()
        for name, file in written.items():
            assert file.read_bytes() == ours[name].read_bytes(), name


def test_the_published_file_is_written_as_it_was_read(tmp_path):
    copy = tmp_path / "results.json"
    records.publish(records.published(), copy)
    assert copy.read_text(encoding="utf-8") == records.PUBLISHED.read_text(encoding="utf-8")


def test_a_new_run_replaces_the_cases_that_it_has():
    run = {"seed": 0, "rows": [line(suite, case=case) for suite, case in ("ea", "eb", "sa")]}
    content = records.merged({"runs": [], "experiments": {}}, run)
    content = records.merged(content, {"seed": 1, "rows": [line("e", case="b")]})
    found = [(row["suite"], row["case"], r["seed"]) for r in content["runs"] for row in r["rows"]]
    assert found == [("e", "a", 0), ("s", "a", 0), ("e", "b", 1)]
    content = records.merged(
        content, {"seed": 2, "rows": [line("e", case="a"), line("s", case="a")]}
    )
    assert [run["seed"] for run in content["runs"]] == [1, 2]
    assert [row["suite"] for row in records.rows(content)] == ["e", "e", "s"]


def test_suites_of_several_runs_say_where_they_were_measured():
    machine = {"cpu": "c", "threads": 1, "device": "cpu", "python": "3", "versions": {"POT": "1"}}
    header = {"seed": 0, "device": "cpu", "rounds": 3, "timeout": 2.0, "machine": machine}
    row = line(name=OURS, case="one", status="failed", message="boom")
    runs = [
        {**header, "suite": suite, "rows": [row | {"suite": suite}]} for suite in ("exact", "small")
    ]
    text = report.markdown(runs)
    assert [part.split("`")[1].split()[4] for part in text.split("Written by ")[1:]] == [
        "exact", "small",
    ]  # fmt: skip
    runs[0]["machine"] = {**machine, "sort": "AVX2"}
    assert "c, 1 threads, device cpu, NumPy sorts with AVX2, Python 3" in report.markdown(runs[:1])
