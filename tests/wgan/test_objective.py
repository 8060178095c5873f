"""Losses of a step: relativistic pairs, functions of one's own, and networks with labels."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from otdist import wgan
from otdist.wgan.functional import relativistic_critic_loss, relativistic_generator_loss
from otdist.wgan.objective import Given


class WithLabels(nn.Module):
    """A network of (n, width) and labels (n,), which it sees as one more coordinate."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width + 1, 16), nn.Tanh(), nn.Linear(16, out))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        self.seen.append(label)
        return self.layers(torch.cat([x, label[:, None].to(x)], 1))


def conditional(**options: Any) -> wgan.WGANTrainer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = WithLabels(3, 2), WithLabels(2, 1)
    options = {"latent_dim": 3, "batch_size": 8, "n_critic": 2, "conditional": True, **options}
    return wgan.WGANTrainer(*networks, **options)


LABELS = torch.arange(48) % 3
DATA = torch.randn(48, 2, generator=torch.Generator().manual_seed(1)) + LABELS[:, None]


class Pairs(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 48

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return DATA[i], int(LABELS[i])


@pytest.mark.parametrize(
    "data",
    [(DATA, LABELS), (DATA.numpy(), LABELS.numpy()), TensorDataset(DATA, LABELS), Pairs()],
    ids=["tensors", "arrays", "TensorDataset", "map-style"],
)
def test_every_kind_of_labelled_data_trains_alike(data):
    trainer, other = conditional(), conditional()
    trainer.train((DATA, LABELS), steps=3)
    other.train(data, steps=3)
    some = torch.tensor([0, 1, 2, 2])
    assert torch.equal(trainer.sample(4, labels=some), other.sample(4, labels=some))


def test_labels_stay_with_their_samples():
    seen = []

    class Spy(WithLabels):
        def forward(self, x: Tensor, label: Tensor) -> Tensor:
            seen.append((x.detach(), label))
            return super().forward(x, label)

    trainer = wgan.WGANTrainer(
        WithLabels(3, 2), Spy(2, 1), 3, batch_size=8, n_critic=2, conditional=True
    )
    trainer.train((DATA, LABELS), epochs=1)
    real = [(row, int(k)) for x, y in seen for row, k in zip(x, y, strict=True)]
    found = [
        (int(torch.where((row == DATA).all(1))[0][0]), label)
        for row, label in real
        if (row == DATA).all(1).any()
    ]
    assert len(found) >= 48
    assert all(LABELS[row] == label for row, label in found)


def test_an_iterable_of_labelled_batches():
    trainer = conditional()
    assert trainer.train(DataLoader(TensorDataset(DATA, LABELS), 8), epochs=1)[-1]["step"] == 3
    trainer.train_step([(DATA[:8], LABELS[:8]), (DATA[8:16], LABELS[8:16])])
    trainer.train_step((DATA[:16], LABELS[:16]))
    assert [len(seen) for seen in trainer.generator.seen[-3:]] == [8, 8, 8]
    assert trainer.step == 5


def test_a_generator_learns_what_labels_mean():
    """Two labels, two places: samples of each label move to theirs."""
    labels = torch.arange(512) % 2
    data = 0.1 * torch.randn(512, 2, generator=torch.Generator().manual_seed(2))
    data[:, 0] += 4.0 * labels - 2.0
    trainer = conditional(lr=1e-2, lambda_gp=0.1, batch_size=64)
    trainer.train((data, labels), steps=150)
    low, high = (trainer.sample(64, labels=torch.full((64,), k)).mean(0)[0] for k in (0, 1))
    assert float(low) < -1.0 < 1.0 < float(high)


def test_evaluation_makes_samples_of_the_held_out_labels():
    trainer = conditional()
    evaluation = wgan.Evaluation(DATA[:16], every=2, size=16, labels=LABELS[:16])
    (record,) = trainer.train((DATA, LABELS), steps=2, evaluation=evaluation)
    assert "w1_lower" not in record
    assert record["w1"] > 0
    assert "gap_held_out" in record
    with pytest.raises(ValueError, match="labels must hold one for each of 2 samples"):
        conditional().train((DATA, LABELS), steps=2, evaluation=wgan.Evaluation(DATA[:16]))
    with pytest.raises(ValueError, match="one for each of 16 samples: got \\(3,\\)"):
        wgan.Evaluation(DATA[:16], labels=[0, 1, 2])


def test_other_labels_are_other_data(tmp_path):
    conditional().train((DATA, LABELS), steps=2, out=tmp_path)
    with pytest.raises(ValueError, match="other data: labels: content"):
        conditional().train((DATA, LABELS.flip(0)), steps=3, out=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: conditional().train(DATA, steps=1), "must be a tuple \\(samples, labels\\)"),
        (lambda: conditional().train_critic_step(DATA[:8]), "must be a tuple"),
        (lambda: conditional().train_critic_step((DATA[:8], LABELS[:7])), "one label per sample"),
        (lambda: conditional().train_generator_step(8), "needs a real batch of 8 samples"),
        (lambda: conditional().sample(3), "one for each of 3 samples: got None"),
        (lambda: conditional().sample(3, labels=[1, 2]), "each of 3 samples: got \\(2,\\)"),
        (lambda: plain().sample(2, labels=[1, 2]), "conditional=True"),
        (lambda: plain(conditional="yes"), "conditional must be"),
        (lambda: plain(loss="hinge"), "loss must be one of"),
    ],
)
def test_errors(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def plain(**options: Any) -> wgan.WGANTrainer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        networks = wgan.MLPGenerator(3, 2, (16,), bounded=False), wgan.MLPCritic(2, (16,))
    return wgan.WGANTrainer(*networks, latent_dim=3, batch_size=8, n_critic=2, **options)


def test_a_relativistic_step_minimises_the_losses_of_pairs():
    trainer = plain(loss="relativistic", mode="r1-r2", lambda_gp=0.5)
    noise = trainer.random.get_state()
    fake = trainer.generator(trainer.noise(8)).detach()
    trainer.random.set_state(noise)
    real = DATA[:8]
    scores = trainer.critic(real), trainer.critic(fake)
    slopes = [
        wgan.compute_gradient_penalty(trainer.critic, x, None, 0.5, mode="r1") for x in (real, fake)
    ]
    expected = relativistic_critic_loss(*scores) + sum(slopes)
    values = trainer.train_critic_step(real)
    assert float(values["critic_loss"]) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert float(values["gap"]) == pytest.approx(
        float((scores[0].mean() - scores[1].mean()).detach())
    )

    noise = trainer.random.get_state()
    fake = trainer.generator(trainer.noise(8))
    trainer.random.set_state(noise)
    expected = relativistic_generator_loss(trainer.critic(real), trainer.critic(fake))
    values = trainer.train_generator_step(8, real)
    assert float(values["generator_loss"]) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert "not W_1" in trainer.settings.gap_means


def test_a_relativistic_trainer_learns_a_place():
    trainer = plain(loss="relativistic", mode="r1-r2", lambda_gp=0.1, lr=5e-3)
    trainer.train(DATA + 3.0, steps=200)
    assert float((trainer.sample(200).mean(0) - DATA.mean(0) - 3.0).norm()) < 1.5


def test_the_critics_loss_can_be_replaced(tmp_path):
    trainer = plain()
    trainer.critic_loss_fn = wgan.hinge_critic_loss
    values = trainer.train_critic_step(DATA[:8])
    assert float(values["critic_loss"] - values["penalty"]) == pytest.approx(2.0, abs=0.5)
    trainer.train(DATA, steps=2, out=tmp_path)
    message = "other losses: critic was hinge_critic_loss, is critic_loss"
    with pytest.raises(ValueError, match=message):
        plain().train(DATA, steps=3, out=tmp_path, resume=True)


def test_labels_are_repeated_for_several_copies_of_a_batch():
    network = WithLabels(2, 1)
    given = Given(network, torch.tensor([0, 1]))
    twice = given(torch.zeros(4, 2))
    torch.testing.assert_close(twice[:2], twice[2:])
    assert np.array_equal(network.seen[0].numpy(), [0, 1, 0, 1])
