"""Critics and generators of the guides, sized by arguments; errors say which shape is expected.

Critics have no sigmoid, and no batch normalisation: a score must depend on its own sample only,
else neither the penalty nor the dual means anything. `MLPCritic` with orthogonal or spectral
layers and `SNWGANCritic` are 1-Lipschitz by construction; the others need clipping or a penalty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from torch import Tensor, nn

from otdist.core import checks
from otdist.critics.convolutions import LipschitzConv2d, Residual
from otdist.critics.critics import stacked
from otdist.critics.layers import (
    BjorckLinear,
    ConstrainedLinear,
    MaxMin,
    OrthogonalLinear,
    SpectralConv2d,
    SpectralLinear,
    lipschitz_bound,
)

Layers = Literal["plain", "orthogonal", "bjorck", "spectral"]
_CONSTRAINED: dict[str, type[ConstrainedLinear]] = {
    "orthogonal": OrthogonalLinear,
    "bjorck": BjorckLinear,
    "spectral": SpectralLinear,
}


class _Network(nn.Module):
    """A sequence of layers that checks the shape of what it is given."""

    def __init__(self, shape: Sequence[int], layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network to a batch of the expected shape."""
        if tuple(x.shape[1:]) != self.shape or x.dim() == 0:
            sizes = ", ".join(map(str, ("batch", *self.shape)))
            raise ValueError(
                f"{type(self).__name__} expects input of shape ({sizes}): got {tuple(x.shape)}"
            )
        return self.layers(x)

    def lipschitz(self) -> float:
        """The bound of the layers, for `lipschitz_bound`; raises where one is not known."""
        return lipschitz_bound(self.layers)


class MLPCritic(_Network):
    """Scores of flattened samples by a fully connected network: 784-512-256-128-1 by default.

    Args:
        shape: Shape of a sample, such as 784, (2,) or (1, 28, 28).
        hidden: Widths of the hidden layers.
        layers: "plain" (linear and LeakyReLU 0.2: needs a penalty or clipping), or, 1-Lipschitz
            by construction with MaxMin: "orthogonal", "bjorck" or "spectral" (see
            `otdist.critics.layers`).

    Scores have shape (batch, 1).

    >>> import torch
    >>> MLPCritic(2, hidden=(16, 16), layers="orthogonal")(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """

    def __init__(
        self,
        shape: int | Sequence[int] = 784,
        hidden: Sequence[int] = (512, 256, 128),
        *,
        layers: Layers = "plain",
    ) -> None:
        checks.choice("layers", layers, ("plain", *_CONSTRAINED))
        shape, hidden = _shape(shape), checks.wholes("hidden", hidden)
        sizes = (math.prod(shape), *hidden, 1)
        kinds = (_CONSTRAINED[layers], MaxMin) if layers != "plain" else (nn.Linear, _leaky)
        super().__init__(shape, [nn.Flatten(), *stacked(sizes, *kinds)[:-1]])


class MLPGenerator(_Network):
    """Samples from noise by a fully connected network: 100-128-256-512-1024-784 by default.

    Args:
        latent_dim: Length of a noise vector.
        shape: Shape of a sample, such as 784, (2,) or (1, 28, 28).
        hidden: Widths of the hidden layers.
        bounded: End in tanh, for data scaled to [−1, 1]; set False for tabular data.
        norm: "batch": batch normalisation after each hidden layer, which generators of clipped
            critics need; None: none.

    >>> import torch
    >>> MLPGenerator(8, (1, 4, 4), hidden=(16,))(torch.zeros(5, 8)).shape
    torch.Size([5, 1, 4, 4])
    """

    def __init__(
        self,
        latent_dim: int = 100,
        shape: int | Sequence[int] = 784,
        hidden: Sequence[int] = (128, 256, 512, 1024),
        *,
        bounded: bool = True,
        norm: Literal["batch"] | None = None,
    ) -> None:
        shape, latent_dim = _shape(shape), checks.whole("latent_dim", latent_dim)
        sizes = (latent_dim, *checks.wholes("hidden", hidden), math.prod(shape))
        last = [nn.Tanh()] if checks.flag("bounded", bounded) else []
        checks.optional(checks.choice, "norm", norm, allowed=("batch",))
        made = stacked(sizes[:-1], nn.Linear if norm is None else _normalised, _leaky)
        made = [*made, nn.Linear(sizes[-2], sizes[-1])]
        super().__init__((latent_dim,), [*made, *last, nn.Unflatten(1, shape)])


class WGANCritic(_Network):
    """Scores of 32×32 images by strided convolutions, without normalisation or sigmoid.

    Args:
        image_channels: Channels of an image.
        feature_maps: Channels after the first convolution; each further one doubles them.

    Scores have shape (batch, 1).

    >>> import torch
    >>> WGANCritic(1, 8)(torch.zeros(5, 1, 32, 32)).shape
    torch.Size([5, 1])
    """

    def __init__(self, image_channels: int = 1, feature_maps: int = 64) -> None:
        channels, maps = _sizes(image_channels, feature_maps)
        halve = partial(nn.Conv2d, kernel_size=4, stride=2, padding=1)  # 32 → 16 → 8 → 4
        modules = stacked((channels, maps, 2 * maps, 4 * maps), halve, _leaky)
        last = nn.Conv2d(4 * maps, 1, 4)
        super().__init__((channels, 32, 32), [*modules, last, nn.Flatten()])


class SNWGANCritic(_Network):
    """The critic of `WGANCritic` with spectrally normalised layers: 1-Lipschitz by construction.

    Guides divide by the norm of the reshaped kernel, which is not the norm of the convolution,
    and keep LeakyReLU. Here each layer is divided by a bound of its operator norm, and MaxMin
    keeps the gradient. The gap is a lower bound of W_1; dividing it by `lipschitz_bound(critic)`,
    which is below one, makes it a better one.

    Args:
        image_channels: Channels of an image.
        feature_maps: Channels after the first convolution (even); each further one doubles them.

    >>> import torch
    >>> SNWGANCritic(1, 8)(torch.zeros(5, 1, 32, 32)).shape
    torch.Size([5, 1])
    """

    def __init__(self, image_channels: int = 1, feature_maps: int = 64) -> None:
        channels, maps = _even_sizes(image_channels, feature_maps)
        halve = partial(SpectralConv2d, kernel_size=4, stride=2, padding=1)
        modules = stacked((channels, maps, 2 * maps, 4 * maps), halve, MaxMin)
        last = SpectralLinear(64 * maps, 1)
        super().__init__((channels, 32, 32), [*modules, nn.Flatten(), last])


class LipschitzCritic(_Network):
    """Scores of square images by near orthogonal convolutions: 1-Lipschitz, with a tight bound.

    Where the layers of `SNWGANCritic` are divided by a bound that exceeds their norm, these keep
    lengths: the gap comes near W_1. Its critics prove a lower bound of W_1 between images.

    Args:
        image_channels: Channels of an image.
        feature_maps: Channels after the first convolution (even); they double twice.
        size: Side of an image, a multiple of 8.

    >>> import torch
    >>> critic = LipschitzCritic(1, 8)
    >>> critic(torch.zeros(5, 1, 32, 32)).shape, lipschitz_bound(critic) < 1 + 1e-5
    (torch.Size([5, 1]), True)
    """

    def __init__(self, image_channels: int = 1, feature_maps: int = 32, size: int = 32) -> None:
        channels, maps = _even_sizes(image_channels, feature_maps)
        side = checks.whole("size", size, least=8)
        if side % 8:
            raise ValueError(f"size must be a multiple of 8 (it is halved three times): got {size}")
        modules: list[nn.Module] = []
        for before, after in ((channels, maps), (maps, 2 * maps), (2 * maps, 4 * maps)):
            block = [LipschitzConv2d(after, after), MaxMin()]
            modules += [LipschitzConv2d(before, after, stride=2), MaxMin(), Residual([*block])]
        width = 4 * maps * (side // 8) ** 2
        head = [nn.Flatten(), OrthogonalLinear(width, 128), MaxMin(), OrthogonalLinear(128, 1)]
        super().__init__((channels, side, side), [*modules, *head])


class WGANGenerator(_Network):
    """32×32 images from noise by transposed convolutions with batch normalisation, ending in tanh.

    Args:
        latent_dim: Length of a noise vector.
        image_channels: Channels of an image.
        feature_maps: Channels before the last convolution.

    >>> import torch
    >>> WGANGenerator(16, 3, 8)(torch.zeros(5, 16)).shape
    torch.Size([5, 3, 32, 32])
    """

    def __init__(
        self, latent_dim: int = 100, image_channels: int = 1, feature_maps: int = 64
    ) -> None:
        width = latent_dim = checks.whole("latent_dim", latent_dim)
        image_channels, feature_maps = _sizes(image_channels, feature_maps)
        modules: list[nn.Module] = [nn.Unflatten(1, (latent_dim, 1, 1))]
        for factor, stride, padding in ((4, 1, 0), (2, 2, 1), (1, 2, 1)):  # 1 → 4 → 8 → 16
            size = factor * feature_maps
            modules += [
                nn.ConvTranspose2d(width, size, 4, stride, padding, bias=False),
                nn.BatchNorm2d(size),
                nn.ReLU(),
            ]
            width = size
        modules += [nn.ConvTranspose2d(width, image_channels, 4, 2, 1), nn.Tanh()]
        super().__init__((latent_dim,), modules)


def _normalised(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Linear(before, after, bias=False), nn.BatchNorm1d(after))


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.2)


def _shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    one = np.ndim(shape) == 0 and not isinstance(shape, Sequence)
    return (checks.whole("shape", shape),) if one else checks.wholes("shape", shape)


def _even_sizes(image_channels: int, feature_maps: int) -> tuple[int, ...]:
    channels, maps = _sizes(image_channels, feature_maps)
    if maps % 2:
        raise ValueError(f"feature_maps must be even (MaxMin sorts pairs): got {maps}")
    return channels, maps


def _sizes(image_channels: int, feature_maps: int) -> tuple[int, ...]:
    return checks.sizes(image_channels=image_channels, feature_maps=feature_maps)
