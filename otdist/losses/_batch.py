r"""What all losses share: leading dimensions, reduction, precision, and samples of all ranks.

**Precision.** Half precision is raised to float32 and autocast is off inside; the loss of
half-precision samples is float32, which neither overflows at 65,504 nor keeps three digits only.

**Global batch.** With a process group every rank computes the same loss, over the union of all
ranks' samples. Let x_r be the samples of rank r, J_r their Jacobian in the parameters, and
G_r = ∂L/∂x_r. The gradient of one process on the union is Σ_r J_rᵀ G_r. DistributedDataParallel
*averages* J_rᵀ G_r over W ranks, so each rank's G_r is multiplied by W. No communication happens in
the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from otdist.batches.side_by_side import side_by_side
from otdist.core import checks
from otdist.core.measure import onto_present, weight_tolerance
from otdist.core.metric import Metric
from otdist.core.modes import refuse_transforms

REDUCTIONS = ("mean", "sum", "none")


class Batch(NamedTuple):
    """Samples ready for a solver, with their graph.

    Attributes:
        x: (..., n, d), float32 or float64.
        y: (..., m, d), the same leading dimensions.
        a: (..., n) or (n,), float64, of sum one or masses; None means uniform.
        b: (..., m) or (m,), likewise.
    """

    x: Tensor
    y: Tensor
    a: Tensor | None
    b: Tensor | None


def prepare(
    x: Tensor,
    y: Tensor,
    a: Tensor | None = None,
    b: Tensor | None = None,
    process_group: dist.ProcessGroup | None = None,
    *,
    centre: bool = True,
    masses: bool = False,
) -> Batch:
    """Check, raise to float32 where half, gather from all ranks, and centre.

    Args:
        x: (..., n, d).
        y: (..., m, d).
        a: (n,) or (..., n): of sum one, over the points of all ranks when there is a group.
        b: (m,) or (..., m).
        process_group: Ranks whose samples form one batch; numbers of points may differ, leading
            dimensions may not. None means this process alone.
        centre: Whether a common shift leaves distances as they are.
        masses: Let weights have any positive sum, which they keep.

    Raises:
        TypeError: not tensors, or not floating point.
        ValueError: dtypes, devices, dimensions or leading dimensions differ; no points; weights of
            wrong length, negative, or not of sum one.
    """
    _check_samples(x, y)
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    x, y = x.to(work), y.to(work)
    tolerances = [weight_tolerance(w) for w in (a, b)]
    a, b = _check_length(a, "a", x), _check_length(b, "b", y)
    if process_group is not None:
        x, y = gather(x, -2, process_group), gather(y, -2, process_group)
        a = None if a is None else gather(a, -1, process_group)
        b = None if b is None else gather(b, -1, process_group)
    if not masses:
        a, b = normalised(a, "a", tolerances[0]), normalised(b, "b", tolerances[1])
    x, y = onto_present(x, a), onto_present(y, b)
    if not centre:
        return Batch(x, y, a, b)
    # One shift for both samples changes no distance; far from the origin it saves digits. What is
    # not finite stays where it is, to be named by its row.
    middle = x.detach().mean(-2, keepdim=True).nan_to_num(0.0, 0.0, 0.0)
    return Batch(x - middle, y - middle, a, b)


def one_by_one(
    solve: Callable[..., Tensor], batch: Batch, places: Sequence[int] | None = None
) -> list[Tensor]:
    """What `solve` returns for each entry: its samples (n, d), (m, d) and weights.

    Small problems are solved side by side on threads. With `places`, those entries only.
    """
    leading = batch.x.shape[:-2]
    x, y = batch.x.reshape(-1, *batch.x.shape[-2:]), batch.y.reshape(-1, *batch.y.shape[-2:])

    def spread(weights: Tensor | None) -> list[Tensor | None]:
        if weights is None:
            return [None] * len(x)
        return list(weights.expand(*leading, weights.shape[-1]).reshape(len(x), -1))

    pairs = list(zip(x, y, spread(batch.a), spread(batch.b), strict=True))
    numbers = x.shape[1] * y.shape[1]
    return side_by_side(lambda k: solve(*pairs[k]), tuple(leading), numbers, x.device, places)


def flat_weights(batch: Batch) -> tuple[Tensor, Tensor]:
    """Weights (B, n) and (B, m), float64, uniform where None; B is the number of entries."""
    out = []
    for z, w in ((batch.x, batch.a), (batch.y, batch.b)):
        if w is None:
            w = torch.full(z.shape[-2:-1], 1.0 / z.shape[-2], dtype=torch.float64, device=z.device)
        out.append(w.expand(z.shape[:-1]).reshape(-1, z.shape[-2]))
    return out[0], out[1]


def shown(metric: Metric | None) -> str:
    """The option of a module that is not Euclidean, as `print` shows it."""
    return "" if metric is None else f"metric={metric.name!r}, "


def check_debiased(p: float, debias: bool) -> tuple[float, bool]:
    """The exponent, and whether symmetric terms are subtracted: where that leaves a divergence."""
    p, debias = checks.exponent(p), checks.flag("debias", debias)
    if debias and p > 2:
        raise ValueError(
            f"p must be at most 2 for a debiased loss, which can be negative above: got {p:g}; "
            "pass debias=False"
        )
    return p, debias


def check_group(group: Any) -> dist.ProcessGroup | None:
    """None, or ranks of `torch.distributed`."""
    if group is None:
        return None
    return checks.instance("process_group", group, dist.ProcessGroup, "a group of ranks or None")


def reduce(values: Tensor, reduction: str) -> Tensor:
    """One value per batch entry (...): averaged, summed, or as it is."""
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()


def gather(local: Tensor, dim: int, group: dist.ProcessGroup) -> Tensor:
    """The union of all ranks' tensors along `dim`, in rank order; lengths may differ.

    The gradient reaches this rank's part only, times the number of ranks (see the module).
    """
    lengths = [torch.zeros(1, dtype=torch.int64, device=local.device) for _ in range(group.size())]
    dist.all_gather(lengths, torch.tensor([local.shape[dim]], device=local.device), group=group)
    sizes = [int(length) for length in lengths]
    return _Gather.apply(local, dim, sizes, group)  # pyright: ignore[reportReturnType]


def from_first(value: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """The tensor of rank 0 of the group, on every rank (in place)."""
    if group is not None:
        dist.broadcast(value, src=dist.get_global_rank(group, 0), group=group)
    return value


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, dim: int, sizes: list[int], group: Any) -> Tensor:
        rank = dist.get_rank(group)
        ctx.part = (dim, sum(sizes[:rank]), sizes[rank], len(sizes))
        # Backends gather tensors of one shape: pad to the longest, cut afterwards.
        shape = list(local.shape)
        shape[dim] = max(sizes)
        padded = local.new_zeros(shape)
        padded.narrow(dim, 0, sizes[rank]).copy_(local)
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded, group=group)
        cut = [part.narrow(dim, 0, size) for part, size in zip(parts, sizes, strict=True)]
        return torch.cat(cut, dim)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        dim, start, length, ranks = ctx.part
        return grad.narrow(dim, start, length) * ranks, None, None, None


def _check_samples(x: Tensor, y: Tensor) -> None:
    for name, sample in (("x", x), ("y", y)):
        if not isinstance(sample, Tensor):
            raise TypeError(f"{name} must be a torch tensor: got {type(sample).__name__}")
        refuse_transforms(sample, name)
        if not sample.is_floating_point():
            raise TypeError(f"{name} must be floating point: got {sample.dtype}")
        if sample.ndim < 2 or 0 in sample.shape:
            raise ValueError(
                f"{name} must have shape (..., n, d) without a 0: got {tuple(sample.shape)}"
            )
    if x.dtype != y.dtype or x.device != y.device:
        raise ValueError(
            f"x and y must share dtype and device: x is {x.dtype} on {x.device}, "
            f"y is {y.dtype} on {y.device}"
        )
    if x.shape[-1] != y.shape[-1] or x.shape[:-2] != y.shape[:-2]:
        raise ValueError(
            "x and y must have the same leading dimensions and the same last one: "
            f"x is {tuple(x.shape)}, y is {tuple(y.shape)}"
        )


def _check_length(weights: Tensor | None, name: str, sample: Tensor) -> Tensor | None:
    if weights is None:
        return None
    if not isinstance(weights, Tensor):
        raise TypeError(f"{name} must be a torch tensor: got {type(weights).__name__}")
    refuse_transforms(weights, name)
    if tuple(weights.shape) not in ((sample.shape[-2],), tuple(sample.shape[:-1])):
        raise ValueError(
            f"{name} must have shape {(sample.shape[-2],)} or {tuple(sample.shape[:-1])}: "
            f"got {tuple(weights.shape)}"
        )
    return weights.to(device=sample.device, dtype=torch.float64)


def normalised(
    weights: Tensor | None, name: str, tolerance: float, total: str = "sum()"
) -> Tensor | None:
    """Weights (..., n) over their sum, which must be one up to the tolerance; None stays.

    Args:
        weights: As they were given.
        name: Of the argument.
        tolerance: Of the sum.
        total: The call that the message advises to divide by.
    """
    if weights is None:
        return None
    sums = weights.sum(-1, keepdim=True)
    with torch.no_grad():
        if bool((weights < 0).any()):
            raise ValueError(f"{name} must be non-negative: got {float(weights.min()):.6g}")
        off = (sums - 1).abs()
        if not bool((off <= tolerance).all()):
            raise ValueError(
                f"{name} must sum to 1 within {tolerance:g}: got "
                f"{float(sums.flatten()[off.argmax()]):.9g}; pass {name} / {name}.{total}"
            )
    return weights / sums
