"""Weights are divided by their norms, of every kind of layer, or it is said that they are not."""

import pytest
import torch
from torch import nn

from otdist import NeuralDual
from otdist.critics import spectral


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Linear(4, 3), (4,)),
        (nn.Conv1d(2, 3, 3), (2, 5)),
        (nn.Conv2d(2, 3, 3), (2, 5, 5)),
        (nn.ConvTranspose2d(2, 3, 3), (2, 5, 5)),
    ],
)
def test_every_kind_of_layer_is_divided_and_settles(layer, shape):
    spectral.divide(nn.Sequential(layer))
    x = torch.ones(1, *shape)
    for _ in range(50):  # iterations go on with forward passes
        layer(x)
    layer.eval()
    weight = layer.weight.detach()
    across = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    assert float(torch.linalg.matrix_norm(across.flatten(1), 2)) == pytest.approx(1, abs=1e-3)
    spectral.settle(layer)
    assert torch.equal(dict(layer.named_parameters())["weight"], weight)


def test_what_cannot_be_divided_raises():
    x = torch.zeros(20, 2)
    for critic, message in (
        (nn.Sequential(nn.Flatten(), nn.Bilinear(2, 2, 1)), "and the critic has none"),
        (nn.utils.spectral_norm(nn.Linear(2, 1)), "a Linear of the critic makes its own"),
    ):
        with pytest.raises(ValueError, match=message):
            spectral.divide(critic)
    own = nn.utils.spectral_norm(nn.Linear(2, 1))
    with pytest.raises(ValueError, match="leave out its normalisation"):
        NeuralDual(own, lipschitz="spectral").fit(x, x)
