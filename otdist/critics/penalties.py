r"""Gradient penalties and weight clipping: they keep a critic near 1-Lipschitz, unproved.

A penalty holds the norm of the gradient near one *where it is evaluated*; between and beyond
these points nothing is certified. (In-sample, a c-transform turns the values of any critic into a
proof: see `otdist.NeuralDual`.)

| mode | penalty, times lambda_gp | evaluated at |
|---|---|---|
| gp | (‖∇‖ − 1)² | random points between paired real and fake samples |
| lp | max(0, ‖∇‖ − 1)² | the same; a gradient below one is no error |
| dragan | (‖∇‖ − 1)² | real samples moved by up to half their standard deviation |
| r1 | ½ ‖∇‖² | real samples |
| wgan-div | ‖∇‖⁶ | random points between paired real and fake samples; use lambda_gp = 2 |

References: Gulrajani et al. (2017), Petzka et al. (2018), Kodali et al. (2017), Mescheder et al.
    (2018), Wu et al. (2018).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

Mode = Literal["gp", "lp", "dragan", "r1", "wgan-div"]

_OF_NORM: dict[str, Callable[[Tensor], Tensor]] = {
    "gp": lambda norm: (norm - 1).square(),
    "lp": lambda norm: relu(norm - 1).square(),
    "dragan": lambda norm: (norm - 1).square(),
    "r1": lambda norm: norm.square() / 2,
    "wgan-div": lambda norm: norm.pow(6),
}


def check_mode(mode: str) -> None:
    """Raise unless the mode is known."""
    if mode not in _OF_NORM:
        raise ValueError(f"mode must be one of {', '.join(get_args(Mode))}: got {mode!r}")


def compute_gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real_samples: Tensor,
    fake_samples: Tensor | None,
    lambda_gp: float = 10.0,
    *,
    mode: Mode = "gp",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""lambda_gp times the mean penalty on the norm of the critic's gradient, one norm per sample.

    One interpolation weight per sample, for inputs of any rank; the norm over all of a sample's
    entries, with gradient 0 where it is 0. Guides draw weights of shape (n, 1, 1, 1), which
    broadcasts other ranks into nonsense, and take the root of 0.

    The score of a sample that gets several (patches) is their mean, as in `critic_loss`. Computed
    in float32 or better with autocast off, also under mixed precision. A critic in
    `DistributedDataParallel` works: do one backward on loss + penalty.

    Args:
        critic: Maps samples (n, …) to scores (n, …), each from its own sample only: no batch
            normalisation.
        real_samples: Shape (n, …).
        fake_samples: The same shape; None in the modes r1 and dragan, which look at real samples
            only (and ignore it there).
        lambda_gp: Weight of the penalty.
        mode: "gp", "lp", "dragan", "r1" or "wgan-div": see the table above.
        generator: Random numbers on the device of the samples; torch's default without one.

    Returns:
        0-d tensor, at least 0.

    Raises:
        ValueError: shapes differ (also when only the batch sizes do: pair the samples first), or
            the mode is not known.

    Gradients: the critic's parameters. The samples are detached.
    Cost: one forward and two backward passes.

    >>> linear = nn.Linear(2, 1)
    >>> _ = linear.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> compute_gradient_penalty(linear, torch.randn(5, 2), torch.randn(5, 2)).item()  # 10 (5 − 1)²
    160.0
    """
    check_mode(mode)
    if not lambda_gp >= 0:
        raise ValueError(f"lambda_gp must not be negative: got {lambda_gp}")
    device_type = real_samples.device.type
    with torch.enable_grad(), torch.autocast(device_type, enabled=False):
        at = _points(real_samples, fake_samples, mode, generator).requires_grad_()
        scores = critic(at)
        if scores.dim() == 0 or len(scores) != len(at):
            raise ValueError(
                f"the critic must return one score per sample: got shape {tuple(scores.shape)} "
                f"for {len(at)} samples"
            )
        total = scores.flatten(1).mean(1).sum() if scores.dim() > 1 else scores.sum()
        (slope,) = torch.autograd.grad(
            total, at, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return lambda_gp * _OF_NORM[mode](safe_norm(slope.flatten(1))).mean()


def clip_weights(model: nn.Module, clip_value: float = 0.01) -> None:
    """Clamp every parameter of the model to [−clip_value, clip_value], in place.

    This bounds the Lipschitz constant by an unknown K: the gap of a clipped critic is a score,
    not W_1, unless it is divided by `otdist.critics.layers.lipschitz_bound`.

    Args:
        model: The critic.
        clip_value: Largest absolute value that stays.

    >>> model = nn.Linear(3, 3)
    >>> clip_weights(model)
    >>> max(p.abs().max().item() for p in model.parameters()) <= 0.01
    True
    """
    if not clip_value > 0:
        raise ValueError(f"clip_value must be positive: got {clip_value}")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.clamp_(-clip_value, clip_value)


def safe_norm(x: Tensor) -> Tensor:
    """Euclidean norms of the rows of x (n, d), differentiable any number of times; gradient 0 at 0.

    >>> safe_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([5., 0.])
    """
    squared = x.square().sum(-1)
    zero = squared == 0
    return torch.sqrt(squared.masked_fill(zero, 1.0)).masked_fill(zero, 0.0)


def _points(
    real: Tensor, fake: Tensor | None, mode: str, generator: torch.Generator | None
) -> Tensor:
    """Where the gradient is taken: new tensors, detached, in float32 or better."""
    real = real.detach()
    real = real.to(torch.promote_types(real.dtype, torch.float32))
    if mode == "r1":
        return real.clone()
    if mode == "dragan":
        noise = torch.rand(real.shape, dtype=real.dtype, device=real.device, generator=generator)
        return real + 0.5 * real.std(correction=0) * noise
    if fake is None or fake.shape != real.shape:
        raise ValueError(
            f"mode {mode!r} pairs real with fake samples, so their shapes must be equal: "
            f"got {tuple(real.shape)} and {None if fake is None else tuple(fake.shape)}"
        )
    shape = (len(real), *[1] * (real.dim() - 1))
    weight = torch.rand(shape, dtype=real.dtype, device=real.device, generator=generator)
    return torch.lerp(real, fake.detach().to(real), weight)
