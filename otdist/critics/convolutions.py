r"""Convolutions, strided, grouped or upsampling, and residual blocks that are 1-Lipschitz.

A convolution C with kernel W has the Gram operators CᵀC and CCᵀ, convolutions with the kernels
$G = W \star W$ over the input or the output channels. For any symmetric G and
$d_i = \sum_j |G_{ij}|$ the matrix diag(d) − G is diagonally dominant, so

$$
D^{-1/2}\, G\, D^{-1/2} \preceq I, \qquad D = \operatorname{diag}(d),
$$

and scaling the channels by $d^{-1/2}$ on the side that G belongs to leaves an operator of norm at
most one. G of a convolution has the entries $G_{ij}(t)$ over pairs of channels and shifts, hence
$d_i = \sum_{j, t} |G_{ij}(t)|$. Zero padding restricts the operator; a stride regroups pixels
into channels first (`torch.nn.PixelUnshuffle`, an isometry), and its adjoint enlarges images. The
scale is 1 where the kernel is orthogonal, as it is at the start, and training keeps it near.

Reference: Prach and Lampert (2022), Almost-Orthogonal Layers for Efficient General-Purpose
    Lipschitz Networks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from otdist.core import checks
from otdist.critics.layers import in_single
from otdist.critics.lipschitz import convolution_norm, lipschitz_bound


class LipschitzConv2d(nn.Module):
    """A 1-Lipschitz convolution with zero padding, near orthogonal, of any stride and groups.

    Images (batch, in_channels, height, width) become (batch, out_channels, height / stride,
    width / stride).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the square kernel, odd; counted in strides.
        stride: Step between windows; it divides height and width.
        groups: Of channels that see each other; it divides both numbers of channels.
        bias: Whether to add a learned constant per channel.

    Gradients: input and parameters, any order.
    Cost: that of `torch.nn.Conv2d` with a kernel of side kernel_size · stride, and of the Gram
        kernel of the smaller side once per call.

    >>> LipschitzConv2d(3, 8, stride=2)(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 8, 16, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.kernel_size, self.stride, self.groups = (
            checks.sizes(in_channels=in_channels, out_channels=out_channels,
                         kernel_size=kernel_size, stride=stride, groups=groups)
        )  # fmt: skip
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd: got {kernel_size}")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"groups must divide the channels: got {groups} for {in_channels} and "
                f"{out_channels}"
            )
        learned = checks.flag("bias", bias)
        self.bias = nn.Parameter(torch.zeros(self.out_channels)) if learned else None
        self.raw = nn.Parameter(self._start(*self._channels()))

    def _channels(self) -> tuple[int, int]:
        """Output and input channels of the kernel; those of a phase count as channels."""
        return self.out_channels, self.in_channels * self.stride**2

    def _start(self, outputs: int, inputs: int) -> Tensor:
        """An orthogonal matrix for each group in the middle of the kernel."""
        side, middle = self.kernel_size, self.kernel_size // 2
        raw = torch.zeros(outputs, inputs // self.groups, side, side)
        for part in raw.chunk(self.groups):
            nn.init.orthogonal_(part[:, :, middle, middle])
        return raw

    @property
    def weight(self) -> Tensor:
        """The kernel that is applied, of a convolution without stride between phases."""
        return in_single(self._constrain, self.raw)

    def _constrain(self, raw: Tensor) -> Tensor:
        return torch.cat([_scaled(part) for part in raw.chunk(self.groups)])

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to images x (batch, in_channels, height, width)."""
        self._expect(x, self.stride)
        phases = functional.pixel_unshuffle(x, self.stride)
        return self._convolved(phases, self.bias)

    def _expect(self, x: Tensor, multiple: int = 1) -> None:
        fits = x.dim() in (3, 4) and x.shape[-3] == self.in_channels
        if not fits or any(side % multiple for side in x.shape[-2:]):
            sides = f" with sides that are multiples of {multiple}" if multiple > 1 else ""
            raise ValueError(
                f"images must be (batch, {self.in_channels}, height, width){sides}: "
                f"got {tuple(x.shape)}"
            )

    def _convolved(self, x: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.kernel_size // 2
        return functional.conv2d(x, self.weight, bias, padding=padding, groups=self.groups)

    def lipschitz(self) -> float:
        """The norm of the operator for images of any size, within 4%."""
        return convolution_norm(self.weight, (1, 1), self.groups)

    def extra_repr(self) -> str:
        """What `repr` shows between the brackets."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, groups={self.groups}"
        )


class LipschitzConvTranspose2d(LipschitzConv2d):
    """A 1-Lipschitz convolution that enlarges images, the adjoint of a strided one.

    Images (batch, in_channels, height, width) become (batch, out_channels, height · stride,
    width · stride). Arguments as in `LipschitzConv2d`.

    >>> LipschitzConvTranspose2d(8, 3, stride=2)(torch.zeros(5, 8, 16, 16)).shape
    torch.Size([5, 3, 32, 32])
    """

    def _channels(self) -> tuple[int, int]:
        return self.out_channels * self.stride**2, self.in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to images x (batch, in_channels, height, width)."""
        self._expect(x)
        larger = functional.pixel_shuffle(self._convolved(x, None), self.stride)
        return larger if self.bias is None else larger + self.bias[:, None, None]


class Residual(nn.Module):
    """A residual block (1 − w) x + w f(x), with a learned share w in (0, 1).

    As Lipschitz as x and f are: 1, where f is 1-Lipschitz.

    Args:
        layers: f, in order; it keeps the shape of x.
        share: w at the start.

    >>> block = Residual([LipschitzConv2d(4, 4), nn.ReLU()])
    >>> block(torch.zeros(2, 4, 8, 8)).shape, round(block.lipschitz(), 3) <= 1.02
    (torch.Size([2, 4, 8, 8]), True)
    """

    def __init__(self, layers: list[nn.Module], share: float = 0.5) -> None:
        super().__init__()
        share = checks.share("share", share)
        self.layers = nn.Sequential(*checks.instances("layers", layers, nn.Module, "modules"))
        self.raw_share = nn.Parameter(torch.tensor(math.log(share / (1 - share))))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        y = self.layers(x)
        if y.shape != x.shape:
            raise ValueError(
                f"a residual block must keep the shape of its input: got {tuple(y.shape)} for "
                f"{tuple(x.shape)}"
            )
        return torch.lerp(x, y.to(x.dtype), torch.sigmoid(self.raw_share).to(x.dtype))

    def lipschitz(self) -> float:
        """(1 − w) + w times the bound of the layers."""
        share = float(torch.sigmoid(self.raw_share.detach().double()))
        return ((1 - share) + share * lipschitz_bound(self.layers)) * (1 + 1e-6)


def _scaled(raw: Tensor) -> Tensor:
    """A kernel (out, in, k, k) with its smaller side of channels scaled, of norm at most one."""
    fewer_out = raw.shape[0] <= raw.shape[1]
    rows = raw if fewer_out else raw.transpose(0, 1)
    gram = functional.conv2d(rows, rows, padding=raw.shape[-1] - 1)
    total = gram.abs().sum(dim=(1, 2, 3))
    slack = torch.finfo(raw.dtype).eps * (32 + 4 * math.sqrt(raw.numel()))
    scale = torch.where(total > 0, total, 1.0).rsqrt() * (1 - slack)
    return raw * (scale[:, None, None, None] if fewer_out else scale[None, :, None, None])
