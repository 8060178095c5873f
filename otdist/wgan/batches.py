"""Real batches for the trainer: sampled by itself where it can, else taken from an iterable.

Tensors, arrays and map-style datasets are shuffled anew in each epoch by a permutation that
depends on (seed, epoch) alone, so the number of batches drawn so far is all the state there is: a
resumed run draws what the interrupted one would have drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from otdist.core.arrays import as_tensor
from otdist.wgan.ranks import Ranks


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


class Source:
    """An iterator of real batches that knows how far it is; the base of sampled and read data."""

    drawn = 0
    """Batches drawn so far."""

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        raise NotImplementedError

    def continue_from(self, drawn: int, *, extend: bool) -> None:
        """Go on after so many batches, if the source can; `extend`: epochs count from there."""

    def rows(self, count: int) -> Tensor | None:
        """Some real rows, always the same ones; None where rows cannot be picked."""
        return None


def source_of(
    data: Any,
    *,
    batch_size: int,
    epochs: int | None,
    seed: int,
    ranks: Ranks | None = None,
    labelled: bool = False,
) -> Source:
    """Return the source that fits the data.

    Args:
        data: A tensor or array (n, …), a map-style dataset, or an iterable of batches such as a
            DataLoader or a list of tensors. Where a sample or batch is a tuple, its first entry
            is taken; and the second one, where labels are asked for.
        batch_size: For data that is sampled here; of each rank.
        epochs: Passes until the source ends; None: never.
        seed: Decides the order.
        ranks: Processes that share the data.
        labelled: Ask for labels. A pair of a tensor or array of samples and one of labels is a
            data set, too.
    """
    ranks, data = ranks or Ranks(), _in_torch(data, labelled)
    if isinstance(data, IterableDataset):
        raise ValueError("an IterableDataset yields single samples: wrap it in a DataLoader")
    indexed = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if isinstance(data, Tensor | Dataset) or (indexed and not hasattr(data, "__iter__")):
        return Sampled(data, batch_size, epochs, seed, ranks, labelled)
    if not isinstance(data, Iterable):
        raise TypeError(
            "data must be a tensor, an array, a map-style dataset or an iterable of batches: "
            f"got {type(data).__name__}"
        )
    if ranks.world > 1:
        raise ValueError(
            "several ranks would train on the same batches of an iterable: pass the tensor or "
            "map-style dataset itself, of which each rank takes its share"
        )
    return Read(data, epochs, labelled)


def _in_torch(data: Any, labelled: bool) -> Any:
    """Arrays as tensors, and a pair of samples and their labels as a data set."""
    if labelled and isinstance(data, tuple) and isinstance(data[0], Tensor | np.ndarray):
        return TensorDataset(*map(torch.as_tensor, batch_parts(data, "data")))
    return torch.from_numpy(data) if isinstance(data, np.ndarray) else data


def identity_of(data: Any, labelled: bool = False) -> dict[str, str]:
    """Return what tells data from others: size, and of tensors a hash; nothing of iterables.

    Rows of other datasets are not read: they may be made anew each time.
    """
    data = _in_torch(data, labelled)
    if isinstance(data, TensorDataset):
        found = identity_of(data.tensors[0])
        known = identity_of(data.tensors[1]) if labelled and len(data.tensors) > 1 else {}
        return found | {f"labels: {key}": value for key, value in known.items()}
    if isinstance(data, Dataset):
        return {"samples": str(len(data))} if hasattr(data, "__len__") else {}  # pyright: ignore[reportArgumentType]
    if not isinstance(data, Tensor) or data.dim() == 0:
        return {}
    digest = hashlib.blake2b(digest_size=8)
    for part in data.detach().split(2**16):
        digest.update(part.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    kind = f"{tuple(data.shape)} {str(data.dtype)[6:]}"
    return {"samples": kind, "content": digest.hexdigest()}


class Sampled(Source):
    """Batches of rows of a tensor or of a map-style dataset; incomplete batches are left out.

    >>> source = Sampled(torch.arange(5.0), batch_size=2, epochs=1, seed=0)
    >>> [len(batch) for batch in source]
    [2, 2]
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        epochs: int | None,
        seed: int,
        ranks: Ranks | None = None,
        labelled: bool = False,
    ) -> None:
        if isinstance(data, Tensor):
            check_real(data, "data")
        if len(data) == 0:
            raise ValueError("data must hold at least one sample")
        self.ranks = ranks or Ranks()
        if len(data) < self.ranks.world:
            raise ValueError(f"data must hold a sample for each of {self.ranks.world} ranks")
        self.data, self.batch_size = data, min(batch_size, len(data) // self.ranks.world)
        self.per_epoch = len(data) // (self.batch_size * self.ranks.world)
        self.epochs, self.seed, self.labelled = epochs, seed, labelled
        self._order: tuple[int, Tensor] | None = None

    def __next__(self) -> Batch:
        epoch, position = divmod(self.drawn, self.per_epoch)
        if self.epochs is not None and epoch >= self.epochs:
            raise StopIteration
        start = (position * self.ranks.world + self.ranks.rank) * self.batch_size
        index = self._permutation(epoch)[start : start + self.batch_size]
        self.drawn += 1
        return self._rows(index, self.labelled)

    def continue_from(self, drawn: int, *, extend: bool) -> None:
        """Draw what comes after so many batches."""
        self.drawn = drawn
        if extend and self.epochs is not None:
            self.epochs += drawn // self.per_epoch

    def rows(self, count: int) -> Tensor:
        """Return the first rows of a permutation that no epoch uses."""
        return self._rows(self._shuffled(-1)[:count], labelled=False).samples

    def _rows(self, index: Tensor, labelled: bool) -> Batch:
        if isinstance(self.data, Tensor) and not labelled:
            return Batch(self.data[index.to(self.data.device)])
        if isinstance(self.data, TensorDataset):
            rows = [part[index.to(part.device)] for part in self.data.tensors]
            return _real(batch_of(rows, labelled))
        items = [self.data[i] for i in index.tolist()]
        parts = [batch_parts(item, "a sample") if labelled else [first(item)] for item in items]
        stacked = [
            torch.stack([torch.as_tensor(part) for part in column])
            for column in zip(*parts, strict=True)
        ]
        return _real(batch_of(stacked, labelled))

    def _permutation(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, self._shuffled(epoch))
        return self._order[1]

    def _shuffled(self, epoch: int) -> Tensor:
        state = np.random.SeedSequence((self.seed, epoch + 1)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
        return torch.randperm(len(self.data), generator=generator)


class Read(Source):
    """Batches of an iterable, which is started anew for each epoch."""

    def __init__(self, data: Iterable[Any], epochs: int | None, labelled: bool = False) -> None:
        self.data, self.epochs, self.labelled = data, epochs, labelled
        self._passes = 0
        self._current: Iterator[Any] | None = None

    def __next__(self) -> Batch:
        batch = None if self._current is None else next(self._current, None)
        if batch is None:
            batch = self._next_pass()
        self.drawn += 1
        return _real(batch_of(batch, self.labelled))

    def _next_pass(self) -> Any:
        """The first batch of a new pass over the data."""
        if self.epochs is not None and self._passes >= self.epochs:
            raise StopIteration
        self._passes += 1
        self._current = iter(self.data)
        batch = next(self._current, None)
        if batch is None:
            raise ValueError(
                f"the data gave no batch in pass {self._passes}: an iterator can be read once "
                "only, so pass a list, a DataLoader or a tensor, or ask for one epoch"
            )
        return batch


def first(item: Any) -> Any:
    """Return the sample itself where a dataset returns (sample, label, …); samples of a batch."""
    if isinstance(item, Batch):
        return item.samples
    if isinstance(item, tuple | list) and item and not isinstance(item[0], float | int):
        return item[0]
    if isinstance(item, dict):
        raise TypeError(f"a sample must be a tensor or a tuple that starts with one: got {item!r}")
    return item


def batch_parts(item: Any, name: str) -> list[Any]:
    """Samples and labels of what a labelled dataset returns: (sample, label, …).

    Raises:
        TypeError: it is not a tuple of two or more.
    """
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise TypeError(
            f"with conditional=True {name} must be a tuple (samples, labels): "
            f"got {type(item).__name__}"
        )
    return [item[0], item[1]]


def batch_of(item: Any, labelled: bool = False, name: str = "a batch of data") -> Batch:
    """Return a batch: samples alone, or samples with as many labels."""
    parts = batch_parts(item, name) if labelled else [first(item)]
    samples, *labels = [torch.as_tensor(part) for part in parts]
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
    found = None if labels is None else as_tensor(labels, "labels").to(device)
    if found is None or found.dim() == 0 or len(found) != count:
        shape = None if found is None else tuple(found.shape)
        raise ValueError(f"labels must hold one for each of {count} samples: got {shape}")
    return found


def _real(batch: Batch) -> Batch:
    check_real(batch.samples, "a batch of data")
    return batch


def check_real(x: Any, name: str) -> None:
    """Raise unless x is a finite floating-point batch."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a tensor or an array: got {type(x).__name__}")
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
