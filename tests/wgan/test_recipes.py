"""`train_wgan_gp` is the trainer under the name and with the arguments of torch pages."""

import pytest
import torch

from otdist import wgan

DATA = torch.rand(160, 2, generator=torch.Generator().manual_seed(0))


def networks():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return wgan.MLPGenerator(3, 2, (8,)), wgan.MLPCritic(2, (8,))


def test_it_does_what_the_trainer_does():
    loader = list(DATA.split(16))
    config = {"latent_dim": 3, "n_critic": 2, "lr": 1e-3, "lambda_gp": 0.1, "epochs": 2}
    config |= {"log_every": 1, "seed": 3}
    ours, theirs = networks(), networks()
    found = wgan.train_wgan_gp(*ours, loader, config, "cpu")
    how = {"latent_dim": 3, "n_critic": 2, "lr": 1e-3, "lambda_gp": 0.1, "seed": 3}
    expected = wgan.WGANTrainer(*theirs, **how).train(loader, 2, log_every=1)
    assert [r["critic_loss"] for r in found] == [r["critic_loss"] for r in expected]
    for a, b in zip(ours[0].parameters(), theirs[0].parameters(), strict=True):
        assert torch.equal(a, b)


def test_defaults_and_unknown_entries():
    generator, critic = wgan.MLPGenerator(100, 2, (4,)), wgan.MLPCritic(2, (4,))
    assert wgan.train_wgan_gp(generator, critic, DATA, {"batch_size": 16})[-1]["step"] == 2
    with pytest.raises(ValueError, match=r"config must be among latent_dim.*got z_dim"):
        wgan.train_wgan_gp(generator, critic, DATA, {"z_dim": 100})
    with pytest.raises(TypeError, match="config must be a dictionary of options"):
        wgan.train_wgan_gp(generator, critic, DATA, [("epochs", 3)])
