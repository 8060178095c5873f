r"""`lipschitz_bound`: what a network's Lipschitz constant provably does not exceed, or an error.

The constant of a composition is at most the product of the constants. For a convolution the
operator norm is the largest norm of its transfer matrix $\hat K(\omega)$ over all frequencies:
zero padding and strides only restrict that operator. The supremum over a continuum is bounded
from a grid: along the top singular vectors $\hat K$ is, up to a phase, a trigonometric polynomial
of degree (k − 1)/2, and near its maximum such a polynomial T satisfies $T(\omega) \ge T_{\max}
\cos((k-1)(\omega - \omega^*)/2)$ (M. Riesz), so N equispaced frequencies see at least
$\cos((k-1)\pi/2N)$ of it, along each axis.

Everything is computed in float64 and widened by its rounding error. What float32 arithmetic does
in a later forward pass is not included (about 1e-6, relative).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from otdist.core import checks

GRID = 8  # frequencies per (k − 1): the bound exceeds the norm by at most 2% along each axis


def lipschitz_bound(module: nn.Module) -> float:
    """A rigorous upper bound of the Lipschitz constant of a module.

    The norms are Euclidean, of one flattened sample.

    Known: linear layers and convolutions (plain, transposed, or parametrised), the layers of
    `otdist.critics`, `Sequential`, the usual activations, dropout, pooling, batch normalisation in
    evaluation mode, reshapes. A module of your own joins by a method `lipschitz()` that returns its
    constant.

    Args:
        module: The network. Not changed, but evaluated in the mode that it is in.

    Returns:
        The bound; infinite or NaN parameters give `inf`.

    Raises:
        TypeError: a layer whose constant is not known, such as LayerNorm (it has none near
            constant inputs), batch normalisation in training mode (it mixes samples), a subclass
            with a `forward` of its own, or a module with forward hooks.

    Cost: one singular value decomposition per linear layer, one per frequency of a convolution.

    >>> round(lipschitz_bound(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), 6) >= 0
    True
    """
    checks.instance("module", module, nn.Module, "a module")
    with torch.no_grad():
        bound = _bound(module, type(module).__name__)
    return bound if not math.isnan(bound) else math.inf


def matrix_norm(matrix: Tensor) -> float:
    """The largest singular value in a matrix or a batch of them, in float64, rounded up."""
    if matrix.numel() == 0:
        return 0.0
    wide = matrix.detach().to(torch.complex128 if matrix.is_complex() else torch.float64)
    if not torch.isfinite(torch.view_as_real(wide) if wide.is_complex() else wide).all():
        return math.inf
    slack = 1 + 16 * max(matrix.shape[-2:]) * torch.finfo(torch.float64).eps
    return float(torch.linalg.svdvals(wide).amax()) * slack


def convolution_norm(kernel: Tensor, stride: Sequence[int], groups: int = 1) -> float:
    r"""A bound of the operator norm of a zero-padded convolution, for inputs of any size.

    The least of three. First, a stride s regroups the input into s^axes phases (an isometry), each
    of which sees a kernel of size ⌈k/s⌉ at stride 1; the transfer matrix has out rows and
    in·s^axes columns. Second, a pixel lies in at most m = Π⌈k/s⌉ patches, so √m times the norm of
    the kernel as a matrix; this is the least where the kernel looks like noise or a single patch.
    Third, the Gram operator of the smaller side has entries G_ij(t) over pairs of channels and
    shifts, so its norm is at most the spectral radius of A_ij = Σ_t |G_ij(t)|; this is the least
    where the kernel is orthogonal.

    Args:
        kernel: Shape (out, in / groups, k_1, …, k_axes).
        stride: One step per axis.
        groups: As in `torch.nn.Conv2d`.

    Returns:
        At least the norm, and at most 2% more along each axis. Dilation changes nothing.

    Reference: Sedghi, Gupta, Long (2019), The Singular Values of Convolutional Layers; Riesz
        (1914) for the grid.

    >>> 1.0 <= convolution_norm(torch.ones(1, 1, 1, 1), (1, 1)) < 1 + 1e-11
    True
    """
    kernel = kernel.detach().double()
    axes = kernel.dim() - 2
    sizes = [math.ceil(k / s) for k, s in zip(kernel.shape[2:], stride, strict=True)]
    parts = kernel.chunk(groups)  # groups act on channels of their own
    patches = math.sqrt(math.prod(sizes)) * max(matrix_norm(part.flatten(1)) for part in parts)
    for axis, (size, step) in enumerate(zip(sizes, stride, strict=True)):
        missing = size * step - kernel.shape[2 + axis]
        kernel = nn.functional.pad(kernel, [0, 0] * (axes - 1 - axis) + [0, missing])
    for axis, step in enumerate(stride):  # (out, in, …, k, …) → (out, in · step, …, k / step, …)
        kernel = kernel.unflatten(2 + axis, (-1, step)).movedim(3 + axis, 2).flatten(1, 2)
    radius = max(_gram_norm(part) for part in kernel.chunk(groups))
    grid = [max(1, GRID * (size - 1)) for size in sizes]
    factor = math.prod(
        1 / math.cos((size - 1) * math.pi / (2 * n)) for size, n in zip(sizes, grid, strict=True)
    )
    transfer = torch.fft.fftn(kernel, s=grid, dim=list(range(2, 2 + axes)))
    waves = [matrix_norm(part.movedim((0, 1), (-2, -1))) for part in transfer.chunk(groups)]
    return min(patches, radius, max(waves) * factor) * (1 + 1e-12)  # the FFT's rounding


def _gram_norm(kernel: Tensor) -> float:
    """The bound of a convolution (out, in, k, …) at stride 1 by its absolute Gram operator."""
    if kernel.numel() == 0 or not torch.isfinite(kernel).all():
        return math.inf
    rows = kernel if kernel.shape[0] <= kernel.shape[1] else kernel.transpose(0, 1)
    largest = float(rows.abs().max())
    if largest == 0:
        return 0.0
    rows = rows / largest  # no square underflows
    convolve = (nn.functional.conv1d, nn.functional.conv2d, nn.functional.conv3d)
    gram = convolve[rows.dim() - 3](rows, rows, padding=[k - 1 for k in rows.shape[2:]])
    radius = matrix_norm(gram.abs().flatten(2).sum(2))
    return largest * math.sqrt(radius) * (1 + 8 * rows[0].numel() * torch.finfo(torch.float64).eps)


def _bound(module: nn.Module, name: str) -> float:
    """The bound of one module; `name` is where it sits, for the error message."""
    if type(module).__module__.startswith("torch._dynamo"):  # torch.compile computes the same
        module = getattr(module, "_orig_mod", module)
    hooks = (module._forward_hooks, module._forward_pre_hooks)
    if any(hooks) or "forward" in vars(module):
        raise TypeError(
            f"lipschitz_bound cannot see through the forward hooks or replaced forward of {name}"
        )
    own: Any = getattr(module, "lipschitz", None)
    if callable(own):
        return float(own())  # pyright: ignore[reportArgumentType]
    for known, rule in _RULES:
        if isinstance(module, known) and type(module).forward is known.forward:
            return rule(module, name)
    raise TypeError(
        f"lipschitz_bound knows no bound for {name} ({type(module).__name__}): use layers of "
        "otdist.critics.layers, or give the module a method lipschitz() that returns its constant"
    )


def _sequential(module: Any, name: str) -> float:
    return math.prod(_bound(child, f"{name}[{key}]") for key, child in module.named_children())


def _linear(module: Any, name: str) -> float:
    return matrix_norm(module.weight)


def _convolution(module: Any, name: str) -> float:
    if module.padding_mode != "zeros":
        raise TypeError(
            f"lipschitz_bound knows zero padding only: {name} pads by {module.padding_mode!r}"
        )
    if max(module.dilation) > 1 and max(module.stride) > 1:
        return convolution_norm(module.weight, [1] * len(module.stride), module.groups)
    return convolution_norm(module.weight, module.stride, module.groups)


def _transposed(module: Any, name: str) -> float:
    # the adjoint, followed by a crop, of the convolution with this very kernel
    return _convolution(module, name)


def _dropout(module: Any, name: str) -> float:
    if not module.training:
        return 1.0
    return 1 / (1 - module.p) if module.p < 1 else 0.0


def _batch_norm(module: Any, name: str) -> float:
    if module.training or module.running_var is None:
        raise TypeError(
            f"{name} normalises by the batch, so one sample moves the others: call eval(), "
            "or leave it out of critics"
        )
    scale = 1 / (module.running_var.double() + module.eps).sqrt()
    if module.weight is not None:
        scale = scale * module.weight.double().abs()
    return float(scale.amax()) * (1 + 1e-14)


def _average_pool(module: Any, name: str) -> float:
    kernel, stride = _pair(module.kernel_size), _pair(module.stride)
    border = module.padding and not module.count_include_pad  # means of fewer values there
    if module.ceil_mode or module.divisor_override or border:
        raise TypeError(
            f"lipschitz_bound knows average pooling by the size of the window only: see {name}"
        )
    overlap = math.prod(math.ceil(k / s) for k, s in zip(kernel, stride, strict=True))
    return math.sqrt(
        overlap / math.prod(kernel)
    )  # a mean of q values has norm q^(−1/2) on its patch


def _max_pool(module: Any, name: str) -> float:
    kernel, stride = _pair(module.kernel_size), _pair(module.stride)
    if module.return_indices or _pair(module.dilation) != (1, 1):
        raise TypeError(f"lipschitz_bound does not know {name} with indices or dilation")
    return math.sqrt(math.prod(math.ceil(k / s) for k, s in zip(kernel, stride, strict=True)))


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _softplus(module: Any, name: str) -> float:
    """1; torch jumps by log(1 + exp(−t))/β to the identity at the threshold t."""
    if module.threshold < 20:  # where the jump is 1e-10 of the value, that of float32's rounding
        raise TypeError(
            f"lipschitz_bound knows Softplus with threshold=20 or more: {name} has "
            f"{module.threshold}, where it jumps"
        )
    return 1.0


def _constant(value: float) -> Callable[[Any, str], float]:
    return lambda module, name: value


_RULES: list[tuple[type[nn.Module], Callable[[Any, str], float]]] = [
    (nn.Sequential, _sequential),
    (nn.Linear, _linear),
    *((kind, _convolution) for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d)),
    *((kind, _transposed) for kind in (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)),
    *((kind, _batch_norm) for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)),
    *((kind, _dropout) for kind in (nn.Dropout, nn.Dropout2d)),
    (nn.AvgPool2d, _average_pool),
    (nn.MaxPool2d, _max_pool),
    *(
        (kind, _constant(1.0))
        for kind in (
            *(
                nn.Identity,
                nn.Flatten,
                nn.Unflatten,
                nn.PixelShuffle,
                nn.PixelUnshuffle,
                nn.ZeroPad2d,
            ),
            *(nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.Tanh, nn.Softsign, nn.LogSigmoid),
        )
    ),
    (nn.Softplus, _softplus),
    (nn.Sigmoid, _constant(0.25)),
    (nn.SiLU, _constant(1.0999)),  # suprema of the derivatives: 1.09984 and 1.12890
    (nn.GELU, _constant(1.13)),
    (nn.LeakyReLU, lambda module, name: max(1.0, abs(module.negative_slope))),
    (nn.PReLU, lambda module, name: max(1.0, float(module.weight.detach().abs().amax()))),
    (nn.ELU, lambda module, name: max(1.0, abs(module.alpha))),
]
