"""Modes of PyTorch around a call: autocast, forward-mode derivatives and function transforms.

Half-precision products would cost a distance its digits, so that autocast is off inside every
public function. Derivatives are those of `gradient.attach`, in reverse mode; whoever asks for
another kind is told so, instead of being given a derivative of zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor  # has no public name
from torch.autograd import forward_ad

_DEVICES = ("cpu", "cuda")


@contextmanager
def full_precision() -> Iterator[None]:
    """Switch autocast off inside; as a decorator, inside every call of a function.

    >>> with torch.autocast("cpu", dtype=torch.bfloat16), full_precision():
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    on = [device for device in _DEVICES if torch.is_autocast_enabled(device)]
    if not on:
        yield
        return
    with ExitStack() as stack:
        for device in on:
            stack.enter_context(torch.autocast(device, enabled=False))
        yield


def refuse_transforms(value: Tensor, name: str) -> None:
    """Raise for a tensor of forward-mode differentiation or of a transform of `torch.func`.

    Raises:
        TypeError: it carries a tangent, or a transform wraps it.
    """
    wrapped = is_functorch_wrapped_tensor(value)
    if wrapped or forward_ad.unpack_dual(value).tangent is not None:
        raise TypeError(
            f"{name} must be a plain tensor: forward-mode derivatives and torch.func transforms "
            "(jvp, grad, vmap) are not supported; use backward() or torch.autograd.grad, and a "
            "loop or leading dimensions of a loss in place of vmap"
        )
