"""Checkpoints that a kill cannot spoil: written beside the old one, then renamed over it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


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
        ValueError: there is none, or it is not a checkpoint of a trainer.
    """
    if not path.is_file():
        raise ValueError(f"no checkpoint at {path}: nothing to resume")
    state = torch.load(path, map_location=device, weights_only=True)
    if not isinstance(state, dict) or "step" not in state:
        raise ValueError(f"{path} is not a checkpoint of WGANTrainer")
    return state
