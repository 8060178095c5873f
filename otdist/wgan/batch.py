"""One batch of real data: its samples, its labels where asked for, and what it must be.

Data sets return a sample, a tuple (sample, label, …) or a dictionary of such entries in this order;
their batches are tensors of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otdist.core import checks
from otdist.core.arrays import as_tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Real samples (n, …), and where a trainer is conditional their labels (n, …)."""

    samples: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """Return the batch on a device, samples in a dtype; labels keep theirs."""
        labels = None if self.labels is None else self.labels.to(device)
        return Batch(self.samples.to(device, dtype), labels)

    def dealt(self, count: int) -> list[Batch]:
        """Return so many batches, each of a part of the rows; fewer where rows are few."""
        samples = self.samples.chunk(count)
        labels = [None] * len(samples) if self.labels is None else self.labels.chunk(count)
        return [Batch(*parts) for parts in zip(samples, labels, strict=True)]


def first(item: Any) -> Any:
    """Return the sample itself where a dataset returns (sample, label, …); samples of a batch."""
    if isinstance(item, Batch):
        return item.samples
    if isinstance(item, Mapping) and item:
        return next(iter(item.values()))
    if isinstance(item, tuple | list) and item and not isinstance(item[0], float | int):
        return item[0]
    return item


def tensor_of(part: Any, name: str) -> Tensor:
    """A tensor of the same dtype, which labels keep and integers are refused by."""
    if isinstance(part, np.ndarray) and part.dtype.kind == "f":
        return as_tensor(part, name)
    if not isinstance(part, Tensor) and hasattr(part, "__array__"):
        part = np.array(part)
    try:
        return torch.as_tensor(part)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must hold tensors or numbers: got {checks.shown(part)}") from None


def batch_parts(item: Any, name: str) -> list[Any]:
    """Samples and labels of what a labelled dataset returns: (sample, label, …).

    Raises:
        TypeError: it is not a tuple of two or more.
    """
    item = tuple(item.values()) if isinstance(item, Mapping) else item
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise TypeError(
            f"with conditional=True {name} must be a tuple (samples, labels): "
            f"got {type(item).__name__}"
        )
    return [item[0], item[1]]


def batch_of(item: Any, labelled: bool = False, name: str = "a batch of data") -> Batch:
    """Return a batch: samples alone, or samples with as many labels."""
    parts = batch_parts(item, name) if labelled else [first(item)]
    samples, *labels = [tensor_of(part, name) for part in parts]
    if samples.dim() and len(samples) == 0:
        raise ValueError(f"{name} must hold at least one sample: got {tuple(samples.shape)}")
    if labels and (labels[0].dim() == 0 or len(labels[0]) != len(samples)):
        raise ValueError(
            f"{name} must have one label per sample: got labels of shape "
            f"{tuple(labels[0].shape)} for {len(samples)} samples"
        )
    return Batch(samples, *labels)


def labels_of(
    count: int, labels: Any, conditional: bool, device: torch.device | None = None
) -> Tensor | None:
    """Return labels for so many samples of a conditional generator; None of others.

    Raises:
        ValueError: labels are missing, not as many, or given to a generator without.
    """
    if labels is None and not conditional:
        return None
    if not conditional:
        raise ValueError("labels have no effect unless the trainer is built with conditional=True")
    found = None if labels is None else tensor_of(labels, "labels").to(device)
    if found is None or found.dim() == 0 or len(found) != count:
        shape = None if found is None else tuple(found.shape)
        raise ValueError(f"labels must hold one for each of {count} samples: got {shape}")
    return found


def real(batch: Batch) -> Batch:
    check_real(batch.samples, "a batch of data")
    return batch


def check_real(x: Any, name: str) -> None:
    """Raise unless x is a finite floating-point batch."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor or an array: got {type(x).__name__}")
    if x.layout != torch.strided:
        raise TypeError(f"{name} must be a dense tensor: got layout {x.layout}")
    if x.dim() == 0 or not x.is_floating_point():
        raise ValueError(
            f"{name} must hold floating-point samples (scale images to [-1, 1]): "
            f"got {x.dtype}, shape {tuple(x.shape)}"
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError(
            f"{name} must be finite: found {int((~torch.isfinite(x)).sum())} NaN or inf"
        )


def check_shapes(**samples: Tensor) -> None:
    """Raise unless samples are tensors of one shape, apart from how many they are."""
    for name, x in samples.items():
        if not isinstance(x, Tensor) or x.dim() == 0:
            raise TypeError(
                f"{name.replace('_', ' ')} must be a tensor of samples: got {type(x).__name__}"
            )
    shapes = {name.replace("_", " "): tuple(x.shape[1:]) for name, x in samples.items()}
    if len(set(shapes.values())) > 1:
        text = ", ".join(f"{name} has {shape}" for name, shape in shapes.items())
        raise ValueError(
            f"samples must have one shape: {text}. The first axis counts samples: stack single "
            "ones, and pass them without their labels"
        )
