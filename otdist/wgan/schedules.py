"""Schedules of the two learning rates of a `WGANTrainer`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from otdist.core import checks

Schedule = Callable[[Optimizer], LRScheduler]
"""Makes a scheduler of an optimizer."""


def schedulers_of(given: Any, optimizers: Sequence[Optimizer]) -> dict[str, LRScheduler]:
    """Schedulers by what they are kept as in a checkpoint.

    Args:
        given: None, or two schedulers or functions that make them, of generator and critic.
        optimizers: Of generator and critic.

    Raises:
        TypeError: something else, or a schedule that wants to be told of a metric.
        ValueError: not two, or a scheduler of another optimizer.
    """
    if given is None:
        return {}
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(
            f"schedulers must be two, of generator and critic: got {checks.shown(given)}"
        )
    found: dict[str, LRScheduler] = {}
    what = "a scheduler of torch, or a function that makes one"
    for name, one, optimizer in zip(("generator", "critic"), given, optimizers, strict=True):
        made: Any = one(optimizer) if callable(one) else one
        checks.instance("each of schedulers", made, LRScheduler, what)
        if isinstance(made, ReduceLROnPlateau):
            raise TypeError(
                "each of schedulers must need no metric: step ReduceLROnPlateau in a Callback"
            )
        if made.optimizer is not optimizer:
            raise ValueError(f"the scheduler of the {name} must have the {name}'s optimizer")
        found[f"{name}_scheduler"] = made
    return found
