"""The gradient penalty under the name and with the arguments that torch guides use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from otdist.critics.penalties import Mode, compute_gradient_penalty


def gradient_penalty(
    D: Callable[[Tensor], Tensor],
    real_data: Tensor,
    fake_data: Tensor,
    device: torch.device | str | None = None,
    lambda_gp: float = 10,
    *,
    mode: Mode = "gp",
    generator: torch.Generator | None = None,
) -> Tensor:
    """`compute_gradient_penalty` under the name and with the device argument of torch guides.

    Args:
        D: The critic.
        real_data: Real samples, shape (n, …).
        fake_data: Generated samples of the same shape.
        device: Where to compute; by default where `real_data` is.
        lambda_gp: Weight of the penalty.
        mode: As in `compute_gradient_penalty`.
        generator: As in `compute_gradient_penalty`.

    >>> gradient_penalty(torch.nn.Flatten(), torch.zeros(3, 1), torch.zeros(3, 1), "cpu")
    tensor(0.)
    """
    device = real_data.device if device is None else torch.device(device)
    return compute_gradient_penalty(
        D, real_data.to(device), fake_data.to(device), lambda_gp, mode=mode, generator=generator
    )
