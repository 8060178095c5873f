"""Real batches for the trainer: sampled by itself where it can, else taken from an iterable.

Tensors, arrays and map-style datasets are shuffled anew in each epoch by a permutation that
depends on (seed, epoch) alone, so the number of batches drawn so far is all the state there is: a
resumed run draws what the interrupted one would have drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from otdist.core.frames import column_names
from otdist.core.large import is_large, refuse
from otdist.wgan.batch import Batch, batch_of, batch_parts, check_real, first, real, tensor_of
from otdist.wgan.ranks import Ranks


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
            DataLoader or a list of tensors. Where a sample or batch is a tuple or a dictionary,
            its first entry is taken; and the second one, where labels are asked for.
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
    if is_large(data):
        raise refuse("data")
    if column_names(data) is not None and hasattr(data, "to_numpy"):
        raise TypeError(
            "data must be a tensor, an array, a dataset or batches: got a "
            f'{type(data).__name__}; pass its values, data.to_numpy(dtype="float32")'
        )
    if labelled and isinstance(data, tuple) and data and isinstance(data[0], Tensor | np.ndarray):
        batch = batch_of(data, labelled, "data")
        assert batch.labels is not None
        return TensorDataset(batch.samples, batch.labels)
    return tensor_of(data, "data") if isinstance(data, np.ndarray) else data


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
        """Draw what comes after so many batches; further epochs follow the rest of this one."""
        self.drawn = drawn
        if extend and self.epochs is not None:
            self.epochs += -(-drawn // self.per_epoch)

    def rows(self, count: int) -> Tensor:
        """Return the first rows of a permutation that no epoch uses."""
        return self._rows(self._shuffled(-1)[:count], labelled=False).samples

    def _rows(self, index: Tensor, labelled: bool) -> Batch:
        if isinstance(self.data, Tensor) and not labelled:
            return Batch(self.data[index.to(self.data.device)])
        if isinstance(self.data, TensorDataset):
            rows = [part[index.to(part.device)] for part in self.data.tensors]
            return real(batch_of(rows, labelled))
        items = [self.data[i] for i in index.tolist()]
        parts = [batch_parts(item, "a sample") if labelled else [first(item)] for item in items]
        stacked = [
            torch.stack([tensor_of(part, "a sample") for part in column])
            for column in zip(*parts, strict=True)
        ]
        return real(batch_of(stacked, labelled))

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
        return real(batch_of(batch, self.labelled))

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
