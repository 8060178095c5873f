"""Spectral normalisation: every weight over its largest singular value, found by power iteration.

Each layer is then near 1-Lipschitz, and so is their composition where activations are. The
iteration bounds the norm from below, so nothing is proved, and of convolutions it takes the norm
of the kernel as a matrix, which theirs may exceed.

Reference: Miyato, Kataoka, Koyama, Yoshida (2018), Spectral Normalization for GANs.
"""

from __future__ import annotations

from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

_LAYERS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def divide(critic: nn.Module) -> None:
    """Divide the weights of linear and convolutional layers by their norms from now on.

    Raises:
        ValueError: there are none, or some are not plain parameters.

    >>> import torch
    >>> layer = nn.Linear(3, 3)
    >>> _ = layer.weight.data.copy_(5 * torch.eye(3))
    >>> divide(layer)
    >>> round(layer.weight.diagonal().sum().item(), 3)
    3.0
    """
    layers = [layer for layer in critic.modules() if isinstance(layer, _LAYERS)]
    if not layers:
        raise ValueError(
            'lipschitz="spectral" divides weights of linear and convolutional layers, and the '
            "critic has none"
        )
    for layer in layers:
        if "weight" not in dict(layer.named_parameters(recurse=False)):
            raise ValueError(
                f'lipschitz="spectral" divides plain weights, and a {type(layer).__name__} of the '
                "critic makes its own from others: leave out its normalisation"
            )
        parametrizations.spectral_norm(layer)


def settle(critic: nn.Module) -> None:
    """Put divided weights in the place of the division, as plain parameters."""
    for layer in critic.modules():
        if isinstance(layer, _LAYERS) and is_parametrized(layer, "weight"):
            remove_parametrizations(layer, "weight", leave_parametrized=True)
