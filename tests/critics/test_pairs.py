"""The pairs that critics are compared on, and the tables of what they reach."""

import numpy as np
import pytest

from benchmarks.neural import pairs, table
from benchmarks.neural.methods import METHODS, critic


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(pairs, "POINTS", 3000)
    monkeypatch.setattr(pairs, "FRESH", 500)


@pytest.mark.parametrize("name", [n for n in pairs.OTHERS if n not in ("digits", "reversed")])
def test_pairs_know_slopes_and_distance(name):
    """Slopes are unit vectors, the distance is at least that of the means, seeds decide all."""
    d, make = pairs.OTHERS[name]
    found = make(d, 0)
    assert found.slope is not None
    slope = found.slope(found.at)
    assert np.linalg.norm(slope, axis=1) == pytest.approx(np.ones(500), abs=1e-9)
    away = np.linalg.norm(found.x.mean(0) - found.y.mean(0))
    assert found.truth >= away - 0.1  # W_1 is at least the distance of the means
    again = make(d, 0)
    assert np.array_equal(again.x, found.x)
    assert not np.array_equal(make(d, 1).x, found.x)


@pytest.mark.parametrize("reverse", [False, True])
def test_ray_monotone_pairs_point_from_x_to_y_backwards(reverse):
    found = pairs.ray_monotone(4, 3, 0, reverse)
    assert found.slope is not None
    best = found.slope(found.at)
    assert np.linalg.norm(best, axis=1) == pytest.approx(np.ones(500), abs=1e-9)
    result = critic(found, None, 0, critic="valleys" if reverse else "peaks", steps=150)
    assert result.cosine is not None
    assert result.cosine > 0.8
    assert result.estimate == pytest.approx(found.truth, rel=0.15)


def test_discrete_transport_of_a_pair():
    found = pairs.dilated(2, 0)
    result = METHODS["exact"](found, 0.1, 0)
    assert result.name == "500 points"
    assert result.estimate == pytest.approx(found.truth, rel=0.2)
    assert result.cosine is not None
    assert result.cosine > 0.8


def test_tables_show_means_and_the_worst_seed():
    rows = [
        {"experiment": "others", "pair": "spheres", "d": 16, "seed": seed, "method": method,
         "truth": 2.0, "estimate": 1.0 if method != "auto" else 1.0 - 0.1 * seed}
        for method in METHODS for seed in (0, 1)
    ]  # fmt: skip
    lines = table.others(rows).splitlines()
    assert len(lines) == 3
    assert lines[2].startswith("| spheres | 16 | 0.90 | 0.47 | **0.50** |")
    brackets = [{"experiment": "bracket", "holds": holds} for holds in (True, False, True)]
    assert "| 3 | 1 |" in table.certificates(brackets)
