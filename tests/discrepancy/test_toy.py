"""A new distance is one file and one line of the table, and is then known everywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

import otdist
from otdist import discrepancy
from otdist.cli import app
from otdist.core import checks
from otdist.core.measure import SamplePair, pair
from otdist.discrepancy.base import Discrepancy, Figure
from otdist.inference import NoIntervalError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 2)), RNG.normal(size=(35, 2)) + 1


@dataclass(frozen=True)
class Toy(Discrepancy):
    """The p-norm of the difference of the means."""

    p: float = 2

    title: ClassVar[str] = "distance of the means"

    def __post_init__(self) -> None:
        checks.settle(self, p=checks.exponent(self.p))

    def value(self, pair: SamplePair, seed: int | None) -> Figure:
        x, y = (z.points.double().mean(0) for z in (pair.x, pair.y))
        return Figure(float((x - y).norm(p=self.p)) * pair.scale)


@pytest.fixture(autouse=True)
def line(monkeypatch):
    monkeypatch.setitem(discrepancy.DISCREPANCIES, "toy", Toy)


def plain(x, y, p=2):
    return float(np.linalg.norm(x.mean(0) - y.mean(0), ord=p))


def test_it_has_a_value():
    assert Toy().value(pair(X, Y), 0).value == pytest.approx(plain(X, Y))
    with pytest.raises(ValueError, match="p must be finite and at least 1"):
        Toy(p=0.5)


def test_it_is_tested():
    found = otdist.two_sample_test(X, Y, "toy", n_permutations=99)
    assert found.statistic == pytest.approx(plain(X, Y))
    assert (found.pvalue, found.name) == (0.01, "Toy")
    other = otdist.two_sample_test(X, Y, "toy", n_permutations=9, p=1)
    assert other.statistic == pytest.approx(plain(X, Y, 1))
    with pytest.raises(ValueError, match="no option eps: it has p"):
        otdist.two_sample_test(X, Y, "toy", eps=1)


def test_it_has_no_interval_with_a_reason():
    with pytest.raises(NoIntervalError, match="'toy': no central limit theorem is known"):
        otdist.confidence_interval(X, Y, "toy")


def test_it_has_a_row_of_a_report():
    report = otdist.evaluate(X, {"one": Y, "two": Y + 1}, metrics=["toy", "w1"], progress=False)
    row = report.samples["two"]["toy"]
    assert row.estimate == pytest.approx(plain(X, Y + 1))
    assert (row.convention, row.no_interval) == (Toy.title, "no central limit theorem is known")
    assert 0 < row.floor_spread < row.floor < row.at_floor
    assert "toy" in otdist.evaluate(X, Y, progress=False).metrics
    with pytest.raises(ValueError, match=r"metrics must be among .*toy"):
        otdist.evaluate(X, Y, metrics=["tou"])


def test_it_is_a_choice_of_the_commands(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    files = [str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]

    def record(*arguments):
        found = CliRunner().invoke(app, [*arguments, "--json", "--quiet"])
        assert found.exit_code == 0, found.output
        return json.loads(found.stdout)

    tested = record("test", *files, "--statistic", "toy", "--n-permutations", "19", "--p", "1")
    assert tested["statistic"] == pytest.approx(plain(X, Y, 1))
    rows = record("evaluate", *files, "--metrics", "toy", "--fail-above", "toy=9")
    assert rows["samples"]["y"]["toy"]["estimate"] == pytest.approx(plain(X, Y))
    wrong = CliRunner().invoke(app, ["test", *files, "--statistic", "tou"])
    assert wrong.exit_code == 2
    assert "toy" in wrong.output


def test_it_refuses_dask_by_its_name():
    da = pytest.importorskip("dask.array")
    x, y = da.from_array(X), da.from_array(Y)
    with pytest.raises(TypeError, match="x is a dask array, which Toy would have to gather whole"):
        Toy().streamed(x, y, None, None)
    for call in (
        lambda: otdist.two_sample_test(x, y, "toy"),
        lambda: otdist.evaluate(x, y, metrics=["toy"], progress=False),
    ):
        with pytest.raises(TypeError, match="is a dask array"):
            call()
