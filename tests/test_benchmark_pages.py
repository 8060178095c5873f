"""Tables on pages: what they show, and that they are what the files of measurements say."""

import json
from pathlib import Path

import pytest

from benchmarks import headline, page, report
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
        ("pairwise", "pairwise"),
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
