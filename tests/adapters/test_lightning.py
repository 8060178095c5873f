"""The callback logs exact distances of a module's samples to held-out rows."""

import numpy as np
import pytest
import torch

import otdist

pytest.importorskip("lightning")
from lightning.pytorch import LightningModule, Trainer

from otdist.adapters.lightning import HeldOutDistances

HELD_OUT = np.random.default_rng(0).normal(size=(40, 2))


class Module(LightningModule):
    """Samples that lie farther away after every epoch."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.modes = []

    def sample(self, rows):
        self.modes.append(self.training)
        return torch.from_numpy(HELD_OUT[:rows]) + self.current_epoch

    def training_step(self, batch, index):
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(callback, tmp_path, epochs=4):
    seen = []

    class Seen(type(callback)):
        pass

    module = Module()
    data = torch.utils.data.DataLoader(torch.zeros(4, 2), batch_size=4)
    trainer = Trainer(
        max_epochs=epochs, callbacks=[callback], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
        default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, data)
    seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    return module, seen[-1]


@pytest.mark.filterwarnings("ignore")
def test_distances_are_logged_every_so_many_epochs(tmp_path):
    module, logged = fit(HeldOutDistances(HELD_OUT, every=2), tmp_path)
    assert module.modes == [False, False]
    assert module.training
    assert logged["w1"] == pytest.approx(3 * np.sqrt(2), rel=1e-6)  # of the last epoch
    floor = otdist.wasserstein(HELD_OUT[:20], HELD_OUT[20:]).distance
    assert logged["w1_floor"] == pytest.approx(floor, rel=1e-6)
    assert {"sliced", "sliced_floor"} <= set(logged)


@pytest.mark.filterwarnings("ignore")
def test_a_function_may_draw_the_samples(tmp_path):
    given = HeldOutDistances(HELD_OUT, lambda module, rows: HELD_OUT[:rows], prefix="test/")
    _, logged = fit(given, tmp_path, epochs=1)
    assert logged["test/w1"] == pytest.approx(0, abs=1e-6)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="every must be"):
        HeldOutDistances(HELD_OUT, every=0)
    with pytest.raises(ValueError, match="held_out must hold at least 4 rows"):
        HeldOutDistances(HELD_OUT[:3])
