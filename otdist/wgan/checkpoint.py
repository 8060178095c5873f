"""Checkpoints that a kill cannot spoil: written beside the old one, then renamed over it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from otdist.critics.stored import tensors_in

FORMAT = "otdist.WGANTrainer/3"


def save(state: dict[str, Any], path: Path) -> None:
    """Write the state to the path; at every moment the path holds a whole checkpoint, old or new.

    Args:
        state: Tensors and plain values, as `torch.load` accepts with `weights_only=True`.
        path: The file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".tmp")  # what a kill leaves, the next write replaces
    try:
        with beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint; no code in it is executed.

    Raises:
        ValueError: there is none, it is cut short, or it is not a checkpoint of this version.
    """
    if not path.is_file():
        raise ValueError(f"no checkpoint at {path}: nothing to resume")
    return tensors_in(path, FORMAT, "checkpoint of WGANTrainer", device)


def check_same(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raise unless a state fits a trainer: settings, data, losses, optimizers, shapes of networks.

    Args:
        mine: State of the trainer.
        theirs: State that it is to take over. Data are compared where both are known.
    """
    for part in ("settings", "data", "losses", "optimizers", "generator", "critic"):
        now, then = (_plain(state[part]) for state in (mine, theirs))
        if part == "data" and not (now and then):
            continue
        keys = [k for k in {**now, **then} if now.get(k) != then.get(k) and k != "device"]
        if keys:
            text = [f"{key} was {_short(then.get(key))}, is {_short(now.get(key))}" for key in keys]
            raise ValueError(f"the checkpoint was made with other {part}: {', '.join(text[:3])}")


def _plain(part: dict[str, Any]) -> dict[str, Any]:
    """Tensors as their shapes."""
    return {k: tuple(v.shape) if isinstance(v, Tensor) else v for k, v in part.items()}


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
