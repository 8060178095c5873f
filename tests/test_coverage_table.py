"""The tables on the page are those of the simulations."""

import json

from benchmarks import coverage, page, records


def test_the_page_shows_the_results():
    rows = records.read(coverage.RESULTS)
    for name, render in coverage.TABLES.items():
        assert page.get(coverage.PAGE, coverage.MARK.format(name)) == render(rows).strip()


def test_intervals_cover_and_tests_hold_their_level():
    rows = records.read(coverage.RESULTS)
    for row in rows:
        if row["experiment"] == "false alarms":
            assert row["rejected"] <= 0.06 * row["trials"]
        elif row["n"] >= 300 and row["given"] >= 0.5 * row["trials"]:
            assert row["covered"] >= 0.92 * row["given"], row


def test_rows_replace_those_of_the_same_case(tmp_path):
    path = tmp_path / "rows.json"
    case = coverage.Case("energy", "equal", coverage.normal(2, 0.0, 1.0), 0.0)
    for trials in (2, 3):
        coverage.keep(coverage.cover(case, 20, 20, trials), path)
    assert [row["trials"] for row in json.loads(path.read_text())["rows"]] == [3]
