"""A run of the trainer: how long, what is logged and told, and how it ends."""

import json
import math
from typing import Any

import pytest
from torch import Tensor, nn

from otdist import wgan
from tests.wgan.small import DATA, build


def test_steps_take_the_place_of_epochs():
    trainer = build()
    trainer.train(DATA, steps=12)
    assert trainer.step == 12
    trainer.train(DATA, steps=15)
    assert trainer.step == 15


def test_short_runs_are_logged_and_evaluated_at_their_end():
    for data in (DATA, list(DATA.split(16))):
        records = build().train(data, evaluation=wgan.Evaluation(DATA[:8], every=500))
        assert [r["step"] for r in records] == [5]
        assert {"gap", "w1", "w1_floor"} <= set(records[0])
    steps = [
        [(r["step"], "w1" in r) for r in build(seed=1).train(DATA, steps=n, **options)]
        for n, options in (
            (3, {"log_every": 1}),
            (3, {"log_every": 3, "evaluation": wgan.Evaluation(DATA[:8], every=2)}),
            (4, {"log_every": 10, "evaluation": wgan.Evaluation(DATA[:8], every=2)}),
        )
    ]
    assert steps == [
        [(1, False), (2, False), (3, False)],
        [(2, True), (3, True)],
        [(2, True), (4, True)],
    ]


@pytest.mark.parametrize(
    "options", [{"epochs": 0}, {"epochs": 1.5}, {"steps": 0}, {"log_every": 0}, {"steps": 2.5}]
)
def test_lengths_of_runs_are_whole_numbers(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} must be (an integer, )?at least 1"):
        build().train(DATA, **options)


def test_callbacks_are_told_what_happens(tmp_path):
    seen: list[Any] = []

    class Tells(wgan.Callback):
        def on_step(self, trainer, values):
            seen.append(("step", trainer.step, float(values["gap"])))

        def on_log(self, trainer, record):
            seen.append(("log", record["step"]))

        def on_evaluation(self, trainer, figures):
            seen.append(("evaluation", figures["w1"]))

        def on_checkpoint(self, trainer, path):
            seen.append(("checkpoint", path.name))

        def on_end(self, trainer, records):
            seen.append(("end", len(records)))

    records = build().train(
        DATA, steps=3, out=tmp_path, log_every=2, checkpoint_every=2, callbacks=[Tells()],
        evaluation=wgan.Evaluation(DATA[:8], every=3),
    )  # fmt: skip
    assert [entry[:2] for entry in seen] == [
        *(("step", 1), ("step", 2), ("log", 2), ("checkpoint", "checkpoint.pt")),
        *(("step", 3), ("evaluation", records[-1]["w1"]), ("log", 3)),
        *(("checkpoint", "checkpoint.pt"), ("end", 2)),
    ]
    assert seen[1][2] == pytest.approx(records[0]["gap"])


def test_log_and_config_are_written(tmp_path):
    trainer = build()
    records = trainer.train(DATA, epochs=2, out=tmp_path / "run", log_every=2)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records
    assert [r["step"] for r in records] == [2, 4, 6, 8, 10]
    assert {"seconds", "gap", "critic_loss", "generator_loss", "penalty"} <= set(records[0])
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["lambda_gp"] == 10
    assert "not certified" in config["gap_means"]
    assert (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    build().train(DATA, out=tmp_path)
    with pytest.raises(ValueError, match="already holds a run"):
        build().train(DATA, out=tmp_path)


class Explodes(nn.Module):
    """A critic that returns NaN after so many calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.inner, self.left = wgan.MLPCritic(2, (8,)), calls

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        return self.inner(x) * (math.nan if self.left < 0 else 1.0)


def test_nan_stops_and_the_last_good_checkpoint_stays(tmp_path):
    trainer = build(critic=Explodes(7 * 7))  # seven calls per step
    with pytest.raises(wgan.TrainingDiverged, match=r"not finite at step 8.*step 6 is kept"):
        trainer.train(DATA, steps=20, out=tmp_path, log_every=1, checkpoint_every=2)
    again = build(critic=Explodes(10**9))
    again.load(tmp_path / "checkpoint.pt")
    assert again.step == 6
    assert all(bool(p.isfinite().all()) for p in again.critic.parameters())


def test_nan_without_a_folder_says_how_to_have_checkpoints():
    with pytest.raises(wgan.TrainingDiverged, match="pass out="):
        build(critic=Explodes(3)).train(DATA, log_every=1)
