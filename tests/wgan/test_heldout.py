"""The evaluation beside the critic: exact distances, their floor, and certified lower bounds."""

import json

import pytest
import scipy.stats
import torch
from torch import nn

from otdist import wgan
from otdist.wgan.batches import source_of

SEED = torch.Generator().manual_seed(0)
REAL = torch.randn(120, 2, generator=SEED)
HELD_OUT = torch.randn(40, 2, generator=SEED)


def source(data=REAL):
    return source_of(data, batch_size=8, epochs=1, seed=0)


def shifted(count: int) -> torch.Tensor:
    """A generator of held-out points moved by (3, 4): W_1 is 5, as is every sample's shift."""
    return HELD_OUT[:count] + torch.tensor([3.0, 4.0])


def critic(layers="orthogonal") -> wgan.MLPCritic:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return wgan.MLPCritic(2, (16,), layers=layers)


def test_exact_distance_and_floor():
    figures = wgan.Evaluation(HELD_OUT, size=40).measure(shifted, critic(), source())
    assert figures["w1"] == pytest.approx(5.0, rel=1e-6)
    assert 0 < figures["w1_floor"] < 1
    assert 0 < figures["sliced_floor"] < figures["sliced"] <= figures["w1"]


def test_distance_on_the_line_is_scipys():
    line, fake = HELD_OUT[:, :1], torch.linspace(-1, 2, 40)[:, None]
    figures = wgan.Evaluation(line).measure(
        lambda n: fake[:n], wgan.MLPCritic(1, (4,)), source(REAL[:, :1])
    )
    expected = scipy.stats.wasserstein_distance(line[:, 0].numpy(), fake[:, 0].numpy())
    assert figures["w1"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("layers", ["orthogonal", "spectral", "plain"])
def test_lower_bound_never_exceeds_the_exact_distance(layers):
    network = critic(layers)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        loss = wgan.critic_loss(network(HELD_OUT), network(shifted(40)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    figures = wgan.Evaluation(HELD_OUT).measure(shifted, network, source())
    assert figures["w1_lower"] <= figures["w1"]
    if layers == "orthogonal":
        assert figures["w1_lower"] > 0.9 * figures["w1"]


def test_unknown_layers_leave_the_gap_uncertified():
    network = nn.Sequential(nn.Linear(2, 8), nn.LayerNorm(8), nn.Linear(8, 1))
    figures = wgan.Evaluation(HELD_OUT).measure(shifted, network, source())
    assert "gap_held_out" in figures
    assert "w1_lower" not in figures


def test_streams_have_their_floor_between_halves():
    figures = wgan.Evaluation(HELD_OUT).measure(shifted, critic(), source([REAL[:8]]))
    assert figures["w1"] == pytest.approx(5.0, rel=1e-6)
    assert 0 < figures["w1_floor"] < 1.5


def test_training_logs_it(tmp_path):
    generator = wgan.MLPGenerator(3, 2, (8,), bounded=False)
    trainer = wgan.WGANTrainer(generator, critic("plain"), 3, batch_size=8, n_critic=1)
    trainer.train(
        REAL, steps=12, out=tmp_path, log_every=5, evaluation=wgan.Evaluation(HELD_OUT, every=4)
    )
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == [4, 5, 8, 10, 12]
    assert [r["step"] for r in records if "w1" in r] == [4, 8, 12]
    assert trainer.critic.training


@pytest.mark.parametrize(
    "options, message",
    [
        ({"every": 0}, "every must be at least 1: got 0"),
        ({"every": 2.5}, "every must be an integer, at least 1: got 2.5"),
        ({"size": 1}, "size must be at least 2: got 1"),
        ({"held_out": HELD_OUT[:3]}, "held_out must hold at least 4 rows: got 3"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        wgan.Evaluation(**{"held_out": HELD_OUT, **options})
