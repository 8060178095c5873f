"""Networks have the sizes asked for, refuse other shapes, and are 1-Lipschitz where they say so."""

import pytest
import torch
from torch import nn

from otdist import wgan
from otdist.critics.layers import lipschitz_bound


def widths(network: nn.Module) -> list[int]:
    return [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)]


def test_guides_sizes_are_the_defaults():
    assert widths(wgan.MLPGenerator()) == [128, 256, 512, 1024, 784]
    assert widths(wgan.MLPCritic()) == [512, 256, 128, 1]


@pytest.mark.parametrize(
    "network, given, out",
    [
        (wgan.MLPGenerator(4, (2, 3), hidden=(5,)), (7, 4), (7, 2, 3)),
        (wgan.MLPCritic((2, 3), hidden=(4,)), (7, 2, 3), (7, 1)),
        (wgan.WGANCritic(3, 4), (2, 3, 32, 32), (2, 1)),
        (wgan.SNWGANCritic(3, 4), (2, 3, 32, 32), (2, 1)),
        (wgan.LipschitzCritic(3, 4, size=16), (2, 3, 16, 16), (2, 1)),
        (wgan.WGANGenerator(6, 3, 4), (2, 6), (2, 3, 32, 32)),
    ],
)
def test_shapes(network, given, out):
    assert network(torch.zeros(given)).shape == out
    with pytest.raises(ValueError, match=f"expects input of shape .*{given[-1]}"):
        network(torch.zeros(*given, 1))


def test_bounded_generators_stay_in_range():
    noise = 100 * torch.randn(50, 4)
    assert float(wgan.MLPGenerator(4, 3, hidden=(8,))(noise).detach().abs().max()) <= 1
    assert float(wgan.MLPGenerator(4, 3, (8,), bounded=False)(noise).detach().abs().max()) > 1


@pytest.mark.parametrize(
    "critic",
    [
        *(wgan.MLPCritic((1, 4, 4), (32, 32), layers=k) for k in ("orthogonal", "bjorck")),
        wgan.MLPCritic((1, 4, 4), (32, 32), layers="spectral"),
        wgan.SNWGANCritic(1, 4),
        wgan.LipschitzCritic(1, 4),
    ],
)
def test_certified_critics_are_one_lipschitz(critic):
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(torch.randn_like(parameter))
    bound = lipschitz_bound(critic)
    assert 0.05 < bound <= (1 if isinstance(critic, wgan.SNWGANCritic) else 1 + 1e-5)
    side = critic.shape[-1]
    x, y = torch.randn(2, 64, 1, side, side)
    y = x + 0.01 * y
    slopes = (critic(x) - critic(y)).abs().flatten() / (x - y).flatten(1).norm(dim=1)
    assert float(slopes.detach().max()) <= bound * (1 + 1e-3)


def test_a_spectral_critic_of_flat_kernels_is_bounded_by_the_least_of_its_proofs():
    critic = wgan.SNWGANCritic(1, 4)
    for parameter in critic.parameters():
        nn.init.ones_(parameter)
    assert 0.9 < lipschitz_bound(critic) <= 1


def test_plain_critics_have_a_bound_too():
    assert lipschitz_bound(wgan.MLPCritic(3, hidden=(8, 8))) > 0
    assert lipschitz_bound(wgan.WGANCritic(1, 4)) > 0


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: wgan.MLPCritic(3, hidden=()), "hidden must be integers, at least one"),
        (lambda: wgan.MLPCritic((0, 2)), "each of shape must be at least 1"),
        (lambda: wgan.MLPCritic(3, layers="clipped"), "plain, orthogonal, bjorck, spectral"),
        (lambda: wgan.SNWGANCritic(1, 5), "even"),
        (lambda: wgan.LipschitzCritic(1, 5), "even"),
        (lambda: wgan.LipschitzCritic(size=28), "multiple of 8"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_every_public_name_resolves():
    for name in wgan.__all__:
        assert getattr(wgan, name) is not None


def test_generators_normalise_over_the_batch_where_asked():
    generator = wgan.MLPGenerator(4, (2, 3), hidden=(5, 6), norm="batch")
    assert widths(generator) == [5, 6, 6]
    norms = [layer for layer in generator.modules() if isinstance(layer, nn.BatchNorm1d)]
    assert [layer.num_features for layer in norms] == [5, 6]
    assert generator(torch.randn(7, 4)).shape == (7, 2, 3)
    assert not torch.equal(norms[0].running_mean, torch.zeros(5))
    with pytest.raises(ValueError, match="norm must be one of batch"):
        wgan.MLPGenerator(4, 2, norm="layer")
