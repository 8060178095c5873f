"""`otdist train`: a run folder, samples in the units of the file, resume, and usage errors."""

import json
import signal

import numpy as np
import pytest
from typer.testing import CliRunner

from otdist.cli import app
from otdist.wgan import WGANTrainer

SMALL = ("--hidden", "8", "--latent-dim", "2", "--n-critic", "1", "--batch-size", "8")


def call(*arguments, code=0):
    result = CliRunner().invoke(app, ["train", *(str(argument) for argument in arguments)])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def table(tmp_path):
    """Rows far from the origin, in large units."""
    rows = np.random.default_rng(0).normal(size=(60, 3)) * 100 + 5000
    np.save(tmp_path / "table.npy", rows)
    return tmp_path / "table.npy"


def test_run_folder_and_units(table, tmp_path):
    out = tmp_path / "run"
    result = call(table, "--out", out, *SMALL, "--steps", 6, "--every", 3, "--json")
    content = json.loads(result.stdout)
    names = {path.name for path in out.iterdir()}
    assert {"config.json", "log.jsonl", "checkpoint.pt", "samples.npy"} <= names
    assert content["command"] == "train"
    assert content["steps"] == content["evaluated_at"] == 6
    assert content["scale"] == pytest.approx(100, rel=0.2)
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert content["w1"] == pytest.approx(records[-1]["w1"] * content["scale"])
    assert content["w1_lower"] <= content["w1"]
    samples = np.load(out / "samples.npy")
    assert samples.shape == (1000, 3)
    assert np.abs(samples.mean(0) - 5000).max() < 1000


def test_resume_ends_where_an_unbroken_run_ends(table, tmp_path):
    call(table, "--out", tmp_path / "whole", *SMALL, "--steps", 8, "--every", 4)
    call(table, "--out", tmp_path / "parts", *SMALL, "--steps", 4, "--every", 4)
    call(table, "--out", tmp_path / "parts", *SMALL, "--steps", 8, "--every", 4, "--resume")
    whole, parts = (np.load(tmp_path / name / "samples.npy") for name in ("whole", "parts"))
    np.testing.assert_array_equal(whole, parts)


def test_resuming_with_other_data_is_refused(table, tmp_path):
    call(table, "--out", tmp_path / "run", *SMALL, "--steps", 2)
    np.save(table, np.load(table) ** 2)
    result = call(table, "--out", tmp_path / "run", *SMALL, "--steps", 4, "--resume", code=3)
    assert "other data: content was" in result.output


def test_ctrl_c_ends_with_a_checkpoint_and_says_how_to_go_on(table, tmp_path, monkeypatch):
    step = WGANTrainer.train_step

    def pressed(self, real):
        if self.step == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self, real)

    monkeypatch.setattr(WGANTrainer, "train_step", pressed)
    result = call(table, "--out", tmp_path / "run", *SMALL, "--steps", 500, code=130)
    assert "stopped after step 3" in result.output
    assert "Go on with --resume" in result.output
    monkeypatch.undo()
    call(table, "--out", tmp_path / "run", *SMALL, "--steps", 4, "--resume")


@pytest.mark.parametrize("critic", ["lp", "clip", "orthogonal", "spectral"])
def test_critics(table, tmp_path, critic):
    result = call(table, "--out", tmp_path, *SMALL, "--steps", 2, "--critic", critic)
    assert "floor" in result.stdout  # the last step is evaluated, however few there are
    assert "gap is" in result.stdout


def test_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 17, size=(40, 8, 8))
    np.save(tmp_path / "images.npy", images)
    options = (*SMALL, "--steps", 2, "--every", 2, "--shape", "8,8", "--samples", 12)
    result = call(tmp_path / "images.npy", "--out", tmp_path / "run", *options)
    assert "floor" in result.stdout
    samples = np.load(tmp_path / "run" / "samples.npy")
    assert samples.shape == (12, 8, 8)
    assert 0 <= samples.min() <= samples.max() <= 16


@pytest.mark.parametrize(
    "options, code, message",
    [
        (("--hidden", "8,x"), 2, "positive whole numbers"),
        (("--shape", "2,2"), 2, "does not fit rows of 3 numbers"),
        (("--held-out", "1.5"), 2, "between 0 and 1"),
        (("--critic", "clip", "--lambda-gp", "1"), 2, "belongs to the critics gp and lp"),
        (("--resume",), 3, "nothing to resume"),
        (("--held-out", "0.99"), 3, "needs more rows to train and hold some out: it has 60"),
    ],
)
def test_errors(table, tmp_path, options, code, message):
    result = call(table, "--out", tmp_path / "run", "--steps", "2", *options, code=code)
    assert message in " ".join(result.output.replace("│", " ").split())


def test_a_folder_with_a_run_is_kept(table, tmp_path):
    call(table, "--out", tmp_path, *SMALL, "--steps", 2)
    result = call(table, "--out", tmp_path, *SMALL, "--steps", 2, code=3)
    assert "already holds a run" in result.output
