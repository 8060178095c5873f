r"""Gradients by the envelope theorem, written once.

For a value defined by an optimum, V(θ) = min_P max_{f,g} L(P, f, g; θ), the derivative at the
optimum is that of L with plan and potentials held fixed. For transport,

.. math::  \partial V/\partial c_{ij} = P_{ij}, \quad \partial V/\partial a_i = f_i, \quad
           \partial V/\partial x_i = \sum_j P_{ij} \nabla_x c(x_i, y_j) ,

up to a constant in f that normalised weights remove. It is a first-order statement only: P and f
depend on θ, so that differentiating it again would silently be wrong. Double backward raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from otdist.core.modes import full_precision
from otdist.core.result import Arcs


def attach(
    value: Tensor, inputs: Sequence[Tensor], gradients: Callable[[], Sequence[Tensor]]
) -> Tensor:
    """`value` with a first-order gradient in `inputs`.

    Args:
        value: 0-d, or (B,) for a batch; solved without a graph.
        inputs: Tensors that the value depends on, for a batch (B, …) with a problem a row.
        gradients: Returns one gradient per input, in its shape; called in the backward pass.

    Returns:
        The same number; when an input requires a gradient, with a graph that can be differentiated
        once (a second time raises RuntimeError).
    """
    if not (torch.is_grad_enabled() and any(t.requires_grad for t in inputs)):
        return value
    return _Envelope.apply(value, gradients, *inputs)  # pyright: ignore[reportReturnType]


class _Envelope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Callable, *inputs: Tensor) -> Tensor:
        ctx.gradients = gradients
        ctx.save_for_backward(*inputs)
        return value.detach().clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs = ctx.saved_tensors
        with torch.no_grad(), full_precision():
            slopes = [
                (gradient * _aligned(grad, gradient)).to(like) if needed else None
                for gradient, like, needed in zip(
                    ctx.gradients(), inputs, ctx.needs_input_grad[2:], strict=True
                )
            ]
        return (None, None, *(once(slope, grad, *inputs) for slope in slopes))


def _aligned(grad: Tensor, gradient: Tensor) -> Tensor:
    """The incoming gradient, 0-d or (B,), with the dimensions of `gradient`."""
    return grad.to(gradient.dtype).reshape(grad.shape + (1,) * (gradient.ndim - grad.ndim))


def once(slope: Tensor | None, *origins: Tensor) -> Tensor | None:
    """`slope` in a graph that raises when differentiated, in every tensor that it depends on.

    Without `create_graph=True` in the backward pass, there is no such graph and this is free.
    PyTorch's own `once_differentiable` lets a second derivative pass as zero when the incoming
    gradient is a constant, as in ``loss + penalty(grad(loss))``.
    """
    if slope is None or not torch.is_grad_enabled():
        return slope
    return _Once.apply(slope, *origins)  # pyright: ignore[reportReturnType]


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, slope: Tensor, *origins: Tensor) -> Tensor:
        return slope.view_as(slope)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise RuntimeError(
            "this distance can be differentiated once only: plan and potentials depend on the "
            "inputs too, so that a second derivative through them would be wrong"
        )


def root(cost: Tensor, p: float) -> Tensor:
    """cost^(1/p), with gradient 0 where the cost is 0 (a subgradient, instead of NaN)."""
    if p == 1:
        return cost
    if p == 2 and cost.ndim == 0 and cost.device.type == "cpu" and not cost.requires_grad:
        return cost.clamp(min=0).sqrt()
    zero = cost <= 0
    safe = torch.where(zero, torch.ones_like(cost), cost)
    return torch.where(zero, torch.zeros_like(cost), safe ** (1.0 / p))


def plan_gradients(x: Tensor, y: Tensor, p: float, arcs: Arcs) -> tuple[Tensor, Tensor]:
    """Σ_j P_ij ∇_x ‖x_i − y_j‖^p and its counterpart in y, shapes (n, d) and (m, d).

    At p = 1 coinciding points contribute 0, a subgradient.
    """
    difference = x[arcs.rows] - y[arcs.cols]
    length = difference.norm(dim=1)
    apart = length > 0
    safe = torch.where(apart, length, torch.ones_like(length))
    slope = torch.where(apart, p * safe ** (p - 2.0), torch.zeros_like(length))
    force = difference * (slope * arcs.mass.to(difference.dtype))[:, None]
    zero_x, zero_y = torch.zeros_like(x), torch.zeros_like(y)
    return zero_x.index_add_(0, arcs.rows, force), zero_y.index_add_(0, arcs.cols, -force)
