"""On a console of any width, names, estimates, floors and p-values are whole."""

import io

import numpy as np
import pytest
from rich.console import Console

import otdist
from otdist.evaluation.report.terminal import LEAVING, fitted

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def report():
    real = RNG.normal(size=(60, 3))
    fakes = {"mixture": 0.0, "normal law": 0.5, "shuffled pixels": 1.0, "far": 2.0}
    fakes = {name: RNG.normal(size=(60, 3)) + shift for name, shift in fakes.items()}
    metrics = ["w2", "sliced_w2", "energy", "precision"]
    return otdist.evaluate(real, fakes, metrics=metrics, n_permutations=19, progress=False)


def printed(report, width):
    out = io.StringIO()
    report.print_to(Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_nothing_is_cut_off(report, width):
    text = printed(report, width)
    assert "…" not in text
    tables = [line for line in text.splitlines() if line.startswith("  ")]
    assert max(map(len, tables)) <= width
    for name, results in report.samples.items():
        assert name in text
        for key, result in results.items():
            assert key in text
            assert f"{result.estimate:.4g}" in text
            assert f"{result.floor:.4g}" in text
            if result.pvalue is not None:
                assert f"(p = {result.pvalue:.3g})" in text


def test_what_leaves_first_is_missed_least(report):
    left = [
        [name for name in LEAVING if name not in printed(report, width)]
        for width in (200, 100, 80, 60)
    ]
    assert left[0] == ["effect"]  # of drift alone
    assert list(map(len, left)) == sorted(map(len, left))
    assert all(gone == list(LEAVING[: len(gone)]) for gone in left)


def test_the_ranking_goes_on_below(report):
    text = printed(report, 60)
    assert text.count("  metric") > 5
    ranking = text[: text.index("mixture (60) against")]
    assert [name in ranking for name in report.ranking] == [True] * 4


def test_notes_wrap():
    cells = (["metric", "estimate", "p", "note"], [["w1", "1.5", "0.01", "word " * 40]])
    out = io.StringIO()
    console = Console(file=out, width=60)
    for table in fitted(console, cells):
        console.print(table)
    assert out.getvalue().count("word") == 40
    assert "1.5" in out.getvalue()
