"""The training experiments run, keep their rows, and their table says what the rows hold."""

import math

import numpy as np
import pytest

from benchmarks import records
from benchmarks.gan import __main__ as command
from benchmarks.gan import segments, speed, table, toys


def test_modes_are_counted_within_three_sigma():
    ring = toys.TOYS["ring"]
    assert ring.centres is not None
    samples = np.concatenate((ring.centres[:5], ring.centres[5:6] + 4 * ring.sigma))
    assert ring.modes(samples) == {"modes": 5, "of": 8, "near_a_mode": 5 / 6}
    assert toys.TOYS["grid"].modes(toys.TOYS["grid"].draw(5000, 0))["modes"] == 25


def test_swiss_roll_has_the_size_of_the_paper():
    roll = toys.TOYS["swiss"].draw(20_000, 0)
    radius = np.linalg.norm(roll, axis=1)
    assert radius.max() == pytest.approx(4.5 * math.pi / 7.5, rel=0.1)
    assert radius.min() == pytest.approx(1.5 * math.pi / 7.5, rel=0.2)


def test_segments_have_the_gradient_of_the_distance():
    for row in segments.run(thetas=2, steps=60):
        sign = math.copysign(1, row["theta"])
        assert row["w1"] == pytest.approx(1)
        assert row["w1_gradient"] == pytest.approx(sign)
        assert row["critic_gradient"] == pytest.approx(sign, abs=0.1)
        assert row["js"] == math.log(2)


def test_speed_returns_positive_ratios():
    rows = speed.run(width=8, batch=8, rounds=2)
    assert len(rows) == 2
    assert all(row["ratio"] > 0 for row in rows)


def test_rows_are_kept_once_and_shown(tmp_path):
    path = tmp_path / "deep" / "gan.json"
    row = toys.run("ring", seed=0, steps=2)
    for other in ({}, {"w1": 0.25}, {"seed": 1}):
        records.keep({**row, **other}, path, command.KEY, threads=1)
    rows = records.read(path)
    assert [r["seed"] for r in rows] == [0, 1]
    assert rows[0]["w1"] == 0.25
    page = tmp_path / "page.md"
    marks = [f"<!-- {table.MARK}: {side} -->" for side in ("start", "end")]
    page.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
    table.into(page, rows)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| ring | 2 |" in text
