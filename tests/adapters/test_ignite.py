"""The handler writes exact distances into the metrics of an engine."""

import numpy as np
import pytest
import torch

pytest.importorskip("ignite")
from ignite.engine import Engine

from otdist.adapters.ignite import HeldOutDistances

HELD_OUT = np.random.default_rng(0).normal(size=(40, 2))


def test_distances_are_written_every_so_many_epochs():
    module, modes = torch.nn.Linear(2, 2), []

    def sample(rows):
        modes.append(module.training)
        return HELD_OUT[:rows] + engine.state.epoch

    engine = Engine(lambda engine, batch: None)
    HeldOutDistances(HELD_OUT, sample, module, size=10).attach(engine, every=2)
    engine.run([0], max_epochs=5)
    assert modes == [False, False]
    assert module.training
    metrics = engine.state.metrics
    assert metrics["w1"] == pytest.approx(4 * np.sqrt(2), rel=1e-6)
    assert metrics["w1_floor"] > 0
    assert metrics["sliced"] > metrics["sliced_floor"]


def test_what_is_drawn_is_checked():
    engine = Engine(lambda engine, batch: None)
    HeldOutDistances(HELD_OUT, lambda rows: HELD_OUT[:3]).attach(engine)
    with pytest.raises(ValueError, match="as many rows as asked, 20: got 3"):
        engine.run([0])
    with pytest.raises(TypeError, match="module must be"):
        HeldOutDistances(HELD_OUT, len, module="network")
