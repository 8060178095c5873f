"""Options of the trainer: defaults of the guides, ranges, and none without effect."""

import math

import pytest
import torch
from torch import nn

from otdist import wgan
from otdist.wgan.trainer import WGANTrainer
from tests.wgan.small import DATA, build


def test_guides_defaults():
    settings = WGANTrainer(wgan.MLPGenerator(), wgan.MLPCritic()).settings
    assert (settings.latent_dim, settings.use_gp, settings.lambda_gp) == (100, True, 10)
    assert (settings.n_critic, settings.betas, settings.clip_value) == (5, (0.0, 0.9), 0.01)


def test_optimizers_follow_the_recipe():
    adam = build().critic_optimizer
    assert isinstance(adam, torch.optim.Adam)
    assert (adam.defaults["lr"], adam.defaults["betas"]) == (1e-4, (0.0, 0.9))
    rms = build(use_gp=False).critic_optimizer
    assert isinstance(rms, torch.optim.RMSprop)
    assert rms.defaults["lr"] == 5e-5
    assert build(lr=0.1).generator_optimizer.defaults["lr"] == 0.1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"mode": "twosided"}, "mode must be one of"),
        ({"mode": "lp", "use_gp": False}, "no effect"),
        ({"n_critic": 0}, "n_critic must be at least 1: got 0"),
        ({"lambda_gp": -1}, "lambda_gp"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"betas": (0, 1)}, "betas"),
        ({"clip_value": -0.1, "use_gp": False}, "clip_value"),
        ({"ema": 1.0}, "ema"),
        ({"ema": "0.9"}, "ema"),
        ({"latent_dim": 3.0}, "latent_dim must be an integer, at least 1: got 3.0"),
        ({"betas": 0.5}, "betas must be 2 numbers: got 0.5"),
        ({"amp": "float16"}, "amp must be True or False: got 'float16'"),
        ({"amp": torch.float16}, "amp must be True or False"),
        ({"use_gp": 1}, "use_gp must be True or False: got 1"),
        ({"use_gp": None}, "use_gp must be True or False: got None"),
        ({"lambda_gp": math.nan}, "lambda_gp"),
        ({"seed": 1.5}, "seed must be None or an integer"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        build(**options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"clip_value": 0.01}, "clip_value has no effect with use_gp=True"),
        ({"use_gp": False, "lambda_gp": 10.0}, "lambda_gp has no effect with use_gp=False"),
        ({"use_gp": False, "betas": (0.0, 0.9)}, "betas have no effect with clipping"),
        (
            {"use_gp": False, "clip_value": None, "lambda_gp": 1},
            "lambda_gp has no effect with use_gp=False",
        ),
        ({"optimizers": (torch.optim.Adam,) * 2, "lr": 0.1}, "no effect beside optimizers"),
        ({"optimizers": (torch.optim.Adam,) * 2, "betas": (0.5, 0.9)}, "no effect beside"),
        ({"optimizers": torch.optim.Adam}, "optimizers must be two"),
    ],
)
def test_options_without_effect_are_refused_even_at_their_defaults(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_options_that_apply_are_taken():
    assert build(lambda_gp=10.0, betas=(0.0, 0.9)).settings == build().settings
    assert build(clip_value=None).settings.clip_value is None
    assert build(use_gp=False, clip_value=0.01).settings.clips


def test_optimizers_may_be_given_or_made():
    critic = wgan.MLPCritic(2, (16,))
    given = torch.optim.SGD(critic.parameters(), lr=0.1)
    trainer = build(critic=critic, optimizers=(torch.optim.Adamax, given))
    assert isinstance(trainer.generator_optimizer, torch.optim.Adamax)
    assert trainer.critic_optimizer is given
    before = critic.layers[1].weight.detach().clone()
    trainer.train(DATA)
    assert not torch.equal(before, critic.layers[1].weight)
    with pytest.raises(
        TypeError, match=r"each of optimizers must be an optimizer of torch, .*: got 3"
    ):
        build(optimizers=(given, 3))


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="n_critics"):
        build(n_critics=3)


def test_batch_normalisation_in_a_penalised_critic_is_refused():
    critic = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"batch normalisation.*BatchNorm1d"):
        build(critic=critic)
    build(critic=critic, use_gp=False)


def test_optimizers_hold_the_parameters_of_their_network():
    networks = wgan.MLPGenerator(3, 2, (16,)), wgan.MLPCritic(2, (16,))
    of_generator, of_critic = (torch.optim.SGD(one.parameters(), lr=0.1) for one in networks)
    both = torch.optim.SGD([p for one in networks for p in one.parameters()], lr=0.1)
    for wrong, name in (
        ((of_critic, of_generator), "generator"),
        ((of_critic, of_critic), "generator"),
        ((of_generator, both), "critic"),
    ):
        with pytest.raises(ValueError, match=f"optimizer of the {name} must hold parameters of"):
            WGANTrainer(*networks, 3, optimizers=wrong)
    some = torch.optim.SGD(networks[1].layers[1].parameters(), lr=0.1)
    assert WGANTrainer(*networks, 3, optimizers=(of_generator, some)).critic_optimizer is some


def test_networks_have_one_dtype():
    networks = wgan.MLPGenerator(3, 2, (16,)).double(), wgan.MLPCritic(2, (16,))
    with pytest.raises(ValueError, match=r"one dtype: got torch.float64 and torch.float32"):
        WGANTrainer(*networks, 3)
