r"""Layers that are 1-Lipschitz by construction, at every step of training.

A critic $\varphi$ turns into a proof, $E\varphi(x) - E\varphi(y) \le W_1$, only when its
Lipschitz constant is known. Each layer here has an operator norm of at most one in exact
arithmetic whatever its parameters are, without buffers and without a difference between training
and evaluation:

- Orthogonal weights, by the Cayley transform (`OrthogonalLinear`) or by Björck's iteration
  (`BjorckLinear`).
- Weights divided by a *rigorous upper bound* of their norm (`SpectralLinear`, `SpectralConv2d`);
  power iteration, the usual choice, gives a lower bound, and the norm of a reshaped kernel is not
  the norm of its convolution.
- Sorting within groups (`GroupSort`, `MaxMin`): keeps the norm of the gradient, where ReLU loses
  it.

What float32 rounding leaves (about 1e-6) is measured by `lipschitz_bound`, in float64. Weights of
parameters in half precision are computed in float32 and then rounded, which leaves up to 1e-2.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from otdist.core import checks
from otdist.critics.lipschitz import convolution_norm, lipschitz_bound, matrix_norm

__all__ = [
    "BjorckLinear",
    "GroupSort",
    "MaxMin",
    "OrthogonalLinear",
    "SpectralConv2d",
    "SpectralLinear",
    "gram_bound",
    "lipschitz_bound",
]

GRAM_STEPS = 7  # the bound exceeds the norm by at most rank ** (1/2**8): 2.5% at rank 512


def gram_bound(matrix: Tensor, steps: int = GRAM_STEPS) -> Tensor:
    r"""An upper bound of the operator norm of a matrix that tightens with each squaring.

    $\|A\|_2 \le \operatorname{tr}((A^\top A)^{q})^{1/2q}$ with $q = 2^{\mathrm{steps}}$: the
    right side is the Schatten norm of order 2q, so it exceeds the left by at most rank^(1/2q).
    Each step squares the Gram matrix and rescales it, so nothing overflows.

    Args:
        matrix: Shape (m, n).
        steps: How often the Gram matrix is squared.

    Returns:
        0-d tensor, at least the largest singular value up to rounding; 0 for the zero matrix.

    Gradients: matrix, any order.
    Cost: `steps` products of matrices of the smaller side.
    Reference: Delattre, Barthélemy, Araujo, Allauzen (2023), Efficient Bound of Lipschitz
        Constant for Convolutional Layers by Gram Iteration.

    >>> float(gram_bound(torch.diag(torch.tensor([3.0, 1.0]))))
    3.0
    """
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.mT
    scale = tall.detach().abs().amax()
    if scale == 0:
        return (matrix * 0).sum()
    gram = (tall / scale).mT @ (tall / scale)
    log_scale = torch.log(scale)  # gram is (AᵀA)^(2^k) divided by exp(2^(k+1) · log_scale)
    for k in range(steps):
        trace = torch.trace(gram)
        log_scale = log_scale + torch.log(trace) / 2 ** (k + 1)
        gram = gram / trace
        gram = gram @ gram
    return torch.exp(log_scale + torch.log(torch.trace(gram)) / 2 ** (steps + 1))


def in_single(constrain: Callable[[Tensor], Tensor], raw: Tensor) -> Tensor:
    """A weight of its free parameter, computed in float32 or better also under autocast."""
    with torch.autocast(raw.device.type, enabled=False):
        return constrain(raw.to(torch.promote_types(raw.dtype, torch.float32))).to(raw.dtype)


class GroupSort(nn.Module):
    """Sorts each group of neighbouring features, in descending order.

    A permutation at every point: 1-Lipschitz, and its gradient keeps its norm.

    Args:
        group_size: Features per group; the number of features must be a multiple of it.
        dim: The axis of features (1: also for images).

    Reference: Anil, Lucas, Grosse (2019), Sorting Out Lipschitz Function Approximation.

    >>> GroupSort(2)(torch.tensor([[1.0, 4.0, 9.0, 2.0]]))
    tensor([[4., 1., 9., 2.]])
    """

    def __init__(self, group_size: int = 2, *, dim: int = 1) -> None:
        super().__init__()
        self.group_size, self.dim = checks.whole("group_size", group_size, least=2), dim

    def forward(self, x: Tensor) -> Tensor:
        """Sort the groups of x; same shape out."""
        features = x.shape[self.dim]
        if features % self.group_size:
            raise ValueError(
                f"the number of features must be a multiple of group_size={self.group_size}: "
                f"got {features} on axis {self.dim} of shape {tuple(x.shape)}"
            )
        groups = x.unflatten(self.dim, (-1, self.group_size))
        axis = self.dim + 1 if self.dim >= 0 else self.dim
        if self.group_size == 2:  # a comparison costs a tenth of a sort, and amax has a slow slope
            second = (groups.select(axis, 0) < groups.select(axis, 1)).long()
            order = torch.stack((second, 1 - second), axis)
            return groups.gather(axis, order).flatten(axis - 1, axis)
        return groups.sort(axis, descending=True).values.flatten(axis - 1, axis)

    def extra_repr(self) -> str:
        """What `repr` shows between the brackets."""
        return f"group_size={self.group_size}, dim={self.dim}"

    def lipschitz(self) -> float:
        """The Lipschitz constant: 1."""
        return 1.0


class MaxMin(GroupSort):
    """Replaces each pair of neighbouring features by its maximum and minimum: `GroupSort(2)`.

    >>> MaxMin()(torch.tensor([[1.0, 4.0]]))
    tensor([[4., 1.]])
    """

    def __init__(self, *, dim: int = 1) -> None:
        super().__init__(2, dim=dim)


class ConstrainedLinear(nn.Module):
    """A linear map whose weight is computed from a free parameter; the base of the layers below.

    Args:
        in_features: Size of the last axis of the input.
        out_features: Size of the last axis of the output.
        bias: Whether to add a learned constant.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        sizes = checks.sizes(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = sizes
        self.raw = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        nn.init.orthogonal_(self.raw)

    @property
    def weight(self) -> Tensor:
        """The weight that is applied, shape (out_features, in_features)."""
        return in_single(self._constrain, self.raw)

    def _constrain(self, raw: Tensor) -> Tensor:
        raise NotImplementedError

    def lipschitz(self) -> float:
        """The operator norm of the weight, in float64."""
        return matrix_norm(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to x of shape (..., in_features)."""
        return functional.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """What `repr` shows between the brackets."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class OrthogonalLinear(ConstrainedLinear):
    r"""A linear map with orthonormal rows or columns, by the Cayley transform.

    For a tall parameter [U; V] (U square), with $A = U - U^\top + V^\top V$ and $Z = (I +
    A)^{-1}$, the matrix $[(I - A) Z;\, -2 V Z]$ has orthonormal columns, and $(I - A) Z = 2Z - I$.
    One inverse: the cheapest of the orthogonal layers. A single row or column is divided by its
    norm instead, which reaches every direction; Cayley's transform would miss one, and on the line
    the sign −1.

    Reference: Trockman and Kolter (2021), Orthogonalizing Convolutional Layers with the Cayley
        Transform.

    >>> weight = OrthogonalLinear(3, 5).weight
    >>> bool(torch.allclose(weight.T @ weight, torch.eye(3), atol=1e-5))
    True
    """

    def _constrain(self, raw: Tensor) -> Tensor:
        tall = raw if self.out_features >= self.in_features else raw.mT
        n = tall.shape[1]
        if n == 1:
            return raw / _positive(raw.norm())
        square, rest = tall[:n], tall[n:]
        eye = torch.eye(n, dtype=raw.dtype, device=raw.device)
        shifted = eye + square - square.mT
        if len(rest) == 0:
            return 2 * torch.linalg.inv(shifted) - eye
        twice = 2 * torch.linalg.inv(shifted + rest.mT @ rest)
        weight = torch.cat((twice - eye, -rest @ twice))
        return weight if self.out_features >= self.in_features else weight.mT


class BjorckLinear(ConstrainedLinear):
    r"""A linear map with (nearly) orthonormal rows or columns, by Björck's iteration.

    $W \leftarrow \tfrac32 W - \tfrac12 W W^\top W$ sends each singular value s to s(3 − s²)/2:
    within [0, 1] it grows towards 1 and never beyond. The start is divided by an upper bound of
    its norm, so the layer is 1-Lipschitz after any number of iterations; more of them bring it
    nearer to orthogonal.

    Args:
        in_features: Size of the last axis of the input.
        out_features: Size of the last axis of the output.
        bias: Whether to add a learned constant.
        iterations: Steps of the iteration; 10 leave a fresh layer of width 512 orthogonal to 1e-5.

    Reference: Björck and Bowie (1971); Anil, Lucas, Grosse (2019), Sorting Out Lipschitz Function
        Approximation.

    >>> singular = torch.linalg.svdvals(BjorckLinear(8, 8).weight)
    >>> bool((singular < 1 + 1e-5).all() and (singular > 0.999).all())
    True
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, iterations: int = 10
    ) -> None:
        super().__init__(in_features, out_features, bias)
        self.iterations = checks.whole("iterations", iterations)

    def _constrain(self, raw: Tensor) -> Tensor:
        tall = raw if self.out_features >= self.in_features else raw.mT
        weight = tall / _positive(gram_bound(tall, steps=2))
        for _ in range(self.iterations):
            weight = 1.5 * weight - 0.5 * weight @ (weight.mT @ weight)
        return weight if self.out_features >= self.in_features else weight.mT


class SpectralLinear(ConstrainedLinear):
    """A linear map whose weight is divided by an upper bound of its operator norm.

    At width 512 the bound is within 2.5% of the norm.

    >>> norm = torch.linalg.matrix_norm(SpectralLinear(8, 8).weight, 2).item()
    >>> 0.98 < norm < 1 + 1e-5
    True
    """

    def _constrain(self, raw: Tensor) -> Tensor:
        return raw / _rounded_up(gram_bound(raw), raw)


class SpectralConv2d(nn.Module):
    r"""A convolution divided by a rigorous bound of its operator norm, for images of any size.

    Let S be the kernel as a matrix (out, in·k·k): the convolution applies S to each patch. A
    pixel lies in at most $m = \lceil k_h/s\rceil \lceil k_w/s\rceil$ patches, so
    $\sum_{\mathrm{patches}} \|S\, \mathrm{patch}\|^2 \le \|S\|^2\, m\, \|x\|^2$: the norm is at
    most $\sqrt m\,\|S\|$. Zero padding adds nothing to the right side. Dividing by ‖S‖ alone, as
    is often done, leaves a factor of up to k.

    The bound is exact for patches that do not overlap and may exceed the norm by up to √m;
    `lipschitz_bound` gives the tighter figure.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Side of the square kernel.
        stride: Step between patches.
        padding: Zeros added on each side.
        bias: Whether to add a learned constant per channel.

    >>> SpectralConv2d(1, 8, 4, stride=2, padding=1)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.kernel_size, self.stride = checks.sizes(
            in_channels=in_channels, out_channels=out_channels,
            kernel_size=kernel_size, stride=stride,
        )  # fmt: skip
        self.padding = checks.whole("padding", padding, least=0)
        shape = (self.out_channels, self.in_channels, self.kernel_size, self.kernel_size)
        self.raw = nn.Parameter(torch.empty(shape))
        learned = checks.flag("bias", bias)
        self.bias = nn.Parameter(torch.zeros(self.out_channels)) if learned else None
        nn.init.orthogonal_(self.raw)

    @property
    def weight(self) -> Tensor:
        """The kernel that is applied, shape (out_channels, in_channels, side, side)."""
        return in_single(self._divided, self.raw)

    def _divided(self, raw: Tensor) -> Tensor:
        overlap = math.ceil(self.kernel_size / self.stride)  # √m: the kernel is square
        matrix = raw.flatten(1)
        return raw / _rounded_up(overlap * gram_bound(matrix), matrix)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to images x of shape (batch, in_channels, height, width)."""
        return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding)

    def lipschitz(self) -> float:
        """The norm of the operator for images of any size, within 4%."""
        return convolution_norm(self.weight, (self.stride, self.stride))

    def extra_repr(self) -> str:
        """What `repr` shows between the brackets."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}"
        )


def _positive(bound: Tensor) -> Tensor:
    """The bound, or one where it is 0: the zero matrix stays the zero matrix."""
    return torch.where(bound > 0, bound, torch.ones_like(bound))


def _rounded_up(bound: Tensor, matrix: Tensor) -> Tensor:
    """The bound of a norm above its own rounding: of its logarithm, and of sums of many terms."""
    slack = torch.finfo(bound.dtype).eps * (32 + 4 * max(matrix.shape) ** 0.5)
    return _positive(bound) * (1 + slack)
