"""A step of an optimizer, what follows it, and in which precision a forward pass runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def descend(
    loss: Tensor, network: nn.Module, optimizer: Optimizer, longest: float | None = None
) -> None:
    """Take a step down the gradient of a loss.

    Args:
        loss: 0-d tensor with a graph.
        network: Whose parameters the optimizer has.
        optimizer: Its gradients are cleared first.
        longest: Norm that the gradient of all parameters together is shortened to.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if longest is not None:
        nn.utils.clip_grad_norm_(network.parameters(), longest)
    optimizer.step()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move an average of weights towards the present ones, faster in the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    new = network.state_dict()
    for key, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(new[key], 1 - decay)
        else:
            value.copy_(new[key])


@contextlib.contextmanager
def forward_pass(device: torch.device, half: bool) -> Iterator[None]:
    """Forward passes of a step, in bfloat16 where asked; batches of one are named in its error."""
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ValueError(
            "batch normalisation takes no batch of one sample: leave out the last batch "
            "(drop_last=True of a DataLoader) or choose another batch_size"
        ) from None
