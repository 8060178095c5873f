"""The training experiments run, keep their rows, and their table says what the rows hold."""

import math

import numpy as np
import pytest

from benchmarks.gan import EXPERIMENT, critics, digits, segments, speed, table, toys
from otdist import problems


def test_modes_are_counted_within_three_sigma():
    ring = problems.eight_gaussians()
    samples = np.concatenate((ring.centres[:5], ring.centres[5:6] + 4 * ring.std))
    assert toys.modes("ring", samples) == {"modes": 5, "of": 8, "near_a_mode": 5 / 6}
    assert toys.modes("grid", toys.draw("grid", 5000, 0))["modes"] == 25
    assert toys.modes("swiss", samples) == {}


def test_swiss_roll_has_the_size_of_the_paper():
    roll = toys.draw("swiss", 20_000, 0)
    radius = np.linalg.norm(roll, axis=1)
    assert radius.max() == pytest.approx(4.5 * math.pi / 7.5, rel=0.1)
    assert radius.min() == pytest.approx(1.5 * math.pi / 7.5, rel=0.2)


def test_segments_have_the_gradient_of_the_distance():
    for theta, measured in segments.cases(thetas=2, steps=60):
        sign, row = math.copysign(1, theta), measured()
        assert row["w1"] == pytest.approx(1)
        assert row["w1_gradient"] == pytest.approx(sign)
        assert row["critic_gradient"] == pytest.approx(sign, abs=0.1)
        assert row["js"] == math.log(2)


def test_speed_returns_positive_ratios():
    for name in speed.RATIOS:
        assert speed.run(name, width=8, batch=8, rounds=2)["ratio"] > 0


def test_rows_are_kept_once_and_shown(tmp_path):
    path = tmp_path / "deep" / "gan.json"
    for seeds in ([0], [0, 1]):
        EXPERIMENT.run(["ring"], EXPERIMENT.settings(seeds=seeds, steps=2, critics=["gp"]), path)
    rows = EXPERIMENT.rows(path)
    assert [r["seed"] for r in rows] == [0, 1]
    page = tmp_path / "page.md"
    marks = [f"<!-- table of benchmarks/gan: {side} -->" for side in ("start", "end")]
    page.write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
    EXPERIMENT.into(page, rows)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| ring, gp | 2 |" in text


@pytest.mark.parametrize("critic", ["relativistic", "conv", "clipping"])
def test_enlarged_digits_are_trained_and_measured(critic):
    row = digits.run(critic, seed=0, steps=2, every=1, side=digits.LARGE)
    assert row["w1_floor"] == pytest.approx(7.0, abs=0.1)
    assert row["w1_floor"] < row["w1"] < 30
    assert len(row["checkpoints"]) == 2


def test_the_last_step_is_trained_and_measured_whatever_the_spacing():
    row = digits.run("clipping", seed=0, steps=3, every=2)
    assert [c["step"] for c in row["checkpoints"]] == [2, 3]
    assert [c["step"] for c in digits.run("clipping", 0, 1, 250)["checkpoints"]] == [1]


def test_each_recipe_of_enlarged_digits_has_the_steps_that_its_row_shows():
    for row in EXPERIMENT.rows():
        if row["experiment"] == "digits28":
            assert row["steps"] == digits.LARGE_STEPS.get(row["critic"], 2000)


@pytest.mark.parametrize("name", critics.CRITICS)
def test_critics_prove_a_share_of_the_distance(name):
    row = critics.run(name, 0, steps=3, maps=2)
    if "missing" in row:
        assert row["missing"].split(".")[0] in ("orthogonium", "deel")
        return
    assert row["w1"] == pytest.approx(13.48, abs=0.01)  # POT: ot.emd2 of the distances
    assert -1e-3 <= row["share"] * row["bound"] <= row["slope"] <= 1 + 1e-3
    assert row["slope"] <= row["bound"] * (1 + 1e-3)


def test_the_table_of_critics_says_what_is_not_installed():
    known = {"experiment": "critics", "seed": 0}
    measured = {
        "share": 0.5, "milliseconds": 12.0, "bound": 1.0, "slope": 0.9, "parameters": 1234,
    }  # fmt: skip
    rows = [
        {**known, "critic": "orthogonium", "missing": "orthogonium"},
        {**known, "critic": "LipschitzCritic", **measured},
        {**known, "critic": "LipschitzCritic", **measured, "seed": 1, "share": 0.7},
    ]
    text = table.render(rows)
    assert "| LipschitzCritic | 2 | 0.600 | 1.0000 | 0.900 | 1,234 | 12 |" in text
    assert "| orthogonium | – | not installed |" in text
