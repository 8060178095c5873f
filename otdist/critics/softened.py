r"""Softened: a maximum of funnels that lets every point pull at all funnels which are near the top.

.. math::  t \log \sum_k \exp\bigl((b_k - \|x - a_k\|) / t\bigr)

tends to the maximum as the temperature t tends to 0. Under the maximum a point moves the centre of
one funnel only. In many dimensions a centre then follows the few points of its own cell: from
36,000 points of a ray-monotone pair in 128 dimensions (64 true funnels), 128 funnels reach a
training gap of 1.02 W_1, and 0.68 W_1 on other points. With t = 0.3 that is 1.00 and 0.77.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROUNDED = 0.1
"""Share of the temperature within which of a centre the slope of a funnel falls to zero: unit
vectors between points that are nearer than float32 can tell are noise."""


LEAST = -60.0
"""Logarithm of the least weight. Exponentials that float32 holds with fewer digits make a step at a
low temperature take twice the time."""


def soft_highest(x: Tensor, centres: Tensor, heights: Tensor, temperature: float) -> Tensor:
    """Scores of x under the soft maximum of peaks, shape (n,).

    Args:
        x: Points, shape (n, d).
        centres: The a_k, shape (K, d).
        heights: The b_k, shape (K,).
        temperature: t, positive.

    Gradients: x, centres, heights, first order.
    Cost: O(n K d) time and O(n K) memory, by matrix products both ways.

    >>> centres, heights = torch.tensor([[0.0], [4.0]]), torch.zeros(2)
    >>> round(soft_highest(torch.tensor([[1.0]]), centres, heights, 0.1).item(), 6)
    -1.0
    """
    return _SoftHighest.apply(x, centres, heights, temperature)  # pyright: ignore[reportReturnType]


class _SoftHighest(torch.autograd.Function):
    """The soft maximum, with weights and shares of slopes kept: of (n, K) only two tensors are new.

    Fresh pages and passes over them cost more than the products do. With 256 funnels in 64
    dimensions and 1,024 points a step takes 2.5 to 4 ms, and 5 to 6.5 ms where weights are
    normalised in forward and scaled in backward.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, centres: Tensor, heights: Tensor, temperature: float
    ) -> Tensor:
        away = torch.cdist(x, centres)
        weights = torch.sub(heights / temperature, away, alpha=1 / temperature)
        top = weights.amax(1)
        weights.sub_(top[:, None]).clamp_(min=LEAST).exp_()
        total = weights.sum(1)
        slopes = torch.div(weights, away.clamp_(min=ROUNDED * temperature), out=away)
        ctx.save_for_backward(x, centres, weights, slopes, total)
        return (top + total.log()) * temperature

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, centres, weights, slopes, total = ctx.saved_tensors
        pull = grad / total
        move = slopes.T @ (x * pull[:, None]) - (slopes.T @ pull)[:, None] * centres
        lift = weights.T @ pull
        if not ctx.needs_input_grad[0]:  # points of a sample: a matrix product less
            return None, move, lift, None
        fall = slopes @ centres - slopes.sum(1)[:, None] * x
        return fall * pull[:, None], move, lift, None
