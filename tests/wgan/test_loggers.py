"""Loggers get every record of a run under its step, and name their extras."""

import sys
import types

import pytest
import torch

from otdist import wgan


class Writer:
    def __init__(self, folder=None):
        self.folder, self.seen, self.flushed = folder, [], 0

    def add_scalar(self, name, value, step):
        self.seen.append((name, value, step))

    def log(self, values, step):
        self.seen += [(name, value, step) for name, value in values.items()]

    def flush(self):
        self.flushed += 1


@pytest.mark.parametrize("kind", [wgan.TensorBoardLogger, wgan.WandbLogger])
def test_all_numbers_of_all_records_arrive(kind):
    writer = Writer()
    networks = wgan.MLPGenerator(2, 2, (4,)), wgan.MLPCritic(2, (4,))
    trainer = wgan.WGANTrainer(*networks, latent_dim=2, n_critic=1)
    data, watch = torch.rand(64, 2), wgan.Evaluation(torch.rand(20, 2), every=2)
    records = trainer.train(data, steps=4, log_every=1, evaluation=watch, callbacks=[kind(writer)])
    expected = [
        (name, value, record["step"])
        for record in records
        for name, value in record.items()
        if name != "step"
    ]
    assert writer.seen == expected
    assert {"w1", "w1_floor", "gap"} <= {name for name, _, _ in writer.seen}


def test_a_folder_opens_a_writer_of_tensorboard(monkeypatch, tmp_path):
    module = types.ModuleType("torch.utils.tensorboard")
    monkeypatch.setattr(module, "SummaryWriter", Writer, raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    logger = wgan.TensorBoardLogger(tmp_path)
    logger.on_log(None, {"step": 1, "gap": 0.5})
    assert logger.writer.folder == str(tmp_path)
    assert (logger.writer.seen, logger.writer.flushed) == ([("gap", 0.5, 1)], 1)


def test_a_run_of_wandb_is_begun(monkeypatch):
    module = types.ModuleType("wandb")
    monkeypatch.setattr(module, "init", Writer, raising=False)
    monkeypatch.setitem(sys.modules, "wandb", module)
    assert isinstance(wgan.WandbLogger().run, Writer)


def test_missing_packages_name_their_extras(monkeypatch, tmp_path):
    for name in ("tensorboard", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"otdist\[tensorboard\]"):
        wgan.TensorBoardLogger(tmp_path)
    with pytest.raises(ImportError, match=r"otdist\[wandb\]"):
        wgan.WandbLogger()


def test_what_cannot_log_is_refused():
    with pytest.raises(TypeError, match="add_scalar of folder must be a function: got None"):
        wgan.TensorBoardLogger(3)
    with pytest.raises(TypeError, match="log of run must be a function: got None"):
        wgan.WandbLogger("run")
