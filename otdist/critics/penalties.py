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
| r1-r2 | ½ ‖∇‖², its means added | real samples, and generated ones |
| wgan-div | ‖∇‖⁶ | random points between paired real and fake samples; use lambda_gp = 2 |

References: Gulrajani et al. (2017), Petzka et al. (2018), Kodali et al. (2017), Mescheder et al.
    (2018), Wu et al. (2018), Huang et al. (2025).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.modules.batchnorm import _BatchNorm

from otdist.core import checks

Mode = Literal["gp", "lp", "dragan", "r1", "r1-r2", "wgan-div"]

_OF_NORM: dict[str, Callable[[Tensor], Tensor]] = {
    "gp": lambda norm: (norm - 1).square(),
    "lp": lambda norm: relu(norm - 1).square(),
    "dragan": lambda norm: (norm - 1).square(),
    "r1": lambda norm: norm.square() / 2,
    "r1-r2": lambda norm: norm.square(),  # the mean over both samples is half the sum of two
    "wgan-div": lambda norm: norm.pow(6),
}


def check_penalty(mode: Any, lambda_gp: Any) -> None:
    """Raise unless the mode is known and the weight is a number that is not negative."""
    checks.choice("mode", mode, _OF_NORM)
    checks.number("lambda_gp", lambda_gp, least=0)


def compute_gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    real_samples: Tensor,
    fake_samples: Tensor | None,
    lambda_gp: float = 10.0,
    *,
    mode: Mode = "gp",
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Return lambda_gp times the mean penalty on the norm of the critic's gradient per sample.

    One interpolation weight per sample, for inputs of any rank; the norm over all of a sample's
    entries, with gradient 0 where it is 0. Guides draw weights of shape (n, 1, 1, 1), which
    broadcasts other ranks into nonsense, and take the root of 0.

    The score of a sample that gets several (patches) is their mean, as in `critic_loss`. Computed
    in float32 or better with autocast off, also under mixed precision. A critic in
    `DistributedDataParallel` works: do one backward on loss + penalty.

    Args:
        critic: Maps samples (n, …) to scores (n, …), each from its own sample only: no batch
            normalisation.
        real_samples: Shape (n, …), or (n,).
        fake_samples: The same shape; None in the modes r1 and dragan, which look at real samples
            only (and ignore it there).
        lambda_gp: Weight of the penalty.
        mode: "gp", "lp", "dragan", "r1", "r1-r2" or "wgan-div": see the table above.
        generator: Random numbers on the device of the samples; torch's default without one.

    Returns:
        0-d tensor, at least 0.

    Raises:
        TypeError: samples or scores that are not tensors.
        ValueError: shapes differ (also when only the batch sizes do: pair the samples first), an
            unknown mode, a critic that normalises over the batch, or scores without a graph to
            the samples, as under `torch.no_grad`.

    Gradients: the critic's parameters. The samples are detached.
    Cost: one forward and two backward passes.

    >>> linear = nn.Linear(2, 1)
    >>> _ = linear.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> compute_gradient_penalty(linear, torch.randn(5, 2), torch.randn(5, 2)).item()  # 10 (5 − 1)²
    160.0
    """
    check_penalty(mode, lambda_gp)
    checks.function("critic", critic)
    if generator is not None:
        checks.instance("generator", generator, torch.Generator, "a torch.Generator or None")
    rand = partial(torch.rand, generator=generator)
    return penalty(critic, real_samples, fake_samples, lambda_gp, mode, rand)


def penalty(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor | None,
    lambda_gp: float,
    mode: Mode,
    rand: Callable[..., Tensor],
) -> Tensor:
    """`compute_gradient_penalty` of checked options, with uniform random numbers from `rand`."""
    _check_samples(real, fake)
    check_unmixed(critic)
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(real.device.type, enabled=False),
    ):
        at = _points(real, fake, mode, rand).requires_grad_()
        scores = critic(at.to(_dtype(critic, at.dtype)))
        check_scores(scores, len(at))
        total = scores.reshape(len(at), -1).mean(1).sum()
        slope = None
        if total.requires_grad:
            (slope,) = torch.autograd.grad(total, at, create_graph=True, allow_unused=True)
        if slope is None:
            raise ValueError(
                "the critic's scores have no gradient in its samples: it must not detach them or "
                "run under torch.no_grad()"
            )
        return lambda_gp * _OF_NORM[mode](safe_norm(slope.reshape(len(at), -1))).mean()


def check_scores(scores: Any, count: int) -> None:
    """Raise unless a critic returned a tensor of scores, the batch first."""
    if not isinstance(scores, Tensor):
        raise TypeError(
            f"the critic must return a tensor of scores: got a {type(scores).__name__}; wrap it in "
            "a function that returns the scores alone"
        )
    if scores.dim() == 0 or len(scores) != count:
        raise ValueError(
            f"the critic must return one score per sample: got shape {tuple(scores.shape)} "
            f"for {count} samples"
        )


def check_unmixed(critic: Any) -> None:
    """Raise where a critic normalises over the batch, so that no score has a gradient of its own.

    The gradients of the sum of normalised scores cancel: the penalty would be a constant.
    """
    for layer in (layer for module in _modules(critic) for layer in _layers(module)):
        keras = any(kind.__name__ == "BatchNormalization" for kind in type(layer).__mro__)
        batch = isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None)
        if batch or (keras and layer.training and getattr(layer, "trainable", True)):
            raise ValueError(
                "a critic with batch normalisation in training mode has no gradient of its own per "
                f"sample ({type(layer).__name__}): leave it out, use nn.GroupNorm, or call eval()"
            )


def _dtype(critic: Any, other: torch.dtype) -> torch.dtype:
    """The dtype of a module's weights; Keras keeps integers among them."""
    critic = getattr(critic, "func", critic)
    weights = critic.parameters() if isinstance(critic, nn.Module) else ()
    return next((w.dtype for w in weights if w.is_floating_point()), other)


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """All layers of a module; Keras keeps its own in lists that torch does not see."""
    yield from module.modules()
    for layer in getattr(module, "layers", None) or () if _of_keras(module) else ():
        yield from _layers(layer)


def _of_keras(module: nn.Module) -> bool:
    return any(kind.__module__.startswith("keras.") for kind in type(module).__mro__)


def _modules(critic: Any) -> list[nn.Module]:
    """Modules that a critic consists of: itself, its owner, or what its function refers to."""
    seen = [critic, getattr(critic, "__self__", None), getattr(critic, "func", None)]
    if inspect.isfunction(critic):
        names = inspect.getclosurevars(critic)
        seen += [*names.nonlocals.values(), *names.globals.values()]
    return [value for value in seen if isinstance(value, nn.Module)]


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
    checks.instance("model", model, nn.Module, "a module")
    checks.positive("clip_value", clip_value)
    clamp(model.parameters(), clip_value)


@torch.no_grad()
def clamp(parameters: Iterable[Tensor], size: float) -> None:
    """Clamp parameters in place."""
    for parameter in parameters:
        most = min(size, torch.finfo(parameter.dtype).max)
        parameter.clamp_(-most, most)


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """Parameters of a module that are not frozen."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def safe_norm(x: Tensor) -> Tensor:
    """Euclidean norms of the rows of x (n, d), differentiable any number of times; gradient 0 at 0.

    >>> safe_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([5., 0.])
    """
    squared = x.square().sum(-1)
    zero = squared == 0
    return torch.sqrt(squared.masked_fill(zero, 1.0)).masked_fill(zero, 0.0)


def _check_samples(real: Any, fake: Any) -> None:
    for name, samples in (("real_samples", real), ("fake_samples", fake)):
        if not isinstance(samples, Tensor) and (samples is not None or name == "real_samples"):
            raise TypeError(
                f"{name} must be a tensor: got {type(samples).__name__}; use torch.as_tensor of an "
                "array, torch.stack of a list"
            )
    if real.dim() == 0 or len(real) == 0:
        raise ValueError(f"real_samples must hold samples: got shape {tuple(real.shape)}")


def _points(real: Tensor, fake: Tensor | None, mode: str, rand: Callable[..., Tensor]) -> Tensor:
    """Where the gradient is taken: new tensors, detached, in float32 or better."""
    real = real.detach()
    real = real.to(torch.promote_types(real.dtype, torch.float32))
    if mode == "r1":
        return real.clone()
    if mode == "dragan":
        noise = rand(real.shape, dtype=real.dtype, device=real.device)
        return real + 0.5 * real.std(correction=0) * noise
    if fake is None or fake.shape != real.shape:
        raise ValueError(
            f"mode {mode!r} pairs real with fake samples, so their shapes must be equal: "
            f"got {tuple(real.shape)} and {None if fake is None else tuple(fake.shape)}"
        )
    if mode == "r1-r2":
        return torch.cat((real, fake.detach().to(real)))
    weight = rand((len(real), *[1] * (real.dim() - 1)), dtype=real.dtype, device=real.device)
    return torch.lerp(real, fake.detach().to(real), weight)
